// transforms.json as nerfstudio, instant-ngp and Blender's exporters write it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <core/base/error.h>

#include "posed_images.h"
#include "vector.h"

namespace orrery::scene {
namespace {

using core::Json;

constexpr int kMaxSide = 65536;
constexpr std::size_t kMaxFrames = 1'000'000;

/// An object of the document with its place in messages; a key that a frame lacks is looked up in the whole document.
struct Source {
    const Json& own;
    const Json* rest;
    std::string place;

    [[noreturn]] void fail(std::string_view key, std::string_view expected, const Json& found) const
    {
        throw core::FormatError(fmt::format("{}: {}: expected {}, got {}", place, key, expected, found.dump().substr(0, 60)));
    }
    const Json* find(const char* key) const
    {
        for (const Json* object : {&own, rest})
            if (object)
                if (const auto found = object->find(key); found != object->end() && !found->is_null())
                    return &*found;
        return nullptr;
    }
    double number(const char* key, double otherwise) const
    {
        const Json* found = find(key);
        if (!found)
            return otherwise;
        if (!found->is_number() || !std::isfinite(found->get<double>()))
            fail(key, "a finite number", *found);
        return found->get<double>();
    }
    int side(const char* key) const
    {
        const double value = number(key, 0);
        if (value < 0 || value > kMaxSide)
            fail(key, fmt::format("a size of a picture up to {}", kMaxSide), *find(key));
        return int(std::lround(value));
    }
    std::string text(const char* key) const
    {
        const auto found = own.find(key);
        if (found == own.end() || found->is_null())
            return {};
        if (!found->is_string())
            fail(key, "a path", *found);
        return found->get<std::string>();
    }
};

Matrix4 readPose(const Source& frame)
{
    const auto found = frame.own.find("transform_matrix");
    if (found == frame.own.end())
        throw core::FormatError(fmt::format("{}: expected a transform_matrix, got none", frame.place));
    if (!found->is_array() || (found->size() != 4 && found->size() != 3))
        frame.fail("transform_matrix", "four rows of four numbers", *found);
    Matrix4 pose{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    for (std::size_t r = 0; r < found->size(); ++r) {
        const Json& row = (*found)[r];
        if (!row.is_array() || row.size() != 4)
            frame.fail("transform_matrix", "rows of four numbers", row);
        for (std::size_t c = 0; c < 4; ++c) {
            if (!row[c].is_number() || !std::isfinite(row[c].get<double>()) || std::abs(row[c].get<double>()) > 1e12)
                frame.fail("transform_matrix", "finite numbers", row[c]);
            pose[4 * r + c] = row[c].get<double>();
        }
    }
    return pose;
}

/// Columns of one length are a scaled pose: the scale goes. Everything else that is not orthonormal is no camera.
void makeRigid(Matrix4& pose, const Source& frame)
{
    const auto x = axis(pose, 0), y = axis(pose, 1), z = axis(pose, 2);
    const double scale = std::cbrt(dot(cross(x, y), z));
    const double limit = 1e-3;
    const double skew = std::max({std::abs(dot(x, y)), std::abs(dot(y, z)), std::abs(dot(z, x))}) / (scale * scale);
    const double uneven = std::max({std::abs(length(x) / scale - 1), std::abs(length(y) / scale - 1), std::abs(length(z) / scale - 1)});
    if (!(scale > 0) || !(skew < limit) || !(uneven < limit))
        throw core::FormatError(
            fmt::format("{}: transform_matrix: expected a rotation and a translation, got columns that are not at right angles and "
                        "of one length, or a mirrored frame",
                        frame.place));
    if (std::abs(scale - 1) > 1e-6)
        pose = poseOf((1 / scale) * x, (1 / scale) * y, (1 / scale) * z, translation(pose));
}

void checkModel(const Source& frame)
{
    const Json* model = frame.find("camera_model");
    if (!model)
        return;
    static const std::set<std::string> kKnown{"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"};
    if (!model->is_string() || !kKnown.contains(model->get<std::string>()))
        frame.fail("camera_model",
                   "OPENCV, PINHOLE or another perspective camera (fisheye and equirectangular pictures have to be undistorted first)", *model);
}

PosedView readFrame(const Source& frame)
{
    checkModel(frame);
    PosedView view;
    Camera& camera = view.camera;
    camera.image = frame.text("file_path");
    if (camera.image.empty())
        throw core::FormatError(fmt::format("{}: expected a file_path, got none", frame.place));
    view.depth = frame.text("depth_file_path");
    camera.width = frame.side("w");
    camera.height = frame.side("h");
    camera.focalX = frame.number("fl_x", 0);
    camera.focalY = frame.number("fl_y", camera.focalX);
    camera.centreX = frame.number("cx", 0.5 * camera.width);
    camera.centreY = frame.number("cy", 0.5 * camera.height);
    view.angleX = camera.focalX > 0 ? 0 : frame.number("camera_angle_x", 0);
    if (!(camera.focalX > 0 && camera.focalY > 0) && !(view.angleX > 0 && view.angleX < 3.14))
        throw core::FormatError(fmt::format("{}: expected fl_x > 0, or camera_angle_x in radians between 0 and 3.14", frame.place));
    camera.distortion = {frame.number("k1", 0), frame.number("k2", 0), frame.number("k3", 0),
                         frame.number("k4", 0), frame.number("p1", 0), frame.number("p2", 0)};
    camera.cameraToWorld = readPose(frame);
    makeRigid(camera.cameraToWorld, frame);
    if (view.angleX > 0 && camera.width > 0)
        camera.focalX = camera.focalY = 0.5 * camera.width / std::tan(0.5 * view.angleX);
    return view;
}

void readParts(PosedSet& set, const Json& document)
{
    const std::pair<const char*, Part> lists[] = {{"train_filenames", Part::Train}, {"val_filenames", Part::Val}, {"test_filenames", Part::Test}};
    for (const auto& [key, part] : lists) {
        const auto found = document.find(key);
        if (found == document.end() || !found->is_array())
            continue;
        std::set<std::string> names;
        for (const Json& name : *found)
            if (name.is_string())
                names.insert(name.get<std::string>());
        for (PosedView& view : set.views)
            if (names.contains(view.camera.image)) {
                view.part = part;
                view.hasPart = true;
            }
    }
}

void readBox(PosedSet& set, const Json& document, std::string_view name)
{
    const auto found = document.find("scene_box");
    if (found == document.end() || found->is_null())
        return;
    const auto fail = [&] {
        throw core::FormatError(fmt::format("{}: scene_box: expected [[x0, y0, z0], [x1, y1, z1]] with x0 < x1 and so on", name));
    };
    std::array<double, 6> box{};
    for (std::size_t i = 0; i < 6; ++i) {
        if (!found->is_array() || found->size() != 2 || !(*found)[i / 3].is_array() || (*found)[i / 3].size() != 3 ||
            !(*found)[i / 3][i % 3].is_number())
            fail();
        box[i] = (*found)[i / 3][i % 3].get<double>();
    }
    for (std::size_t i = 0; i < 3; ++i)
        if (!std::isfinite(box[i]) || !std::isfinite(box[i + 3]) || !(box[i] < box[i + 3]))
            fail();
    set.box = box;
}

Json matrixRows(const Matrix4& matrix)
{
    Json rows = Json::array();
    for (std::size_t r = 0; r < 4; ++r)
        rows.push_back({matrix[4 * r], matrix[4 * r + 1], matrix[4 * r + 2], matrix[4 * r + 3]});
    return rows;
}

Json intrinsics(const Camera& camera)
{
    const Distortion& d = camera.distortion;
    Json out{{"w", camera.width},     {"h", camera.height},   {"fl_x", camera.focalX},
             {"fl_y", camera.focalY}, {"cx", camera.centreX}, {"cy", camera.centreY}};
    if (!d.isZero())
        out.update(Json{{"k1", d.k1}, {"k2", d.k2}, {"k3", d.k3}, {"k4", d.k4}, {"p1", d.p1}, {"p2", d.p2}});
    return out;
}

}  // namespace

PosedSet parseTransforms(std::string_view bytes, std::string_view name)
{
    const Json document = Json::parse(bytes, nullptr, false);
    if (document.is_discarded() || !document.is_object())
        throw core::FormatError(fmt::format("{}: expected a JSON object with frames", name));
    const auto frames = document.find("frames");
    if (frames == document.end() || !frames->is_array() || frames->empty() || frames->size() > kMaxFrames)
        throw core::FormatError(fmt::format("{}: frames: expected a list of 1 to {} frames", name, kMaxFrames));
    PosedSet set;
    set.format = "transforms";
    for (std::size_t i = 0; i < frames->size(); ++i) {
        const Json& frame = (*frames)[i];
        const std::string place = fmt::format("{}: frame {}", name, i);
        if (!frame.is_object())
            throw core::FormatError(fmt::format("{}: expected an object, got {}", place, frame.dump().substr(0, 40)));
        set.views.push_back(readFrame({frame, &document, place}));
    }
    readParts(set, document);
    readBox(set, document, name);
    return set;
}

Json transformsDocument(const PosedSet& set)
{
    Json document{{"camera_model", "OPENCV"}};
    Json frames = Json::array(), lists[3] = {Json::array(), Json::array(), Json::array()};
    bool shared = true, hasParts = false;
    for (const PosedView& view : set.views)
        shared &= intrinsics(view.camera) == intrinsics(set.views.front().camera);
    if (shared && !set.views.empty())
        document.update(intrinsics(set.views.front().camera));
    for (const PosedView& view : set.views) {
        Json frame{{"file_path", view.camera.image}};
        if (!shared)
            frame.update(intrinsics(view.camera));
        if (!view.depth.empty())
            frame["depth_file_path"] = view.depth;
        frame["transform_matrix"] = matrixRows(view.camera.cameraToWorld);
        frames.push_back(std::move(frame));
        if (view.hasPart)
            lists[std::size_t(view.part)].push_back(view.camera.image);
        hasParts |= view.hasPart;
    }
    if (set.box)
        document["scene_box"] = {{(*set.box)[0], (*set.box)[1], (*set.box)[2]}, {(*set.box)[3], (*set.box)[4], (*set.box)[5]}};
    for (std::size_t i = 0; hasParts && i < 3; ++i)
        document[i == 0 ? "train_filenames" : i == 1 ? "val_filenames" : "test_filenames"] = lists[i];
    document["frames"] = std::move(frames);
    return document;
}

}  // namespace orrery::scene
