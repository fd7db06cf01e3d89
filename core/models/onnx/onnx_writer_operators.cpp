// The operators of libtorch as operators of ONNX.
#include <ATen/ATen.h>

#include <limits>
#include <unordered_map>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace writers {

using graph::Node;
using Ints = std::vector<std::int64_t>;

OperatorWriter same(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) { w.give(n, op, {w.use(n.inputs[0])}); };
}

void keep(OnnxWriter& w, const Node& n)
{
    w.alias(n, w.use(n.inputs[0]));
}

at::ScalarType typeOf(OnnxWriter& w, const Node& n, std::size_t input = 0)
{
    return w.seen(n.inputs[input]).dtype;
}

/// Of two operands the tensor says what the number becomes.
OperatorWriter binary(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        const auto type = n.overload == "int" ? at::kLong : typeOf(w, n);
        auto b = w.use(n.inputs[1], type);
        const bool hasAlpha = n.inputs.size() > 2 && n.inputs[2].isConstant() && n.inputs[2].constant.isScalar();
        if (hasAlpha && w.literalReal(n, 2) != 1)
            b = w.add("Mul", {b, w.scalar(w.literalReal(n, 2), type)});
        if (n.inputs.size() > 2 && !hasAlpha && !w.isNone(n, 2))
            w.refuse(n, "this overload is not known");
        w.give(n, op, {w.use(n.inputs[0], n.overload == "int" ? at::kLong : typeOf(w, n, 1)), b});
    };
}

void linear(OnnxWriter& w, const Node& n)
{
    if (w.rankOf(n, 0) == 2)
        return w.give(n, "Gemm", {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2])}, {attributeOf("transB", std::int64_t(1))});
    const auto turned = w.add("Transpose", {w.use(n.inputs[1])}, {attributeOf("perm", Ints{1, 0})});
    if (w.isNone(n, 2))
        return w.give(n, "MatMul", {w.use(n.inputs[0]), turned});
    w.give(n, "Add", {w.add("MatMul", {w.use(n.inputs[0]), turned}), w.use(n.inputs[2])});
}

Ints twice(const Ints& padding)
{
    Ints both = padding;
    both.insert(both.end(), padding.begin(), padding.end());
    return both;
}

void convolution(OnnxWriter& w, const Node& n)
{
    if (!n.inputs[4].isConstant() || !n.inputs[4].constant.isIntList())
        w.refuse(n, "padding by name is not written");
    w.give(n, "Conv", {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2])},
           {attributeOf("strides", w.literalInts(n, 3)), attributeOf("pads", twice(w.literalInts(n, 4))),
            attributeOf("dilations", w.literalInts(n, 5)), attributeOf("group", w.literalInt(n, 6))});
}

Ints orKernel(const Ints& strides, const Ints& kernel)
{
    return strides.empty() ? kernel : strides;
}

void averagePool(OnnxWriter& w, const Node& n)
{
    const auto kernel = w.literalInts(n, 1);
    if (n.inputs.size() > 6 && !w.isNone(n, 6))
        w.refuse(n, "a divisor of its own");
    w.give(n, "AveragePool", {w.use(n.inputs[0])},
           {attributeOf("kernel_shape", kernel), attributeOf("strides", orKernel(w.literalInts(n, 2), kernel)),
            attributeOf("pads", twice(w.literalInts(n, 3))), attributeOf("ceil_mode", std::int64_t(w.literalBool(n, 4))),
            attributeOf("count_include_pad", std::int64_t(w.literalBool(n, 5)))});
}

void maxPool(OnnxWriter& w, const Node& n)
{
    const auto kernel = w.literalInts(n, 1);
    w.give(n, "MaxPool", {w.use(n.inputs[0])},
           {attributeOf("kernel_shape", kernel), attributeOf("strides", orKernel(w.literalInts(n, 2), kernel)),
            attributeOf("pads", twice(w.literalInts(n, 3))), attributeOf("dilations", w.literalInts(n, 4)),
            attributeOf("ceil_mode", std::int64_t(w.literalBool(n, 5)))});
}

void adaptivePool(OnnxWriter& w, const Node& n)
{
    for (const auto size : w.literalInts(n, 1))
        if (size != 1)
            w.refuse(n, "only a mean over everything is written");
    w.give(n, "GlobalAveragePool", {w.use(n.inputs[0])});
}

std::string shapeOf(OnnxWriter& w, const Node& n, std::size_t input, std::int64_t from, std::int64_t to)
{
    return w.add("Shape", {w.use(n.inputs[input])}, {attributeOf("start", from), attributeOf("end", to)});
}

