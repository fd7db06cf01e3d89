#pragma once
#include <cstdint>
#include <vector>

#include "graph.h"

namespace orrery::graph {

/// Inputs (outputs) that one element of a weight of this shape meets, as torch.nn.init counts them: axis 1 (0 for the outputs) times the receptive field.
std::int64_t fanOf(const std::vector<std::int64_t>& shape, bool out);

/// Standard deviation of the values that `initialize` draws for a parameter, its "factor" included; 0 for constants and unknown kinds.
/// A truncated normal counts as a whole one: its cut lies far outside for the deviations in use.
double initialSpread(const Parameter& parameter);

/// Bound of the uniform draws of the kinds uniform, kaiming_uniform and xavier_uniform.
double uniformBound(const core::Json& init, const std::vector<std::int64_t>& shape);
/// Deviation of kaiming_normal.
double kaimingDeviation(const core::Json& init, const std::vector<std::int64_t>& shape);

}  // namespace orrery::graph
