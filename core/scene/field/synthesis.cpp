#include "synthesis.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <numbers>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/io/npy.h>
#include <core/scene/camera/vector.h>

namespace orrery::scene {
namespace {

void check(const SynthesisOptions& options)
{
    if (options.train < 1 || options.val < 0 || options.test < 0 || options.train + options.val + options.test > 100'000)
        throw core::InputError(fmt::format("expected at least one view for training and at most 100000 in all, got {} + {} + {}", options.train,
                                           options.val, options.test));
    if (options.width < 1 || options.height < 1 || options.width > 8192 || options.height > 8192)
        throw core::InputError(fmt::format("expected pictures of 1 to 8192 pixels a side, got {} x {}", options.width, options.height));
    if (!(options.lowest >= -1 && options.lowest <= options.highest && options.highest <= 1))
        throw core::InputError(fmt::format("expected elevations -1 <= lowest <= highest <= 1, got {} and {}", options.lowest, options.highest));
}

void writeDepth(const std::filesystem::path& file, const RenderedView& view)
{
    io::Array array{io::ElementType::Float32, {view.image.height, view.image.width}, std::string(view.depth.size() * sizeof(float), '\0')};
    std::memcpy(array.bytes.data(), view.depth.data(), array.bytes.size());
    io::writeNpy(file, array);
}

void makeFolder(const std::filesystem::path& folder)
{
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
        throw core::StorageError(fmt::format("{}: cannot make the folder: {}", folder.string(), error.message()));
}

}  // namespace

std::vector<Camera> camerasAround(const std::array<double, 6>& box, int count, int width, int height, double low, double high, double turn)
{
    constexpr double kFov = 0.8;
    const Vector3 middle{0.5 * (box[0] + box[3]), 0.5 * (box[1] + box[4]), 0.5 * (box[2] + box[5])};
    const double size = std::max({box[3] - box[0], box[4] - box[1], box[5] - box[2]});
    // The ball around the cube's faces fills the narrower side of the picture.
    const double narrow = width < height ? std::atan(std::tan(0.5 * kFov) * width / height) : 0.5 * kFov;
    const double distance = 0.56 * size / std::sin(narrow);
    std::vector<Camera> cameras;
    for (int i = 0; i < count; ++i) {
        const double z = low + (high - low) * (i + 0.5) / count, r = std::sqrt(std::max(0.0, 1 - z * z));
        const double angle = turn + i * std::numbers::pi * (3 - std::sqrt(5.0));
        const Vector3 eye = middle + distance * Vector3{r * std::cos(angle), r * std::sin(angle), z};
        const bool steep = r < 1e-3;
        cameras.push_back(lookAt(eye, middle, steep ? Vector3{0, 1, 0} : Vector3{0, 0, 1}, kFov, width, height));
    }
    return cameras;
}

PosedSet plannedViews(const std::array<double, 6>& box, const SynthesisOptions& options)
{
    check(options);
    PosedSet set;
    set.format = "transforms";
    set.box = box;
    const std::tuple<Part, const char*, int, double> parts[] = {
        {Part::Train, "train", options.train, 0.0}, {Part::Val, "val", options.val, 0.7}, {Part::Test, "test", options.test, 1.9}};
    for (const auto& [part, name, count, turn] : parts) {
        int number = 0;
        for (const Camera& camera : camerasAround(box, count, options.width, options.height, options.lowest, options.highest, turn)) {
            PosedView view;
            view.camera = camera;
            view.camera.image = fmt::format("images/{}_{:03}.png", name, number);
            view.depth = options.depth ? fmt::format("depth/{}_{:03}.npy", name, number) : "";
            view.part = part;
            view.hasPart = true;
            set.views.push_back(std::move(view));
            ++number;
        }
    }
    return set;
}

PosedSet synthesize(const std::filesystem::path& folder, const std::array<double, 6>& box, const ViewRenderer& render,
                    const SynthesisOptions& options, jobs::Context& context)
{
    PosedSet set = plannedViews(box, options);
    set.folder = folder;
    makeFolder(folder / "images");
    if (options.depth)
        makeFolder(folder / "depth");
    for (std::size_t i = 0; i < set.views.size(); ++i) {
        context.pausePoint();
        const PosedView& view = set.views[i];
        const RenderedView rendered = render(view.camera);
        io::writePng(folder / view.camera.image, rendered.image);
        if (options.depth)
            writeDepth(folder / view.depth, rendered);
        context.progress(double(i + 1), double(set.views.size()), "views", "rendering");
    }
    core::writeFileAtomically(folder / "transforms.json", transformsDocument(set).dump(1) + "\n");
    return set;
}

}  // namespace orrery::scene