void flatten(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0), from = w.axis(n, 1, 0), to = w.axis(n, 2, 0);
    std::vector<std::string> sizes;
    if (from > 0)
        sizes.push_back(shapeOf(w, n, 0, 0, from));
    sizes.push_back(w.ints({-1}));
    if (to + 1 < rank)
        sizes.push_back(shapeOf(w, n, 0, to + 1, rank));
    const auto shape = sizes.size() == 1 ? sizes[0] : w.add("Concat", sizes, {attributeOf("axis", std::int64_t(0))});
    w.give(n, "Reshape", {w.use(n.inputs[0]), shape});
}

// Statistics are those of inference: what is written does not train.
void batchNorm(OnnxWriter& w, const Node& n)
{
    if (n.inputs[5].isConstant() ? n.inputs[5].constant.toBool() : n.inputs[5].value != w.graph().data().training.value_or(-1))
        w.refuse(n, "statistics of the batch");
    for (const std::size_t input : {1u, 2u, 3u, 4u})
        if (w.isNone(n, input))
            w.refuse(n, "without scale, bias or running statistics");
    w.give(n, "BatchNormalization", {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2]), w.use(n.inputs[3]), w.use(n.inputs[4])},
           {attributeOf("epsilon", w.literalReal(n, 7)), attributeOf("momentum", 1 - w.literalReal(n, 6))});
}

void pad(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0);
    const auto last = w.literalInts(n, 1);
    Ints pads(std::size_t(2 * rank), 0);
    for (std::size_t i = 0; 2 * i + 1 < last.size(); ++i) {
        pads[std::size_t(rank - 1) - i] = last[2 * i];
        pads[std::size_t(2 * rank - 1) - i] = last[2 * i + 1];
    }
    w.give(n, "Pad", {w.use(n.inputs[0]), w.ints(pads), w.scalar(w.literalReal(n, 2), typeOf(w, n))});
}

std::string bound(OnnxWriter& w, const Node& n, std::size_t input, std::int64_t none)
{
    return w.isNone(n, input) ? w.ints({none}) : w.use(n.inputs[input], at::kLong);
}

void slice(OnnxWriter& w, const Node& n)
{
    w.give(n, "Slice",
           {w.use(n.inputs[0]), bound(w, n, 2, 0), bound(w, n, 3, std::numeric_limits<std::int64_t>::max()), w.ints({w.axis(n, 1, 0)}),
            w.use(n.inputs[4], at::kLong)});
}

/// The members of a list that a node of the graph puts together.
std::vector<std::string> members(OnnxWriter& w, const Node& n, std::size_t input)
{
    const auto found = n.inputs.at(input).isConstant() ? w.parts.end() : w.parts.find(n.inputs[input].value);
    if (found == w.parts.end())
        w.refuse(n, "its list is not put together in the graph");
    return found->second;
}

void concatenate(OnnxWriter& w, const Node& n)
{
    const auto axis = w.literalInt(n, 1);
    w.give(n, "Concat", members(w, n, 0), {attributeOf("axis", axis)});
}

void stack(OnnxWriter& w, const Node& n)
{
    const auto axis = w.literalInt(n, 1);
    std::vector<std::string> raised;
    for (const auto& each : members(w, n, 0))
        raised.push_back(w.add("Unsqueeze", {each, w.ints({axis})}));
    w.give(n, "Concat", raised, {attributeOf("axis", axis)});
}

void makeList(OnnxWriter& w, const Node& n)
{
    const auto& type = w.graph().value(n.outputs[0]).type;
    std::vector<std::string> names;
    for (const auto& input : n.inputs)
        names.push_back(w.use(input, at::kLong));
    if (type == "List[int]")
        return names.size() == 1 ? w.alias(n, names[0]) : w.give(n, "Concat", names, {attributeOf("axis", std::int64_t(0))});
    w.parts[n.outputs[0]] = names;
}

void unpackList(OnnxWriter& w, const Node& n)
{
    const auto names = members(w, n, 0);
    if (names.size() != n.outputs.size())
        w.refuse(n, "another number of parts");
    for (std::size_t i = 0; i < names.size(); ++i)
        w.alias(n, names[i], i);
}

// One selection a part, under the names of the node that unpacks them.
void unbind(OnnxWriter& w, const Node& n)
{
    const auto& users = w.graph().users(n.outputs[0]);
    if (users.size() != 1 || users[0]->op != "prim::ListUnpack")
        w.refuse(n, "its parts are not unpacked at once");
    for (std::size_t i = 0; i < users[0]->outputs.size(); ++i) {
        w.give(*users[0], "Gather", {w.use(n.inputs[0]), w.scalar(double(i), at::kLong)}, {attributeOf("axis", w.axis(n, 1, 0))}, i);
        w.parts[n.outputs[0]].push_back(w.use(graph::Operand::of(users[0]->outputs[i])));
    }
}

