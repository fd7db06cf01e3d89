// Pointwise operators, comparisons and reductions as operators of ONNX.
#include <ATen/ATen.h>

#include <cmath>

#include <core/io/tensors.h>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;

OperatorWriter plain(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) { w.give(n, op, {w.use(n.inputs[0])}); };
}

/// Whole numbers become floating where libtorch makes them so.
OperatorWriter floating(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) { w.give(n, op, {w.operand(n, 0, w.resultType(n))}); };
}

bool isOfNumbers(const Node& n)
{
    return n.overload == "int" || n.overload == "int_float" || n.overload == "float_int" || n.overload == "float" || n.overload == "bool";
}

/// Scales the second operand by `alpha`, the third argument of additions.
std::string scaledSecond(OnnxWriter& w, const Node& n, at::ScalarType type)
{
    const auto b = w.operand(n, 1, type);
    const double alpha = n.inputs.size() > 2 ? w.literalReal(n, 2) : 1;
    return alpha == 1 ? b : w.add("Mul", {b, w.scalar(alpha, type)});
}

/// A number that the graph computes beside its tensors: sizes are whole, what is divided or drawn roots from is double; a vector of one.
std::string number(OnnxWriter& w, const Node& n, std::size_t input, at::ScalarType type)
{
    const auto& given = n.inputs.at(input);
    if (const auto* value = w.known(given))
        return type == at::kLong ? w.ints({value->toScalar().toLong()})
                                 : w.tensor(n.name + ".number", at::full({1}, value->toScalar().toDouble(), type));
    const bool isReal = w.graph().value(given.value).type == "float";
    return isReal == (type == at::kDouble) ? w.use(given) : w.cast(w.use(given), type);
}

at::ScalarType numberType(const OnnxWriter& w, const Node& n)
{
    return w.graph().value(n.outputs[0]).type == "float" ? at::kDouble : at::kLong;
}

OperatorWriter arithmetic(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        if (isOfNumbers(n))
            return w.give(n, op, {number(w, n, 0, numberType(w, n)), number(w, n, 1, numberType(w, n))});
        const auto type = w.resultType(n);
        if (type == at::kBool)
            return w.give(n, std::string(op) == "Mul" ? "And" : "Or", {w.operand(n, 0, type), w.operand(n, 1, type)});
        w.give(n, op, {w.operand(n, 0, type), scaledSecond(w, n, type)});
    };
}

void squareRoot(OnnxWriter& w, const Node& n)
{
    w.give(n, "Sqrt", {isOfNumbers(n) ? number(w, n, 0, at::kDouble) : w.operand(n, 0, w.resultType(n))});
}

void realNumber(OnnxWriter& w, const Node& n)
{
    w.alias(n, number(w, n, 0, at::kDouble));
}

void reversedDifference(OnnxWriter& w, const Node& n)
{
    w.give(n, "Sub", {scaledSecond(w, n, w.resultType(n)), w.operand(n, 0, w.resultType(n))});
}

std::string truncated(OnnxWriter& w, const std::string& x)
{
    return w.add("Mul", {w.add("Sign", {x}), w.add("Floor", {w.add("Abs", {x})})});
}

// Whole numbers are divided by way of double, which holds those below 2^53.
void quotient(OnnxWriter& w, const Node& n, const std::string& rounding)
{
    const auto type = w.resultType(n);
    const auto wide = rounding.empty() || at::isFloatingType(type) ? type : at::kDouble;
    const auto exact = w.add("Div", {w.operand(n, 0, wide), w.operand(n, 1, wide)});
    const auto rounded = rounding == "floor" ? w.add("Floor", {exact}) : rounding == "trunc" ? truncated(w, exact) : exact;
    w.alias(n, wide == type ? rounded : w.cast(rounded, type));
}

void division(OnnxWriter& w, const Node& n)
{
    if (isOfNumbers(n))
        return w.give(n, "Div", {number(w, n, 0, at::kDouble), number(w, n, 1, at::kDouble)});
    const bool hasMode = n.inputs.size() > 2 && !w.isNone(n, 2);
    quotient(w, n, hasMode ? w.known(n, 2)->toStringRef() : "");
}

