#pragma once
#include <functional>
#include <optional>
#include <string>

#include <core/graph/graph.h>

/// Internal to layer-wise relevance propagation: what each operator does with relevance.
namespace orrery::explain::lrp {

enum class Kind {
    Unknown,
    PassThrough,  ///< elementwise: relevance stays where it is (activations; dropout, which does nothing outside training; softmax with its sum held fixed)
    Moves,        ///< every output element is a copy of one input element, or a constant: relevance moves back with it
    Winner,     ///< max pooling: relevance goes to the element that was taken
    Linear,     ///< linear in its tensor inputs together: shared in proportion (the epsilon rule)
    Product,    ///< a product of two values
    Division,   ///< linear in the numerator
    LayerNorm,  ///< mean and deviation over the last axes
    GroupNorm,  ///< over groups of channels
    BatchNorm   ///< affine with running statistics
};

/// "aten::relu_" -> "relu": without its namespace and the underscore of operators that write their input.
std::string plainOperator(const std::string& op);
Kind kindOf(const graph::Node& node);
/// True for a value that other values are multiplied by and that says how much, not what: attention patterns, gates, normalisers.
bool isGateOperator(const graph::Node& node);

/// Where a layer with weights keeps its operands.
struct WeightedOperands {
    std::size_t x = 0, weight = 1;
    std::optional<std::size_t> bias;
    std::int64_t channelAxis = -1;           ///< of the output: where the bias lies
    std::optional<std::int64_t> weightAxis;  ///< of the weight: the outputs' axis; none: batch norm is not merged into it
    bool isConvolution = false;
};
/// Of linear layers and convolutions, and of a product with a value for which `isSignal` is false. Nothing for other nodes.
std::optional<WeightedOperands> weightedOperands(const graph::Node& node, const std::function<bool(const graph::Operand&)>& isSignal);

}  // namespace orrery::explain::lrp