// -1 keeps the size, as 1 does in ONNX.
void expand(OnnxWriter& w, const Node& n)
{
    if (n.inputs[1].isConstant()) {
        auto sizes = w.literalInts(n, 1);
        for (auto& size : sizes)
            size = size < 0 ? 1 : size;
        return w.give(n, "Expand", {w.use(n.inputs[0]), w.ints(sizes)});
    }
    w.give(n, "Expand", {w.use(n.inputs[0]), w.add("Abs", {w.use(n.inputs[1])})});
}

// Before operator set 20 written out. Hendrycks & Gimpel (2016), arXiv:1606.08415, section 2.
void gelu(OnnxWriter& w, const Node& n)
{
    const auto x = w.use(n.inputs[0]);
    const auto type = typeOf(w, n);
    const bool isTanh = n.inputs[1].isConstant() && n.inputs[1].constant.isString() && n.inputs[1].constant.toStringRef() == "tanh";
    if (w.opset() >= 20)
        return w.give(n, "Gelu", {x}, {attributeOf("approximate", std::string(isTanh ? "tanh" : "none"))});
    std::string inner;
    if (isTanh) {
        const auto cube = w.add("Mul", {w.add("Mul", {w.add("Mul", {x, x}), x}), w.scalar(0.044715, type)});
        inner = w.add("Tanh", {w.add("Mul", {w.add("Add", {x, cube}), w.scalar(0.7978845608028654, type)})});
    } else {
        inner = w.add("Erf", {w.add("Mul", {x, w.scalar(0.7071067811865476, type)})});
    }
    const auto gate = w.add("Mul", {w.add("Add", {inner, w.scalar(1, type)}), w.scalar(0.5, type)});
    w.give(n, "Mul", {x, gate});
}

void silu(OnnxWriter& w, const Node& n)
{
    w.give(n, "Mul", {w.use(n.inputs[0]), w.add("Sigmoid", {w.use(n.inputs[0])})});
}

void layerNorm(OnnxWriter& w, const Node& n)
{
    if (w.isNone(n, 2))
        w.refuse(n, "without a scale");
    const auto axes = std::int64_t(w.literalInts(n, 1).size());
    w.give(n, "LayerNormalization", {w.use(n.inputs[0]), w.use(n.inputs[2]), w.use(n.inputs[3])},
           {attributeOf("axis", -axes), attributeOf("epsilon", w.literalReal(n, 4))});
}

void matMul(OnnxWriter& w, const Node& n)
{
    w.give(n, "MatMul", {w.use(n.inputs[0]), w.use(n.inputs[1])});
}

std::string times(OnnxWriter& w, const std::string& x, double by, at::ScalarType type)
{
    return by == 1 ? x : w.add("Mul", {x, w.scalar(by, type)});
}

void addedProduct(OnnxWriter& w, const Node& n)
{
    const auto type = typeOf(w, n, 1);
    const auto product = times(w, w.add("MatMul", {w.use(n.inputs[1]), w.use(n.inputs[2])}), w.literalReal(n, 4), type);
    w.give(n, "Add", {times(w, w.use(n.inputs[0]), w.literalReal(n, 3), type), product});
}

void permute(OnnxWriter& w, const Node& n)
{
    auto order = w.literalInts(n, 1);
    for (auto& axis : order)
        axis = axis < 0 ? axis + std::int64_t(order.size()) : axis;
    w.give(n, "Transpose", {w.use(n.inputs[0])}, {attributeOf("perm", order)});
}

void transpose(OnnxWriter& w, const Node& n)
{
    Ints order;
    for (std::int64_t i = 0; i < w.rankOf(n, 0); ++i)
        order.push_back(i);
    std::swap(order.at(std::size_t(w.axis(n, 1, 0))), order.at(std::size_t(w.axis(n, 2, 0))));
    w.give(n, "Transpose", {w.use(n.inputs[0])}, {attributeOf("perm", order)});
}

void reshape(OnnxWriter& w, const Node& n)
{
    w.give(n, "Reshape", {w.use(n.inputs[0]), w.use(n.inputs[1])}, {attributeOf("allowzero", std::int64_t(1))});
}

