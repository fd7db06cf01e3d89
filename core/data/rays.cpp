// Posed images as rays: one sample a pixel.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <core/base/files.h>
#include <core/base/hash.h>
#include <core/io/image.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/field/synthesis.h>

#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;

constexpr std::int64_t kMostRays = std::int64_t(1) << 28;

/// The pictures of all views in one block of bytes, three a pixel.
struct Pictures {
    std::vector<scene::Camera> cameras;
    std::vector<std::int64_t> begins{0};  ///< first pixel of each view, and the end
    std::vector<std::uint8_t> pixels;
};

/// A camera of a picture that was made smaller.
scene::Camera scaled(scene::Camera camera, int width, int height)
{
    const double x = double(width) / camera.width, y = double(height) / camera.height;
    camera.focalX *= x;
    camera.centreX *= x;
    camera.focalY *= y;
    camera.centreY *= y;
    camera.width = width;
    camera.height = height;
    return camera;
}

io::Image onBackground(const io::Image& image, const std::vector<double>& background)
{
    if (image.channels != 4)
        return io::toChannels(image, 3);
    io::Image out{image.width, image.height, 3, std::vector<std::uint8_t>(std::size_t(image.width) * std::size_t(image.height) * 3)};
    for (std::size_t i = 0; i < out.pixels.size() / 3; ++i) {
        const double alpha = image.pixels[4 * i + 3] / 255.0;
        for (std::size_t c = 0; c < 3; ++c)
            out.pixels[3 * i + c] = std::uint8_t(alpha * image.pixels[4 * i + c] + (1 - alpha) * 255 * background[c] + 0.5);
    }
    return out;
}

/// Sample i is pixel i of all views one after another; its ray is made when it is fetched.
class Rays : public DataSet {
public:
    Rays(Pictures pictures, std::array<double, 6> box) : m_pictures(std::move(pictures)), m_size(box[3] - box[0])
    {
        for (std::size_t a = 0; a < 3; ++a)
            m_middle[a] = 0.5 * (box[a] + box[a + 3]);
    }
    std::int64_t size() const override { return m_pictures.begins.back(); }
    std::vector<double> mean() const { return {m_middle[0], m_middle[1], m_middle[2], 0, 0, 0}; }
    std::vector<double> deviation() const { return std::vector<double>(6, m_size); }

protected:
    Batch fetchChecked(std::span<const std::int64_t> indices) const override
    {
        Batch batch;
        const std::int64_t count = std::int64_t(indices.size());
        batch.inputs.push_back(at::empty({count, 6}));
        batch.targets = at::empty({count, 3});
        float *row = batch.inputs[0].data_ptr<float>(), *target = batch.targets.data_ptr<float>();
        for (const std::int64_t index : indices) {
            const auto view =
                std::size_t(std::upper_bound(m_pictures.begins.begin(), m_pictures.begins.end(), index) - m_pictures.begins.begin()) - 1;
            const scene::Camera& camera = m_pictures.cameras[view];
            const std::int64_t pixel = index - m_pictures.begins[view];
            const scene::Ray ray = scene::rayThrough(camera, double(pixel % camera.width) + 0.5, double(pixel / camera.width) + 0.5);
            for (std::size_t a = 0; a < 3; ++a) {
                row[a] = float((ray.origin[a] - m_middle[a]) / m_size);
                row[3 + a] = float(ray.direction[a] / m_size);
                target[a] = float(m_pictures.pixels[std::size_t(3 * index) + a]) / 255.0f;
            }
            row += 6;
            target += 3;
        }
        return batch;
    }

    std::string computeHash() const override
    {
        core::Hasher hasher;
        for (const scene::Camera& camera : m_pictures.cameras) {
            hasher.add(fmt::format("{} {} {} {} {} {};", camera.width, camera.height, camera.focalX, camera.focalY, camera.centreX, camera.centreY));
            const auto& d = camera.distortion;
            hasher.add(fmt::format("{} {} {} {} {} {} {};", d.k1, d.k2, d.k3, d.k4, d.p1, d.p2, fmt::join(camera.cameraToWorld, " ")));
        }
        hasher.add(fmt::format("{} {}", fmt::join(m_middle, " "), m_size));
        hasher.add(std::string_view(reinterpret_cast<const char*>(m_pictures.pixels.data()), m_pictures.pixels.size()));
        for (const Split part : {Split::Train, Split::Val, Split::Test})
            hasher.add(std::string_view(reinterpret_cast<const char*>(split(part).data()), split(part).size() * sizeof(std::int64_t)));
        return hasher.hex();
    }

private:
    Pictures m_pictures;
    std::array<double, 3> m_middle{};
    double m_size;
};

/// The pictures of the built-in scene, drawn instead of read.
std::vector<io::Image> drawn(const scene::PosedSet& set)
{
    std::vector<io::Image> out(set.views.size());
    at::parallel_for(0, std::int64_t(out.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            out[std::size_t(i)] = scene::renderShapes(set.views[std::size_t(i)].camera).image;
    });
    return out;
}

