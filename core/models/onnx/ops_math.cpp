// Elementwise operators.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace math {

Operator unary(const char* op)
{
    return [op](Call& c) { c.out(c.emit(op, {c.in(0)})); };
}

// A lone number that is known: written as a literal beside the tensor.
std::optional<Term> numberOf(const Term& term, const Term& beside)
{
    if (!term.isConstant() || !term.foldable || term.constant.dim() != 0 || term.dtype != beside.dtype || beside.isLiteral())
        return {};
    if (*term.dtype == at::kFloat || *term.dtype == at::kDouble)
        return Term(term.constant.item().toDouble());
    return *term.dtype == at::kLong ? std::optional<Term>(Term(term.constant.item().toLong())) : std::nullopt;
}

/// Old operator sets say with which axis of `a` those of `b` are lined up.
Term alignedSecond(Call& c)
{
    const Term& b = c.in(1);
    if (c.opset() >= 7 || c.integer("broadcast", 0) == 0 || !c.hasAttribute("axis"))
        return b;
    const auto axis = c.integer("axis", 0);
    if (!c.in(0).rank || !b.rank)
        c.unsupported("the number of its inputs' dimensions is not known");
    Term aligned = b;
    for (auto i = (axis < 0 ? axis + *c.in(0).rank : axis) + *b.rank; i < *c.in(0).rank; ++i)
        aligned = c.emit("aten::unsqueeze", {aligned, -1});
    return aligned;
}

/// Arithmetic on sizes stays arithmetic on ints.
std::optional<Term> onSizes(Call& c, const char* intOp, const Term& a, const Term& b)
{
    if (!a.hasItems && !b.hasItems)
        return {};
    const auto left = c.items(a), right = c.items(b);
    if (!left || !right || left->empty() || right->empty() || (left->size() != right->size() && left->size() != 1 && right->size() != 1))
        return {};
    std::vector<Term> results;
    for (std::size_t i = 0; i < std::max(left->size(), right->size()); ++i)
        results.push_back(c.emit(intOp, {(*left)[left->size() == 1 ? 0 : i], (*right)[right->size() == 1 ? 0 : i]}));
    return sizesTerm(std::move(results), std::max(a.rank.value_or(1), b.rank.value_or(1)));
}

Term arithmetic(Call& c, const std::string& op, const Term& a, const Term& b)
{
    const bool hasAlpha = op == "aten::add" || op == "aten::sub";
    if (const auto number = numberOf(b, a))
        return c.emit(op + ".Scalar", hasAlpha ? std::vector<Term>{a, *number, 1} : std::vector<Term>{a, *number});
    if (const auto number = numberOf(a, b); number && (op == "aten::add" || op == "aten::mul"))
        return c.emit(op + ".Scalar", hasAlpha ? std::vector<Term>{b, *number, 1} : std::vector<Term>{b, *number});
    return c.emit(op + ".Tensor", {a, b});
}

Operator binary(const std::string& op, const char* intOp)
{
    return [op, intOp](Call& c) {
        const Term b = alignedSecond(c);
        if (const auto sizes = onSizes(c, intOp, c.in(0), b))
            return c.out(*sizes);
        c.out(arithmetic(c, op, c.in(0), b));
    };
}

void divide(Call& c)
{
    const Term b = alignedSecond(c);
    if (const auto sizes = onSizes(c, "aten::floordiv.int", c.in(0), b))
        return c.out(*sizes);
    const auto& type = c.in(0).dtype ? c.in(0).dtype : b.dtype;
    if (!type)
        return c.out(c.emit("orrery::onnx_div", {c.in(0), b}));
    if (c10::isIntegralType(*type, true))
        return c.out(c.emit("aten::div.Tensor_mode", {c.in(0), b, "trunc"}));
    c.out(arithmetic(c, "aten::div", c.in(0), b));
}

void power(Call& c)
{
    const Term b = alignedSecond(c);
    const Term& a = c.in(0);
    if (const auto number = numberOf(b, a))
        return c.out(c.emit("aten::pow.Tensor_Scalar", {a, *number}));
    Term result = c.emit("aten::pow.Tensor_Tensor", {a, b});
    if (a.dtype && b.dtype && *a.dtype != *b.dtype) {
        result = c.emit("aten::to.dtype", {result, *a.dtype, false, false});
        result.dtype = a.dtype;
    }
    c.out(result);
}

