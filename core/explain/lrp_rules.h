#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>

/// Internal to layer-wise relevance propagation: how one layer with weights hands its relevance to its input.
namespace orrery::explain::lrp {

enum class Rule { Epsilon, Gamma, ZPlus, AlphaBeta, ZBox };
const char* nameOf(Rule rule);

struct RuleSettings {
    double epsilon = 1e-9, gamma = 0.25, alpha = 2, beta = 1;
    double low = 0, high = 1;  ///< of the input, for ZBox
};

/// z = apply(x, weight) + bias, where `apply` is linear in x and in weight and differentiable in x.
struct WeightedLayer {
    std::function<at::Tensor(const at::Tensor& x, const at::Tensor& weight)> apply;
    at::Tensor x, weight;
    at::Tensor bias;  ///< broadcasts against z; undefined: none
};

struct Shares {
    at::Tensor relevance;  ///< of x, shaped like x
    double bias = 0;       ///< sum over all rows of what the bias took
};

/// z + epsilon * sign(z), with sign(0) = 1: a denominator that is never smaller than epsilon.
at::Tensor stabilised(const at::Tensor& z, double epsilon);

/// The relevance of the layer's input, given that of its output. With contributions z_jk = x_j w_jk:
///   Epsilon    R_j = sum_k z_jk / (sum_j z_jk + b_k + epsilon) R_k                                  (Bach et al. 2015, equation 58)
///   Gamma      the same with z_jk + gamma max(z_jk, 0), b_k + gamma max(b_k, 0)                       (Montavon et al. 2019, section 10.2)
///   ZPlus      the same with max(z_jk, 0), max(b_k, 0)                                              (Montavon et al. 2017, arXiv:1512.02479)
///   AlphaBeta  alpha times that minus beta times the same with min(z_jk, 0), min(b_k, 0)            (Bach et al. 2015, equation 60)
///   ZBox       the same with x_j w_jk - low max(w_jk, 0) - high min(w_jk, 0), without bias          (Montavon et al. 2017, arXiv:1512.02479)
/// The papers write Gamma and ZPlus for inputs that are not negative; on contributions they mean the same there and stay defined elsewhere.
Shares propagate(const WeightedLayer& layer, const at::Tensor& relevance, Rule rule, const RuleSettings& settings);

}  // namespace orrery::explain::lrp