Pictures readPictures(const scene::PosedSet& set, int shrink, const std::vector<double>& background)
{
    Pictures out;
    const std::vector<io::Image> made = set.folder == scene::kShapesName ? drawn(set) : std::vector<io::Image>();
    for (std::size_t v = 0; v < set.views.size(); ++v) {
        const scene::PosedView& view = set.views[v];
        io::Image image = made.empty() ? io::readImage(set.folder / view.camera.image) : made[v];
        if (image.width != view.camera.width || image.height != view.camera.height)
            throw core::FormatError(fmt::format("{}: expected a picture of {} x {} pixels, as its camera says, got {} x {}", view.camera.image,
                                                view.camera.width, view.camera.height, image.width, image.height));
        image = onBackground(image, background);
        if (shrink > 1)
            image = io::resize(image, std::max(1, image.width / shrink), std::max(1, image.height / shrink));
        out.cameras.push_back(scaled(view.camera, image.width, image.height));
        out.begins.push_back(out.begins.back() + std::int64_t(image.width) * image.height);
        if (out.begins.back() > kMostRays)
            throw core::InputError(fmt::format("rays: expected at most {} pixels in all, got more; set `shrink` to {}", kMostRays, 2 * shrink));
        out.pixels.insert(out.pixels.end(), image.pixels.begin(), image.pixels.end());
    }
    return out;
}

SplitLists partsOf(const scene::PosedSet& set, const Pictures& pictures)
{
    SplitLists out;
    for (std::size_t v = 0; v < set.views.size(); ++v) {
        auto& part = set.views[v].part == scene::Part::Train ? out.train : set.views[v].part == scene::Part::Val ? out.val : out.test;
        for (std::int64_t i = pictures.begins[v]; i < pictures.begins[v + 1]; ++i)
            part.push_back(i);
    }
    if (out.train.empty())
        throw core::InputError(fmt::format("rays: expected views to train on, got {} views and none of them for training", set.views.size()));
    return out;
}

std::array<double, 6> chosenBox(const Json& given, scene::PosedSet& set)
{
    if (!given.is_null()) {
        const auto values = given.get<std::vector<double>>();
        if (values.size() != 6 || !(values[0] < values[3] && values[1] < values[4] && values[2] < values[5]))
            throw core::InputError(fmt::format("data.box: expected x0, y0, z0, x1, y1, z1 with x0 < x1 and so on, got {}", given.dump()));
        set.box.emplace();
        std::copy(values.begin(), values.end(), set.box->begin());
    }
    return scene::sceneBox(set);
}

scene::PosedSet posedSet(const std::string& path, const std::filesystem::path& base)
{
    if (path != scene::kShapesName)
        return scene::readPosedImages(core::resolvePath(path, base));
    scene::PosedSet set = scene::plannedViews(scene::shapesBox(), {});
    set.folder = scene::kShapesName;
    return set;
}

DataSetPtr openRays(const Json& parameters, const std::filesystem::path& base)
{
    const auto background = parameters.at("background").get<std::vector<double>>();
    if (background.size() != 3)
        throw core::InputError(fmt::format("data.background: expected 3 numbers from 0 to 1, got {}", parameters.at("background").dump()));
    scene::PosedSet posed = posedSet(parameters.at("path").get<std::string>(), base);
    scene::assignParts(posed, parameters.at("holdout").get<int>());
    const auto box = chosenBox(parameters.at("box"), posed);
    Pictures pictures = readPictures(posed, parameters.at("shrink").get<int>(), background);
    SplitLists splits = partsOf(posed, pictures);
    if (const Json& limit = parameters.at("limit"); !limit.is_null())
        limitSplits(splits, limit.get<std::int64_t>(), 0);
    DataInfo info;
    info.id = "rays";
    info.title = "Rays of posed images";
    info.kind = DataKind::Table;
    info.task = Task::Regression;
    info.featureNames = {"origin_x", "origin_y", "origin_z", "direction_x", "direction_y", "direction_z"};
    info.targetNames = {"red", "green", "blue"};
    describe(info, {6});
    auto set = std::make_shared<Rays>(std::move(pictures), box);
    info.mean = set->mean();
    info.std = set->deviation();
    DataBuilder::setUp(*set, std::move(info), std::move(splits), {});
    return set;
}

}  // namespace

void addRays(DataRegistry& registry)
{
    registry.add(
        {"rays",
         "Rays of posed images",
         "One sample a pixel: its ray in the cube of the scene, and its colour. Reads transforms.json of nerfstudio, instant-ngp and Blender, and "
         "COLMAP models.",
         "Mildenhall et al. (2020), \"NeRF\", arXiv:2003.08934, section 4",
         {core::required(core::text(
              "path", "",
              "A transforms.json, a folder with one or with a COLMAP model, or synthetic:shapes, a small scene that is drawn when it is opened.")),
          core::list("box", core::real("", 0, ""), nullptr,
                     "The scene's place: x0, y0, z0, x1, y1, z1; none: as the file says, else from points or cameras.")
              .noneByDefault(),
          core::integer("holdout", 8, "Where the file names no parts: every so-manieth view is for testing, the one behind it for validation.")
              .range(3, 1000),
          core::integer("shrink", 1, "Pictures are made smaller by this factor.").range(1, 64),
          core::integer("limit", 100'000, "Use at most so many rays in all, every part in proportion.").atLeast(3).noneByDefault(),
          core::list("background", core::real("", 1, "").range(0, 1), {1.0, 1.0, 1.0},
                     "Colour that transparent pictures are laid on: red, green, blue.")},
         {},
         {{"table", "float", {"batch", "feature"}}}},
        openRays);
}

}  // namespace orrery::data
