#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

/// Radiance fields. How the training of a scene goes through the ordinary foundation:
///
/// - **Data.** Posed images are the data set `rays`: a sample is a pixel, its input a row (origin x, y, z, direction x, y, z), its target the colour. Rays are
///   standardised like any table: (origin - centre) / size, direction / size, so that the scene lies in the cube [-0.5, 0.5]^3, and distances along a ray stay in
///   the world's unit. Mean and standard deviation go into the model card, and with them any saved model can be asked for a picture of any camera.
/// - **Model.** A field with its renderer is one graph [batch, 6] -> [batch, 3]: sampler, encoding, networks, compositing are nodes, those below are custom
///   operators with autograd. What the renderer knows besides colour (`opacity`, `depth`, `weights`) are values to probe. The occupancy grid is a buffer
///   with an update, as running statistics are: evaluation never changes it, a checkpoint keeps it.
/// - **Training.** An experiment document with a loss of colours; nothing in training knows that it is a field. Gaussians come in by the
///   same door: the data set `views` (input: the camera's row; target: the picture) and a graph that renders a view by one custom operator; their number changes,
///   so core/train has a learner of their own for them.
///
/// All samplers give one form: the samples of all rays one after another. Any thread; results depend on the number of threads only by the rounding of sums
/// over samples in weights' gradients, and not at all for one number of threads.
namespace orrery::scene {

/// Samples on rays. `starts` [ray + 1]: those of ray r are starts[r] .. starts[r + 1].
struct RaySamples {
    at::Tensor positions;  ///< [sample, 3], in the cube [-0.5, 0.5]^3
    at::Tensor rays;       ///< [sample] int64: which ray
    at::Tensor distances;  ///< [sample] along the ray, in lengths of its direction
    at::Tensor
        lengths;  ///< [sample] length of the stretch that the sample stands for, in edges of the cube: densities are by edge, whatever the world's unit
    at::Tensor starts;  ///< [ray + 1] int64
};

/// At equal steps of sqrt(3) / `steps` (edges of the cube) through the cells of the grid whose density exceeds `threshold`, or 0.99 of the grid's mean
/// if that is less.
/// @param rays       [ray, 6] float.
/// @param occupancy  [n, n, n] float: density by cell, z fastest.
/// @param jitter     [ray] or [ray, 1] in [0, 1): where in the steps the samples lie while `training`; else in their middle.
/// @throws core::ShapeError. Source: Mueller et al. (2022), arXiv:2201.05989, appendix E.1.
RaySamples marchRays(const at::Tensor& rays, const at::Tensor& occupancy, const at::Tensor& jitter, bool training, std::int64_t steps,
                     double threshold);
/// The stretch of a ray inside the cube in `samples` equal bins, one sample a bin. @param jitter [ray, samples].
/// Source: Mildenhall et al. (2020), "NeRF", arXiv:2003.08934, equation 2.
RaySamples stratifiedRays(const at::Tensor& rays, const at::Tensor& jitter, bool training, std::int64_t samples);
/// The samples of `coarse` and as many more as `jitter` [ray, more] has columns, drawn from the piecewise-constant density that `weights` [sample] make over the
/// coarse stretches; in order along each ray. Lengths reach from a sample to the next one. Nothing is differentiated. Source: ibid., section 5.2.
RaySamples importanceRays(const at::Tensor& rays, const RaySamples& coarse, const at::Tensor& weights, const at::Tensor& jitter, bool training);

/// A random point in every `share`-th cell, from a random one of the first `share` cells on; none at all unless `training`.
/// @param random  [cells / share + 1, 3] in [0, 1).
struct OccupancySamples {
    at::Tensor positions;  ///< [sample, 3]
    at::Tensor cells;      ///< [sample] int64
};
OccupancySamples occupancySamples(const at::Tensor& occupancy, const at::Tensor& random, bool training, std::int64_t share);
/// max(decay * grid, density) in those cells; the others as they are. A new tensor. Source: Mueller et al. (2022), appendix E.1.
at::Tensor updatedOccupancy(const at::Tensor& occupancy, const at::Tensor& cells, const at::Tensor& density, double decay);

/// Levels of a hash grid: resolution floor(base * growth^level), entries min((resolution + 1)^3, 2^log2Entries) rounded up to eight.
struct HashLevels {
    std::vector<std::int64_t> resolutions, offsets;  ///< offsets: one more than levels, the last is the number of entries
};
HashLevels hashLevels(std::int64_t levels, std::int64_t base, double growth, std::int64_t log2Entries);

/// Multi-resolution hash encoding: trilinear interpolation of table entries at the corners of the cell, level by level.
/// @param positions  [sample, 3] in [-0.5, 0.5]; others are clamped. No gradient flows to them.
/// @param table      [entries, features] float, 1 to 8 features.
/// @return           [sample, levels * features]
/// Source: Mueller et al. (2022), section 3: equation 4 is the hash, levels whose corners fit into the table are indexed directly.
at::Tensor hashEncode(const at::Tensor& positions, const at::Tensor& table, const std::vector<std::int64_t>& resolutions,
                      const std::vector<std::int64_t>& offsets);

/// sin(2^k pi x), cos(2^k pi x) for k below `levels`, x itself first: [sample, 3] -> [sample, 3 + 6 levels]. Source: Mildenhall et al. (2020), equation 4.
at::Tensor frequencyEncode(const at::Tensor& x, std::int64_t levels);
/// Real spherical harmonics of the directions of rays [ray, 6] to degree 3: [ray, 16]. Source: Sloan (2008), "Stupid Spherical Harmonics Tricks", appendix A2.
at::Tensor directionEncode(const at::Tensor& rays);

/// A small network without biases: ReLU between layers, none after the last; weights are [out, in]. Computed in blocks of samples that stay in the cache;
/// the backward pass computes the hidden values once more instead of keeping them.
/// Source: Mueller et al. (2021), "Real-time neural radiance caching for path tracing", arXiv:2106.12372, section 5 (the idea of fusing).
at::Tensor fusedMlp(const at::Tensor& x, const std::vector<at::Tensor>& weights);

/// Which of grid^3 equal cells of the cube each place lies in (z fastest; places outside belong to the nearest cell), and where in it.
struct CellPlaces {
    at::Tensor cells;  ///< [sample] int64
    at::Tensor local;  ///< [sample, 3], -1..1 from wall to wall of the cell
};
CellPlaces cellPlaces(const at::Tensor& positions, std::int64_t grid);
/// One small network a cell: each sample goes through that of its cell. ReLU between layers, none after the last. Samples are brought into the order of their
/// cells and computed in blocks; the backward pass computes hidden values once more. A sample's result does not depend on the others.
/// @param cells    [sample] int64, 0 to the number of networks - 1. @param weights  One a layer, [cell, out, in]. @param biases  One a layer, [cell, out].
/// @throws core::ShapeError. Source: Reiser, Peng, Liao & Geiger (2021), "KiloNeRF", arXiv:2103.13744, section 3.
at::Tensor cellMlp(const at::Tensor& x, const at::Tensor& cells, const std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& biases);

/// Emission and absorption along each ray, sample by sample: alpha = 1 - exp(-density * length), weight = transmittance * alpha.
struct Composited {
    at::Tensor colour;   ///< [ray, 3], background included
    at::Tensor opacity;  ///< [ray]: sum of the weights, 0..1
    at::Tensor depth;    ///< [ray]: sum of weight * distance; divided by the opacity it is the mean distance
    at::Tensor weights;  ///< [sample]
};
/// @param density  [sample], not negative. @param colour  [sample, 3]. @param background  Three values.
/// Source: Mildenhall et al. (2020), equation 3; Max (1995), "Optical models for direct volume rendering", doi:10.1109/2945.468400.
Composited composite(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const std::vector<double>& background);

/// The same from libtorch's operators alone, slowly: what the kernels are tested against. They are differentiable in everything.
namespace reference {
at::Tensor hashEncode(const at::Tensor& positions, const at::Tensor& table, const std::vector<std::int64_t>& resolutions,
                      const std::vector<std::int64_t>& offsets);
at::Tensor mlp(const at::Tensor& x, const std::vector<at::Tensor>& weights);
at::Tensor cellMlp(const at::Tensor& x, const at::Tensor& cells, const std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& biases);
Composited composite(const at::Tensor& density, const at::Tensor& colour, const RaySamples& samples, const std::vector<double>& background);
}  // namespace reference

}  // namespace orrery::scene
