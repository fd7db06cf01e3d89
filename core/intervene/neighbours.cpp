#include "neighbours.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

namespace orrery::intervene {
namespace {

constexpr std::int64_t kBlock = 256;

// Centred first: rows far from the origin would lose their differences in the products.
at::Tensor centredFloat(const at::Tensor& features)
{
    const at::Tensor x = features.detach().to(at::kCPU, at::kDouble);
    return (x - x.mean(0)).to(at::kFloat).contiguous();
}

// Squared distances of rows begin..end to all rows, the rows themselves infinitely far.
at::Tensor blockDistances(const at::Tensor& x, const at::Tensor& norms, std::int64_t begin, std::int64_t end)
{
    at::Tensor distances = norms.slice(0, begin, end).unsqueeze(1) + norms.unsqueeze(0);
    distances.addmm_(x.slice(0, begin, end), x.t(), 1, -2);
    distances.slice(1, begin, end).fill_diagonal_(std::numeric_limits<float>::infinity());
    return distances;
}

}  // namespace

Neighbours nearestNeighbours(const at::Tensor& features, std::int64_t k, const Control& control)
{
    const auto rows = features.size(0);
    if (k < 1 || k >= rows)
        throw core::InputError(fmt::format("neighbours: expected 1..{} of {} rows, got {}", rows - 1, rows, k));
    const at::Tensor x = centredFloat(features), norms = x.square().sum(1);
    // A few more than asked for: float may swap those that are almost equally far.
    const auto candidates = std::min(rows - 1, k + 8);
    Neighbours out{at::empty({rows, k}, at::kLong), at::empty({rows, k}, at::kDouble)};
    for (std::int64_t begin = 0; begin < rows; begin += kBlock) {
        control.report(double(begin), double(rows), "rows");
        const auto end = std::min(begin + kBlock, rows);
        // By number first, so that the stable sort by distance leaves ties in that order.
        const at::Tensor nearest = std::get<0>(std::get<1>(blockDistances(x, norms, begin, end).topk(candidates, 1, false)).sort(1));
        const at::Tensor difference = x.index_select(0, nearest.reshape(-1)).view({end - begin, candidates, -1}).to(at::kDouble) -
                                      x.slice(0, begin, end).unsqueeze(1).to(at::kDouble);
        const auto [distances, order] = difference.square().sum(2).sqrt().sort(true, 1, false);
        out.distances.slice(0, begin, end).copy_(distances.slice(1, 0, k));
        out.indices.slice(0, begin, end).copy_(nearest.gather(1, order).slice(1, 0, k));
    }
    control.report(double(rows), double(rows), "rows");
    return out;
}

double trustworthiness(const at::Tensor& features, const at::Tensor& points, std::int64_t k, const Control& control)
{
    const auto rows = features.size(0);
    if (points.size(0) != rows)
        throw core::ShapeError(fmt::format("trustworthiness: expected as many points as rows, got {} and {}", points.size(0), rows));
    if (k < 1 || 2 * k >= rows)
        throw core::InputError(fmt::format("trustworthiness: expected a number of neighbours from 1 below half of {} rows, got {}", rows, k));
    const at::Tensor shown = nearestNeighbours(points, k, control).indices, x = centredFloat(features), norms = x.square().sum(1);
    double penalty = 0;
    for (std::int64_t begin = 0; begin < rows; begin += kBlock) {
        control.report(double(begin), double(rows), "rows");
        const auto end = std::min(begin + kBlock, rows);
        const at::Tensor order = std::get<1>(blockDistances(x, norms, begin, end).sort(true, 1, false));
        const at::Tensor ranks = at::empty_like(order).scatter_(1, order, at::arange(1, rows + 1, at::kLong).unsqueeze(0).expand_as(order));
        penalty += (ranks.gather(1, shown.slice(0, begin, end)) - k).clamp_min(0).sum().item<double>();
    }
    const double n = double(rows), count = double(k);
    return 1 - 2 / (n * count * (2 * n - 3 * count - 1)) * penalty;
}

}  // namespace orrery::intervene
