// Posed images, one sample a view.
#include "views.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <core/scene/camera/camera_row.h>

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

void refuseDistortion(const PosedPictures& pictures)
{
    for (const auto& camera : pictures.cameras)
        if (!camera.distortion.isZero())
            throw core::InputError(fmt::format(
                "views: {}: expected a camera without lens distortion; undistort the pictures first (colmap image_undistorter)", camera.image));
}

SplitLists partsOf(const PosedPictures& pictures)
{
    SplitLists out;
    for (std::size_t v = 0; v < pictures.parts.size(); ++v)
        (pictures.parts[v] == scene::Part::Train ? out.train : pictures.parts[v] == scene::Part::Val ? out.val : out.test).push_back(std::int64_t(v));
    return out;
}

DataSetPtr openViews(const Json& parameters, const std::filesystem::path& base)
{
    PosedPictures pictures = readPosedPictures("views", parameters, base);
    refuseDistortion(pictures);
    SplitLists splits = partsOf(pictures);
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
                  "One sample a picture with its camera: what splats learn from. Reads transforms.json of nerfstudio, instant-ngp and Blender, and "
                  "COLMAP models.",
                  "Kerbl et al. (2023), \"3D Gaussian Splatting for Real-Time Radiance Field Rendering\", arXiv:2308.04079, section 3",
                  posedSchema(core::integer("limit", 100, "Use at most so many views in all, every part in proportion.").atLeast(3).noneByDefault()),
                  {},
                  {{"camera", "float", {"batch", "camera"}}}},
                 openViews);
}

}  // namespace orrery::data
