#include "flops.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

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

/// With as many layers of units as argument 4 says.
std::int64_t layersOf(std::span<const c10::IValue> inputs)
{
    constexpr std::size_t kLayers = 4;
    return inputs.size() > kLayers && inputs[kLayers].isInt() ? inputs[kLayers].toInt() : 1;
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
    return vectors * perVector + flopsOfUnit(op) * outputElements(outputs) * layersOf(inputs);
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

/// Projections of queries, keys and values, the scores, their softmax, the sums of values, and the projection behind them: aten::_native_multi_head_attention(query, key, value, width, heads, ...).
std::int64_t multiHeadFlops(const Shape& query, const Shape& key, std::int64_t heads)
{
    if (query.size() != 3 || key.size() != 3)
        return 0;
    const auto width = query[2], queries = query[0] * query[1], keys = key[0] * key[1], pairs = query[0] * query[1] * key[1];
    return (2 * queries + 2 * keys) * (2 * width * width + width) + pairs * (4 * width + 5 * heads);
}

/// aten::_transformer_encoder_layer_fwd: attention, two residual sums and norms, and the perceptron, whose two weights are arguments 14 and 16.
std::int64_t encoderLayerFlops(std::span<const c10::IValue> inputs)
{
    constexpr std::size_t kHeads = 2, kUp = 14, kDown = 16;
    const auto source = shapeOf(inputs, 0), up = shapeOf(inputs, kUp), down = shapeOf(inputs, kDown);
    if (!source || source->size() != 3 || !up || !down || up->size() != 2 || down->size() != 2 || !inputs[kHeads].isInt())
        return 0;
    const auto positions = (*source)[0] * (*source)[1], width = (*source)[2], hidden = (*up)[0];
    return multiHeadFlops(*source, *source, inputs[kHeads].toInt()) + 12 * positions * width + positions * (4 * width * hidden + 2 * hidden + width);
}

/// Every combination of the labels once, a product with each operand after the first and a sum. Axes of "..." are lined up from the back.
std::int64_t einsumFlops(std::span<const c10::IValue> inputs)
{
    if (inputs.size() < 2 || !inputs[0].isString() || !inputs[1].isTensorList())
        return 0;
    const auto& equation = inputs[0].toStringRef();
    const auto tensors = inputs[1].toTensorList().vec();
    std::map<std::string, std::int64_t> sizes;
    std::string_view rest = std::string_view(equation).substr(0, equation.find('-'));
    for (const at::Tensor& tensor : tensors) {
        std::string labels(rest.substr(0, rest.find(',')));
        rest = rest.size() > labels.size() ? rest.substr(labels.size() + 1) : std::string_view();
        std::erase(labels, ' ');
        const auto dots = labels.find("...");
        const auto named = std::int64_t(labels.size()) - (dots == std::string::npos ? 0 : 3), open = std::max<std::int64_t>(tensor.dim() - named, 0);
        for (std::int64_t axis = 0, place = 0; axis < tensor.dim() && place < std::int64_t(labels.size()); ++axis) {
            const bool isOpen = dots != std::string::npos && axis >= std::int64_t(dots) && axis < std::int64_t(dots) + open;
            if (!isOpen && labels[std::size_t(place)] == '.')
                place += 3;
            const auto label = isOpen ? "." + std::to_string(std::int64_t(dots) + open - axis) : std::string(1, labels[std::size_t(place)]);
            sizes[label] = std::max(sizes[label], tensor.size(axis));
            place += isOpen ? 0 : 1;
        }
    }
    std::int64_t all = 1;
    for (const auto& [label, size] : sizes)
        all *= size;
    return all * std::max<std::int64_t>(std::int64_t(tensors.size()), 1);
}

/// Each output element looks at its whole window, whose sizes are argument 1: one for all axes, or one each.
std::int64_t poolFlops(std::span<const c10::IValue> inputs, std::span<const c10::IValue> outputs, std::size_t axes)
{
    if (inputs.size() < 2 || !inputs[1].isIntList() || inputs[1].toIntVector().empty())
        return outputElements(outputs);
    Shape window = inputs[1].toIntVector();
    if (window.size() == 1 && axes > 1)
        window.assign(axes, window[0]);
    return outputElements(outputs) * product(window);
}

/// 1 to 3 for pools over so many axes, else 0.
std::size_t poolAxes(const std::string& op)
{
    for (const std::size_t axes : {1, 2, 3})
        for (const char* kind : {"aten::max_pool", "aten::avg_pool"})
            if (op == kind + std::to_string(axes) + "d" || op == kind + std::to_string(axes) + "d_with_indices")
                return axes;
    return 0;
}

/// What a reduction takes of each element that it reads: a deviation its mean and then difference, square and sum; a norm square and sum; others one. 0: it is none.
std::int64_t flopsOfReduction(const std::string& op)
{
    static const std::unordered_map<std::string, std::int64_t> kReductions = {{"aten::sum", 1},
                                                                              {"aten::mean", 1},
                                                                              {"aten::prod", 1},
                                                                              {"aten::amax", 1},
                                                                              {"aten::amin", 1},
                                                                              {"aten::argmax", 1},
                                                                              {"aten::argmin", 1},
                                                                              {"aten::logsumexp", 3},
                                                                              {"aten::norm", 2},
                                                                              {"aten::var", 4},
                                                                              {"aten::std", 4},
                                                                              {"aten::adaptive_avg_pool1d", 1},
                                                                              {"aten::adaptive_avg_pool2d", 1},
                                                                              {"aten::adaptive_avg_pool3d", 1}};
    const auto found = kReductions.find(op);
    return found == kReductions.end() ? 0 : found->second;
}

/// Operators of importers. Those that only move numbers take none.
std::int64_t ownFlops(const std::string& op, std::span<const c10::IValue> inputs, std::span<const c10::IValue> outputs)
{
    static const std::unordered_map<std::string, std::int64_t> kPerElement = {
        {"orrery::onnx_layer_norm", 5},     {"orrery::onnx_group_norm", 5},   {"orrery::onnx_batch_norm_training", 5},
        {"orrery::onnx_softmax_joined", 5}, {"orrery::onnx_rms_norm", 4},     {"orrery::onnx_lrn", 5},
        {"orrery::onnx_quantize", 2},       {"orrery::onnx_dequantize", 2},   {"orrery::onnx_centre", 1},
        {"orrery::onnx_requantize", 2},     {"orrery::onnx_add_channels", 1}, {"orrery::onnx_div", 1},
        {"orrery::onnx_cumsum", 1},         {"orrery::onnx_hardmax", 1}};
    if (op == "orrery::onnx_max_pool" || op == "orrery::onnx_average_pool")
        return poolFlops(inputs, outputs, 0);
    const auto x = shapeOf(inputs, 1), weight = shapeOf(inputs, 2), hidden = shapeOf(inputs, 3), bias = shapeOf(inputs, 4);
    if (op == "orrery::onnx_recurrent" && inputs[0].isString() && x && weight && hidden && x->size() == 3)
        return (*x)[0] * (*x)[1] * (2 * (product(*weight) + product(*hidden)) + (bias ? product(*bias) : 0)) +
               flopsOfUnit(inputs[0].toStringRef()) * outputElements(outputs);
    if (op == "orrery::onnx_global_pool" || op == "orrery::onnx_sum_or_none" || op == "orrery::onnx_reduce_prod" || op == "orrery::onnx_logsumexp") {
        const auto input = shapeOf(inputs, 0);
        return input ? product(*input) : 0;
    }
    const auto found = kPerElement.find(op);
    return found == kPerElement.end() ? 0 : found->second * outputElements(outputs);
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
    if (op == "aten::_native_multi_head_attention" && inputs.size() > 4 && shapeOf(inputs, 0) && shapeOf(inputs, 1) && inputs[4].isInt())
        return multiHeadFlops(*shapeOf(inputs, 0), *shapeOf(inputs, 1), inputs[4].toInt());
    if (op == "aten::_transformer_encoder_layer_fwd")
        return encoderLayerFlops(inputs);
    if (op == "aten::einsum")
        return einsumFlops(inputs);
    if (op == "aten::bilinear")
        return productFlops(outputs, lastOf(shapeOf(inputs, 0)) * lastOf(shapeOf(inputs, 1)), inputs.size() > 3 && inputs[3].isTensor());
    if (op == "aten::cdist")  // difference, power and sum
        return 3 * lastOf(shapeOf(inputs, 0)) * outputElements(outputs);
    if (const auto axes = poolAxes(op))
        return poolFlops(inputs, outputs, axes);
    if (op.rfind("orrery::", 0) == 0)
        return ownFlops(op, inputs, outputs);
    if (movesOnly(op))
        return 0;
    if (startsWithAny(op, {"aten::softmax", "aten::log_softmax", "aten::_softmax", "aten::layer_norm", "aten::native_layer_norm", "aten::batch_norm",
                           "aten::group_norm", "aten::instance_norm"}))
        return 5 * outputElements(outputs);
    if (const auto each = flopsOfReduction(op)) {
        const auto input = shapeOf(inputs, 0);
        return input ? each * product(*input) : 0;
    }
    return outputElements(outputs);
}

}  // namespace orrery::graph
