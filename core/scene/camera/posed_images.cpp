#include "posed_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/io/image.h>

#include "vector.h"

namespace orrery::scene {
namespace {

namespace fs = std::filesystem;

bool isFile(const fs::path& path)
{
    std::error_code ignored;
    return fs::is_regular_file(path, ignored);
}

PosedSet readTransformsFile(const fs::path& file)
{
    PosedSet set = parseTransforms(core::readFile(file, std::uint64_t(1) << 30), file.filename().string());
    set.folder = file.parent_path();
    return set;
}

/// Blender's sets have one file a part.
PosedSet readBlender(const fs::path& folder)
{
    PosedSet all;
    const std::pair<const char*, Part> files[] = {
        {"transforms_train.json", Part::Train}, {"transforms_val.json", Part::Val}, {"transforms_test.json", Part::Test}};
    for (const auto& [name, part] : files) {
        if (!isFile(folder / name))
            continue;
        PosedSet set = readTransformsFile(folder / name);
        for (PosedView& view : set.views) {
            view.part = part;
            view.hasPart = true;
        }
        if (all.views.empty())
            all.box = set.box;
        all.views.insert(all.views.end(), set.views.begin(), set.views.end());
    }
    all.format = "transforms";
    all.folder = folder;
    return all;
}

std::optional<PosedSet> readColmap(const fs::path& folder)
{
    for (const char* place : {"", "sparse/0", "sparse", "colmap/sparse/0"}) {
        const fs::path model = folder / place;
        const bool binary = isFile(model / "cameras.bin") && isFile(model / "images.bin"),
                   text = isFile(model / "cameras.txt") && isFile(model / "images.txt");
        if (!binary && !text)
            continue;
        const std::string ending = binary ? ".bin" : ".txt";
        const auto read = [&](const std::string& name) { return core::readFile(model / (name + ending)); };
        const std::string cameras = read("cameras"), images = read("images"), points = isFile(model / ("points3D" + ending)) ? read("points3D") : "";
        const ColmapFiles files{cameras, images, points};
        PosedSet set = binary ? parseColmapBinary(files, model.string()) : parseColmapText(files, model.string());
        std::error_code ignored;
        set.folder = fs::is_directory(folder / "images", ignored) ? folder / "images" : folder;
        return set;
    }
    return {};
}

PosedSet readAny(const fs::path& path)
{
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
        if (!isFile(path))
            throw core::InputError(fmt::format("{}: expected a transforms.json or a folder with posed images, found nothing", path.string()));
        return readTransformsFile(path);
    }
    if (isFile(path / "transforms.json"))
        return readTransformsFile(path / "transforms.json");
    if (isFile(path / "transforms_train.json"))
        return readBlender(path);
    if (auto set = readColmap(path))
        return std::move(*set);
    throw core::InputError(fmt::format(
        "{}: expected transforms.json, transforms_train.json or a COLMAP model (cameras and images, .txt or .bin), found none", path.string()));
}

void findPictures(PosedSet& set)
{
    std::vector<std::string> missing;
    for (PosedView& view : set.views) {
        std::string& image = view.camera.image;
        if (!isFile(set.folder / image) && isFile(set.folder / (image + ".png")))
            image += ".png";
        for (const std::string& file : {image, view.depth})
            if (!file.empty() && !isFile(set.folder / file))
                missing.push_back(file);
    }
    if (missing.empty())
        return;
    const std::vector<std::string> first(missing.begin(), missing.begin() + std::min<std::ptrdiff_t>(3, std::ptrdiff_t(missing.size())));
    throw core::StorageError(fmt::format("{}: {} of the pictures are missing: {}{}; put them there, or take their frames out", set.folder.string(),
                                         missing.size(), fmt::join(first, ", "), missing.size() > 3 ? ", ..." : ""));
}

void takeSizesFromPictures(PosedSet& set)
{
    for (PosedView& view : set.views) {
        Camera& camera = view.camera;
        if (camera.width > 0 && camera.height > 0)
            continue;
        const io::Image picture = io::readImage(set.folder / camera.image);
        if (camera.width == 0 && camera.centreX == 0)
            camera.centreX = 0.5 * picture.width;
        if (camera.height == 0 && camera.centreY == 0)
            camera.centreY = 0.5 * picture.height;
        camera.width = picture.width;
        camera.height = picture.height;
        if (view.angleX > 0)
            camera.focalX = camera.focalY = 0.5 * camera.width / std::tan(0.5 * view.angleX);
    }
}

/// The middle 98 % of each axis: outliers of a reconstruction are far away.
std::array<double, 6> boxOfPoints(const std::vector<ScenePoint>& points)
{
    std::array<double, 6> box{};
    std::vector<double> values(points.size());
    for (std::size_t a = 0; a < 3; ++a) {
        std::transform(points.begin(), points.end(), values.begin(), [&](const ScenePoint& point) { return point.position[a]; });
        std::sort(values.begin(), values.end());
        box[a] = values[values.size() / 100];
        box[a + 3] = values[values.size() - 1 - values.size() / 100];
    }
    return box;
}

/// The point nearest to all optical axes: sum over cameras of (I - d d^T) (p - eye) = 0, solved by Cramer's rule.
Vector3 lookedAt(const PosedSet& set)
{
    Matrix3 a{};
    Vector3 b{};
    for (const PosedView& view : set.views) {
        const Vector3 d = -1.0 * axis(view.camera.cameraToWorld, 2), eye = translation(view.camera.cameraToWorld);
        for (std::size_t r = 0; r < 3; ++r)
            for (std::size_t c = 0; c < 3; ++c) {
                const double value = (r == c ? 1 : 0) - d[r] * d[c];
                a[3 * r + c] += value;
                b[r] += value * eye[c];
            }
    }
    const Vector3 x{a[0], a[3], a[6]}, y{a[1], a[4], a[7]}, z{a[2], a[5], a[8]};
    const double det = dot(x, cross(y, z));
    const double views = double(set.views.size());
    if (std::abs(det) < 1e-9 * views * views * views)  // All axes are parallel: a step ahead of the first camera.
        return translation(set.views[0].camera.cameraToWorld) - axis(set.views[0].camera.cameraToWorld, 2);
    return {dot(b, cross(y, z)) / det, dot(x, cross(b, z)) / det, dot(x, cross(y, b)) / det};
}

std::array<double, 6> cubeAround(const std::array<double, 6>& box)
{
    std::array<double, 6> cube{};
    double half = 0;
    for (std::size_t a = 0; a < 3; ++a)
        half = std::max(half, 0.5 * (box[a + 3] - box[a]));
    half = half > 0 ? half : 1;
    for (std::size_t a = 0; a < 3; ++a) {
        const double middle = 0.5 * (box[a] + box[a + 3]);
        cube[a] = middle - half;
        cube[a + 3] = middle + half;
    }
    return cube;
}

}  // namespace

PosedSet readPosedImages(const fs::path& path)
{
    PosedSet set = readAny(path);
    findPictures(set);
    takeSizesFromPictures(set);
    return set;
}

std::array<double, 6> sceneBox(const PosedSet& set)
{
    if (set.box)
        return cubeAround(*set.box);
    if (set.points.size() >= 8)
        return cubeAround(boxOfPoints(set.points));
    if (set.views.empty())
        throw core::InputError("expected views to find the place of a scene, got none");
    const Vector3 middle = lookedAt(set);
    double distance = 0;
    for (const PosedView& view : set.views)
        distance += length(translation(view.camera.cameraToWorld) - middle) / double(set.views.size());
    const double half = 0.5 * distance;
    return cubeAround({middle[0] - half, middle[1] - half, middle[2] - half, middle[0] + half, middle[1] + half, middle[2] + half});
}

void assignParts(PosedSet& set, int every)
{
    int index = 0;
    for (PosedView& view : set.views) {
        if (view.hasPart)
            continue;
        view.part = index % every == 0 ? Part::Test : index % every == 1 ? Part::Val : Part::Train;
        ++index;
    }
}

}  // namespace orrery::scene