void select(OnnxWriter& w, const Node& n)
{
    const auto axis = attributeOf("axis", w.axis(n, 1, 0));
    if (n.inputs[2].isConstant())
        return w.give(n, "Gather", {w.use(n.inputs[0]), w.scalar(double(w.literalInt(n, 2)), at::kLong)}, {axis});
    w.give(n, "Squeeze", {w.add("Gather", {w.use(n.inputs[0]), w.use(n.inputs[2])}, {axis}), w.ints({w.axis(n, 1, 0)})});
}

void size(OnnxWriter& w, const Node& n)
{
    const auto axis = w.axis(n, 1, 0);
    w.give(n, "Shape", {w.use(n.inputs[0])}, {attributeOf("start", axis), attributeOf("end", axis + 1)});
}

OperatorWriter softmax(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) { w.give(n, op, {w.use(n.inputs[0])}, {attributeOf("axis", w.literalInt(n, 1))}); };
}

void embedding(OnnxWriter& w, const Node& n)
{
    w.give(n, "Gather", {w.use(n.inputs[0]), w.use(n.inputs[1])}, {attributeOf("axis", std::int64_t(0))});
}

io::OnnxAttribute filling(double number, at::ScalarType type)
{
    static constexpr std::size_t kWidest = 8;
    auto tensor = std::make_shared<io::OnnxTensor>();
    const auto value = at::full({1}, number, at::TensorOptions(type));
    tensor->name = "value";
    tensor->shape = {1};
    switch (type) {
    case at::kLong: tensor->type = io::ElementType::Int64; break;
    case at::kInt: tensor->type = io::ElementType::Int32; break;
    case at::kDouble: tensor->type = io::ElementType::Float64; break;
    case at::kHalf: tensor->type = io::ElementType::Float16; break;
    case at::kBFloat16: tensor->type = io::ElementType::BFloat16; break;
    case at::kBool: tensor->type = io::ElementType::Bool; break;
    default: tensor->type = io::ElementType::Float32; break;
    }
    tensor->decoded.assign(static_cast<const char*>(value.data_ptr()), std::min(kWidest, std::size_t(value.nbytes())));
    io::OnnxAttribute attribute;
    attribute.name = "value";
    attribute.tensor = std::move(tensor);
    return attribute;
}

void newFull(OnnxWriter& w, const Node& n)
{
    w.give(n, "ConstantOfShape", {w.use(n.inputs[1])}, {filling(w.literalReal(n, 2), typeOf(w, n))});
}

OperatorWriter filledLike(double number)
{
    return [number](OnnxWriter& w, const Node& n) {
        w.give(n, "ConstantOfShape", {w.add("Shape", {w.use(n.inputs[0])})}, {filling(number, typeOf(w, n))});
    };
}

OperatorWriter triangle(bool upper)
{
    return [upper](OnnxWriter& w, const Node& n) {
        w.give(n, "Trilu", {w.use(n.inputs[0]), w.scalar(double(w.literalInt(n, 1)), at::kLong)}, {attributeOf("upper", std::int64_t(upper))});
    };
}

void castLike(OnnxWriter& w, const Node& n)
{
    if (n.overload != "other")
        w.refuse(n, "this overload is not known");
    w.give(n, "CastLike", {w.use(n.inputs[0]), w.use(n.inputs[1])});
}

void convertTo(OnnxWriter& w, const Node& n)
{
    if (n.overload == "other")
        return castLike(w, n);
    if (n.overload != "dtype")
        w.refuse(n, "this overload is not known");
    const auto type = at::ScalarType(w.literalInt(n, 1));
    const auto value = filling(0, type);
    w.give(n, "Cast", {w.use(n.inputs[0])}, {attributeOf("to", std::int64_t(io::onnxDataType(value.tensor->type)))});
}

void maskedFill(OnnxWriter& w, const Node& n)
{
    w.give(n, "Where", {w.use(n.inputs[1]), w.use(n.inputs[2], typeOf(w, n)), w.use(n.inputs[0])});
}

OperatorWriter withAxes(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) { w.give(n, op, {w.use(n.inputs[0]), w.ints({w.literalInt(n, 1)})}); };
}

// ReduceSum takes its axes as an input, the others from operator set 18 on.
OperatorWriter reduction(const char* op, std::int64_t axesAsInput)
{
    return [op, axesAsInput](OnnxWriter& w, const Node& n) {
        const auto axes = w.literalInts(n, 1);
        std::vector<std::string> inputs = {w.use(n.inputs[0])};
        std::vector<io::OnnxAttribute> attributes = {attributeOf("keepdims", std::int64_t(w.literalBool(n, 2)))};
        if (!axes.empty() && w.opset() >= axesAsInput)
            inputs.push_back(w.ints(axes));
        else if (!axes.empty())
            attributes.push_back(attributeOf("axes", axes));
        w.give(n, op, inputs, attributes);
    };
}

