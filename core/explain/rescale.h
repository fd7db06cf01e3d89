#pragma once
#include "surrogate.h"

/// DeepLIFT's rescale rule, node by node: a node's change from a reference is handed to its inputs by multipliers that turn their changes into its change.
/// Source: Shrikumar, Greenside & Kundaje (2017), "Learning Important Features Through Propagating Activation Differences", arXiv:1704.02685, section 3.5.
namespace orrery::explain {

/// What a softmax passes to its inputs.
enum class SoftmaxRule {
    Normalised,  ///< element by element, less the mean over the softmax's axis (Captum: over the whole tensor, which is the same for one sample)
    Decomposed   ///< as exp(x - log(sum(exp(x)))), the rule at each step: changes add up exactly
};

struct RescaleRule {
    double eps = 1e-10;  ///< where an input changed by less, the ordinary derivative is used
    SoftmaxRule softmax = SoftmaxRule::Normalised;
};

/// Operators with a rule: activations, softmax, max_pool2d.
const std::set<std::string_view>& rescaledOperators();

/// What takes the place of `call.y`: the same value, with the rule's multipliers as derivative. `x`, `y`: the same node at the reference.
/// @throws core::InputError for a softmax whose axis is computed while the model runs.
at::Tensor rescaled(const RescaleRule& rule, const NodeCall& call, const at::Tensor& x, const at::Tensor& y);

}  // namespace orrery::explain
