#include "lrp_operators.h"

#include <functional>
#include <unordered_map>
#include <unordered_set>

namespace orrery::explain::lrp {
namespace {

using Names = std::unordered_set<std::string>;

const std::vector<std::pair<Kind, Names>>& kinds()
{
    static const std::vector<std::pair<Kind, Names>> table = {
        {Kind::PassThrough, {"relu",          "relu6",       "leaky_relu",  "prelu",    "rrelu",       "gelu",       "tanh",      "sigmoid",
                             "silu",          "elu",         "selu",        "celu",     "softplus",    "mish",       "hardtanh",  "hardswish",
                             "clamp",         "hardsigmoid", "softmax",     "_softmax", "log_softmax", "logsigmoid", "dropout",   "feature_dropout",
                             "alpha_dropout", "detach",      "log_sigmoid", "identity", "threshold",   "clamp_min",  "clamp_max", "softsign"}},
        {Kind::Moves,
         {"flatten",
          "reshape",
          "view",
          "view_as",
          "transpose",
          "permute",
          "t",
          "contiguous",
          "expand",
          "expand_as",
          "squeeze",
          "unsqueeze",
          "slice",
          "select",
          "cat",
          "concat",
          "stack",
          "narrow",
          "pad",
          "constant_pad_nd",
          "index_select",
          "gather",
          "roll",
          "flip",
          "alias",
          "to",
          "type_as",
          "clone",
          "unbind",
          "split",
          "chunk",
          "split_with_sizes",
          "movedim",
          "swapaxes",
          "repeat",
          "unflatten",
          "numpy_T",
          "tensor_split",
          "index",
          "ListUnpack",
          "pixel_shuffle",
          "float",
          "double",
          "reflection_pad1d",
          "reflection_pad2d",
          "mT",
          "lift",
          "replication_pad2d",
          "channel_shuffle",
          "hsplit",
          "tile",
          "upsample_nearest1d",
          "upsample_nearest2d",
          "moveaxis"}},
        {Kind::Winner,
         {"max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "amax",
          "max_pool2d_with_indices", "max_pool1d_with_indices"}},
        {Kind::Linear,
         {"add", "sub", "rsub", "neg", "mean", "sum", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
          "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "cumsum", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_linear1d"}},
        {Kind::Product,
         {"mul", "matmul", "mm", "bmm", "mv", "einsum", "baddbmm", "addmm", "linear", "conv1d", "conv2d", "conv3d", "convolution", "_convolution",
          "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}},
        {Kind::Division, {"div"}},
        {Kind::LayerNorm, {"layer_norm"}},
        {Kind::GroupNorm, {"group_norm"}},
        {Kind::BatchNorm, {"batch_norm"}}};
    return table;
}

bool isTrue(const graph::Node& node, std::size_t index)
{
    return index < node.inputs.size() && node.inputs[index].isConstant() && node.inputs[index].constant.isBool() &&
           node.inputs[index].constant.toBool();
}

bool isOne(const graph::Node& node, std::size_t index)
{
    if (index >= node.inputs.size() || !node.inputs[index].isConstant())
        return false;
    const auto& constant = node.inputs[index].constant;
    return (constant.isInt() && constant.toInt() == 1) || (constant.isDouble() && constant.toDouble() == 1);
}

std::optional<WeightedOperands> convolutionOperands(const graph::Node& node, const std::string& op)
{
    const bool transposed = op.rfind("conv_transpose", 0) == 0 || (op != "conv1d" && op != "conv2d" && op != "conv3d" && isTrue(node, 6));
    WeightedOperands operands{.x = 0, .weight = 1, .bias = 2, .channelAxis = 1, .weightAxis = 0, .isConvolution = true};
    if (transposed)
        operands.weightAxis.reset();
    return operands;
}

}  // namespace

std::string plainOperator(const std::string& op)
{
    auto name = op.substr(op.find("::") == std::string::npos ? 0 : op.find("::") + 2);
    if (name.size() > 1 && name.back() == '_' && name[name.size() - 2] != '_')
        name.pop_back();
    return name;
}

Kind kindOf(const graph::Node& node)
{
    const auto name = plainOperator(node.op);
    for (const auto& [kind, names] : kinds())
        if (names.count(name))
            return kind;
    return Kind::Unknown;
}

bool isGateOperator(const graph::Node& node)
{
    static const Names gates = {"softmax", "_softmax", "sigmoid", "hardsigmoid", "rsqrt", "reciprocal"};
    return gates.count(plainOperator(node.op)) > 0;
}

std::optional<WeightedOperands> weightedOperands(const graph::Node& node, const std::function<bool(const graph::Operand&)>& isSignal)
{
    const auto op = plainOperator(node.op);
    const auto signal = [&](std::size_t index) { return index < node.inputs.size() && isSignal(node.inputs[index]); };
    if (op == "linear" && signal(0) && !signal(1))
        return WeightedOperands{.x = 0, .weight = 1, .bias = 2, .channelAxis = -1, .weightAxis = 0};
    if (op.find("conv") != std::string::npos && kindOf(node) == Kind::Product && signal(0) && !signal(1))
        return convolutionOperands(node, op);
    if (op == "addmm" && signal(1) && !signal(2) && !signal(0) && isOne(node, 3) && isOne(node, 4))
        return WeightedOperands{.x = 1, .weight = 2, .bias = 0, .channelAxis = -1, .weightAxis = 1};
    if ((op == "matmul" || op == "mm" || op == "bmm") && signal(0) != signal(1))
        return WeightedOperands{.x = signal(0) ? std::size_t(0) : 1, .weight = signal(0) ? std::size_t(1) : 0, .bias = {}};
    return std::nullopt;
}

}  // namespace orrery::explain::lrp