void floorDivision(OnnxWriter& w, const Node& n)
{
    if (n.op == "aten::floordiv")  // of sizes, which are not negative
        return w.give(n, "Div", {w.use(n.inputs[0], at::kLong), w.use(n.inputs[1], at::kLong)});
    quotient(w, n, "floor");
}

// The sign is the divisor's.
void remainder(OnnxWriter& w, const Node& n)
{
    if (isOfNumbers(n))
        return w.give(n, "Mod", {w.use(n.inputs[0], at::kLong), w.use(n.inputs[1], at::kLong)});
    const auto type = w.resultType(n);
    const auto a = w.operand(n, 0, type), b = w.operand(n, 1, type);
    if (!at::isFloatingType(type))
        return w.give(n, "Mod", {a, b});
    w.give(n, "Sub", {a, w.add("Mul", {b, w.add("Floor", {w.add("Div", {a, b})})})});
}

at::ScalarType comparedAs(const OnnxWriter& w, const Node& n)
{
    const auto a = w.typeOf(n, 0), b = w.typeOf(n, 1);
    if (const auto* number = w.known(n, 1); number && number->isScalar())
        return number->isDouble() && !at::isFloatingType(a) ? at::kFloat : a == at::kBool && !number->isBool() ? at::kLong : a;
    return w.seen(n.inputs[1]).rank < 0 ? a : at::promoteTypes(a, b);
}

OperatorWriter comparison(const char* op, bool negated = false)
{
    return [op, negated](OnnxWriter& w, const Node& n) {
        std::vector<std::string> sides;
        for (const std::size_t side : {0u, 1u})
            sides.push_back(isOfNumbers(n) ? w.use(n.inputs[side], at::kLong) : w.operand(n, side, comparedAs(w, n)));
        if (negated)
            return w.give(n, "Not", {w.add(op, sides)});
        w.give(n, op, sides);
    };
}

void bits(OnnxWriter& w, const Node& n, const std::string& op)
{
    if (w.opset() < 18)
        w.refuse(n, "bits of whole numbers need operator set 18");
    std::vector<std::string> sides;
    for (std::size_t i = 0; i < n.inputs.size(); ++i)
        sides.push_back(w.operand(n, i, w.resultType(n)));
    w.give(n, "Bitwise" + op, sides);
}

OperatorWriter logical(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        if (n.op.rfind("aten::bitwise", 0) == 0 && w.rankOf(n, 0) >= 0 && w.resultType(n) != at::kBool)
            return bits(w, n, op);
        std::vector<std::string> sides;
        for (std::size_t i = 0; i < n.inputs.size(); ++i)
            sides.push_back(n.overload == "bool" ? w.use(n.inputs[i], at::kBool) : w.operand(n, i, at::kBool));
        w.give(n, op, sides);
    };
}

OperatorWriter extremeOfTwo(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) { w.give(n, op, {w.operand(n, 0, w.resultType(n)), w.operand(n, 1, w.resultType(n))}); };
}

void power(OnnxWriter& w, const Node& n)
{
    w.give(n, "Pow", {w.operand(n, 0, w.resultType(n)), w.operand(n, 1, w.resultType(n))});
}

void reciprocalRoot(OnnxWriter& w, const Node& n)
{
    w.give(n, "Reciprocal", {w.add("Sqrt", {w.operand(n, 0, w.resultType(n))})});
}

void logOnePlus(OnnxWriter& w, const Node& n)
{
    w.give(n, "Log", {w.add("Add", {w.use(n.inputs[0]), w.scalar(1, w.resultType(n))})});
}

void exponentialMinusOne(OnnxWriter& w, const Node& n)
{
    w.give(n, "Sub", {w.add("Exp", {w.use(n.inputs[0])}), w.scalar(1, w.resultType(n))});
}

