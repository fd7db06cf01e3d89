#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include <core/explain/attribution.h>

namespace orrery::intervene {

struct LbfgsOptions {
    int maxIterations = 1000;
    double tolerance = 1e-6;  ///< stops when no entry of the gradient is larger
    int memory = 10;          ///< pairs kept
};

struct LbfgsResult {
    at::Tensor x;
    double value = 0, gradient = 0;  ///< at x; the largest entry of the gradient
    int iterations = 0;
    bool converged = false;
};

/// Minimises a smooth function from `start` (a flat double tensor); deterministic. The step lengths satisfy the strong Wolfe conditions (c1 1e-4, c2 0.9).
/// @param function  Value and gradient at x. @param control  Asked between iterations.
/// Source: Nocedal & Wright (2006), "Numerical Optimization", 2nd ed., algorithms 7.5, 3.5 and 3.6, doi:10.1007/978-0-387-40065-5.
/// @throws core::InputError if the function is not finite at the start.
LbfgsResult minimise(const std::function<std::pair<double, at::Tensor>(const at::Tensor& x)>& function, const at::Tensor& start,
                     const LbfgsOptions& options, const explain::Control& control = {});

}  // namespace orrery::intervene
