#include "splats.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>

namespace orrery::scene {
namespace {

void copyRow(const std::vector<float>& from, std::size_t row, std::size_t width, std::vector<float>& to)
{
    to.insert(to.end(), from.begin() + std::ptrdiff_t(row * width), from.begin() + std::ptrdiff_t((row + 1) * width));
}

}  // namespace

void Splats::resize(std::size_t count, int harmonicsDegree)
{
    degree = harmonicsDegree;
    means.resize(3 * count);
    scales.resize(3 * count);
    rotations.resize(4 * count);
    opacities.resize(count);
    harmonics.resize(3 * harmonicsOf(degree) * count);
}

Splats selectSplats(const Splats& splats, std::span<const std::uint32_t> indices)
{
    Splats out;
    out.degree = splats.degree;
    for (const auto index : indices) {
        if (index >= splats.size())
            throw core::InputError(fmt::format("splats: expected an index below {}, got {}", splats.size(), index));
        copyRow(splats.means, index, 3, out.means);
        copyRow(splats.scales, index, 3, out.scales);
        copyRow(splats.rotations, index, 4, out.rotations);
        copyRow(splats.opacities, index, 1, out.opacities);
        copyRow(splats.harmonics, index, 3 * harmonicsOf(splats.degree), out.harmonics);
    }
    return out;
}

std::vector<std::uint32_t> splatsInBox(const Splats& splats, const std::array<double, 6>& box)
{
    std::vector<std::uint32_t> inside;
    for (std::size_t i = 0; i < splats.size(); ++i) {
        bool in = true;
        for (std::size_t k = 0; k < 3; ++k)
            in = in && splats.means[3 * i + k] >= box[k] && splats.means[3 * i + k] <= box[3 + k];
        if (in)
            inside.push_back(std::uint32_t(i));
    }
    return inside;
}

std::array<double, 6> splatBounds(const Splats& splats, double share)
{
    std::array<double, 6> box{};
    if (splats.size() == 0)
        return box;
    const auto skip = std::size_t(double(splats.size() - 1) * std::clamp(0.5 * (1 - share), 0.0, 0.5));
    for (std::size_t k = 0; k < 3; ++k) {
        std::vector<float> values;
        for (std::size_t i = 0; i < splats.size(); ++i)
            values.push_back(splats.means[3 * i + k]);
        std::sort(values.begin(), values.end());
        box[k] = values[skip];
        box[3 + k] = values[values.size() - 1 - skip];
    }
    return box;
}

}  // namespace orrery::scene
