#include "statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/error.h>

namespace orrery::scene {
namespace {

constexpr double kConstantHarmonic = 0.28209479177387814, kMiddleShare = 0.98, kFaint = 1.0 / 255;

double opacityOf(float logit)
{
    return 1 / (1 + std::exp(-double(logit)));
}

double largestDeviation(const Splats& splats, std::size_t index)
{
    const float* const s = splats.scales.data() + 3 * index;
    return std::exp(double(std::max({s[0], s[1], s[2]})));
}

double medianOf(std::vector<double> values)
{
    if (values.empty())
        return 0;
    const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

Histogram histogramOf(const std::vector<double>& values, double low, double high, int bins)
{
    Histogram out{low, high, std::vector<std::size_t>(std::size_t(bins))};
    const double width = high > low ? (high - low) / bins : 1;
    for (const double value : values)
        ++out.counts[std::size_t(std::clamp(int((value - low) / width), 0, bins - 1))];
    return out;
}

void takeFinite(std::vector<double>& values, double value)
{
    if (std::isfinite(value))
        values.push_back(value);
}

}  // namespace

SplatStatistics splatStatistics(const Splats& splats, int bins)
{
    SplatStatistics out;
    out.count = splats.size();
    out.degree = splats.degree;
    if (out.count == 0)
        return out;
    out.box = splatBounds(splats);
    out.middleBox = splatBounds(splats, kMiddleShare);
    out.bytes =
        sizeof(float) * (splats.means.size() + splats.scales.size() + splats.rotations.size() + splats.opacities.size() + splats.harmonics.size());
    std::vector<double> opacities, sizes;
    for (std::size_t i = 0; i < out.count; ++i) {
        const double opacity = opacityOf(splats.opacities[i]);
        takeFinite(opacities, opacity);
        takeFinite(sizes, std::log10(largestDeviation(splats, i)));
        out.faint += opacity < kFaint;
    }
    out.opacity = histogramOf(opacities, 0, 1, bins);
    out.medianOpacity = medianOf(opacities);
    if (!sizes.empty()) {
        const auto [low, high] = std::minmax_element(sizes.begin(), sizes.end());
        out.size = histogramOf(sizes, *low, *high, bins);
        out.medianSize = std::pow(10, medianOf(sizes));
    }
    return out;
}

GaussianValues gaussianValues(const Splats& splats, std::size_t index)
{
    if (index >= splats.size())
        throw core::InputError(fmt::format("expected the number of a Gaussian from 0 to {}, got {}", splats.size() - 1, index));
    GaussianValues out;
    double length = 0;
    for (std::size_t k = 0; k < 4; ++k) {
        out.rotation[k] = splats.rotations[4 * index + k];
        length = std::hypot(length, out.rotation[k]);
    }
    for (double& number : out.rotation)
        number /= length > 0 ? length : 1;
    const std::size_t width = 3 * harmonicsOf(splats.degree);
    out.harmonics.assign(splats.harmonics.begin() + std::ptrdiff_t(width * index), splats.harmonics.begin() + std::ptrdiff_t(width * (index + 1)));
    for (std::size_t k = 0; k < 3; ++k) {
        out.centre[k] = splats.means[3 * index + k];
        out.deviations[k] = std::exp(double(splats.scales[3 * index + k]));
        out.colour[k] = 0.5 + kConstantHarmonic * double(out.harmonics[k]);
    }
    out.opacity = opacityOf(splats.opacities[index]);
    return out;
}

}  // namespace orrery::scene
