#include "rasterizer.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include <core/base/error.h>
#include <core/scene/workers.h>

#include "blend.h"
#include "projection_backward_math.h"
#include "tiles.h"

namespace orrery::scene {
namespace {

constexpr int kMaxSide = 16384;

void checkGradient(const std::vector<float>& gradient, std::size_t expected, const char* what)
{
    if (!gradient.empty() && gradient.size() != expected)
        throw core::ShapeError(fmt::format("gradient of {}: expected {} values, got {}", what, expected, gradient.size()));
}

void resize(SplatImage& image, const Camera& camera, const SplatRenderOptions& options)
{
    const auto pixels = std::size_t(camera.width) * std::size_t(camera.height);
    image.width = camera.width;
    image.height = camera.height;
    image.rgb.resize(3 * pixels);
    image.alpha.resize(pixels);
    image.depth.resize(options.wantDepth ? pixels : 0);
    image.ids.resize(options.wantIds ? pixels : 0);
}

}  // namespace

void checkPicture(const SplatsView& splats, const Camera& camera, const SplatRenderOptions& options)
{
    if (camera.width < 1 || camera.height < 1 || camera.width > kMaxSide || camera.height > kMaxSide)
        throw core::InputError(
            fmt::format("camera: expected a picture of 1 to {} pixels a side, got {} x {}", kMaxSide, camera.width, camera.height));
    if (!(camera.focalX > 0) || !(camera.focalY > 0))
        throw core::InputError(fmt::format("camera: expected focal lengths above 0, got {} and {}", camera.focalX, camera.focalY));
    if (!camera.distortion.isZero())
        throw core::InputError("camera: expected a pinhole camera, got one with lens distortion: undistort the pictures first");
    if (options.degree < 0 || options.degree > 3 || splats.degree < 0 || splats.degree > 3)
        throw core::InputError(fmt::format("spherical harmonics: expected a degree of 0 to 3, got {} of {}", options.degree, splats.degree));
    if (!(options.nearPlane > 0) || !(options.farPlane > options.nearPlane))
        throw core::InputError(fmt::format("planes: expected 0 < near < far, got {} and {}", options.nearPlane, options.farPlane));
    if (!(options.lowPass >= 0))
        throw core::InputError(fmt::format("low-pass filter: expected a variance of 0 or more, got {}", options.lowPass));
}

struct SplatRasterizer::State {
    std::optional<Projection> projection;
    int threads = 1;
    std::vector<Footprint> footprints;
    TileLists lists;
    std::vector<float> transmittance, weightedDepth;  ///< [row, column]: what backward starts from
    std::vector<std::int32_t> last;                   ///< [row, column]
    SplatImage image;

    TileWork tileWork(std::size_t tile) const;
    void writeTile(const TileWork& work, const TilePixels& pixels);
    void readTile(const TileWork& work, const SplatImageGradient& gradient, TilePixels& pixels, TileGradient& out) const;
    std::vector<FootprintGradient> sumsByGaussian(const std::vector<FootprintGradient>& byEntry) const;
    /// Calls use(place in the picture, place in the tile) for the tile's pixels that lie in the picture.
    template <class Use>
    void forPixels(const TileWork& work, const Use& use) const
    {
        for (std::size_t row = 0; row < std::size_t(work.rows); ++row)
            for (std::size_t column = 0; column < std::size_t(work.columns); ++column)
                use((std::size_t(work.y0) + row) * std::size_t(image.width) + std::size_t(work.x0) + column, row * kTileSide + column);
    }
};

SplatRasterizer::SplatRasterizer() : m_state(std::make_unique<State>())
{
}
SplatRasterizer::~SplatRasterizer() = default;

TileWork SplatRasterizer::State::tileWork(std::size_t tile) const
{
    TileWork work;
    work.footprints = footprints.data();
    work.sorted = lists.sorted.data();
    work.entries = lists.entries.data() + lists.starts[tile];
    work.count = lists.starts[tile + 1] - lists.starts[tile];
    work.x0 = int(tile % std::size_t(projection->tilesX)) * kTileSide;
    work.y0 = int(tile / std::size_t(projection->tilesX)) * kTileSide;
    work.columns = std::min(kTileSide, image.width - work.x0);
    work.rows = std::min(kTileSide, image.height - work.y0);
    work.wantIds = projection->options.wantIds;
    return work;
}

void SplatRasterizer::State::writeTile(const TileWork& work, const TilePixels& pixels)
{
    const auto& background = projection->options.background;
    const bool wantDepth = projection->options.wantDepth;
    forPixels(work, [&](std::size_t to, std::size_t from) {
        const float t = pixels.transmittance[from];
        image.rgb[3 * to] = pixels.red[from] + t * background[0];
        image.rgb[3 * to + 1] = pixels.green[from] + t * background[1];
        image.rgb[3 * to + 2] = pixels.blue[from] + t * background[2];
        const float alpha = image.alpha[to] = pixels.weight[from];
        transmittance[to] = t;
        weightedDepth[to] = pixels.depth[from];
        last[to] = pixels.last[from];
        if (wantDepth)
            image.depth[to] = alpha > 0 ? pixels.depth[from] / alpha : 0;
        if (work.wantIds)
            image.ids[to] = pixels.id[from];
    });
}

const SplatImage& SplatRasterizer::render(const SplatsView& splats, const Camera& camera, const SplatRenderOptions& options)
{
    checkPicture(splats, camera, options);
    State& s = *m_state;
    s.projection.reset();  // in case an exception leaves the rest half done
    const Projection projection(camera, options, splats.degree);
    s.threads = workerCount(options.threads);
    s.footprints.resize(splats.count);
    shareOut(s.threads, splats.count, 2048, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i)
            s.footprints[i] = footprintOf(projection, splats, i);
    });
    fillTiles(s.footprints, projection.tilesX, projection.tilesY, s.threads, s.lists);
    resize(s.image, camera, options);
    s.transmittance.resize(s.image.alpha.size());
    s.weightedDepth.resize(s.image.alpha.size());
    s.last.resize(s.image.alpha.size());
    s.projection = projection;
    shareOut(s.threads, s.lists.starts.size() - 1, 1, [&](std::size_t tile, std::size_t) {
        TilePixels pixels;
        const TileWork work = s.tileWork(tile);
        blendTile(work, pixels);
        s.writeTile(work, pixels);
    });
    return s.image;
}