Operator compare(const char* op)
{
    return [op](Call& c) {
        Term result = c.emit(op, {c.in(0), alignedSecond(c)});
        result.dtype = at::kBool;
        c.out(result);
    };
}

/// Whether two sizes are equal, if that is known: a size is never negative.
std::optional<bool> areEqual(const Term& a, const Term& b)
{
    if (a.isInt() && b.isInt())
        return a.operand.constant.toInt() == b.operand.constant.toInt();
    for (const auto& [known, open] : {std::pair(&a, &b), std::pair(&b, &a)})
        if (known->isInt() && known->operand.constant.toInt() < 0 && open->isSize)
            return false;
    return {};
}

/// Exporters ask which of the sizes to expand to are -1.
void equal(Call& c)
{
    const auto left = c.items(c.in(0)), right = c.items(c.in(1));
    if (left && right && left->size() == right->size() && (c.in(0).hasItems || c.in(1).hasItems)) {
        std::vector<std::int64_t> results;
        for (std::size_t i = 0; i < left->size(); ++i)
            if (const auto result = areEqual((*left)[i], (*right)[i]))
                results.push_back(*result);
        if (results.size() == left->size()) {
            const auto tensor = at::tensor(results, at::kLong).to(at::kBool);
            return c.out(constantTerm(std::max(c.in(0).rank.value_or(1), c.in(1).rank.value_or(1)) == 0 ? tensor.reshape({}) : tensor));
        }
    }
    compare("aten::eq.Tensor")(c);
}

Operator variadic(const char* op)
{
    return [op](Call& c) {
        Term result = c.in(0);
        for (std::size_t i = 1; i < c.count(); ++i)
            result = c.emit(op, {result, c.in(i)});
        c.out(result);
    };
}

void mean(Call& c)
{
    Term sum = c.in(0);
    for (std::size_t i = 1; i < c.count(); ++i)
        sum = c.emit("aten::add.Tensor", {sum, c.in(i)});
    c.out(c.emit("aten::div.Scalar", {sum, double(c.count())}));
}

Term boundOf(Call& c, std::size_t input, const char* attribute)
{
    if (c.hasAttribute(attribute))
        return Term(c.real(attribute, 0));
    if (!c.has(input))
        return Term(nullptr);
    const auto& term = c.in(input);
    if (term.isConstant() && term.foldable && term.constant.numel() == 1)
        return Term(c10::IValue(term.constant.reshape({}).item()));
    return term;
}

// Minimum and maximum where both are numbers, else one tensor at a time.
void clip(Call& c)
{
    Term low = boundOf(c, 1, "min"), high = boundOf(c, 2, "max");
    if (low.isNone() && high.isNone())
        return c.out(c.in(0));
    if (low.isLiteral() && high.isLiteral())
        return c.out(c.emit("aten::clamp", {c.in(0), low, high}));
    Term result = c.in(0);
    if (!low.isNone())
        result = c.emit(low.isLiteral() ? "aten::clamp_min" : "aten::clamp_min.Tensor", {result, low});
    if (!high.isNone())
        result = c.emit(high.isLiteral() ? "aten::clamp_max" : "aten::clamp_max.Tensor", {result, high});
    c.out(result);
}

void modulo(Call& c)
{
    c.out(c.emit(c.integer("fmod", 0) ? "aten::fmod.Tensor" : "aten::remainder.Tensor", {c.in(0), c.in(1)}));
}

void shift(Call& c)
{
    c.out(c.emit(c.text("direction", "") == "LEFT" ? "aten::bitwise_left_shift.Tensor" : "aten::bitwise_right_shift.Tensor", {c.in(0), c.in(1)}));
}

void hardSigmoid(Call& c)
{
    const Term scaled = c.emit("aten::mul.Scalar", {c.in(0), c.real("alpha", 0.2)});
    c.out(c.emit("aten::clamp", {c.emit("aten::add.Scalar", {scaled, c.real("beta", 0.5), 1}), 0.0, 1.0}));
}

void softsign(Call& c)
{
    c.out(c.emit("aten::div.Tensor", {c.in(0), c.emit("aten::add.Scalar", {c.emit("aten::abs", {c.in(0)}), 1.0, 1})}));
}

