// Posed images, one sample a view.
#include "views.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/kernels/parallel.h>
#include <core/scene/camera/camera_row.h>
#include <core/scene/camera/vector.h>

#include "sets.h"

namespace orrery::data {

using core::Json;

Batch ViewSet::fetchChecked(std::span<const std::int64_t> indices) const
{
    const scene::Camera& first = camera(indices.empty() ? 0 : indices[0]);
    Batch batch;
    batch.inputs.push_back(at::empty({std::int64_t(indices.size()), scene::kCameraNumbers}));
    batch.targets = at::empty({std::int64_t(indices.size()), first.height, first.width, 3});
    float *row = batch.inputs[0].data_ptr<float>(), *target = batch.targets.data_ptr<float>();
    for (const std::int64_t index : indices) {
        const scene::Camera& own = camera(index);
        if (own.width != first.width || own.height != first.height)
            throw core::InputError(
                fmt::format("views: expected pictures of one size in a batch, got {} x {} (view {}) and {} x {} (view {}); take batches of 1",
                            first.width, first.height, indices[0], own.width, own.height, index));
        const auto numbers = scene::cameraRow(own);
        row = std::copy(numbers.begin(), numbers.end(), row);
        const auto begin = m_pictures.pixels.begin() + 3 * m_pictures.begins[std::size_t(index)],
                   end = m_pictures.pixels.begin() + 3 * m_pictures.begins[std::size_t(index) + 1];
        target = std::transform(begin, end, target, [](std::uint8_t value) { return float(value) / 255.0f; });
    }
    return batch;
}

std::string ViewSet::computeHash() const
{
    core::Hasher hasher;
    addToHash(hasher, m_pictures, fmt::format("{}", fmt::join(m_pictures.box, " ")));
    for (const auto& point : m_pictures.points)
        hasher.add(fmt::format("{} {};", fmt::join(point.position, " "), fmt::join(point.colour, " ")));
    addToHash(hasher, *this);
    return hasher.hex();
}

namespace {

/// One channel between four pixels; the edge is continued where the lens saw nothing.
double between(const std::vector<std::uint8_t>& pixels, const scene::Camera& camera, double x, double y, std::size_t channel)
{
    x = std::clamp(x, 0.0, camera.width - 1.0);
    y = std::clamp(y, 0.0, camera.height - 1.0);
    const int left = std::min(int(x), std::max(0, camera.width - 2)), top = std::min(int(y), std::max(0, camera.height - 2));
    const int right = std::min(left + 1, camera.width - 1), bottom = std::min(top + 1, camera.height - 1);
    const auto at = [&](int column, int row) {
        return double(pixels[3 * (std::size_t(row) * std::size_t(camera.width) + std::size_t(column)) + channel]);
    };
    const double u = x - left, v = y - top;
    return (1 - v) * ((1 - u) * at(left, top) + u * at(right, top)) + v * ((1 - u) * at(left, bottom) + u * at(right, bottom));
}

/// The picture as a lens without distortion takes it from the same place.
void straighten(scene::Camera& camera, std::span<std::uint8_t> pixels)
{
    const scene::Camera lens = camera;
    const std::vector<std::uint8_t> source(pixels.begin(), pixels.end());
    camera.distortion = {};
    kernels::parallelFor(0, camera.height, 8, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row)
            for (int column = 0; column < camera.width; ++column) {
                const scene::Ray ray = scene::rayThrough(camera, column + 0.5, double(row) + 0.5);
                const scene::Vector3 seen = scene::project(lens, scene::operator+(ray.origin, ray.direction));
                for (std::size_t c = 0; c < 3; ++c)
                    pixels[std::size_t(3 * (row * camera.width + column)) + c] =
                        std::uint8_t(between(source, lens, seen[0] - 0.5, seen[1] - 0.5, c) + 0.5);
            }
    });
}

void straightenAll(PosedPictures& pictures)
{
    for (std::size_t v = 0; v < pictures.cameras.size(); ++v)
        if (!pictures.cameras[v].distortion.isZero())
            straighten(pictures.cameras[v],
                       std::span(pictures.pixels)
                           .subspan(std::size_t(3 * pictures.begins[v]), std::size_t(3 * (pictures.begins[v + 1] - pictures.begins[v]))));
}

SplitLists viewsOfParts(const PosedPictures& pictures)
{
    SplitLists out;
    for (std::size_t v = 0; v < pictures.parts.size(); ++v)
        (pictures.parts[v] == scene::Part::Train ? out.train : pictures.parts[v] == scene::Part::Val ? out.val : out.test).push_back(std::int64_t(v));
    return out;
}

DataSetPtr openViews(const Json& parameters, const std::filesystem::path& base)
{
    PosedPictures pictures = readPosedPictures("views", parameters, base);
    straightenAll(pictures);
    SplitLists splits = viewsOfParts(pictures);
    if (const Json& limit = parameters.at("limit"); !limit.is_null())
        limitSplits(splits, limit.get<std::int64_t>(), 0);
    DataInfo info;
    info.id = "views";
    info.title = "Posed pictures";
    info.kind = DataKind::Table;
    info.task = Task::Regression;
    info.inputs = {{"camera", "float", {"batch", "camera"}}};
    info.target = {"picture", "float", {"batch", "height", "width", "channel"}};
    info.inputShape = {scene::kCameraNumbers};
    info.featureNames = scene::cameraRowNames();
    info.targetNames = {"red", "green", "blue"};
    info.outputSize = 3;
    auto set = std::make_shared<ViewSet>(std::move(pictures));
    DataBuilder::setUp(*set, std::move(info), std::move(splits), {});
    return set;
}

}  // namespace

void addViews(DataRegistry& registry)
{
    registry.add({"views",
                  "Posed pictures",
                  "One sample a picture with its camera: what splats learn from. Pictures of lenses with distortion are straightened. Reads "
                  "transforms.json of nerfstudio, instant-ngp and Blender, and "
                  "COLMAP models.",
                  "Kerbl et al. (2023), \"3D Gaussian Splatting for Real-Time Radiance Field Rendering\", arXiv:2308.04079, section 3",
                  posedSchema(core::integer("limit", 100, "Use at most so many views in all, every part in proportion.").atLeast(3).noneByDefault()),
                  {},
                  {{"camera", "float", {"batch", "camera"}}}},
                 openViews);
}

}  // namespace orrery::data