OperatorWriter logarithm(double base)
{
    return [base](OnnxWriter& w, const Node& n) {
        w.give(n, "Div", {w.add("Log", {w.operand(n, 0, w.resultType(n))}), w.scalar(std::log(base), w.resultType(n))});
    };
}

std::string limit(OnnxWriter& w, const Node& n, std::size_t input)
{
    return input >= n.inputs.size() || w.isNone(n, input) ? "" : w.operand(n, input, w.resultType(n));
}

void clamp(OnnxWriter& w, const Node& n)
{
    const bool isUpper = n.op == "aten::clamp_max";
    w.give(n, "Clip", {w.operand(n, 0, w.resultType(n)), isUpper ? "" : limit(w, n, 1), limit(w, n, isUpper ? 1 : 2)});
}

OperatorWriter clipped(double low, double high)
{
    return [low, high](OnnxWriter& w, const Node& n) {
        w.give(n, "Clip", {w.use(n.inputs[0]), w.scalar(low, w.typeOf(n)), w.scalar(high, w.typeOf(n))});
    };
}

void truncation(OnnxWriter& w, const Node& n)
{
    w.alias(n, truncated(w, w.use(n.inputs[0])));
}

/// All axes where the overload has none.
std::vector<std::int64_t> reducedAxes(const OnnxWriter& w, const Node& n, std::size_t input)
{
    if (n.inputs.size() <= input + 1 || w.isNone(n, input))
        return {};
    return w.literalInts(n, input);
}

OperatorWriter reduction(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        const bool isWhole = n.inputs.size() < 3;  // without axes: (x) or (x, dtype)
        const bool isComputed = !isWhole && !w.known(n, 1);
        if (isComputed && std::string(op) == "ReduceSum")
            return w.give(n, op, {w.operand(n, 0, w.resultType(n)), w.use(n.inputs[1])},
                          {attributeOf("keepdims", std::int64_t(w.literalBool(n, 2)))});
        const auto axes = isWhole ? std::vector<std::int64_t>() : reducedAxes(w, n, 1);
        w.alias(n, reduced(w, op, w.operand(n, 0, w.resultType(n)), axes, !isWhole && w.literalBool(n, 2)));
    };
}

// max.dim and min.dim give values and places.
OperatorWriter extreme(const char* op, const char* place)
{
    return [op, place](OnnxWriter& w, const Node& n) {
        const auto x = w.use(n.inputs[0]);
        if (n.overload == "other")
            return w.give(n, std::string(op) == "ReduceMax" ? "Max" : "Min", {w.operand(n, 0, w.resultType(n)), w.operand(n, 1, w.resultType(n))});
        if (n.overload.empty())
            return w.alias(n, reduced(w, op, x, {}, false));
        w.alias(n, reduced(w, op, x, {w.axis(n, 1, 0)}, w.literalBool(n, 2)));
        if (n.outputs.size() > 1)
            w.give(n, place, {x}, {attributeOf("axis", w.axis(n, 1, 0)), attributeOf("keepdims", std::int64_t(w.literalBool(n, 2)))}, 1);
    };
}

OperatorWriter placeOf(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        if (!w.isNone(n, 1))
            return w.give(n, op, {w.use(n.inputs[0])},
                          {attributeOf("axis", w.axis(n, 1, 0)), attributeOf("keepdims", std::int64_t(w.literalBool(n, 2)))});
        w.give(n, op, {w.add("Reshape", {w.use(n.inputs[0]), w.ints({-1})})},
               {attributeOf("axis", std::int64_t(0)), attributeOf("keepdims", std::int64_t(0))});
    };
}

