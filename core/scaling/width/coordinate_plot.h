#pragma once
#include <core/report/plot.h>

#include "coordinate_check.h"

namespace orrery::scaling {

/// Mean change (or size) of each layer over the width, both axes logarithmic: one curve a layer, a band from the smallest to the largest seed.
/// @param step  From 0 (sizes only) to the last. @throws core::InputError for another.
report::CurvePlot coordinatePlot(const CoordinateCheck& check, int step, bool change = true);
/// Loss over the learning rate, one curve a width.
report::CurvePlot ratePlot(const RateSweep& sweep);

}  // namespace orrery::scaling
