// What a TensorDetail computes: singular values, filters as one picture.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

#include "tensor_detail.h"

namespace orrery::plugins {
namespace {

constexpr std::int64_t kSmallerSideAtMost = 2048;

}  // namespace

std::size_t matrixAxis(const std::vector<std::int64_t>& shape)
{
    std::size_t axis = 0;
    while (axis + 2 < shape.size() && shape[axis] == 1)
        ++axis;
    return axis;
}

std::vector<double> singularValues(const ShownTensor& tensor)
{
    if (tensor.shape.size() < 2 || tensor.values.empty())
        throw core::InputError(
            fmt::format("{}: singular values are of a matrix, this is {}", tensor.title.toStdString(), core::formatShape(tensor.shape)));
    if (tensor.statistics.nans || tensor.statistics.infinities)
        throw core::InputError(fmt::format("{}: {} values are not finite, so there are no singular values", tensor.title.toStdString(),
                                           tensor.statistics.nans + tensor.statistics.infinities));
    const std::int64_t rows = tensor.shape[matrixAxis(tensor.shape)], columns = std::int64_t(tensor.values.size()) / std::max<std::int64_t>(rows, 1);
    if (std::min(rows, columns) > kSmallerSideAtMost)
        throw core::InputError(
            fmt::format("{}: the smaller side of {} x {} is above {}", tensor.title.toStdString(), rows, columns, kSmallerSideAtMost));
    at::NoGradGuard noGrad;
    const auto matrix = at::from_blob(const_cast<float*>(tensor.values.data()), {rows, columns}, at::kFloat).to(at::kDouble);
    const auto values = at::linalg_svdvals(matrix).contiguous();
    return {values.data_ptr<double>(), values.data_ptr<double>() + values.numel()};
}

bool areMapsOfOne(const std::vector<std::int64_t>& shape)
{
    return shape.size() == 4 && shape[0] == 1 && shape[1] != 3;
}

std::optional<FilterGrid::Place> FilterGrid::placeOf(int x, int y) const
{
    const Place place{y / (filterHeight + 1) * across + x / (filterWidth + 1), y % (filterHeight + 1), x % (filterWidth + 1)};
    const bool isInside = x >= 0 && y >= 0 && place.filter < filters && place.row < filterHeight && place.column < filterWidth;
    return isInside ? std::optional(place) : std::nullopt;
}

FilterGrid filterGrid(const ShownTensor& tensor, std::int64_t channel, bool darkGaps)
{
    auto shape = tensor.shape;
    if (areMapsOfOne(shape))
        shape.erase(shape.begin());
    const auto rank = shape.size();
    FilterGrid grid;
    if ((rank != 3 && rank != 4) || tensor.values.empty())
        return grid;
    const std::int64_t inputs = rank == 4 ? shape[1] : 1, height = shape[rank - 2], width = shape[rank - 1];
    // A picture of a few thousand pixels a side is as much as anybody looks at.
    const std::int64_t across = std::min<std::int64_t>(std::max<std::int64_t>(1, std::llround(std::ceil(std::sqrt(double(shape[0]))))),
                                                       std::max<std::int64_t>(1, 4096 / (width + 1)));
    const std::int64_t down = std::min((shape[0] + across - 1) / across, std::max<std::int64_t>(1, 4096 / (height + 1)));
    grid.across = across;
    grid.filters = std::min(shape[0], across * down);
    grid.filterHeight = height;
    grid.filterWidth = width;
    grid.channels = inputs == 3 ? 3 : 1;
    grid.height = int(down * (height + 1) - 1);
    grid.width = int(across * (width + 1) - 1);
    grid.limit = float(std::max(std::abs(tensor.statistics.minimum), std::abs(tensor.statistics.maximum)));
    if (grid.limit == 0)
        grid.limit = 1;
    grid.pixels.assign(std::size_t(grid.channels) * std::size_t(grid.height) * std::size_t(grid.width), darkGaps ? -grid.limit : grid.limit);
    for (std::int64_t filter = 0; filter < grid.filters; ++filter)
        for (std::int64_t c = 0; c < grid.channels; ++c)
            for (std::int64_t y = 0; y < height; ++y)
                for (std::int64_t x = 0; x < width; ++x) {
                    const std::int64_t from = ((filter * inputs + (grid.channels == 3 ? c : channel)) * height + y) * width + x;
                    const std::int64_t row = filter / across * (height + 1) + y, column = filter % across * (width + 1) + x;
                    grid.pixels[std::size_t((c * grid.height + row) * grid.width + column)] = tensor.values[std::size_t(from)];
                }
    return grid;
}

}  // namespace orrery::plugins
