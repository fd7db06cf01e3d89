// Operators of the domain com.microsoft that ONNX Runtime's quantiser and optimiser write into models.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace microsoft {

/// The number that an integer stands for. Inputs `first`, `first + 1`, `first + 2`: tensor, scale, zero point.
Term realOf(Call& c, std::size_t first)
{
    Term result = c.emit("orrery::onnx_dequantize", {c.in(first), c.in(first + 1), c.optional(first + 2), 1});
    result.rank = c.in(first).rank;
    result.dtype = at::kFloat;
    return result;
}

/// Inputs `scale` and `scale + 1` say how the result is rounded.
void giveQuantised(Call& c, const Term& x, std::size_t scale)
{
    const auto type = c.has(scale + 1) ? c.in(scale + 1).dtype : std::optional(at::kByte);
    if (!type)
        c.unsupported("the element type of its zero point is not known");
    Term result = c.emit("orrery::onnx_quantize", {x, c.in(scale), c.optional(scale + 1), 1, *type == at::kChar});
    result.rank = x.rank;
    result.dtype = type;
    c.out(result);
}

Operator quantisedUnary(std::function<Term(Call&, const Term&)> compute)
{
    return [compute = std::move(compute)](Call& c) { giveQuantised(c, compute(c, realOf(c, 0)), 3); };
}

Operator quantisedBinary(const char* op)
{
    return [op](Call& c) { giveQuantised(c, c.emit(op, {realOf(c, 0), realOf(c, 3)}), 6); };
}

Term sigmoid(Call& c, const Term& x)
{
    return c.emit("aten::sigmoid", {x});
}

Term leakyRelu(Call& c, const Term& x)
{
    return c.emit("aten::leaky_relu", {x, c.real("alpha", 0.01)});
}

Term globalMean(Call& c, const Term& x)
{
    if (c.integer("channels_last", 0))
        c.unsupported("channels_last");
    Term result = c.emit("orrery::onnx_global_pool", {x, "mean", 2.0});
    result.rank = x.rank;
    return result;
}

Term softmax(Call& c, const Term& x)
{
    return c.emit("aten::softmax.int", {x, c.integer("axis", -1), nullptr});
}

// alpha * A * B + C, where C is an int32 in units of both scales.
void gemm(Call& c)
{
    const Term a = realOf(c, 0), b = realOf(c, 3);
    const Term left = c.integer("transA", 0) ? c.emit("aten::t", {a}) : a, right = c.integer("transB", 0) ? c.emit("aten::t", {b}) : b;
    Term product = c.emit("aten::matmul", {left, right});
    if (c.has(6)) {
        const Term unit = c.emit("aten::mul.Tensor", {c.in(1), c.in(4)});
        product = c.emit("aten::add.Tensor", {product, c.emit("aten::mul.Tensor", {c.in(6), unit})});
    }
    if (c.real("alpha", 1) != 1)
        product = c.emit("aten::mul.Scalar", {product, c.real("alpha", 1)});
    product.rank = 2;
    if (!c.has(7))
        return c.out(product);
    giveQuantised(c, product, 7);
}

void gelu(Call& c)
{
    const Term x = c.has(1) ? c.emit("aten::add.Tensor", {c.in(0), c.in(1)}) : c.in(0);
    c.out(c.emit("aten::gelu", {x, c.node().op == "FastGelu" ? "tanh" : "none"}));
}

void skipLayerNorm(Call& c)
{
    if (!c.in(2).isConstant())
        c.unsupported("a scale that is computed");
    Term sum = c.emit("aten::add.Tensor", {c.in(0), c.in(1)});
    if (c.has(4))
        sum = c.emit("aten::add.Tensor", {sum, c.in(4)});
    c.out(c.emit("aten::layer_norm", {sum, c.in(2).constant.sizes().vec(), c.in(2), c.optional(3), c.real("epsilon", 1e-5), false}));
}

}  // namespace microsoft

std::span<const Entry> microsoftOperators()
{
    using namespace microsoft;
    static const Entry kEntries[] = {
        {"BiasGelu", gelu},
        {"FastGelu", gelu},
        {"Gelu", gelu},
        {"QGemm", gemm},
        {"QLinearAdd", quantisedBinary("aten::add.Tensor")},
        {"QLinearGlobalAveragePool", quantisedUnary(globalMean)},
        {"QLinearLeakyRelu", quantisedUnary(leakyRelu)},
        {"QLinearMul", quantisedBinary("aten::mul.Tensor")},
        {"QLinearSigmoid", quantisedUnary(sigmoid)},
        {"QLinearSoftmax", quantisedUnary(softmax)},
        {"SkipLayerNormalization", skipLayerNorm},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
