#include "photometric.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include <core/base/error.h>
#include <core/scene/workers.h>

namespace orrery::scene {
namespace {

constexpr int kRadius = 5;
constexpr float kSsimC1 = 0.01f * 0.01f, kSsimC2 = 0.03f * 0.03f;

using Plane = std::vector<float>;

const std::array<float, 2 * kRadius + 1>& window()
{
    static const auto values = [] {
        std::array<float, 2 * kRadius + 1> w{};
        double sum = 0;
        for (int k = -kRadius; k <= kRadius; ++k)
            sum += std::exp(-k * k / (2 * 1.5 * 1.5));
        for (int k = -kRadius; k <= kRadius; ++k)
            w[std::size_t(k + kRadius)] = float(std::exp(-k * k / (2 * 1.5 * 1.5)) / sum);
        return w;
    }();
    return values;
}

/// The window's weighted mean around each pixel. Symmetric: the same function carries gradients back.
Plane blurred(const Plane& in, int width, int height)
{
    Plane along(in.size(), 0), out(in.size(), 0);
    const auto& w = window();
    for (int y = 0; y < height; ++y)
        for (int k = -kRadius; k <= kRadius; ++k) {
            const float weight = w[std::size_t(k + kRadius)];
            const std::ptrdiff_t row = std::ptrdiff_t(y) * width;
            for (int x = std::max(0, -k); x < std::min(width, width - k); ++x)
                along[std::size_t(row + x)] += weight * in[std::size_t(row + x + k)];
        }
    for (int y = 0; y < height; ++y)
        for (int k = std::max(-kRadius, -y); k <= std::min(kRadius, height - 1 - y); ++k) {
            const float weight = w[std::size_t(k + kRadius)];
            const std::ptrdiff_t to = std::ptrdiff_t(y) * width, from = std::ptrdiff_t(y + k) * width;
            for (int x = 0; x < width; ++x)
                out[std::size_t(to + x)] += weight * along[std::size_t(from + x)];
        }
    return out;
}

Plane productOf(const Plane& a, const Plane& b)
{
    Plane out(a.size());
    for (std::size_t i = 0; i < a.size(); ++i)
        out[i] = a[i] * b[i];
    return out;
}

Plane planeOf(const std::vector<float>& image, std::size_t channel)
{
    Plane out(image.size() / 3);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = image[3 * i + channel];
    return out;
}

/// Sum of the similarity over one channel; adds `scale` times its gradient by x to `gradient`.
double similarity(const Plane& x, const Plane& y, int width, int height, float scale, std::size_t channel, std::vector<float>& gradient)
{
    const Plane mx = blurred(x, width, height), my = blurred(y, width, height), xx = blurred(productOf(x, x), width, height),
                yy = blurred(productOf(y, y), width, height), xy = blurred(productOf(x, y), width, height);
    Plane byMean(x.size()), bySquare(x.size()), byProduct(x.size());
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const float a = 2 * mx[i] * my[i] + kSsimC1, b = 2 * (xy[i] - mx[i] * my[i]) + kSsimC2;
        const float c = mx[i] * mx[i] + my[i] * my[i] + kSsimC1, d = xx[i] - mx[i] * mx[i] + yy[i] - my[i] * my[i] + kSsimC2;
        const float value = a * b / (c * d);
        sum += value;
        bySquare[i] = -value / d;
        byProduct[i] = 2 * a / (c * d);
        byMean[i] = 2 * my[i] * (b - a) / (c * d) - 2 * mx[i] * value * (1 / c - 1 / d);
    }
    const Plane m = blurred(byMean, width, height), s = blurred(bySquare, width, height), p = blurred(byProduct, width, height);
    for (std::size_t i = 0; i < x.size(); ++i)
        gradient[3 * i + channel] += scale * (m[i] + 2 * x[i] * s[i] + y[i] * p[i]);
    return sum;
}

void checkSizes(const std::vector<float>& picture, const std::vector<float>& target, int width, int height)
{
    const auto expected = std::size_t(std::max(0, width)) * std::size_t(std::max(0, height)) * 3;
    if (expected == 0 || picture.size() != expected || target.size() != expected)
        throw core::ShapeError(
            fmt::format("pictures: expected {} x {} x 3 values in both, got {} and {}", height, width, picture.size(), target.size()));
}

}  // namespace

PhotometricLoss photometricLoss(const std::vector<float>& picture, const std::vector<float>& target, int width, int height, double ssimWeight,
                                int threads)
{
    checkSizes(picture, target, width, height);
    PhotometricLoss out;
    const double count = double(picture.size());
    out.gradient.resize(picture.size());
    const float slope = float((1 - ssimWeight) / count);
    for (std::size_t i = 0; i < picture.size(); ++i) {
        const double difference = double(picture[i]) - double(target[i]);
        out.l1 += std::abs(difference);
        out.mse += difference * difference;
        out.gradient[i] = difference > 0 ? slope : difference < 0 ? -slope : 0;
    }
    out.l1 /= count;
    out.mse /= count;
    out.loss = (1 - ssimWeight) * out.l1;
    if (ssimWeight > 0) {
        double sums[3] = {};
        shareOut(workerCount(threads), 3, 1, [&](std::size_t c, std::size_t) {
            sums[c] = similarity(planeOf(picture, c), planeOf(target, c), width, height, float(-ssimWeight / count), c, out.gradient);
        });
        out.ssim = (sums[0] + sums[1] + sums[2]) / count;
        out.loss += ssimWeight * (1 - out.ssim);
    }
    return out;
}

double psnrOf(double mse)
{
    return -10 * std::log10(mse);
}

}  // namespace orrery::scene