SplatFrame SplatRasterizer::frame() const
{
    return {m_state->lists.sorted.size(), m_state->lists.entries.size()};
}

void SplatRasterizer::State::readTile(const TileWork& work, const SplatImageGradient& gradient, TilePixels& pixels, TileGradient& out) const
{
    std::fill(std::begin(pixels.last), std::end(pixels.last), 0);
    std::fill(std::begin(pixels.transmittance), std::end(pixels.transmittance), 1.0f);
    out = {};
    const auto& background = projection->options.background;
    forPixels(work, [&](std::size_t from, std::size_t to) {
        pixels.last[to] = last[from];
        const float t = pixels.transmittance[to] = transmittance[from];
        const float byAlpha = gradient.alpha.empty() ? 0 : gradient.alpha[from];
        if (!gradient.depth.empty() && image.alpha[from] > 0) {
            out.depth[to] = gradient.depth[from] / image.alpha[from];
            out.expected[to] = weightedDepth[from] / image.alpha[from];
        }
        float background3 = 0;
        if (!gradient.rgb.empty()) {
            const float* g = gradient.rgb.data() + 3 * from;
            out.red[to] = g[0];
            out.green[to] = g[1];
            out.blue[to] = g[2];
            background3 = g[0] * background[0] + g[1] * background[1] + g[2] * background[2];
        }
        out.behind[to] = t * (background3 - byAlpha);
    });
}

std::vector<FootprintGradient> SplatRasterizer::State::sumsByGaussian(const std::vector<FootprintGradient>& byEntry) const
{
    // Each thread adds what belongs to its part of the Gaussians, tile after tile: the order of the sums does not depend on the threads.
    const std::size_t count = lists.sorted.size(), parts = std::size_t(threads);
    std::vector<FootprintGradient> sums(count);
    shareOut(threads, parts, 1, [&](std::size_t part, std::size_t) {
        const std::size_t begin = partBegin(count, parts, part), end = partBegin(count, parts, part + 1);
        for (std::size_t e = 0; e < byEntry.size(); ++e) {
            const std::size_t place = lists.entries[e];
            if (place < begin || place >= end)
                continue;
            const FootprintGradient& g = byEntry[e];
            FootprintGradient& sum = sums[place];
            sum.mass += g.mass;
            sum.depth += g.depth;
            for (int k = 0; k < 2; ++k)
                sum.first[k] += g.first[k];
            for (int k = 0; k < 3; ++k) {
                sum.second[k] += g.second[k];
                sum.colour[k] += g.colour[k];
            }
        }
    });
    return sums;
}

SplatGradients SplatRasterizer::backward(const SplatsView& splats, const SplatImageGradient& gradient)
{
    const State& s = *m_state;
    if (!s.projection || s.projection->options.shape != SplatShape::Splat)
        throw core::InputError("gradients: expected a picture of splats to have been rendered before");
    if (splats.count != s.footprints.size())
        throw core::ShapeError(fmt::format("gradients: expected the {} Gaussians of the picture, got {}", s.footprints.size(), splats.count));
    checkGradient(gradient.rgb, s.image.rgb.size(), "rgb");
    checkGradient(gradient.alpha, s.image.alpha.size(), "alpha");
    checkGradient(gradient.depth, s.image.alpha.size(), "depth");
    std::vector<FootprintGradient> byEntry(s.lists.entries.size());
    shareOut(s.threads, s.lists.starts.size() - 1, 1, [&](std::size_t tile, std::size_t) {
        TilePixels pixels;
        TileGradient tileGradient;
        const TileWork work = s.tileWork(tile);
        s.readTile(work, gradient, pixels, tileGradient);
        blendTileBackward(work, pixels, tileGradient, byEntry.data() + s.lists.starts[tile]);
    });
    const auto sums = s.sumsByGaussian(byEntry);
    SplatGradients out;
    out.means.assign(3 * splats.count, 0);
    out.scales.assign(3 * splats.count, 0);
    out.rotations.assign(4 * splats.count, 0);
    out.opacities.assign(splats.count, 0);
    out.harmonics.assign(3 * harmonicsOf(splats.degree) * splats.count, 0);
    out.screen.assign(2 * splats.count, 0);
    out.radii.assign(splats.count, 0);
    const SplatGradientArrays arrays{out.means.data(),     out.scales.data(), out.rotations.data(), out.opacities.data(),
                                     out.harmonics.data(), out.screen.data(), out.radii.data()};
    shareOut(s.threads, sums.size(), 1024, [&](std::size_t begin, std::size_t end) {
        for (std::size_t place = begin; place < end; ++place) {
            const std::size_t index = s.lists.sorted[place];
            projectBackward(*s.projection, splats, index, s.footprints[index], sums[place], arrays);
        }
    });
    return out;
}

}  // namespace orrery::scene
