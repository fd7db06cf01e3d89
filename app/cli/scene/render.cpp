// Pictures of splats, meshes and point clouds from given cameras.
#include <ATen/ATen.h>
#include <cmath>
#include <iostream>
#include <numbers>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/image.h>
#include <core/io/npy.h>
#include <core/scene/camera/posed_images.h>
#include <core/scene/cloud/filters.h>
#include <core/scene/cloud/formats.h>
#include <core/scene/raster/zbuffer.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/synthetic.h>

#include "../model_argument.h"
#include "../number_checks.h"
#include "model_pictures.h"
#include "scene.h"

namespace orrery::cli {
namespace {

struct SceneRenderOptions {
    std::string file, cameras, out, format = "png", background;
    std::vector<std::string> outputs{"rgb"};
    int width = 0, height = 0;
    int degree = 3;
    bool antialias = false;
    double pointRadius = 1, nearPlane = 0.01;
    std::vector<double> eye, target{0, 0, 0}, up{0, 0, 1};
    double fov = 50;
    std::string shape = "splat";
    std::vector<double> crop;
};

const std::vector<std::string>& outputNames()
{
    static const std::vector<std::string> names{"rgb", "alpha", "depth", "ids"};
    return names;
}

/// What every kind of scene gives; arrays that were not asked for may be empty.
struct Picture {
    int width = 0, height = 0;
    std::vector<float> rgb, alpha, depth, ids;
};

/// Draws one camera's picture.
using Draw = std::function<Picture(const scene::Camera&)>;

void checkOutputs(const SceneRenderOptions& options)
{
    for (const auto& output : options.outputs)
        if (std::find(outputNames().begin(), outputNames().end(), output) == outputNames().end())
            throw core::InputError(fmt::format("--outputs: expected some of {}, got \"{}\"{}", core::join(outputNames(), ", "), output,
                                               core::didYouMean(output, outputNames())));
    if (options.format == "png" && std::find(options.outputs.begin(), options.outputs.end(), "ids") != options.outputs.end())
        throw core::InputError("--outputs ids: expected --format npy, since numbers of Gaussians do not fit into a picture");
}

std::array<float, 3> parseBackground(const std::string& text)
{
    if (text.empty())
        return {};
    const auto parts = core::split(text, ',');
    std::array<float, 3> colour{};
    bool fits = parts.size() == 3;
    for (std::size_t k = 0; fits && k < 3; ++k) {
        char* end = nullptr;
        colour[k] = std::strtof(parts[k].c_str(), &end);
        fits = end != parts[k].c_str() && *end == '\0' && colour[k] >= 0 && colour[k] <= 1;
    }
    if (!fits)
        throw core::InputError(fmt::format("--background: expected three numbers 0..1 as r,g,b, got \"{}\"", text));
    return colour;
}

/// The box of --crop.
std::optional<std::array<double, 6>> cropOf(const SceneRenderOptions& options)
{
    const auto& box = options.crop;
    if (box.empty())
        return {};
    bool fits = box.size() == 6;
    for (std::size_t k = 0; fits && k < 3; ++k)
        fits = std::isfinite(box[k]) && std::isfinite(box[k + 3]) && box[k] <= box[k + 3];
    if (!fits)
        throw core::InputError(
            fmt::format("--crop: expected six numbers x0,y0,z0,x1,y1,z1, the first three not above the last three, got {}", fmt::join(box, ",")));
    return std::array<double, 6>{box[0], box[1], box[2], box[3], box[4], box[5]};
}

/// How Gaussians are drawn: `how`, changed by the options.
scene::SplatRenderOptions splatOptions(scene::SplatRenderOptions how, const SceneRenderOptions& options, int threads)
{
    if (!options.background.empty())
        how.background = parseBackground(options.background);
    how.degree = options.degree;
    how.shape = options.shape == "ellipsoid" ? scene::SplatShape::Ellipsoid
                : options.shape == "centre"  ? scene::SplatShape::Centre
                                             : scene::SplatShape::Splat;
    how.antialias = how.antialias || options.antialias;
    how.nearPlane = float(options.nearPlane);
    how.wantIds = std::find(options.outputs.begin(), options.outputs.end(), "ids") != options.outputs.end();
    how.threads = threads;
    return how;
}

Draw splatDrawer(const SceneRenderOptions& options, int threads)
{
    const auto file = std::make_shared<scene::SplatFile>(scene::openSplats(options.file));
    if (const auto crop = cropOf(options))
        file->splats = scene::selectSplats(file->splats, scene::splatsInBox(file->splats, *crop));
    const auto rasterizer = std::make_shared<scene::SplatRasterizer>();
    return [file, rasterizer, how = splatOptions({}, options, threads)](const scene::Camera& camera) {
        const auto& image = rasterizer->render(file->splats.view(), camera, how);
        return Picture{image.width, image.height, image.rgb, image.alpha, image.depth, {image.ids.begin(), image.ids.end()}};
    };
}

Draw surfaceDrawer(const SceneRenderOptions& options, const std::stop_token& stop)
{
    const auto cloud = std::make_shared<scene::CloudFile>(scene::readCloud(options.file));
    if (const auto crop = cropOf(options)) {
        const auto& b = *crop;
        jobs::DirectContext context(stop);
        cloud->mesh = scene::applyFilter(cloud->mesh, "crop", {{"low", {b[0], b[1], b[2]}}, {"high", {b[3], b[4], b[5]}}}, 0, context).mesh;
    }
    scene::ZBufferOptions how;
    how.background = parseBackground(options.background);
    how.pointRadius = options.pointRadius;
    how.nearPlane = options.nearPlane;
    return [cloud, how](const scene::Camera& camera) {
        auto image = scene::rasterize(cloud->mesh, camera, how);
        return Picture{image.width,
                       image.height,
                       std::move(image.rgb),
                       {image.mask.begin(), image.mask.end()},
                       {image.depth.begin(), image.depth.end()},
                       {image.ids.begin(), image.ids.end()}};
    };
}

std::vector<float> valuesOf(const at::Tensor& tensor)
{
    if (!tensor.defined())
        return {};
    const at::Tensor values = tensor.to(at::kCPU, at::kFloat).contiguous();
    return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

Draw modelDrawer(const SceneRenderOptions& options, Session& session)
{
    const auto model = ModelArgument{options.file, {}}.open(session);
    const bool splats = scene::isSplatModel(model);
    const bool wantsIds = std::find(options.outputs.begin(), options.outputs.end(), "ids") != options.outputs.end();
    if (wantsIds)
        throw core::InputError(
            fmt::format("--outputs ids: expected a file of Gaussians or points, got {}; export it first: scene export", options.file));
    if (!splats && !options.background.empty())
        throw core::InputError("--background: a radiance field has a background of its own, which it was trained with: leave it out");
    const auto draw =
        modelPictures(model, session.stopToken(), session.threads,
                      splats ? std::optional(splatOptions(scene::splatOptionsOf(model), options, session.threads)) : std::nullopt, cropOf(options));
    return [draw](const scene::Camera& camera) {
        const auto picture = draw(camera);
        return Picture{int(picture.colour.size(1)), int(picture.colour.size(0)), valuesOf(picture.colour),
                       valuesOf(picture.opacity),   valuesOf(picture.depth),     {}};
    };
}

Draw drawerOf(const SceneRenderOptions& options, Session& session)
{
    if (namesModel(options.file))
        return modelDrawer(options, session);
    const int threads = session.threads;
    return scene::holdsSplats(options.file) ? splatDrawer(options, threads) : surfaceDrawer(options, session.stopToken());
}

/// The one camera of --eye and its kin.
scene::Camera ownCamera(const SceneRenderOptions& options)
{
    const auto vector = [](const std::vector<double>& values, const char* name) {
        if (values.size() != 3)
            throw core::InputError(fmt::format("{}: expected three numbers as x,y,z, got {}", name, values.size()));
        return scene::Vector3{values[0], values[1], values[2]};
    };
    if (options.width < 1)
        throw core::InputError("--eye: expected the picture's size, too: --width and --height");
    const auto eye = vector(options.eye, "--eye"), target = vector(options.target, "--target"), up = vector(options.up, "--up");
    try {
        return scene::lookAt(eye, target, up, options.fov * std::numbers::pi / 180, options.width, options.height);
    } catch (const core::Error& error) {
        throw core::InputError(fmt::format("--eye, --target, --up: {}", error.what()));
    }
}

std::vector<scene::Camera> camerasOf(const SceneRenderOptions& options)
{
    if (options.cameras.empty() == options.eye.empty())
        throw core::InputError("expected --cameras FILE or --eye x,y,z, one of the two");
    if (!options.eye.empty())
        return {ownCamera(options)};
    const auto set = scene::parseTransforms(core::readFile(options.cameras), options.cameras);
    std::vector<scene::Camera> cameras;
    for (std::size_t i = 0; i < set.views.size(); ++i) {
        scene::Camera camera = set.views[i].camera;
        const double angle = set.views[i].angleX;
        if (camera.width < 1 || camera.height < 1) {
            // The file leaves the size to its pictures; the centre is the middle then.
            if (options.width < 1 || options.height < 1)
                throw core::InputError(
                    fmt::format("{}: frame {}: expected the picture's size, w and h; give --width and --height", options.cameras, i));
            camera.width = options.width;
            camera.height = options.height;
            camera.centreX = 0.5 * camera.width;
            camera.centreY = 0.5 * camera.height;
            if (angle > 0)
                camera.focalX = camera.focalY = 0.5 * camera.width / std::tan(0.5 * angle);
        } else if (options.width > 0 && options.height > 0) {
            camera = scene::scaled(camera, options.width, options.height);
        }
        cameras.push_back(camera);
    }
    return cameras;
}

struct Channel {
    const std::vector<float>& values;
    int channels;
};

Channel channelOf(const Picture& picture, const std::string& output)
{
    if (output == "rgb")
        return {picture.rgb, 3};
    return {output == "alpha" ? picture.alpha : output == "depth" ? picture.depth : picture.ids, 1};
}

void writeNpy(const std::filesystem::path& file, const Picture& picture, const Channel& channel)
{
    io::Array array;
    array.shape = {picture.height, picture.width, channel.channels};
    array.bytes.assign(reinterpret_cast<const char*>(channel.values.data()), channel.values.size() * sizeof(float));
    io::writeNpy(file, array);
}

/// Depths are for looking at: the nearest is black, the farthest white, and where nothing is is white, too.
std::vector<float> depthGrey(const std::vector<float>& depth)
{
    float low = std::numeric_limits<float>::max(), high = 0;
    for (const float z : depth)
        if (z > 0) {
            low = std::min(low, z);
            high = std::max(high, z);
        }
    std::vector<float> grey;
    for (const float z : depth)
        grey.push_back(z > 0 && high > low ? (z - low) / (high - low) : z > 0 ? 0.0f : 1.0f);
    return grey;
}

void writePng(const std::filesystem::path& file, const Picture& picture, const Channel& channel, bool isDepth)
{
    const auto values = isDepth ? depthGrey(channel.values) : channel.values;
    io::Image image{picture.width, picture.height, channel.channels, {}};
    for (const float value : values)
        image.pixels.push_back(std::uint8_t(std::clamp(value, 0.0f, 1.0f) * 255 + 0.5f));
    io::writePng(file, image);
}

std::string write(const SceneRenderOptions& options, const Picture& picture, const std::string& output, std::size_t index)
{
    const auto file = std::filesystem::path(options.out) / fmt::format("{:05}_{}.{}", index, output, options.format);
    const Channel channel = channelOf(picture, output);
    if (options.format == "npy")
        writeNpy(file, picture, channel);
    else
        writePng(file, picture, channel, output == "depth");
    return file.string();
}

void makeFolder(const std::string& folder)
{
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (!std::filesystem::is_directory(folder))
        throw core::StorageError(fmt::format("--out {}: expected a folder that can be made: {}", folder, error.message()));
}

Exit run(Session& session, const SceneRenderOptions& options)
{
    checkOutputs(options);
    if ((options.width > 0) != (options.height > 0))
        throw core::InputError("--width and --height: expected both or neither");
    cropOf(options);  // a wrong box is told before the work
    const auto cameras = camerasOf(options);
    const Draw draw = drawerOf(options, session);
    makeFolder(options.out);
    core::Json frames = core::Json::array();
    for (std::size_t i = 0; i < cameras.size(); ++i) {
        if (session.stopToken().stop_requested())
            throw core::Cancelled();
        const Picture picture = draw(cameras[i]);
        core::Json files = core::Json::object();
        for (const auto& output : options.outputs)
            files[output] = write(options, picture, output, i);
        frames.push_back({{"image", cameras[i].image}, {"width", picture.width}, {"height", picture.height}, {"files", std::move(files)}});
        session.showProgress(double(i + 1), double(cameras.size()), "pictures");
    }
    session.endProgress();
    if (session.json)
        session.print({{"file", options.file}, {"frames", std::move(frames)}});
    else
        std::cout << fmt::format("{} pictures in {}\n", cameras.size(), options.out);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneRender(CLI::App& app)
{
    auto options = std::make_shared<SceneRenderOptions>();
    app.add_option("FILE", options->file,
                   "PLY of Gaussians, a point cloud or mesh, or a trained scene (run:ID[@STEP]); synthetic:room is made by a rule")
        ->required();
    app.add_option("--cameras", options->cameras, "transforms.json of the cameras (nerfstudio: OpenGL axes, pixel centres at +0.5)")
        ->check(CLI::ExistingFile);
    app.add_option("--eye", options->eye, "one camera instead: where it stands, x,y,z (with --width and --height)")->delimiter(',');
    app.add_option("--target", options->target, "what it looks at, x,y,z; default the origin")->delimiter(',');
    app.add_option("--up", options->up, "what is upwards, x,y,z; default z")->delimiter(',');
    app.add_option("--fov", options->fov, "its vertical field of view, degrees")->check(between(1, 150))->capture_default_str();
    app.add_option("--out", options->out, "folder for the pictures: 00000_rgb.png, 00000_depth.png, ...")->required();
    app.add_option("--outputs", options->outputs, "rgb, alpha, depth (expected depth along the camera's axis), ids (npy only)")
        ->delimiter(',')
        ->capture_default_str();
    app.add_option("--format", options->format, "png: 8 bits, depth stretched to its range; npy: float32 [height, width, channels]")
        ->check(CLI::IsMember({"png", "npy"}))
        ->capture_default_str();
    app.add_option("--background", options->background, "r,g,b in 0..1; default black, for a trained scene what it was trained on");
    app.add_option("--width", options->width, "another size than the cameras' (with --height)")->check(CLI::Range(1, 16384));
    app.add_option("--height", options->height)->check(CLI::Range(1, 16384));
    app.add_option("--degree", options->degree, "spherical harmonics up to this degree")->check(CLI::Range(0, 3))->capture_default_str();
    app.add_option("--shape", options->shape, "how Gaussians are drawn")
        ->check(CLI::IsMember({"splat", "ellipsoid", "centre"}))
        ->capture_default_str();
    app.add_option("--crop", options->crop, "draw only what lies in this box, x0,y0,z0,x1,y1,z1")->delimiter(',');
    app.add_flag("--antialias", options->antialias, "compensate opacities for the low-pass filter");
    app.add_option("--near", options->nearPlane, "nothing nearer than this is drawn")->check(positive())->capture_default_str();
    app.add_option("--point-radius", options->pointRadius, "of the points of a cloud, pixels")->check(notNegative())->capture_default_str();
    return [options](Session& session) { return run(session, *options); };
}

}  // namespace orrery::cli
