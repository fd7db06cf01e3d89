#pragma once
#include <span>
#include <vector>

#include "law.h"

/// Internal to core/scaling: what laws share.
namespace orrery::scaling {

/// Every choice of one value from each list, the last one changing fastest.
std::vector<std::vector<double>> combinations(const std::vector<std::vector<double>>& choices);

struct LossRange {
    double low = 0, high = 0, middle = 0;  ///< middle: geometric mean
};
LossRange lossRange(std::span<const double> loss);

}  // namespace orrery::scaling