void shrink(Call& c)
{
    const double lambda = c.real("lambd", 0.5), bias = c.real("bias", 0);
    const Term& x = c.in(0);
    // Chosen rather than multiplied by 0 and 1: infinity times 0 is no number.
    const Term zeros = c.emit("aten::zeros_like", {x, nullptr, nullptr, nullptr, nullptr, nullptr});
    const Term above = c.emit("aten::where.self", {c.emit("aten::gt.Scalar", {x, lambda}), c.emit("aten::sub.Scalar", {x, bias, 1}), zeros});
    c.out(c.emit("aten::where.self", {c.emit("aten::lt.Scalar", {x, -lambda}), c.emit("aten::add.Scalar", {x, bias, 1}), above}));
}

void gelu(Call& c)
{
    c.out(c.emit("aten::gelu", {c.in(0), c.text("approximate", "none").c_str()}));
}

void prelu(Call& c)
{
    const Term& x = c.in(0);
    const Term slope =
        c.opset() < 7 && c.in(1).rank == 1 && x.rank.value_or(0) > 2 ? c.emit("orrery::onnx_add_axes", {c.in(1), *x.rank - 2}) : c.in(1);
    const Term positive = c.emit("aten::clamp_min", {x, 0});
    c.out(c.emit("aten::add.Tensor", {positive, c.emit("aten::mul.Tensor", {slope, c.emit("aten::clamp_max", {x, 0})})}));
}

// alpha (exp x - 1) below 0, x above; the scale lies over both.
void selu(Call& c)
{
    c.out(c.emit("aten::elu", {c.in(0), c.real("alpha", 1.67326319217681884765625), c.real("gamma", 1.05070102214813232421875), 1.0}));
}

void where(Call& c)
{
    const auto flat = c.in(0).rank == 1 ? c.known(0) : std::nullopt;
    const auto yes = c.items(c.in(1)), no = c.items(c.in(2));
    if (flat && yes && no && yes->size() == flat->size() && no->size() == flat->size()) {
        std::vector<Term> sizes;
        for (std::size_t i = 0; i < flat->size(); ++i)
            sizes.push_back((*flat)[i] ? (*yes)[i] : (*no)[i]);
        return c.out(sizesTerm(std::move(sizes), 1));
    }
    Term result = c.emit("aten::where.self", {c.in(0), c.in(1), c.in(2)});
    result.dtype = c.in(1).dtype;
    if (c.in(0).rank && c.in(1).rank && c.in(2).rank)
        result.rank = std::max({*c.in(0).rank, *c.in(1).rank, *c.in(2).rank});
    c.out(result);
}

void cast(Call& c)
{
    const Term& x = c.in(0);
    const auto to = int(c.integer("to", 0));
    if (x.hasItems && to == 7)
        return c.out(x);
    c.out(castTo(c, x, to));
}

void castLike(Call& c)
{
    Term result = c.emit("aten::type_as", {c.in(0), c.in(1)});
    result.dtype = c.in(1).dtype;
    result.rank = c.in(0).rank;
    c.out(result);
}

void isInfinite(Call& c)
{
    const bool negative = c.integer("detect_negative", 1) != 0, positive = c.integer("detect_positive", 1) != 0;
    c.out(c.emit(negative && positive ? "aten::isinf" : negative ? "aten::isneginf" : "aten::isposinf", {c.in(0)}));
}

void identity(Call& c)
{
    c.out(c.in(0));
}

void thresholdedRelu(Call& c)
{
    c.out(c.emit("aten::threshold", {c.in(0), c.real("alpha", 1.0), 0.0}));
}

void swish(Call& c)
{
    const double alpha = c.real("alpha", 1.0);
    const Term scaled = alpha == 1.0 ? c.in(0) : c.emit("aten::mul.Scalar", {c.in(0), alpha});
    c.out(c.emit("aten::mul.Tensor", {c.in(0), c.emit("aten::sigmoid", {scaled})}));
}

void affine(Call& c)
{
    c.out(c.emit("aten::add.Scalar", {c.emit("aten::mul.Scalar", {c.in(0), c.real("alpha", 1)}), c.real("beta", 0), 1}));
}

}  // namespace math

