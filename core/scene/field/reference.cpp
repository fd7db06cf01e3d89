// What the kernels are tested against.
#include <ATen/ATen.h>

#include "field.h"
#include "hash_levels.h"

namespace orrery::scene::reference {
namespace {

/// Entries of one level for whole corner coordinates [sample, 3] int64.
at::Tensor entriesOf(const at::Tensor& corner, std::int64_t resolution, std::int64_t size)
{
    const at::Tensor x = corner.select(1, 0), y = corner.select(1, 1), z = corner.select(1, 2);
    const std::int64_t edge = resolution + 1;
    if (edge * edge * edge <= size)
        return x + y * edge + z * edge * edge;
    constexpr std::int64_t kLow = 0xffffffff;
    return x.bitwise_and(kLow)
        .bitwise_xor((y * std::int64_t(kPrimeY)).bitwise_and(kLow))
        .bitwise_xor((z * std::int64_t(kPrimeZ)).bitwise_and(kLow))
        .bitwise_and(size - 1);
}

}  // namespace

at::Tensor hashEncode(const at::Tensor& positions, const at::Tensor& table, const std::vector<std::int64_t>& resolutions,
                      const std::vector<std::int64_t>& offsets)
{
    std::vector<at::Tensor> levels;
    for (std::size_t l = 0; l < resolutions.size(); ++l) {
        const at::Tensor scaled = (positions + 0.5).clamp(0, 1) * resolutions[l];
        const at::Tensor cell = scaled.floor().clamp_max(resolutions[l] - 1), fraction = scaled - cell;
        at::Tensor sum;
        for (int corner = 0; corner < 8; ++corner) {
            const at::Tensor offset = at::tensor({corner & 1, corner >> 1 & 1, corner >> 2}, at::kLong);
            const at::Tensor weight = at::where(offset.to(at::kBool), fraction, 1 - fraction).prod(1, true);
            const at::Tensor index = entriesOf(cell.to(at::kLong) + offset, resolutions[l], offsets[l + 1] - offsets[l]) + offsets[l];
            const at::Tensor part = weight * table.index_select(0, index);
            sum = sum.defined() ? sum + part : part;
        }
        levels.push_back(sum);
    }
    return at::cat(levels, 1);
}

at::Tensor mlp(const at::Tensor& x, const std::vector<at::Tensor>& weights)
{
    at::Tensor out = x;
    for (std::size_t l = 0; l < weights.size(); ++l)
        out = l == 0 ? at::linear(out, weights[l]) : at::linear(out.relu(), weights[l]);
    return out;
}

at::Tensor cellMlp(const at::Tensor& x, const at::Tensor& cells, const std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& biases)
{
    std::vector<at::Tensor> rows;
    for (std::int64_t i = 0; i < x.size(0); ++i) {
        const auto cell = cells[i].item<std::int64_t>();
        at::Tensor out = x[i];
        for (std::size_t l = 0; l < weights.size(); ++l)
            out = weights[l][cell].mv(l == 0 ? out : out.relu()) + biases[l][cell];
        rows.push_back(out);
    }
    return at::stack(rows);
}

Composited composite(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const std::vector<double>& background)
{
    std::vector<at::Tensor> colours, opacities, depths, all;
    const at::Tensor behind = at::tensor(background, density.options().requires_grad(false));
    for (std::int64_t r = 0; r + 1 < samples.starts.numel(); ++r) {
        const auto begin = samples.starts[r].item<std::int64_t>(), end = samples.starts[r + 1].item<std::int64_t>();
        const at::Tensor optical = density.slice(0, begin, end) * samples.lengths.slice(0, begin, end).to(density.scalar_type());
        const at::Tensor before = at::cat({at::zeros({1}, optical.options()), optical.cumsum(0)});
        const at::Tensor weights = (-before.slice(0, 0, end - begin)).exp() * (1 - (-optical).exp());
        const at::Tensor left = (-before[end - begin]).exp();
        colours.push_back((weights.unsqueeze(1) * colour.slice(0, begin, end)).sum(0) + left * behind);
        opacities.push_back(1 - left);
        depths.push_back((weights * samples.distances.slice(0, begin, end).to(density.scalar_type())).sum());
        all.push_back(weights);
    }
    return {at::stack(colours), at::stack(opacities), at::stack(depths), at::cat(all)};
}

}  // namespace orrery::scene::reference
