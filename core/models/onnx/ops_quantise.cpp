// Quantised forms. Numbers stay integers, so gradients end where a tensor is quantised.
#include <ATen/ATen.h>

#include "windows.h"

namespace orrery::models::onnx {
namespace quantised {

constexpr int kInt8 = 3, kUInt8 = 2;

bool isSigned(Call& c, std::size_t zeroPoint)
{
    if (!c.has(zeroPoint))
        return c.integer("output_dtype", kUInt8) == kInt8;
    const auto& type = c.in(zeroPoint).dtype;
    if (!type)
        c.unsupported("the element type of its zero point is not known");
    if (*type != at::kChar && *type != at::kByte)
        c.unsupported(fmt::format("expected a zero point of type int8 or uint8, found {}", graph::dtypeName(*type)));
    return *type == at::kChar;
}

void refuseBlocks(Call& c)
{
    if (c.integer("block_size", 0) != 0)
        c.unsupported("quantisation in blocks");
}

void quantise(Call& c)
{
    refuseBlocks(c);
    const bool negative = isSigned(c, 2);
    Term result = c.emit("orrery::onnx_quantize", {c.in(0), c.in(1), c.optional(2), c.integer("axis", 1), negative});
    result.rank = c.in(0).rank;
    result.dtype = negative ? at::kChar : at::kByte;
    c.out(result);
}

void dequantise(Call& c)
{
    refuseBlocks(c);
    Term result = c.emit("orrery::onnx_dequantize", {c.in(0), c.in(1), c.optional(2), c.integer("axis", 1)});
    result.rank = c.in(0).rank;
    result.dtype = c.in(1).dtype;
    c.out(result);
}

void dynamicQuantise(Call& c)
{
    auto results = c.emitAll("orrery::onnx_dynamic_quantize", {c.in(0)});
    results[0].rank = c.in(0).rank;
    results[0].dtype = results[2].dtype = at::kByte;
    results[1].dtype = at::kFloat;
    results[1].rank = results[2].rank = 0;
    for (std::size_t i = 0; i < results.size(); ++i)
        c.out(i, results[i]);
}

/// The integers less their zero point, as float64: products and sums of 8-bit numbers are exact in it.
Term centred(Call& c, std::size_t x, std::size_t zeroPoint, std::int64_t axis)
{
    Term result = c.emit("orrery::onnx_centre", {c.in(x), c.optional(zeroPoint), axis});
    result.rank = c.in(x).rank;
    result.dtype = at::kDouble;
    return result;
}

Term asInt32(Call& c, const Term& x)
{
    Term result = c.emit("aten::to.dtype", {x, at::kInt, false, false});
    result.rank = x.rank;
    result.dtype = at::kInt;
    return result;
}

void matMulInteger(Call& c)
{
    // A zero point of `a` is for each row, of `b` for each column.
    c.out(asInt32(c, c.emit("aten::matmul", {centred(c, 0, 2, -2), centred(c, 1, 3, -1)})));
}

Term convolution(Call& c, const Term& x, const Term& weight, std::size_t weightInput)
{
    const Term& stored = c.in(weightInput);
    const auto dims = stored.isConstant() ? int(stored.constant.dim()) : stored.rank.value_or(4);
    auto windows =
        windowsOf(c, stored.isConstant() ? stored.constant.sizes().slice(2).vec() : std::vector<std::int64_t>(std::size_t(std::max(dims - 2, 1)), 1));
    if (windows.padsToSame() && !c.hasAttribute("kernel_shape") && !stored.isConstant())
        c.unsupported("padding to the same size with a kernel whose size is not known");
    const Term input = padded(c, x, windows, 0);
    return c.emit(fmt::format("aten::conv{}d", windows.axes()),
                  {input, weight, nullptr, windows.strides, std::vector<std::int64_t>(windows.axes(), 0), windows.dilations, c.integer("group", 1)});
}

void convInteger(Call& c)
{
    c.out(asInt32(c, convolution(c, centred(c, 0, 2, 0), centred(c, 1, 3, 0), 1)));
}

// Exact sums of integers, times the scales, rounded to the output's scale.
Term requantised(Call& c, const Term& sums, const std::vector<Term>& scales, const Term& outScale, std::size_t zeroPoint, std::int64_t axis)
{
    Term result = c.emit("orrery::onnx_requantize", {sums, scales[0], scales[1], outScale, c.in(zeroPoint), axis});
    result.rank = sums.rank;
    result.dtype = c.in(zeroPoint).dtype;
    return result;
}

void qLinearMatMul(Call& c)
{
    const Term sums = c.emit("aten::matmul", {centred(c, 0, 2, -2), centred(c, 3, 5, -1)});
    c.out(requantised(c, sums, {c.in(1), c.in(4)}, c.in(6), 7, -1));
}

void qLinearConv(Call& c)
{
    Term sums = convolution(c, centred(c, 0, 2, 0), centred(c, 3, 5, 0), 3);
    if (c.has(8))
        sums = c.emit("orrery::onnx_add_channels", {sums, c.in(8)});
    c.out(requantised(c, sums, {c.in(1), c.in(4)}, c.in(6), 7, 1));
}

}  // namespace quantised

std::span<const Entry> quantiseOperators()
{
    using namespace quantised;
    static const Entry kEntries[] = {
        {"ConvInteger", convInteger},     {"DequantizeLinear", dequantise}, {"DynamicQuantizeLinear", dynamicQuantise},
        {"MatMulInteger", matMulInteger}, {"QLinearConv", qLinearConv},     {"QLinearMatMul", qLinearMatMul},
        {"QuantizeLinear", quantise},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
