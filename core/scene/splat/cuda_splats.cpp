#include "cuda_splats.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/cuda/kernels.h>

namespace orrery::scene::cuda_splats {
namespace {

constexpr const char* kRenderer = "render_splats";
constexpr std::int64_t kMostPairs = std::int64_t(1) << 28;

int indexOf(const at::Tensor& tensor)
{
    return std::max(0, int(tensor.device().index()));
}

cuda::TilePairs tilePairsOf(const Projection& projection, const Picture& picture)
{
    cuda::TilePairs pairs{reinterpret_cast<const Footprint*>(picture.footprints.data_ptr<std::uint8_t>()),
                          picture.owners.data_ptr<std::int32_t>(),
                          picture.starts.data_ptr<std::int64_t>(),
                          projection.width,
                          projection.height,
                          projection.tilesX,
                          projection.tilesY,
                          {}};
    std::copy(projection.options.background.begin(), projection.options.background.end(), pairs.background);
    return pairs;
}

cuda::PictureOut pictureOutOf(const Picture& picture)
{
    return {picture.rgb.data_ptr<float>(),           picture.alpha.data_ptr<float>(),         picture.depth.data_ptr<float>(),
            picture.transmittance.data_ptr<float>(), picture.weightedDepth.data_ptr<float>(), picture.last.data_ptr<std::int32_t>()};
}

/// Which Gaussians each tile sees, front to back: sorted by tile and depth, ties by index.
void fillPairs(const Projection& projection, const cuda::Api& api, std::int64_t count, Picture& picture)
{
    const at::TensorOptions whole = picture.ends.options();
    const std::int64_t pairs = count > 0 ? picture.ends[-1].item<std::int64_t>() : 0, tiles = std::int64_t(projection.tilesX) * projection.tilesY;
    if (pairs > kMostPairs)
        throw core::InputError(fmt::format(
            "splats: expected at most {} pairs of Gaussians and tiles, got {}: move the camera away or make the picture smaller", kMostPairs, pairs));
    const at::Tensor keys = at::empty({pairs}, whole), owners = at::empty({pairs}, whole.dtype(at::kInt));
    const int device = indexOf(picture.ends);
    cuda::check(kRenderer, api.expand(device, reinterpret_cast<const Footprint*>(picture.footprints.data_ptr<std::uint8_t>()),
                                      picture.ends.data_ptr<std::int64_t>(), count, projection.tilesX, keys.data_ptr<std::int64_t>(),
                                      owners.data_ptr<std::int32_t>()));
    const auto [sorted, order] = at::sort(keys, /*stable=*/true, 0, /*descending=*/false);
    picture.order = order;
    picture.owners = owners.index_select(0, order);
    picture.starts = at::empty({tiles + 1}, whole);
    cuda::check(kRenderer, api.tileStarts(device, sorted.data_ptr<std::int64_t>(), pairs, tiles, picture.starts.data_ptr<std::int64_t>()));
}

}  // namespace

Picture render(const SplatsView& splats, const Camera& camera, const SplatRenderOptions& options, const at::Tensor& like)
{
    checkPicture(splats, camera, options);
    const auto& api = cuda::kernels(kRenderer);
    const Projection projection(camera, options, splats.degree);
    const auto numbers = like.options().dtype(at::kFloat).requires_grad(false), whole = numbers.dtype(at::kLong);
    const std::int64_t count = std::int64_t(splats.count), height = camera.height, width = camera.width;
    Picture picture;
    picture.footprints = at::empty({count * std::int64_t(sizeof(Footprint))}, numbers.dtype(at::kByte));
    const at::Tensor counts = at::empty({count}, whole);
    cuda::check(kRenderer, api.project(indexOf(like), projection, splats, reinterpret_cast<Footprint*>(picture.footprints.data_ptr<std::uint8_t>()),
                                       counts.data_ptr<std::int64_t>()));
    picture.ends = counts.cumsum(0);
    fillPairs(projection, api, count, picture);
    picture.rgb = at::empty({height, width, 3}, numbers);
    picture.last = at::empty({height, width}, numbers.dtype(at::kInt));
    for (at::Tensor* plane : {&picture.alpha, &picture.depth, &picture.transmittance, &picture.weightedDepth})
        *plane = at::empty({height, width}, numbers);
    cuda::check(kRenderer, api.blend(indexOf(like), tilePairsOf(projection, picture), pictureOutOf(picture)));
    return picture;
}

std::array<at::Tensor, 5> backward(const SplatsView& splats, const Camera& camera, const SplatRenderOptions& options, const Picture& picture,
                                   const std::array<at::Tensor, 3>& gradients)
{
    const auto& api = cuda::kernels(kRenderer);
    const Projection projection(camera, options, splats.degree);
    const auto numbers = picture.rgb.options();
    const std::int64_t count = std::int64_t(splats.count), coefficients = std::int64_t(harmonicsOf(splats.degree));
    const auto zeros = [&](std::vector<std::int64_t> shape) { return at::zeros(shape, numbers); };
    const std::array<at::Tensor, 5> out{zeros({count, 3}), zeros({count, 3}), zeros({count, 4}), zeros({count}), zeros({count, coefficients, 3})};
    const at::Tensor screen = zeros({count, 2}), radii = zeros({count});
    const at::Tensor pairs = zeros({picture.owners.numel(), std::int64_t(sizeof(FootprintGradient) / sizeof(float))});
    const auto data = [](const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr<float>() : nullptr; };
    auto* const byPair = reinterpret_cast<FootprintGradient*>(pairs.data_ptr<float>());
    cuda::check(kRenderer,
                api.blendBackward(indexOf(picture.rgb), tilePairsOf(projection, picture), pictureOutOf(picture),
                                  {data(gradients[0]), data(gradients[1]), data(gradients[2]), picture.order.data_ptr<std::int64_t>(), byPair}));
    cuda::check(kRenderer, api.projectBackward(indexOf(picture.rgb), projection, splats,
                                               reinterpret_cast<const Footprint*>(picture.footprints.data_ptr<std::uint8_t>()),
                                               picture.ends.data_ptr<std::int64_t>(), byPair,
                                               {data(out[0]), data(out[1]), data(out[2]), data(out[3]), data(out[4]), data(screen), data(radii)}));
    return out;
}

}  // namespace orrery::scene::cuda_splats
