#include <algorithm>
#include <unordered_map>

#include "emitter.h"

namespace orrery::models::onnx {
namespace {

/// How the number of dimensions of a result follows from the arguments.
enum class RankRule { Unknown, First, Broadcast, MatMul, SizeList, Plus1, Minus1, Zero, One, Two, FirstOfList, FirstOfListPlus1, Embedding };
/// How its element type follows.
enum class TypeRule { First, Promoted, Bool, Long, FirstOfList, Unknown };

struct Rule {
    RankRule rank;
    TypeRule type;
};

const Rule* ruleOf(const std::string& op)
{
    using R = RankRule;
    using T = TypeRule;
    static const std::unordered_map<std::string, Rule> kRules = [] {
        std::unordered_map<std::string, Rule> rules;
        const auto add = [&](Rule rule, std::initializer_list<const char*> names) {
            for (const char* name : names)
                rules[name] = rule;
        };
        add({R::First, T::First}, {"abs",
                                   "acos",
                                   "acosh",
                                   "asin",
                                   "asinh",
                                   "atan",
                                   "atanh",
                                   "ceil",
                                   "cos",
                                   "cosh",
                                   "erf",
                                   "exp",
                                   "floor",
                                   "log",
                                   "neg",
                                   "reciprocal",
                                   "relu",
                                   "round",
                                   "sigmoid",
                                   "sign",
                                   "sin",
                                   "sinh",
                                   "sqrt",
                                   "tan",
                                   "tanh",
                                   "hardswish",
                                   "mish",
                                   "softplus",
                                   "elu",
                                   "celu",
                                   "selu",
                                   "leaky_relu",
                                   "hardtanh",
                                   "clamp",
                                   "clamp_min",
                                   "clamp_max",
                                   "softmax",
                                   "log_softmax",
                                   "gelu",
                                   "silu",
                                   "dropout",
                                   "batch_norm",
                                   "layer_norm",
                                   "instance_norm",
                                   "group_norm",
                                   "conv1d",
                                   "conv2d",
                                   "conv3d",
                                   "convolution",
                                   "conv_transpose1d",
                                   "max_pool1d",
                                   "max_pool2d",
                                   "max_pool3d",
                                   "avg_pool1d",
                                   "avg_pool2d",
                                   "avg_pool3d",
                                   "max_pool2d_with_indices",
                                   "cumsum",
                                   "flip",
                                   "constant_pad_nd",
                                   "slice",
                                   "permute",
                                   "transpose",
                                   "tril",
                                   "triu",
                                   "index_select",
                                   "gather",
                                   "scatter",
                                   "linear",
                                   "prelu",
                                   "adaptive_avg_pool2d",
                                   "rsqrt",
                                   "square",
                                   "onnx_pad",
                                   "onnx_resize",
                                   "upsample_nearest2d",
                                   "upsample_bilinear2d",
                                   "upsample_bicubic2d",
                                   "onnx_lrn",
                                   "onnx_slice",
                                   "roll",
                                   "contiguous",
                                   "clone",
                                   "narrow",
                                   "numpy_T",
                                   "onnx_add_axis",
                                   "masked_fill"});
        add({R::Broadcast, T::Promoted}, {"add", "sub", "mul", "div", "pow", "remainder", "fmod", "maximum", "minimum", "bitwise_and", "bitwise_or",
                                          "bitwise_xor", "onnx_div", "bitwise_left_shift", "bitwise_right_shift"});
        add({R::Broadcast, T::Bool}, {"eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"});
        add({R::First, T::Bool}, {"logical_not", "isnan", "isinf"});
        add({R::MatMul, T::Promoted}, {"matmul"});
        add({R::SizeList, T::First}, {"reshape", "view", "expand"});
        add({R::SizeList, T::Unknown}, {"full", "zeros", "ones"});
        add({R::Plus1, T::First}, {"unsqueeze"});
        add({R::Minus1, T::First}, {"select"});
        add({R::One, T::Long}, {"_shape_as_tensor", "onnx_sizes_tensor", "onnx_shape"});
        add({R::Two, T::Long}, {"onnx_nonzero", "nonzero"});
        add({R::Unknown, T::Long}, {"argmax", "argmin"});
        add({R::Unknown, T::First},
            {"sum", "mean", "amax", "amin", "norm", "prod", "logsumexp", "squeeze", "onnx_flatten", "onnx_squeeze", "onnx_unsqueeze", "onnx_gather",
             "onnx_expand", "onnx_reshape", "index", "onnx_reduce_prod", "flatten", "onnx_tile", "onnx_gather_nd"});
        add({R::FirstOfList, T::FirstOfList}, {"cat"});
        add({R::FirstOfListPlus1, T::FirstOfList}, {"stack"});
        add({R::Embedding, T::First}, {"embedding"});
        return rules;
    }();
    const auto at = op.rfind("::");
    const auto found = kRules.find(at == std::string::npos ? op : op.substr(at + 2));
    return found == kRules.end() ? nullptr : &found->second;
}

std::optional<int> plus(std::optional<int> rank, int change)
{
    return rank ? std::optional<int>(std::max(0, *rank + change)) : rank;
}

// Numbers count as having no dimensions.
std::optional<int> broadcastRank(const std::vector<Term>& args)
{
    int rank = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(args.size(), 2); ++i) {
        if (args[i].isLiteral())
            continue;
        if (!args[i].rank)
            return {};
        rank = std::max(rank, *args[i].rank);
    }
    return rank;
}

std::optional<int> matMulRank(const std::optional<int>& a, const std::optional<int>& b)
{
    if (!a || !b)
        return {};
    if (*a == 1 || *b == 1)
        return std::max(0, std::max(*a, *b) - (*a == 1 && *b == 1 ? 1 : 0) - 1 + (*a == 1 && *b == 1 ? 0 : 0));
    return std::max(*a, *b);
}

std::optional<int> sizeListRank(const std::vector<Term>& args)
{
    for (const auto& arg : args) {
        if (arg.isLiteral() && arg.operand.constant.isIntList())
            return int(arg.operand.constant.toIntList().size());
        if (arg.type == "List[int]" && !arg.items.empty())
            return int(arg.items.size());
    }
    return {};
}

std::optional<int> rankBy(RankRule rule, const std::vector<Term>& args)
{
    const auto first = args.empty() ? std::optional<int>() : args[0].rank;
    const auto ofList = [&]() -> std::optional<int> {
        for (const auto& item : args.empty() ? std::vector<Term>() : args[0].items)
            if (item.rank)
                return item.rank;
        return {};
    };
    switch (rule) {
    case RankRule::First: return first;
    case RankRule::Broadcast: return broadcastRank(args);
    case RankRule::MatMul: return args.size() < 2 ? std::nullopt : matMulRank(first, args[1].rank);
    case RankRule::SizeList: return sizeListRank(args);
    case RankRule::Plus1: return plus(first, 1);
    case RankRule::Minus1: return plus(first, -1);
    case RankRule::Zero: return 0;
    case RankRule::One: return 1;
    case RankRule::Two: return 2;
    case RankRule::FirstOfList: return ofList();
    case RankRule::FirstOfListPlus1: return plus(ofList(), 1);
    case RankRule::Embedding: return args.size() < 2 ? std::nullopt : plus(args[1].rank, 1);
    case RankRule::Unknown: break;
    }
    return {};
}

// Numbers do not change a tensor's type here: the operators of ONNX take tensors of one type.
std::optional<at::ScalarType> typeBy(TypeRule rule, const std::vector<Term>& args)
{
    switch (rule) {
    case TypeRule::First: return args.empty() ? std::nullopt : args[0].dtype;
    case TypeRule::Promoted: {
        std::optional<at::ScalarType> type;
        for (std::size_t i = 0; i < std::min<std::size_t>(args.size(), 2); ++i) {
            if (args[i].isLiteral())
                continue;
            if (!args[i].dtype)
                return {};
            type = type ? c10::promoteTypes(*type, *args[i].dtype) : *args[i].dtype;
        }
        return type;
    }
    case TypeRule::Bool: return at::kBool;
    case TypeRule::Long: return at::kLong;
    case TypeRule::FirstOfList:
        for (const auto& item : args.empty() ? std::vector<Term>() : args[0].items)
            if (item.dtype)
                return item.dtype;
        return {};
    case TypeRule::Unknown: break;
    }
    return {};
}

}  // namespace

void inferTypes(const std::string& op, const std::vector<Term>& args, std::vector<Term>& results)
{
    const auto* rule = ruleOf(op);
    if (!rule || results.empty() || results[0].type != "Tensor")
        return;
    results[0].rank = rankBy(rule->rank, args);
    results[0].dtype = typeBy(rule->type, args);
}

}  // namespace orrery::models::onnx
