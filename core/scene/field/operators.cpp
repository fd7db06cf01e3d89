// The kernels of radiance fields as operators of graphs: `orrery::...`.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "field.h"

namespace orrery::scene {
namespace {

using Five = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;

Five tupleOf(const RaySamples& samples)
{
    return {samples.positions, samples.rays, samples.distances, samples.lengths, samples.starts};
}

Five march(const at::Tensor& rays, const at::Tensor& occupancy, const at::Tensor& jitter, bool training, std::int64_t steps, double threshold)
{
    return tupleOf(marchRays(rays, occupancy, jitter, training, steps, threshold));
}

Five stratified(const at::Tensor& rays, const at::Tensor& jitter, bool training)
{
    return tupleOf(stratifiedRays(rays, jitter, training, jitter.size(-1)));
}

Five importance(const at::Tensor& rays, const at::Tensor& distances, const at::Tensor& weights, const at::Tensor& jitter, bool training)
{
    RaySamples coarse;
    coarse.distances = distances;
    return tupleOf(importanceRays(rays, coarse, weights, jitter, training));
}

std::tuple<at::Tensor, at::Tensor> occupancyPoints(const at::Tensor& occupancy, const at::Tensor& random, bool training, std::int64_t share)
{
    const OccupancySamples samples = occupancySamples(occupancy, random, training, share);
    return {samples.positions, samples.cells};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> compositeRays(const at::Tensor& density, const at::Tensor& colour,
                                                                         const at::Tensor& distances, const at::Tensor& lengths,
                                                                         const at::Tensor& starts, c10::ArrayRef<double> background)
{
    RaySamples samples;
    samples.distances = distances;
    samples.lengths = lengths;
    samples.starts = starts;
    const Composited out = composite(density, colour, samples, background.vec());
    return {out.colour, out.opacity, out.depth, out.weights};
}

at::Tensor hash(const at::Tensor& positions, const at::Tensor& table, at::IntArrayRef resolutions, at::IntArrayRef offsets)
{
    return hashEncode(positions, table, resolutions.vec(), offsets.vec());
}

std::tuple<at::Tensor, at::Tensor> placesInCells(const at::Tensor& positions, std::int64_t grid)
{
    const CellPlaces places = cellPlaces(positions, grid);
    return {places.cells, places.local};
}

at::Tensor cellNetworks(const at::Tensor& x, const at::Tensor& cells, at::TensorList weights, at::TensorList biases)
{
    return cellMlp(x, cells, weights.vec(), biases.vec());
}

at::Tensor network(const at::Tensor& x, at::TensorList weights)
{
    return fusedMlp(x, weights.vec());
}

}  // namespace

// Registered for all keys: each is a function of tensors that records its own backward pass.
TORCH_LIBRARY_FRAGMENT(orrery, library)
{
    library.def("march_rays(Tensor rays, Tensor occupancy, Tensor jitter, bool training, int steps, float threshold)"
                " -> (Tensor positions, Tensor ray, Tensor distances, Tensor lengths, Tensor starts)",
                march);
    library.def("stratified_rays(Tensor rays, Tensor jitter, bool training)"
                " -> (Tensor positions, Tensor ray, Tensor distances, Tensor lengths, Tensor starts)",
                stratified);
    library.def("importance_rays(Tensor rays, Tensor distances, Tensor weights, Tensor jitter, bool training)"
                " -> (Tensor positions, Tensor ray, Tensor distances, Tensor lengths, Tensor starts)",
                importance);
    library.def("occupancy_points(Tensor occupancy, Tensor random, bool training, int share) -> (Tensor positions, Tensor cells)", occupancyPoints);
    library.def("occupancy_update(Tensor occupancy, Tensor cells, Tensor density, float decay) -> Tensor", updatedOccupancy);
    library.def("hash_encode(Tensor positions, Tensor table, int[] resolutions, int[] offsets) -> Tensor", hash);
    library.def("frequency_encode(Tensor x, int levels) -> Tensor", frequencyEncode);
    library.def("direction_encode(Tensor rays) -> Tensor", directionEncode);
    library.def("fused_mlp(Tensor x, Tensor[] weights) -> Tensor", network);
    library.def("cell_places(Tensor positions, int grid) -> (Tensor cells, Tensor local)", placesInCells);
    library.def("cell_mlp(Tensor x, Tensor cells, Tensor[] weights, Tensor[] biases) -> Tensor", cellNetworks);
    library.def("composite(Tensor density, Tensor colour, Tensor distances, Tensor lengths, Tensor starts, float[] background)"
                " -> (Tensor colour, Tensor opacity, Tensor depth, Tensor weights)",
                compositeRays);
}

}  // namespace orrery::scene