void power(OnnxWriter& w, const Node& n)
{
    w.give(n, "Pow", {w.use(n.inputs[0]), w.use(n.inputs[1], typeOf(w, n))});
}

void reciprocalRoot(OnnxWriter& w, const Node& n)
{
    w.give(n, "Reciprocal", {w.add("Sqrt", {w.use(n.inputs[0])})});
}

void clamp(OnnxWriter& w, const Node& n)
{
    w.give(n, "Clip", {w.use(n.inputs[0]), w.use(n.inputs[1], typeOf(w, n)), w.use(n.inputs[2], typeOf(w, n))});
}

void slope(OnnxWriter& w, const Node& n)
{
    w.give(n, "LeakyRelu", {w.use(n.inputs[0])}, {attributeOf("alpha", w.literalReal(n, 1))});
}

}  // namespace writers

const OperatorWriter* findOperatorWriter(const std::string& op)
{
    using namespace writers;
    static const std::unordered_map<std::string, OperatorWriter> kWriters = {
        {"aten::abs", same("Abs")},
        {"aten::adaptive_avg_pool2d", adaptivePool},
        {"aten::add", binary("Add")},
        {"aten::avg_pool1d", averagePool},
        {"aten::avg_pool2d", averagePool},
        {"aten::baddbmm", addedProduct},
        {"aten::batch_norm", batchNorm},
        {"aten::bmm", matMul},
        {"aten::cat", concatenate},
        {"aten::ceil", same("Ceil")},
        {"aten::clamp", clamp},
        {"aten::clone", keep},
        {"aten::constant_pad_nd", pad},
        {"aten::contiguous", keep},
        {"aten::conv1d", convolution},
        {"aten::conv2d", convolution},
        {"aten::conv3d", convolution},
        {"aten::cos", same("Cos")},
        {"aten::detach", keep},
        {"aten::div", binary("Div")},
        {"aten::dropout", keep},
        {"aten::embedding", embedding},
        {"aten::eq", binary("Equal")},
        {"aten::erf", same("Erf")},
        {"aten::exp", same("Exp")},
        {"aten::expand", expand},
        {"aten::flatten", flatten},
        {"aten::floor", same("Floor")},
        {"aten::gelu", gelu},
        {"aten::gt", binary("Greater")},
        {"aten::hardswish", same("HardSwish")},
        {"aten::layer_norm", layerNorm},
        {"aten::leaky_relu", slope},
        {"aten::linear", linear},
        {"aten::log", same("Log")},
        {"aten::log_softmax", softmax("LogSoftmax")},
        {"aten::logical_not", same("Not")},
        {"aten::lt", binary("Less")},
        {"aten::masked_fill", maskedFill},
        {"aten::matmul", matMul},
        {"aten::max_pool1d", maxPool},
        {"aten::max_pool2d", maxPool},
        {"aten::mean", reduction("ReduceMean", 18)},
        {"aten::mul", binary("Mul")},
        {"aten::neg", same("Neg")},
        {"aten::new_full", newFull},
        {"aten::ones_like", filledLike(1)},
        {"aten::permute", permute},
        {"aten::pow", power},
        {"aten::reciprocal", same("Reciprocal")},
        {"aten::relu", same("Relu")},
        {"aten::reshape", reshape},
        {"aten::rsqrt", reciprocalRoot},
        {"aten::select", select},
        {"aten::sigmoid", same("Sigmoid")},
        {"aten::silu", silu},
        {"aten::sin", same("Sin")},
        {"aten::size", size},
        {"aten::slice", slice},
        {"aten::softmax", softmax("Softmax")},
        {"aten::sqrt", same("Sqrt")},
        {"aten::squeeze", withAxes("Squeeze")},
        {"aten::stack", stack},
        {"aten::sub", binary("Sub")},
        {"aten::sum", reduction("ReduceSum", 13)},
        {"aten::tanh", same("Tanh")},
        {"aten::to", convertTo},
        {"aten::transpose", transpose},
        {"aten::tril", triangle(false)},
        {"aten::triu", triangle(true)},
        {"aten::unbind", unbind},
        {"aten::unsqueeze", withAxes("Unsqueeze")},
        {"aten::view", reshape},
        {"aten::zeros_like", filledLike(0)},
        {"prim::ListConstruct", makeList},
        {"prim::ListUnpack", unpackList},
    };
    const auto found = kWriters.find(op);
    return found == kWriters.end() ? nullptr : &found->second;
}

}  // namespace orrery::models::onnx