// norm.ScalarOpt_dim(x, p, axes, keep), linalg_vector_norm(x, p, axes, keep, dtype).
void norm(OnnxWriter& w, const Node& n)
{
    if (n.inputs.size() < 4)
        w.refuse(n, "this overload is not known");
    const double p = w.isNone(n, 1) ? 2 : w.literalReal(n, 1);
    const auto axes = reducedAxes(w, n, 2);
    const auto x = w.operand(n, 0, w.resultType(n));
    const bool keep = w.literalBool(n, 3);
    if (p == 2 || p == 1)
        return w.alias(n, reduced(w, p == 2 ? "ReduceL2" : "ReduceL1", x, axes, keep));
    const auto size = w.add("Abs", {x});
    if (std::isinf(p))
        return w.alias(n, reduced(w, p > 0 ? "ReduceMax" : "ReduceMin", size, axes, keep));
    const auto sum = reduced(w, "ReduceSum", w.add("Pow", {size, w.scalar(p, w.resultType(n))}), axes, keep);
    w.give(n, "Pow", {sum, w.scalar(1 / p, w.resultType(n))});
}

// any and all of a boolean tensor.
OperatorWriter quantified(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        if (n.overload == "int" || n.overload == "bool")
            w.refuse(n, "a decision that is made while it runs");
        const bool hasAxis = n.inputs.size() > 1;
        const auto numbers = w.cast(w.operand(n, 0, at::kBool), at::kInt);
        const auto found = hasAxis ? reduced(w, op, numbers, {w.axis(n, 1, 0)}, w.literalBool(n, 2)) : reduced(w, op, numbers, {}, false);
        w.alias(n, w.cast(found, at::kBool));
    };
}

void cumulativeSum(OnnxWriter& w, const Node& n)
{
    w.give(n, "CumSum", {w.operand(n, 0, w.resultType(n)), w.scalar(double(w.axis(n, 1, 0)), at::kLong)});
}

void choice(OnnxWriter& w, const Node& n)
{
    const auto type = w.resultType(n);
    w.give(n, "Where", {w.operand(n, 0, at::kBool), w.operand(n, 1, type), w.operand(n, 2, type)});
}

void maskedFill(OnnxWriter& w, const Node& n)
{
    w.give(n, "Where", {w.operand(n, 1, at::kBool), w.operand(n, 2, w.typeOf(n)), w.use(n.inputs[0])});
}

void castTo(OnnxWriter& w, const Node& n)
{
    const auto to = w.resultType(n);
    if (w.seen(n.inputs[0]).rank >= 0 && w.typeOf(n) == to)
        return w.alias(n, w.use(n.inputs[0]));
    if (n.overload == "other" && w.seen(n.inputs[0]).rank < 0)
        return w.give(n, "CastLike", {w.use(n.inputs[0]), w.use(n.inputs[1])});
    w.give(n, "Cast", {w.use(n.inputs[0])}, {attributeOf("to", std::int64_t(io::onnxDataType(io::toElementType(to))))});
}

// einsum of two tensors and of one.
void sumOfProducts(OnnxWriter& w, const Node& n)
{
    const auto members = n.inputs[1].isConstant() ? w.parts.end() : w.parts.find(n.inputs[1].value);
    if (members == w.parts.end() || !w.known(n, 0))
        w.refuse(n, "its list is not put together in the graph");
    w.give(n, "Einsum", members->second, {attributeOf("equation", w.known(n, 0)->toStringRef())});
}

}  // namespace

std::string reduced(OnnxWriter& w, const std::string& op, const std::string& x, const std::vector<std::int64_t>& axes, bool keep)
{
    std::vector<std::string> inputs = {x};
    std::vector<io::OnnxAttribute> attributes = {attributeOf("keepdims", std::int64_t(keep))};
    // ReduceSum takes its axes as an input, the others from operator set 18 on.
    if (!axes.empty() && w.opset() >= (op == "ReduceSum" ? 13 : 18))
        inputs.push_back(w.ints(axes));
    else if (!axes.empty())
        attributes.push_back(attributeOf("axes", axes));
    return w.add(op, inputs, attributes);
}

