#include "flops.h"

#include <numeric>

namespace orrery::graph {
namespace {

using Shape = std::vector<std::int64_t>;

std::optional<Shape> shapeOf(std::span<const c10::IValue> values, std::size_t index)
{
    if (index >= values.size() || !values[index].isTensor() || !values[index].toTensor().defined())
        return std::nullopt;
    return values[index].toTensor().sizes().vec();
}

std::int64_t product(const Shape& shape)
{
    return std::accumulate(shape.begin(), shape.end(), std::int64_t(1), std::multiplies<>());
}

std::int64_t outputElements(std::span<const c10::IValue> outputs)
{
    const auto shape = shapeOf(outputs, 0);
    return shape ? product(*shape) : 0;
}

// out = [.., n], each element a sum over k products; the bias adds one each.
std::int64_t productFlops(std::span<const c10::IValue> outputs, std::int64_t k, bool bias)
{
    return outputElements(outputs) * (2 * k + (bias ? 1 : 0));
}

std::int64_t lastOf(const std::optional<Shape>& shape)
{
    return shape && !shape->empty() ? shape->back() : 0;
}

// Each output element sums over (input channels / groups) * kernel elements: the weight's elements beyond its first axis.
std::int64_t convolutionFlops(std::span<const c10::IValue> inputs, std::span<const c10::IValue> outputs, bool transposed)
{
    const auto input = shapeOf(inputs, 0), weight = shapeOf(inputs, 1);
    if (!weight || weight->empty() || (*weight)[0] == 0)
        return 0;
    const bool bias = inputs.size() > 2 && inputs[2].isTensor();
    const auto perElement = product(*weight) / (*weight)[0];
    if (!transposed)
        return productFlops(outputs, perElement, bias);
    return (input ? product(*input) * perElement * 2 : 0) + (bias ? outputElements(outputs) : 0);
}

std::int64_t attentionFlops(std::span<const c10::IValue> inputs)
{
    const auto q = shapeOf(inputs, 0), k = shapeOf(inputs, 1), v = shapeOf(inputs, 2);
    if (!q || !k || !v || q->size() < 2)
        return 0;
    const auto batch = product(*q) / std::max<std::int64_t>(q->back() * (*q)[q->size() - 2], 1);
    const auto queries = (*q)[q->size() - 2], keys = (*k)[k->size() - 2];
    return batch * queries * keys * (2 * q->back() + 5 + 2 * v->back());
}

/// What a unit of one step takes beside the products with the weights and their biases. LSTM: four gates, the tanh of its cell, three products and a sum; GRU: three
/// gates, the product with the reset gate, and two products, a difference and a sum of the new and the old state; others: their activation.
std::int64_t flopsOfUnit(const std::string& op)
{
    return op.find("lstm") != std::string::npos ? 9 : op.find("gru") != std::string::npos ? 8 : 1;
}

/// Every weight of [gate, value] meets each vector of the sequence once; biases add.
std::int64_t recurrentFlops(const std::string& op, std::span<const c10::IValue> inputs, std::span<const c10::IValue> outputs)
{
    const auto sequence = shapeOf(inputs, 0);
    if (!sequence || sequence->size() != 3 || inputs.size() < 3 || !inputs[2].isTensorList())
        return outputElements(outputs);
    std::int64_t vectors = (*sequence)[0] * (*sequence)[1], perVector = 0;
    for (const at::Tensor& parameter : inputs[2].toTensorList().vec())
        perVector += parameter.numel() * (parameter.dim() == 2 ? 2 : 1);
    return vectors * perVector + flopsOfUnit(op) * outputElements(outputs);
}

/// The same of one step of one layer: (input, state, weights of the input and of the state, their biases).
std::int64_t cellFlops(const std::string& op, std::span<const c10::IValue> inputs, std::span<const c10::IValue> outputs)
{
    const auto input = shapeOf(inputs, 0);
    if (!input || input->empty() || input->back() == 0)
        return outputElements(outputs);
    std::int64_t perVector = 0;
    for (std::size_t i = 2; i < inputs.size(); ++i)
        if (const auto parameter = shapeOf(inputs, i))
            perVector += product(*parameter) * (parameter->size() == 2 ? 2 : 1);
    return product(*input) / input->back() * perVector + flopsOfUnit(op) * outputElements(outputs);
}

bool startsWithAny(const std::string& op, std::initializer_list<const char*> names)
{
    return std::any_of(names.begin(), names.end(), [&](const char* name) { return op == name || op == std::string(name) + "_"; });
}

bool movesOnly(const std::string& op)
{
    static const std::unordered_set<std::string> kViews = {"view",
                                                           "reshape",
                                                           "permute",
                                                           "transpose",
                                                           "t",
                                                           "contiguous",
                                                           "expand",
                                                           "expand_as",
                                                           "flatten",
                                                           "unflatten",
                                                           "squeeze",
                                                           "unsqueeze",
                                                           "slice",
                                                           "select",
                                                           "split",
                                                           "chunk",
                                                           "cat",
                                                           "stack",
                                                           "unbind",
                                                           "size",
                                                           "to",
                                                           "detach",
                                                           "clone",
                                                           "embedding",
                                                           "index",
                                                           "index_select",
                                                           "gather",
                                                           "narrow",
                                                           "alias",
                                                           "type_as",
                                                           "zeros",
                                                           "ones",
                                                           "full",
                                                           "empty",
                                                           "arange",
                                                           "new_zeros",
                                                           "zeros_like",
                                                           "ones_like",
                                                           "empty_like",
                                                           "tril",
                                                           "triu",
                                                           "repeat",
                                                           "roll",
                                                           "flip",
                                                           "pad",
                                                           "constant_pad_nd",
                                                           "copy_",
                                                           "view_as",
                                                           "split_with_sizes",
                                                           "movedim",
                                                           "swapaxes",
                                                           "numel",
                                                           "dim",
                                                           "len",
                                                           "__getitem__",
                                                           "Int",
                                                           "Bool",
                                                           "Float",
                                                           "item",
                                                           "tensor"};
    return op.rfind("aten::", 0) != 0 || kViews.count(op.substr(6));
}

}  // namespace

std::int64_t flopsOf(const Node& node, std::span<const c10::IValue> inputs, std::span<const c10::IValue> outputs)
{
    const auto& op = node.op;
    if (op == "aten::linear")
        return productFlops(outputs, lastOf(shapeOf(inputs, 0)), inputs.size() > 2 && inputs[2].isTensor());
    if (startsWithAny(op, {"aten::matmul", "aten::mm", "aten::bmm", "aten::mv", "aten::dot"}))
        return productFlops(outputs, lastOf(shapeOf(inputs, 0)), false);
    if (startsWithAny(op, {"aten::addmm", "aten::baddbmm", "aten::addmv"}))
        return productFlops(outputs, lastOf(shapeOf(inputs, 1)), true);
    if (startsWithAny(op, {"aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::convolution", "aten::_convolution"})) {
        const bool transposed = op.find("convolution") != std::string::npos && inputs.size() > 6 && inputs[6].isBool() && inputs[6].toBool();
        return convolutionFlops(inputs, outputs, transposed);
    }
    if (op.rfind("aten::conv_transpose", 0) == 0)
        return convolutionFlops(inputs, outputs, true);
    if (startsWithAny(op, {"aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"}))
        return recurrentFlops(op, inputs, outputs);
    if (startsWithAny(op, {"aten::lstm_cell", "aten::gru_cell", "aten::rnn_tanh_cell", "aten::rnn_relu_cell"}))
        return cellFlops(op, inputs, outputs);
    if (op == "aten::scaled_dot_product_attention")
        return attentionFlops(inputs);
    if (movesOnly(op))
        return 0;
    if (startsWithAny(op, {"aten::softmax", "aten::log_softmax", "aten::_softmax", "aten::layer_norm", "aten::native_layer_norm", "aten::batch_norm",
                           "aten::group_norm", "aten::instance_norm"}))
        return 5 * outputElements(outputs);
    if (startsWithAny(op, {"aten::sum", "aten::mean", "aten::max_pool2d", "aten::avg_pool2d", "aten::adaptive_avg_pool2d"})) {
        const auto input = shapeOf(inputs, 0);
        return input ? product(*input) : 0;
    }
    return outputElements(outputs);
}

}  // namespace orrery::graph
