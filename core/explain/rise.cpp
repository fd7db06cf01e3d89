#include <ATen/ATen.h>

#include <core/base/rng.h>

#include "features.h"
#include "methods.h"

namespace orrery::explain {
namespace {

/// How masks lie on a sample: a picture's pixels, a sequence's positions or a table's numbers.
struct MaskGrid {
    std::int64_t height = 1, width = 1;          // of the mask
    std::int64_t rows = 1, columns = 1;          // of the coarse grid
    std::int64_t cellHeight = 1, cellWidth = 1;  // of one coarse cell
    std::vector<std::int64_t> shape;             // the mask among a sample's axes
    MaskGrid(const at::Tensor& value, std::int64_t cells);
    at::Tensor mask(double probability, std::uint64_t seed) const;  // [height, width]
};

MaskGrid::MaskGrid(const at::Tensor& value, std::int64_t cells)
{
    const auto sample = value.sizes().slice(1);
    shape.assign(sample.size(), 1);
    if (sample.size() == 3) {
        height = shape[1] = sample[1];
        width = shape[2] = sample[2];
        columns = std::min(cells, width);
    } else if (!sample.empty()) {
        height = shape[0] = sample[0];
    }
    // Neighbours in a table have nothing in common: there each number is a cell of its own.
    rows = sample.size() == 1 ? height : std::min(cells, height);
    cellHeight = (height + rows - 1) / rows;
    cellWidth = (width + columns - 1) / columns;
}

// A coarse random grid, one cell larger than the mask, enlarged and cut out at a random place, so that cells' edges lie anywhere.
at::Tensor MaskGrid::mask(double probability, std::uint64_t seed) const
{
    core::SplitMix64 random(seed);
    auto coarse = at::empty({1, 1, rows, columns}, at::kFloat);
    auto* cells = coarse.data_ptr<float>();
    for (std::int64_t i = 0; i < coarse.numel(); ++i)
        cells[i] = random.uniform() < probability ? 1.f : 0.f;
    const auto top = std::int64_t(random.below(std::uint64_t(cellHeight))), left = std::int64_t(random.below(std::uint64_t(cellWidth)));
    if (cellHeight == 1 && cellWidth == 1)
        return coarse[0][0].slice(0, 0, height).slice(1, 0, width);
    const auto fine = at::upsample_bilinear2d(coarse, {(rows + 1) * cellHeight, (columns + 1) * cellWidth}, /*align_corners=*/false);
    return fine[0][0].slice(0, top, top + height).slice(1, left, left + width);
}

/// Sums over masks of F * mask and its square, [batch, height * width].
struct MaskSums {
    at::Tensor first, second;
    std::int64_t samples = 0;
};

at::Tensor spread(const at::Tensor& map, const MaskGrid& grid, const at::Tensor& value)
{
    auto shape = grid.shape;
    shape.insert(shape.begin(), value.size(0));
    return map.reshape(shape).to(value.options()).expand(value.sizes()).contiguous();
}

void addBatch(const ScalarFunction& function, const at::Tensor& baseline, const MaskGrid& grid, const at::Tensor& masks, MaskSums& sums)
{
    const auto& x = function.value();
    auto shape = grid.shape;
    shape.insert(shape.begin(), {masks.size(0), 1});
    const auto weights = masks.to(x.options()).reshape(shape);
    const auto outputs = function.at(at::lerp(baseline.expand(x.sizes()).unsqueeze(0), x.unsqueeze(0), weights).flatten(0, 1), masks.size(0))
                             .to(at::kCPU, at::kDouble)
                             .reshape({masks.size(0), x.size(0)});
    const auto flat = masks.flatten(1).to(at::kDouble);
    sums.first += outputs.t().matmul(flat);
    sums.second += outputs.square().t().matmul(flat.square());
    sums.samples += masks.size(0);
}

AttributionResult rise(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    requireFinite(function, "rise");
    const auto& x = function.value();
    const auto baseline = sampleBaseline(parameters.at("baseline"), x, "rise");
    const MaskGrid grid(x, parameters.at("cells").get<std::int64_t>());
    const double probability = parameters.at("probability").get<double>();
    const auto samples = parameters.at("n_samples").get<std::int64_t>(), perBatch = perturbationsPerBatch(parameters, x.size(0));
    const auto zeros = at::zeros({x.size(0), grid.height * grid.width}, at::kDouble);
    MaskSums sums{zeros.clone(), zeros.clone()};
    for (std::int64_t begin = 0; begin < samples; begin += perBatch) {
        control.report(double(begin), double(samples), "masks");
        std::vector<at::Tensor> masks;
        for (std::int64_t i = begin; i < std::min(begin + perBatch, samples); ++i)
            masks.push_back(grid.mask(probability, core::deriveSeed(seed, std::uint64_t(i), "rise")));
        addBatch(function, baseline, grid, at::stack(masks), sums);
        if (control.partial)
            control.partial(spread(sums.first / (probability * double(sums.samples)), grid, x));
    }
    control.report(double(samples), double(samples), "masks");
    const double n = double(samples);
    AttributionResult result;
    result.attribution = spread(sums.first / (probability * n), grid, x);
    if (samples > 1) {
        const auto variance = (sums.second / n - (sums.first / n).square()).clamp_min(0) * (n / (n - 1));
        result.standardError = spread((variance / n).sqrt() / probability, grid, x);
    }
    result.details = {{"masks", samples}, {"cell", {grid.cellHeight, grid.cellWidth}}};
    return result;
}

}  // namespace

void addRise(AttributionRegistry& registry)
{
    registry.add(
        {"rise",
         "RISE",
         "The average output over random smooth masks that leave a pixel visible: large where seeing the pixel goes with a large output.",
         "Petsiuk, Das & Saenko (2018), \"RISE: Randomized Input Sampling for Explanation of Black-box Models\", arXiv:1806.07421, section 3",
         {core::integer("n_samples", 1000, "Random masks.").range(1, 10000000),
          core::integer("cells", 7, "Cells of the coarse mask along each side of a picture, or along a sequence.").range(1, 4096),
          core::real("probability", 0.5, "How likely a cell is visible.").above(0).below(1), baselineParameter(), perturbationsParameter()}},
        rise);
}

}  // namespace orrery::explain