void addMathWriters(WriterTable& table)
{
    table.insert({
        {"aten::Float", realNumber},
        {"aten::__and__", logical("And")},
        {"aten::__not__", plain("Not")},
        {"aten::__or__", logical("Or")},
        {"aten::abs", plain("Abs")},
        {"aten::acos", floating("Acos")},
        {"aten::add", arithmetic("Add")},
        {"aten::all", quantified("ReduceMin")},
        {"aten::amax", reduction("ReduceMax")},
        {"aten::amin", reduction("ReduceMin")},
        {"aten::any", quantified("ReduceMax")},
        {"aten::argmax", placeOf("ArgMax")},
        {"aten::argmin", placeOf("ArgMin")},
        {"aten::asin", floating("Asin")},
        {"aten::atan", floating("Atan")},
        {"aten::bitwise_and", logical("And")},
        {"aten::bitwise_not", logical("Not")},
        {"aten::bitwise_or", logical("Or")},
        {"aten::bitwise_xor", logical("Xor")},
        {"aten::ceil", plain("Ceil")},
        {"aten::clamp", clamp},
        {"aten::clamp_max", clamp},
        {"aten::clamp_min", clamp},
        {"aten::cos", floating("Cos")},
        {"aten::cosh", floating("Cosh")},
        {"aten::cumsum", cumulativeSum},
        {"aten::div", division},
        {"aten::einsum", sumOfProducts},
        {"aten::eq", comparison("Equal")},
        {"aten::erf", floating("Erf")},
        {"aten::exp", floating("Exp")},
        {"aten::expm1", exponentialMinusOne},
        {"aten::floor", plain("Floor")},
        {"aten::floor_divide", floorDivision},
        {"aten::floordiv", floorDivision},
        {"aten::ge", comparison("GreaterOrEqual")},
        {"aten::gt", comparison("Greater")},
        {"aten::hardswish", plain("HardSwish")},
        {"aten::hardtanh", clamp},
        {"aten::isnan", plain("IsNaN")},
        {"aten::le", comparison("LessOrEqual")},
        {"aten::linalg_vector_norm", norm},
        {"aten::log", floating("Log")},
        {"aten::log10", logarithm(10)},
        {"aten::log1p", logOnePlus},
        {"aten::log2", logarithm(2)},
        {"aten::logical_and", logical("And")},
        {"aten::logical_not", logical("Not")},
        {"aten::logical_or", logical("Or")},
        {"aten::logical_xor", logical("Xor")},
        {"aten::logsumexp", reduction("ReduceLogSumExp")},
        {"aten::lt", comparison("Less")},
        {"aten::masked_fill", maskedFill},
        {"aten::max", extreme("ReduceMax", "ArgMax")},
        {"aten::maximum", extremeOfTwo("Max")},
        {"aten::mean", reduction("ReduceMean")},
        {"aten::min", extreme("ReduceMin", "ArgMin")},
        {"aten::minimum", extremeOfTwo("Min")},
        {"aten::mul", arithmetic("Mul")},
        {"aten::ne", comparison("Equal", true)},
        {"aten::neg", plain("Neg")},
        {"aten::norm", norm},
        {"aten::pow", power},
        {"aten::reciprocal", floating("Reciprocal")},
        {"aten::relu", plain("Relu")},
        {"aten::relu6", clipped(0, 6)},
        {"aten::remainder", remainder},
        {"aten::round", plain("Round")},
        {"aten::rsqrt", reciprocalRoot},
        {"aten::rsub", reversedDifference},
        {"aten::sigmoid", floating("Sigmoid")},
        {"aten::sign", plain("Sign")},
        {"aten::sin", floating("Sin")},
        {"aten::sinh", floating("Sinh")},
        {"aten::sqrt", squareRoot},
        {"aten::sub", arithmetic("Sub")},
        {"aten::sum", reduction("ReduceSum")},
        {"aten::tan", floating("Tan")},
        {"aten::tanh", floating("Tanh")},
        {"aten::to", castTo},
        {"aten::trunc", truncation},
        {"aten::type_as", castTo},
        {"aten::where", choice},
        {"orrery::onnx_div",
         [](OnnxWriter& w, const Node& n) {
             w.give(n, "Div", {w.use(n.inputs[0]), w.use(n.inputs[1])});
         }},
    });
}

}  // namespace orrery::models::onnx
