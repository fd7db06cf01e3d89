#include "posed_pictures.h"

#include <fmt/format.h>

#include <core/base/files.h>
#include <core/io/image.h>
#include <core/kernels/parallel.h>
#include <core/scene/field/synthesis.h>

namespace orrery::data {
namespace {

using core::Json;

constexpr std::int64_t kMostPixels = std::int64_t(1) << 28;

/// A camera of a picture that was made smaller.
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

/// The pictures of the built-in scene, drawn instead of read.
std::vector<io::Image> drawn(const scene::PosedSet& set)
{
    std::vector<io::Image> out(set.views.size());
    kernels::parallelFor(0, std::int64_t(out.size()), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            out[std::size_t(i)] = scene::renderShapes(set.views[std::size_t(i)].camera).image;
    });
    return out;
}

void readPictures(PosedPictures& out, const std::string& id, const scene::PosedSet& set, int shrink, const std::vector<double>& background)
{
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
        out.cameras.push_back(scene::scaled(view.camera, image.width, image.height));
        out.parts.push_back(view.part);
        out.begins.push_back(out.begins.back() + std::int64_t(image.width) * image.height);
        if (out.begins.back() > kMostPixels)
            throw core::InputError(fmt::format("{}: expected at most {} pixels in all, got more; set `shrink` to {}", id, kMostPixels, 2 * shrink));
        out.pixels.insert(out.pixels.end(), image.pixels.begin(), image.pixels.end());
    }
}

void requireTrainingViews(const std::string& id, const PosedPictures& pictures)
{
    if (std::find(pictures.parts.begin(), pictures.parts.end(), scene::Part::Train) == pictures.parts.end())
        throw core::InputError(fmt::format("{}: expected views to train on, got {} views and none of them for training", id, pictures.parts.size()));
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

}  // namespace

core::Schema posedSchema(core::Parameter limit)
{
    return {
        core::required(core::text(
            "path", "",
            "A transforms.json, a folder with one or with a COLMAP model, or synthetic:shapes, a small scene that is drawn when it is opened.")),
        core::list("box", core::real("", 0, ""), nullptr,
                   "The scene's place: x0, y0, z0, x1, y1, z1; none: as the file says, else from points or cameras.")
            .noneByDefault(),
        core::integer("holdout", 8, "Where the file names no parts: every so-manieth view is for testing, the one behind it for validation.")
            .range(3, 1000),
        core::integer("shrink", 1, "Pictures are made smaller by this factor.").range(1, 64),
        std::move(limit),
        core::list("background", core::real("", 1, "").range(0, 1), {1.0, 1.0, 1.0},
                   "Colour that transparent pictures are laid on: red, green, blue."),
    };
}

PosedPictures readPosedPictures(const std::string& id, const Json& parameters, const std::filesystem::path& base)
{
    const auto background = parameters.at("background").get<std::vector<double>>();
    if (background.size() != 3)
        throw core::InputError(fmt::format("data.background: expected 3 numbers from 0 to 1, got {}", parameters.at("background").dump()));
    scene::PosedSet posed = posedSet(parameters.at("path").get<std::string>(), base);
    scene::assignParts(posed, parameters.at("holdout").get<int>());
    PosedPictures out;
    out.box = chosenBox(parameters.at("box"), posed);
    readPictures(out, id, posed, parameters.at("shrink").get<int>(), background);
    requireTrainingViews(id, out);
    out.points = std::move(posed.points);
    return out;
}

void addToHash(core::Hasher& hasher, const PosedPictures& pictures, std::string_view place)
{
    for (const scene::Camera& camera : pictures.cameras) {
        hasher.add(fmt::format("{} {} {} {} {} {};", camera.width, camera.height, camera.focalX, camera.focalY, camera.centreX, camera.centreY));
        const auto& d = camera.distortion;
        hasher.add(fmt::format("{} {} {} {} {} {} {};", d.k1, d.k2, d.k3, d.k4, d.p1, d.p2, fmt::join(camera.cameraToWorld, " ")));
    }
    hasher.add(place);
    hasher.add(pictures.pixels.data(), pictures.pixels.size());
}

void addToHash(core::Hasher& hasher, const DataSet& set)
{
    for (const Split part : {Split::Train, Split::Val, Split::Test})
        hasher.add(set.split(part).data(), set.split(part).size() * sizeof(std::int64_t));
}

}  // namespace orrery::data
