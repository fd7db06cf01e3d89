// Pools with the paddings of ONNX, and normalisations that give their statistics.
#include <algorithm>
#include <limits>

#include "onnx_operators.h"

namespace orrery::kernels {
namespace {

struct Paddings {
    IntList begins, ends;
};

// So that the output has the size of the input over the stride.
Paddings samePaddings(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations, bool upper)
{
    Paddings pads;
    for (std::size_t i = 0; i < kernel.size(); ++i) {
        const auto size = x.size(std::int64_t(i) + 2), wanted = (size + strides[i] - 1) / strides[i];
        const auto total = std::max<std::int64_t>((wanted - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size, 0);
        pads.begins.push_back(upper ? total / 2 : total - total / 2);
        pads.ends.push_back(total - pads.begins.back());
    }
    return pads;
}

at::Tensor padWith(const at::Tensor& x, const Paddings& pads, const at::Scalar& value)
{
    IntList last;
    for (std::size_t i = pads.begins.size(); i-- > 0;) {
        last.push_back(pads.begins[i]);
        last.push_back(pads.ends[i]);
    }
    return at::constant_pad_nd(x, last, value);
}

Paddings paddingsOf(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations, at::IntArrayRef pads,
                    const std::string& autoPad)
{
    TORCH_CHECK(x.dim() == std::int64_t(kernel.size()) + 2 && pads.size() == 2 * kernel.size(), "expected [batch, channel, ...] with ", kernel.size(),
                " more axes, got ", x.dim(), " axes");
    if (autoPad.rfind("SAME", 0) == 0)
        return samePaddings(x, kernel, strides, dilations, autoPad == "SAME_UPPER");
    if (autoPad == "VALID")
        return {IntList(kernel.size(), 0), IntList(kernel.size(), 0)};
    return {IntList(pads.begin(), pads.begin() + std::ptrdiff_t(kernel.size())), IntList(pads.begin() + std::ptrdiff_t(kernel.size()), pads.end())};
}

at::Tensor padSame(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations, bool upper, double value)
{
    return padWith(x, samePaddings(x, kernel, strides, dilations, upper), value);
}

std::tuple<at::Tensor, at::Tensor> pooledMaximum(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations)
{
    switch (kernel.size()) {
    case 1: return at::max_pool1d_with_indices(x, kernel, strides, 0, dilations);
    case 2: return at::max_pool2d_with_indices(x, kernel, strides, 0, dilations);
    default: return at::max_pool3d_with_indices(x, kernel, strides, 0, dilations);
    }
}

// Places in the padded plane -> places in the whole tensor; by columns where asked.
at::Tensor wholePlaces(const at::Tensor& places, const at::Tensor& x, const at::Tensor& padded, const Paddings& pads, bool byColumns)
{
    const auto axes = std::int64_t(pads.begins.size());
    auto rest = places, flat = at::zeros_like(places);
    std::int64_t plane = 1;
    std::vector<at::Tensor> coordinates(static_cast<std::size_t>(axes));
    for (std::int64_t i = axes; i-- > 0;) {
        coordinates[std::size_t(i)] = rest.remainder(padded.size(i + 2)) - pads.begins[std::size_t(i)];
        rest = at::div(rest, padded.size(i + 2), "floor");
        plane *= x.size(i + 2);
    }
    for (std::int64_t k = 0; k < axes; ++k) {
        const auto i = byColumns ? axes - 1 - k : k;
        flat = flat * x.size(i + 2) + coordinates[std::size_t(i)];
    }
    IntList shape(std::size_t(places.dim()), 1);
    shape[0] = x.size(0);
    shape[1] = x.size(1);
    return flat + (at::arange(x.size(0) * x.size(1), places.options()) * plane).reshape(shape);
}

/// The paddings that windows reach: where their number is rounded up, the last ones reach further, and those that would begin behind the input and its padding in front are left out.
/// Source: ONNX operator specification, "MaxPool", ceil_mode.
Paddings reached(const at::Tensor& x, Paddings pads, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations, bool ceil)
{
    for (std::size_t i = 0; ceil && i < kernel.size(); ++i) {
        const auto size = x.size(std::int64_t(i) + 2), window = (kernel[i] - 1) * dilations[i] + 1;
        const auto room = size + pads.begins[i] + pads.ends[i] - window;
        if (room < 0)
            continue;  // the pool itself says so
        auto count = (room + strides[i] - 1) / strides[i] + 1;
        if ((count - 1) * strides[i] >= size + pads.begins[i])
            --count;
        pads.ends[i] = (count - 1) * strides[i] + window - size - pads.begins[i];
    }
    return pads;
}

std::tuple<at::Tensor, at::Tensor> maxPool(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations,
                                           at::IntArrayRef pads, bool ceil, const std::string& autoPad, bool byColumns)
{
    const auto around = reached(x, paddingsOf(x, kernel, strides, dilations, pads, autoPad), kernel, strides, dilations, ceil);
    const auto real = x.is_floating_point() ? x : x.to(at::kDouble);
    const auto padded = padWith(real, around, -std::numeric_limits<double>::infinity());
    const auto [values, places] = pooledMaximum(padded, kernel, strides, dilations);
    return {values.to(x.scalar_type()), wholePlaces(places, x, padded, around, byColumns)};
}

/// Dilated windows are those of a convolution with equal weights.
at::Tensor dilatedMean(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations)
{
    IntList shape = {1, 1}, apart = {x.size(0) * x.size(1), 1}, together = {x.size(0), x.size(1)};
    shape.insert(shape.end(), kernel.begin(), kernel.end());
    apart.insert(apart.end(), x.sizes().begin() + 2, x.sizes().end());
    const auto ones = at::ones(shape, x.options());
    const IntList none(kernel.size(), 0);
    const auto sums = at::convolution(x.reshape(apart), ones / double(ones.numel()), {}, strides, none, dilations, false, none, 1);
    together.insert(together.end(), sums.sizes().begin() + 2, sums.sizes().end());
    return sums.reshape(together);
}

at::Tensor pooledMean(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations)
{
    if (std::any_of(dilations.begin(), dilations.end(), [](std::int64_t each) { return each != 1; }))
        return dilatedMean(x, kernel, strides, dilations);
    switch (kernel.size()) {
    case 1: return at::avg_pool1d(x, kernel, strides, 0, false, true);
    case 2: return at::avg_pool2d(x, kernel, strides, 0, false, true);
    default: return at::avg_pool3d(x, kernel, strides, 0, false, true);
    }
}

// The mean over a window is divided by the share of it that counts: what lies inside, with padding or without. What a last window reaches beyond both never counts.
at::Tensor averagePool(const at::Tensor& x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef dilations, at::IntArrayRef pads,
                       bool ceil, const std::string& autoPad, bool countsPadding)
{
    const auto given = paddingsOf(x, kernel, strides, dilations, pads, autoPad);
    const auto around = reached(x, given, kernel, strides, dilations, ceil);
    const auto means = pooledMean(padWith(x, around, 0), kernel, strides, dilations);
    if (countsPadding && !ceil)
        return means;
    auto counts = at::ones_like(x);
    auto rest = around;
    if (countsPadding) {
        counts = padWith(counts, given, 1);
        for (std::size_t i = 0; i < rest.ends.size(); ++i) {
            rest.begins[i] = 0;
            rest.ends[i] -= given.ends[i];
        }
    }
    return means / pooledMean(padWith(counts, rest, 0), kernel, strides, dilations);
}

at::Tensor globalPool(const at::Tensor& x, const std::string& how, double p)
{
    IntList axes;
    for (std::int64_t i = 2; i < x.dim(); ++i)
        axes.push_back(i);
    if (axes.empty())
        return x;
    if (how == "mean")
        return x.mean(axes, true);
    return how == "max" ? x.amax(axes, true) : at::norm(x, p, axes, true);
}

at::Tensor maxUnpool(const at::Tensor& x, const at::Tensor& places, const c10::optional<IntList>& wanted, at::IntArrayRef kernel,
                     at::IntArrayRef strides, at::IntArrayRef pads)
{
    IntList natural = {x.size(0), x.size(1)};
    for (std::size_t i = 0; i < kernel.size(); ++i)
        natural.push_back((x.size(std::int64_t(i) + 2) - 1) * strides[i] + kernel[i] - pads[i] - pads[i + kernel.size()]);
    std::int64_t count = 1;
    for (const auto size : natural)
        count *= size;
    const auto flat = at::zeros({count}, x.options()).scatter(0, places.reshape(-1).to(at::kLong), x.reshape(-1)).reshape(natural);
    if (!wanted)
        return flat;
    IntList last;
    for (std::size_t i = natural.size(); i-- > 0;) {
        last.push_back(0);
        last.push_back(wanted->at(i) - natural[i]);
    }
    return at::constant_pad_nd(flat, last, 0);
}

IntList axesFrom(const at::Tensor& x, std::int64_t first)
{
    IntList axes;
    for (auto i = frontAxis(first, x.dim()); i < x.dim(); ++i)
        axes.push_back(i);
    return axes;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> layerNorm(const at::Tensor& x, const at::Tensor& scale, const c10::optional<at::Tensor>& bias,
                                                         std::int64_t axis, double eps)
{
    const auto axes = axesFrom(x, axis);
    const auto mean = x.mean(axes, true), centred = x - mean;
    const auto inverse = at::rsqrt(centred.square().mean(axes, true) + eps);
    auto y = centred * inverse * scale;
    return {bias ? y + *bias : y, mean, inverse};
}

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& scale, std::int64_t axis, double eps)
{
    return x * at::rsqrt(x.square().mean(axesFrom(x, axis), true) + eps) * scale;
}

// Scale and bias of each group.
at::Tensor groupNorm(const at::Tensor& x, std::int64_t groups, const at::Tensor& scale, const at::Tensor& bias, double eps)
{
    const auto plain = at::group_norm(x, groups, {}, {}, eps, false);
    const auto repeats = x.size(1) / std::max<std::int64_t>(groups, 1);
    const auto perChannel = [&](const at::Tensor& t) { return alongAxis(t.numel() == groups ? t.repeat_interleave(repeats) : t, 1, x.dim()); };
    return plain * perChannel(scale) + perChannel(bias);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> batchNormTraining(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& bias,
                                                                 const at::Tensor& mean, const at::Tensor& variance, double momentum, double eps)
{
    IntList axes = {0};
    for (std::int64_t i = 2; i < x.dim(); ++i)
        axes.push_back(i);
    const auto m = x.mean(axes), v = x.var(axes, false);
    const auto channel = [&](const at::Tensor& t) { return alongAxis(t, 1, x.dim()); };
    const auto y = (x - channel(m)) * at::rsqrt(channel(v) + eps) * channel(scale) + channel(bias);
    return {y, mean * momentum + m * (1 - momentum), variance * momentum + v * (1 - momentum)};
}

// x / (bias + alpha / size * sum of squares over neighbouring channels)^beta. An even size reaches one channel further up than down.
at::Tensor localResponseNorm(const at::Tensor& x, std::int64_t size, double alpha, double beta, double bias)
{
    const auto squares = x.square();
    IntList pads(std::size_t(2 * (x.dim() - 2)), 0);
    pads.push_back((size - 1) / 2);
    pads.push_back(size - 1 - (size - 1) / 2);
    const auto padded = at::constant_pad_nd(squares, pads, 0);
    auto sum = padded.narrow(1, 0, x.size(1));
    for (std::int64_t i = 1; i < size; ++i)
        sum = sum + padded.narrow(1, i, x.size(1));
    return x / (bias + sum * (alpha / double(size))).pow(beta);
}

}  // namespace

void registerOnnxWindows(torch::Library& library)
{
    library.def("onnx_pad_same(Tensor x, int[] kernel, int[] strides, int[] dilations, bool upper, float value) -> Tensor", padSame);
    library.def("onnx_max_pool(Tensor x, int[] kernel, int[] strides, int[] dilations, int[] pads, bool ceil, str auto_pad, bool columns) -> "
                "(Tensor, Tensor)",
                maxPool);
    library.def("onnx_average_pool(Tensor x, int[] kernel, int[] strides, int[] dilations, int[] pads, bool ceil, str auto_pad, bool count_padding) "
                "-> Tensor",
                averagePool);
    library.def("onnx_global_pool(Tensor x, str how, float p) -> Tensor", globalPool);
    library.def("onnx_max_unpool(Tensor x, Tensor places, int[]? size, int[] kernel, int[] strides, int[] pads) -> Tensor", maxUnpool);
    library.def("onnx_layer_norm(Tensor x, Tensor scale, Tensor? bias, int axis, float eps) -> (Tensor, Tensor, Tensor)", layerNorm);
    library.def("onnx_rms_norm(Tensor x, Tensor scale, int axis, float eps) -> Tensor", rmsNorm);
    library.def("onnx_group_norm(Tensor x, int groups, Tensor scale, Tensor bias, float eps) -> Tensor", groupNorm);
    library.def("onnx_batch_norm_training(Tensor x, Tensor scale, Tensor bias, Tensor mean, Tensor variance, float momentum, float eps)"
                " -> (Tensor, Tensor, Tensor)",
                batchNormTraining);
    library.def("onnx_lrn(Tensor x, int size, float alpha, float beta, float bias) -> Tensor", localResponseNorm);
}

}  // namespace orrery::kernels