Term castTo(Call& c, const Term& x, int dataType)
{
    const auto type = scalarTypeOf(dataType);
    if (!type)
        c.unsupported(dataType == 8 ? "text is not supported" : fmt::format("element type number {} is not known", dataType));
    if (x.dtype == type && dataType != 4 && dataType != 12)
        return x;
    Term result = c.emit("aten::to.dtype", {x, *type, false, false});
    constexpr int kUInt16 = 4, kUInt32 = 12;
    if (dataType == kUInt16 || dataType == kUInt32)
        result = c.emit("aten::bitwise_and.Scalar", {result, dataType == kUInt16 ? std::int64_t(0xffff) : std::int64_t(0xffffffff)});
    result.dtype = type;
    result.rank = x.rank;
    return result;
}

std::span<const Entry> mathOperators()
{
    using namespace math;
    static const Entry kEntries[] = {
        {"Abs", unary("aten::abs")},
        {"Acos", unary("aten::acos")},
        {"Acosh", unary("aten::acosh")},
        {"Add", binary("aten::add", "aten::add.int")},
        {"Affine", affine},
        {"And", compare("aten::logical_and")},
        {"Asin", unary("aten::asin")},
        {"Asinh", unary("aten::asinh")},
        {"Atan", unary("aten::atan")},
        {"Atanh", unary("aten::atanh")},
        {"BitShift", shift},
        {"BitwiseAnd", variadic("aten::bitwise_and.Tensor")},
        {"BitwiseNot", unary("aten::bitwise_not")},
        {"BitwiseOr", variadic("aten::bitwise_or.Tensor")},
        {"BitwiseXor", variadic("aten::bitwise_xor.Tensor")},
        {"Cast", cast},
        {"CastLike", castLike},
        {"Ceil", unary("aten::ceil")},
        {"Celu",
         [](Call& c) {
             c.out(c.emit("aten::celu", {c.in(0), c.real("alpha", 1)}));
         }},
        {"Clip", clip},
        {"Cos", unary("aten::cos")},
        {"Cosh", unary("aten::cosh")},
        {"Div", divide},
        {"Elu",
         [](Call& c) {
             c.out(c.emit("aten::elu", {c.in(0), c.real("alpha", 1), 1.0, 1.0}));
         }},
        {"Equal", equal},
        {"Erf", unary("aten::erf")},
        {"Exp", unary("aten::exp")},
        {"Floor", unary("aten::floor")},
        {"Gelu", gelu},
        {"Greater", compare("aten::gt.Tensor")},
        {"GreaterOrEqual", compare("aten::ge.Tensor")},
        {"HardSigmoid", hardSigmoid},
        {"HardSwish", unary("aten::hardswish")},
        {"Identity", identity},
        {"IsInf", isInfinite},
        {"IsNaN", unary("aten::isnan")},
        {"LeakyRelu",
         [](Call& c) {
             c.out(c.emit("aten::leaky_relu", {c.in(0), c.real("alpha", 0.01)}));
         }},
        {"Less", compare("aten::lt.Tensor")},
        {"LessOrEqual", compare("aten::le.Tensor")},
        {"Log", unary("aten::log")},
        {"Max", variadic("aten::maximum")},
        {"Mean", mean},
        {"Min", variadic("aten::minimum")},
        {"Mish", unary("aten::mish")},
        {"Mod", modulo},
        {"Mul", binary("aten::mul", "aten::mul.int")},
        {"Neg", unary("aten::neg")},
        {"Not", unary("aten::logical_not")},
        {"Or", compare("aten::logical_or")},
        {"Pow", power},
        {"PRelu", prelu},
        {"Reciprocal", unary("aten::reciprocal")},
        {"Relu", unary("aten::relu")},
        {"Round", unary("aten::round")},
        {"Selu", selu},
        {"Shrink", shrink},
        {"Sigmoid", unary("aten::sigmoid")},
        {"Sign", unary("aten::sign")},
        {"Sin", unary("aten::sin")},
        {"Sinh", unary("aten::sinh")},
        {"Softplus",
         [](Call& c) {
             c.out(c.emit("aten::softplus", {c.in(0), 1, 20}));
         }},
        {"Softsign", softsign},
        {"Sqrt", unary("aten::sqrt")},
        {"Sub", binary("aten::sub", "aten::sub.int")},
        {"Sum", variadic("aten::add.Tensor")},
        {"Swish", swish},
        {"Tan", unary("aten::tan")},
        {"Tanh", unary("aten::tanh")},
        {"ThresholdedRelu", thresholdedRelu},
        {"Where", where},
        {"Xor", compare("aten::logical_xor")},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
