// Boxes, spectra and n-grams.
#include <cmath>

#include "onnx_operators.h"

namespace orrery::kernels {
namespace {

using Optional = c10::optional<at::Tensor>;

/// Positions along one axis and how far the next element is: what bilinear sampling needs.
struct Samples {
    at::Tensor low, high, weight, inside;
};

Samples samplesAt(const at::Tensor& positions, std::int64_t size)
{
    const auto inside = (positions >= -1).logical_and(positions <= double(size));
    const auto at = positions.clamp(0, double(size - 1));
    const auto low = at.floor().to(at::kLong);
    return {low, (low + 1).clamp_max(size - 1), at - low.to(at.scalar_type()), inside};
}

// He et al. (2017), "Mask R-CNN", arXiv:1703.06870, section 3: the mean of bilinear samples in each bin.
at::Tensor alignRegion(const at::Tensor& plane, const std::vector<double>& box, std::int64_t rows, std::int64_t columns, std::int64_t ratio,
                       bool halfPixel)
{
    const double width = halfPixel ? box[2] - box[0] : std::max(box[2] - box[0], 1.0),
                 height = halfPixel ? box[3] - box[1] : std::max(box[3] - box[1], 1.0);
    const auto perBin = [&](double size, std::int64_t bins) {
        return ratio > 0 ? ratio : std::max<std::int64_t>(std::int64_t(std::ceil(size / double(bins))), 1);
    };
    const auto sampleY = perBin(height, rows), sampleX = perBin(width, columns);
    const auto positions = [&](double start, double size, std::int64_t bins, std::int64_t samples) {
        const auto count = bins * samples;
        return (at::arange(count, plane.options()) + 0.5) * (size / double(count)) + start;
    };
    const auto y = samplesAt(positions(box[1], height, rows, sampleY), plane.size(1)),
               x = samplesAt(positions(box[0], width, columns, sampleX), plane.size(2));
    const auto along = [](const at::Tensor& values, std::int64_t axis, const Samples& s) {
        const auto weight = alongAxis(s.weight, axis, 3);
        return (values.index_select(axis, s.low) * (1 - weight) + values.index_select(axis, s.high) * weight) *
               alongAxis(s.inside.to(values.scalar_type()), axis, 3);
    };
    return along(along(plane, 1, y), 2, x).reshape({plane.size(0), rows, sampleY, columns, sampleX}).mean({2, 4});
}

at::Tensor roiAlign(const at::Tensor& x, const at::Tensor& boxes, const at::Tensor& batch, std::int64_t rows, std::int64_t columns,
                    std::int64_t ratio, double scale, bool halfPixel)
{
    TORCH_CHECK(x.dim() == 4 && boxes.dim() == 2 && boxes.size(1) == 4, "expected [batch, channel, height, width] and [boxes, 4]");
    const auto corners = floatsOf(boxes * scale - (halfPixel ? 0.5 : 0.0));
    const auto places = intsOf(batch);
    std::vector<at::Tensor> parts;
    for (std::size_t i = 0; i < places.size(); ++i)
        parts.push_back(alignRegion(x[places[i]], {corners.begin() + std::ptrdiff_t(4 * i), corners.begin() + std::ptrdiff_t(4 * i + 4)}, rows,
                                    columns, ratio, halfPixel));
    return parts.empty() ? at::zeros({0, x.size(1), rows, columns}, x.options()) : at::stack(parts);
}

struct Box {
    double y1, x1, y2, x2;
    double area() const { return (y2 - y1) * (x2 - x1); }
};

Box boxOf(const double* numbers, bool centre)
{
    if (centre)
        return {numbers[1] - numbers[3] / 2, numbers[0] - numbers[2] / 2, numbers[1] + numbers[3] / 2, numbers[0] + numbers[2] / 2};
    return {std::min(numbers[0], numbers[2]), std::min(numbers[1], numbers[3]), std::max(numbers[0], numbers[2]), std::max(numbers[1], numbers[3])};
}

double overlap(const Box& a, const Box& b)
{
    const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1), width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
    if (height <= 0 || width <= 0)
        return 0;
    return height * width / (a.area() + b.area() - height * width);
}

// Boxes of one class by falling score, without those that overlap a better one.
at::Tensor suppressed(const at::Tensor& boxes, const at::Tensor& scores, const Optional& most, const Optional& overlapLimit,
                      const Optional& scoreLimit, bool centre)
{
    const auto limit = most ? intsOf(*most).at(0) : 0;
    const double iou = overlapLimit ? floatsOf(*overlapLimit).at(0) : 0;
    const auto lowest = scoreLimit ? c10::optional<double>(floatsOf(*scoreLimit).at(0)) : c10::nullopt;
    const auto corners = floatsOf(boxes), values = floatsOf(scores);
    const auto batch = scores.size(0), classes = scores.size(1), count = scores.size(2);
    IntList chosen;
    for (std::int64_t b = 0; b < batch; ++b)
        for (std::int64_t c = 0; c < classes; ++c) {
            const double* const score = values.data() + (b * classes + c) * count;
            IntList order;
            for (std::int64_t i = 0; i < count; ++i)
                if (!lowest || score[i] > *lowest)
                    order.push_back(i);
            std::stable_sort(order.begin(), order.end(), [&](auto i, auto k) { return score[i] > score[k]; });
            std::vector<Box> kept;
            for (const auto i : order) {
                if (std::int64_t(kept.size()) >= limit)
                    break;
                const auto box = boxOf(corners.data() + (b * count + i) * 4, centre);
                if (std::any_of(kept.begin(), kept.end(), [&](const Box& other) { return overlap(box, other) > iou; }))
                    continue;
                kept.push_back(box);
                chosen.insert(chosen.end(), {b, c, i});
            }
        }
    return at::tensor(chosen, at::kLong).reshape({-1, 3});
}

at::Tensor cosineWindow(std::int64_t size, double a0, double a1, double a2, bool periodic, at::ScalarType type)
{
    const double period = periodic ? double(size) : double(size - 1);
    const auto angle = at::arange(size, at::kDouble) * (2 * M_PI / period);
    return (a0 - a1 * angle.cos() + a2 * (2 * angle).cos()).to(type);
}

// Triangles that are equally wide on the mel scale: mel = 2595 log10(1 + hertz / 700).
at::Tensor melWeights(const at::Tensor& bins, const at::Tensor& length, const at::Tensor& rate, const at::Tensor& low, const at::Tensor& high,
                      at::ScalarType type)
{
    const auto count = bins.item<std::int64_t>(), size = length.item<std::int64_t>(), hertz = rate.item<std::int64_t>();
    TORCH_CHECK(count > 0 && size > 0 && hertz > 0, "expected positive numbers of bins, a positive length and rate");
    const auto mel = [](double f) { return 2595 * std::log10(1 + f / 700); };
    const double from = mel(low.item<double>()), step = (mel(high.item<double>()) - from) / double(count + 2);
    const auto spectrum = size / 2 + 1;
    const auto edge = [&](std::int64_t i) {
        const double f = 700 * (std::pow(10, (double(i) * step + from) / 2595) - 1);
        return std::clamp<std::int64_t>(std::int64_t(std::floor(double(size + 1) * f / double(hertz))), 0, spectrum - 1);
    };
    auto weights = at::zeros({spectrum, count}, at::kDouble);
    auto* const data = weights.data_ptr<double>();
    for (std::int64_t i = 0; i < count; ++i) {
        const auto lower = edge(i), centre = edge(i + 1), upper = edge(i + 2);
        if (centre == lower)
            data[centre * count + i] = 1;
        for (auto k = lower; k <= centre && centre > lower; ++k)
            data[k * count + i] = double(k - lower) / double(centre - lower);
        for (auto k = centre; k < upper; ++k)
            data[k * count + i] = double(upper - k) / double(upper - centre);
    }
    return weights.to(type);
}

at::Tensor complexOf(const at::Tensor& x)
{
    TORCH_CHECK(x.dim() > 1 && (x.size(-1) == 1 || x.size(-1) == 2), "expected a last axis of 1 or 2 (real and imaginary part), got ", x.sizes());
    if (x.size(-1) == 2)
        return at::view_as_complex(x.contiguous());
    return at::complex(x.select(-1, 0), at::zeros_like(x.select(-1, 0)));
}

at::Tensor fourier(const at::Tensor& x, c10::optional<std::int64_t> length, std::int64_t axis, bool oneSided, bool inverse)
{
    const auto along = frontAxis(axis, x.dim());
    // In double, as NumPy computes it: where terms cancel, sums of singles leave a remainder of their own.
    const auto data = complexOf(x.to(at::kDouble));
    auto y = inverse ? at::fft_ifft(data, length, along) : at::fft_fft(data, length, along);
    if (oneSided)
        y = y.narrow(along, 0, y.size(along) / 2 + 1);
    return at::view_as_real(y.contiguous()).to(x.scalar_type());
}

at::Tensor shortTimeFourier(const at::Tensor& signal, std::int64_t step, const Optional& window, c10::optional<std::int64_t> length, bool oneSided)
{
    TORCH_CHECK(window || length, "expected a window or a frame length");
    const auto size = length ? *length : window->size(0);
    const auto data = signal.dim() == 2 ? at::complex(signal, at::zeros_like(signal)) : complexOf(signal);
    auto frames = data.unfold(1, size, step);
    if (window)
        frames = frames * *window;
    auto y = at::fft_fft(frames, c10::nullopt, -1);
    if (oneSided)
        y = y.narrow(-1, 0, size / 2 + 1);
    return at::view_as_real(y.contiguous());
}

/// A pool of n-grams: where those of each length begin, and the column of each.
struct NGrams {
    at::IntArrayRef starts, columns, pool;
    std::int64_t find(const IntList& gram) const;
};

std::int64_t NGrams::find(const IntList& gram) const
{
    const auto n = gram.size();
    if (n == 0 || n > starts.size())
        return -1;
    std::size_t column = 0;
    for (std::size_t i = 0; i + 1 < n; ++i)
        column += std::size_t((i + 1 < starts.size() ? starts[i + 1] : std::int64_t(pool.size())) - starts[i]) / (i + 1);
    const auto end = n < starts.size() ? std::size_t(starts[n]) : pool.size();
    for (auto at = std::size_t(starts[n - 1]); at + n <= end; at += n, ++column)
        if (std::equal(gram.begin(), gram.end(), pool.begin() + std::ptrdiff_t(at)))
            return column < columns.size() ? columns[column] : -1;
    return -1;
}

void countGrams(const std::int64_t* tokens, std::int64_t count, const NGrams& grams, std::int64_t n, std::int64_t skip, float* row)
{
    const auto stride = skip + 1;
    for (std::int64_t first = 0; first + (n - 1) * stride < count; ++first) {
        IntList gram;
        for (std::int64_t i = 0; i < n; ++i)
            gram.push_back(tokens[first + i * stride]);
        if (const auto column = grams.find(gram); column >= 0)
            row[column] += 1;
    }
}

at::Tensor termFrequencies(const at::Tensor& x, const std::string& mode, std::int64_t shortest, std::int64_t longest, std::int64_t skips,
                           at::IntArrayRef starts, at::IntArrayRef columns, at::IntArrayRef pool, const std::vector<double>& weights)
{
    for (const auto column : columns)
        TORCH_CHECK(column >= 0 && column < (std::int64_t(1) << 31), "expected columns from 0 on, got ", column);
    for (std::size_t i = 0; i < starts.size(); ++i)
        TORCH_CHECK(starts[i] >= (i ? starts[i - 1] : 0) && starts[i] <= std::int64_t(pool.size()),
                    "expected the n-grams of each length one after another");
    const auto width = columns.empty() ? 0 : *std::max_element(columns.begin(), columns.end()) + 1;
    const auto tokens = x.to(at::kLong).reshape({x.dim() == 1 ? 1 : x.size(0), -1}).contiguous();
    auto counts = at::zeros({tokens.size(0), width}, at::kFloat);
    const NGrams grams{starts, columns, pool};
    for (std::int64_t i = 0; i < tokens.size(0); ++i)
        for (auto n = shortest; n <= longest; ++n)
            for (std::int64_t skip = 0; skip <= (n == 1 ? 0 : skips); ++skip)  // one token has nothing to skip
                countGrams(tokens.data_ptr<std::int64_t>() + i * tokens.size(1), tokens.size(1), grams, n, skip,
                           counts.data_ptr<float>() + i * width);
    if (mode != "TF" && !weights.empty()) {
        auto scale = at::ones({width}, at::kFloat);
        for (std::size_t i = 0; i < columns.size() && i < weights.size(); ++i)
            scale.data_ptr<float>()[columns[i]] = float(weights[i]);
        counts = (mode == "IDF" ? counts.gt(0).to(at::kFloat) : counts) * scale;
    } else if (mode == "IDF") {
        counts = counts.gt(0).to(at::kFloat);
    }
    return x.dim() == 1 ? counts[0] : counts;
}

}  // namespace

void registerOnnxVision(torch::Library& library)
{
    library.def("onnx_roi_align(Tensor x, Tensor boxes, Tensor batch, int rows, int columns, int ratio, float scale, bool half_pixel) -> Tensor",
                roiAlign);
    library.def("onnx_nms(Tensor boxes, Tensor scores, Tensor? most, Tensor? overlap, Tensor? score, bool centre) -> Tensor", suppressed);
    library.def("onnx_cosine_window(int size, float a0, float a1, float a2, bool periodic, ScalarType dtype) -> Tensor", cosineWindow);
    library.def("onnx_mel_weights(Tensor bins, Tensor length, Tensor rate, Tensor low, Tensor high, ScalarType dtype) -> Tensor", melWeights);
    library.def("onnx_dft(Tensor x, int? length, int axis, bool onesided, bool inverse) -> Tensor", fourier);
    library.def("onnx_stft(Tensor signal, int step, Tensor? window, int? length, bool onesided) -> Tensor", shortTimeFourier);
    library.def(
        "onnx_tf_idf(Tensor x, str mode, int shortest, int longest, int skips, int[] starts, int[] columns, int[] pool, float[] weights) -> Tensor",
        termFrequencies);
}

}  // namespace orrery::kernels
