// Matrix products, convolutions and pools.
#include <ATen/ATen.h>

#include <algorithm>

#include "windows.h"

namespace orrery::models::onnx {

Windows windowsOf(Call& c, std::vector<std::int64_t> kernel)
{
    Windows windows;
    windows.kernel = c.integers("kernel_shape", std::move(kernel));
    const auto axes = windows.axes();
    if (axes < 1 || axes > 3)
        c.unsupported(fmt::format("windows over {} axes (1 to 3 are known)", axes));
    windows.strides = c.integers("strides", std::vector<std::int64_t>(axes, 1));
    windows.dilations = c.integers("dilations", std::vector<std::int64_t>(axes, 1));
    auto pads = c.integers("pads", std::vector<std::int64_t>(2 * axes, 0));
    windows.autoPad = c.text("auto_pad", "NOTSET");
    windows.ceil = c.integer("ceil_mode", 0) != 0;
    if (windows.strides.size() != axes || windows.dilations.size() != axes || pads.size() != 2 * axes)
        c.fail(fmt::format("expected {} strides and dilations and {} pads, found {}, {} and {}", axes, 2 * axes, windows.strides.size(),
                           windows.dilations.size(), pads.size()));
    for (const auto* list : {&windows.kernel, &windows.strides, &windows.dilations})
        if (std::any_of(list->begin(), list->end(), [](std::int64_t each) { return each < 1; }))
            c.fail("expected kernel sizes, strides and dilations of at least 1");
    windows.begins.assign(pads.begin(), pads.begin() + std::ptrdiff_t(axes));
    windows.ends.assign(pads.begin() + std::ptrdiff_t(axes), pads.end());
    return windows;
}

Term padded(Call& c, const Term& x, const Windows& windows, double value)
{
    if (windows.padsToSame()) {
        Term result =
            c.emit("orrery::onnx_pad_same", {x, windows.kernel, windows.strides, windows.dilations, windows.autoPad == "SAME_UPPER", value});
        result.rank = x.rank;
        result.dtype = x.dtype;
        return result;
    }
    std::vector<std::int64_t> last;
    for (std::size_t i = windows.axes(); i-- > 0;) {
        last.push_back(windows.begins[i]);
        last.push_back(windows.ends[i]);
    }
    return c.emit("aten::constant_pad_nd", {x, last, value});
}

namespace conv {

std::vector<std::int64_t> kernelOf(Call& c, const Term& weight)
{
    if (weight.isConstant() && weight.constant.dim() > 2)
        return weight.constant.sizes().slice(2).vec();
    const auto given = c.integers("kernel_shape");
    if (given.empty() && weight.rank && *weight.rank > 2)
        return std::vector<std::int64_t>(std::size_t(*weight.rank - 2), 1);  // only its length matters without padding to the same size
    return given;
}

// A bias is a bias only if it cannot be computed with while converting; otherwise libtorch takes it all the same.
void convolve(Call& c)
{
    const Term& weight = c.in(1);
    auto windows = windowsOf(c, kernelOf(c, weight));
    Term x = c.in(0);
    const bool pads = windows.padsToSame() || !windows.isSymmetric();
    if (pads && windows.padsToSame() && !c.hasAttribute("kernel_shape") && !weight.isConstant())
        c.unsupported("padding to the same size with a kernel whose size is not known");
    if (pads)
        x = padded(c, x, windows, 0);
    const auto padding = pads ? std::vector<std::int64_t>(windows.axes(), 0) : windows.begins;
    c.out(c.emit(fmt::format("aten::conv{}d", windows.axes()),
                 {x, weight, c.optional(2), windows.strides, padding, windows.dilations, c.integer("group", 1)}));
}

struct TransposedPlan {
    std::vector<std::int64_t> padding, extra, cropBegins, cropEnds;
};

// pads cut the full result on both sides; where they differ, the result is cut afterwards.
TransposedPlan planTransposed(Call& c, Windows& windows)
{
    const auto axes = windows.axes();
    TransposedPlan plan;
    auto extra = c.integers("output_padding", std::vector<std::int64_t>(axes, 0));
    if (extra.size() != axes)
        c.fail(fmt::format("expected {} output paddings, found {}", axes, extra.size()));
    const auto shape = c.integers("output_shape");
    for (std::size_t i = 0; i < axes; ++i) {
        auto begin = windows.begins[i], end = windows.ends[i];
        if (!shape.empty() || windows.padsToSame()) {
            if (!c.in(0).rank || !c.converter().declaredSize(c.node().inputs[0], i + 2))
                c.unsupported("an output shape for an input whose size is not known");
            const auto size = *c.converter().declaredSize(c.node().inputs[0], i + 2);
            const auto wanted = shape.empty() ? size * windows.strides[i] : shape[shape.size() - axes + i];
            const auto total = windows.strides[i] * (size - 1) + extra[i] + (windows.kernel[i] - 1) * windows.dilations[i] + 1 - wanted;
            const auto half = total >= 0 ? total / 2 : (total - 1) / 2;  // rounded down, so that what is missing is added at the end
            begin = windows.autoPad == "SAME_UPPER" ? half : total - half;
            end = total - begin;
        }
        if (begin < 0)
            c.unsupported("an output shape that begins before what the windows reach");
        const auto common = std::max<std::int64_t>(std::min(begin, end), 0);
        plan.padding.push_back(common);
        plan.cropBegins.push_back(begin - common);
        plan.cropEnds.push_back(end - common);
        plan.extra.push_back(extra[i]);
    }
    return plan;
}

void convolveTransposed(Call& c)
{
    auto windows = windowsOf(c, kernelOf(c, c.in(1)));
    if (c.in(1).isConstant())
        windows.kernel = kernelOf(c, c.in(1));
    else if (!c.hasAttribute("kernel_shape"))
        for (std::size_t i = 0; i < windows.axes(); ++i)
            windows.kernel[i] = c.converter().declaredSize(c.node().inputs[1], i + 2).value_or(1);
    auto plan = planTransposed(c, windows);
    // libtorch wants less output padding than the stride; what is more is padded with the bias alone and does not occur in exported models.
    for (std::size_t i = 0; i < windows.axes(); ++i)
        if (plan.cropEnds[i] < 0) {
            plan.extra[i] -= plan.cropEnds[i];
            plan.cropEnds[i] = 0;
        }
    static const char* const kOps[] = {"aten::conv_transpose1d", "aten::conv_transpose2d.input", "aten::conv_transpose3d.input"};
    Term result = c.emit(kOps[windows.axes() - 1],
                         {c.in(0), c.in(1), c.optional(2), windows.strides, plan.padding, plan.extra, c.integer("group", 1), windows.dilations});
    for (std::size_t i = 0; i < windows.axes(); ++i)
        if (plan.cropBegins[i] > 0 || plan.cropEnds[i] > 0)
            result = c.emit("aten::slice.Tensor", {result, std::int64_t(i + 2), plan.cropBegins[i],
                                                   plan.cropEnds[i] ? -plan.cropEnds[i] : std::numeric_limits<std::int64_t>::max(), 1});
    c.out(result);
}

bool padsAtMostHalf(const Windows& windows)
{
    for (std::size_t i = 0; i < windows.axes(); ++i)
        if (windows.begins[i] * 2 > windows.kernel[i])
            return false;
    return true;
}

void maxPool(Call& c)
{
    const auto windows = windowsOf(c);
    const bool plain = !windows.padsToSame() && windows.isSymmetric() && padsAtMostHalf(windows);
    const bool isFloat = !c.in(0).dtype || c10::isFloatingType(*c.in(0).dtype);
    if (c.wants(1) || !plain || !isFloat) {
        std::vector<std::int64_t> pads = windows.begins;
        pads.insert(pads.end(), windows.ends.begin(), windows.ends.end());
        auto results = c.emitAll("orrery::onnx_max_pool", {c.in(0), windows.kernel, windows.strides, windows.dilations, pads, windows.ceil,
                                                           windows.autoPad.c_str(), c.integer("storage_order", 0) != 0});
        results[0].rank = c.in(0).rank;
        results[0].dtype = c.in(0).dtype;
        results[1].dtype = at::kLong;
        c.out(0, results[0]);
        c.out(1, results[1]);
        return;
    }
    c.out(c.emit(fmt::format("aten::max_pool{}d", windows.axes()),
                 {c.in(0), windows.kernel, windows.strides, windows.begins, windows.dilations, windows.ceil}));
}

void averagePool(Call& c)
{
    const auto windows = windowsOf(c);
    const bool counts = c.integer("count_include_pad", 0) != 0;
    const bool undilated = std::all_of(windows.dilations.begin(), windows.dilations.end(), [](std::int64_t each) { return each == 1; });
    if (undilated && !windows.padsToSame() && windows.isSymmetric() && padsAtMostHalf(windows)) {
        const auto op = fmt::format("aten::avg_pool{}d", windows.axes());
        return c.out(c.emit(op, {c.in(0), windows.kernel, windows.strides, windows.begins, windows.ceil, counts}));
    }
    std::vector<std::int64_t> pads = windows.begins;
    pads.insert(pads.end(), windows.ends.begin(), windows.ends.end());
    Term result = c.emit("orrery::onnx_average_pool",
                         {c.in(0), windows.kernel, windows.strides, windows.dilations, pads, windows.ceil, windows.autoPad.c_str(), counts});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

// The p-th root of the sum of the p-th powers in each window.
void lpPool(Call& c)
{
    const auto windows = windowsOf(c);
    if (windows.ceil)
        c.unsupported("ceil_mode");
    const double p = c.hasAttribute("p") && c.node().find("p")->real ? c.real("p", 2) : double(c.integer("p", 2));
    std::vector<std::int64_t> pads = windows.begins;
    pads.insert(pads.end(), windows.ends.begin(), windows.ends.end());
    const Term powers = c.emit("aten::pow.Tensor_Scalar", {c.emit("aten::abs", {c.in(0)}), p});
    const Term means = c.emit("orrery::onnx_average_pool",
                              {powers, windows.kernel, windows.strides, windows.dilations, pads, windows.ceil, windows.autoPad.c_str(), true});
    double count = 1;
    for (const auto size : windows.kernel)
        count *= double(size);
    c.out(c.emit("aten::pow.Tensor_Scalar", {c.emit("aten::mul.Scalar", {means, count}), 1.0 / p}));
}

Operator globalPool(const char* op)
{
    return [op](Call& c) {
        if (c.in(0).rank == 4 && std::string(op) == "mean")
            return c.out(c.emit("aten::adaptive_avg_pool2d", {c.in(0), std::vector<std::int64_t>{1, 1}}));
        Term result = c.emit("orrery::onnx_global_pool", {c.in(0), op, double(c.integer("p", 2))});
        result.rank = c.in(0).rank;
        result.dtype = c.in(0).dtype;
        c.out(result);
    };
}

void maxUnpool(Call& c)
{
    const auto windows = windowsOf(c);
    std::vector<std::int64_t> pads = windows.begins;
    pads.insert(pads.end(), windows.ends.begin(), windows.ends.end());
    c.out(c.emit("orrery::onnx_max_unpool", {c.in(0), c.in(1), c.has(2) ? c.ints(c.in(2)) : Term(nullptr), windows.kernel, windows.strides, pads}));
}

void matMul(Call& c)
{
    c.out(c.emit("aten::matmul", {c.in(0), c.in(1)}));
}

Term scaled(Call& c, const Term& x, double by)
{
    return by == 1 ? x : c.emit("aten::mul.Scalar", {x, by});
}

void gemm(Call& c)
{
    const bool transposesA = c.integer("transA", 0) != 0, transposesB = c.integer("transB", 0) != 0;
    const double alpha = c.real("alpha", 1), beta = c.real("beta", 1);
    const bool isIntegral = c.in(0).isIntegral();
    const bool biasFits = !c.has(2) || c.in(2).rank == 1;
    if (!transposesA && transposesB && alpha == 1 && beta == 1 && biasFits && !isIntegral)
        return c.out(c.emit("aten::linear", {c.in(0), c.in(1), c.optional(2)}));
    const Term a = transposesA ? c.emit("aten::t", {c.in(0)}) : c.in(0);
    const Term b = transposesB ? c.emit("aten::t", {c.in(1)}) : c.in(1);
    Term product = scaled(c, c.emit("aten::matmul", {a, b}), alpha);
    product.rank = 2;
    if (c.has(2))
        product = c.emit("aten::add.Tensor", {product, scaled(c, c.in(2), beta)});
    product.rank = 2;
    c.out(product);
}

void einsum(Call& c)
{
    c.out(c.emit("aten::einsum", {c.text("equation", "").c_str(), c.list(c.inputs())}));
}

}  // namespace conv

std::span<const Entry> convOperators()
{
    using namespace conv;
    static const Entry kEntries[] = {
        {"AveragePool", averagePool},
        {"Conv", convolve},
        {"ConvTranspose", convolveTransposed},
        {"Det", [](Call& c) { c.out(c.emit("aten::linalg_det", {c.in(0)})); }},
        {"Einsum", einsum},
        {"Gemm", gemm},
        {"GlobalAveragePool", globalPool("mean")},
        {"GlobalLpPool", globalPool("norm")},
        {"GlobalMaxPool", globalPool("max")},
        {"LpPool", lpPool},
        {"MatMul", matMul},
        {"MaxPool", maxPool},
        {"MaxUnpool", maxUnpool},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
