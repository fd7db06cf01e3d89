#include <iostream>

#include <core/scene/cloud/formats.h>
#include <core/scene/field/synthesis.h>
#include <core/scene/raster/zbuffer.h>

#include "scene.h"

namespace orrery::cli {
namespace {

struct SceneSynthesizeOptions {
    std::string folder, from;
    scene::SynthesisOptions views;
    int size = 0;
    bool noDepth = false;
};

std::array<double, 6> boxOf(const scene::PointCloud& cloud)
{
    std::array<double, 6> box{1e300, 1e300, 1e300, -1e300, -1e300, -1e300};
    for (std::size_t i = 0; i < cloud.positions.size(); ++i) {
        box[i % 3] = std::min(box[i % 3], double(cloud.positions[i]));
        box[i % 3 + 3] = std::max(box[i % 3 + 3], double(cloud.positions[i]));
    }
    double half = 0;
    for (std::size_t a = 0; a < 3; ++a)
        half = std::max(half, 0.52 * (box[a + 3] - box[a]));
    half = half > 0 ? half : 1;
    for (std::size_t a = 0; a < 3; ++a) {
        const double middle = 0.5 * (box[a] + box[a + 3]);
        box[a] = middle - half;
        box[a + 3] = middle + half;
    }
    return box;
}

/// The camera of a picture twice as large on each side.
scene::Camera doubled(scene::Camera camera)
{
    camera.width *= 2;
    camera.height *= 2;
    for (double* value : {&camera.focalX, &camera.focalY, &camera.centreX, &camera.centreY})
        *value *= 2;
    return camera;
}

/// Four places a pixel make its colour and coverage; depth is that of the pixel's middle.
scene::RenderedView renderMesh(const scene::TriangleMesh& mesh, const scene::Camera& camera)
{
    scene::ZBufferOptions options;
    options.shading = mesh.triangles.empty() ? scene::Shading::Flat : scene::Shading::Lambert;
    const auto middle = scene::rasterize(mesh, camera, options);
    options.pointRadius *= 2;
    const auto fine = scene::rasterize(mesh, doubled(camera), options);
    scene::RenderedView view;
    view.image = {camera.width, camera.height, 4, std::vector<std::uint8_t>(4 * middle.mask.size())};
    for (int y = 0; y < camera.height; ++y)
        for (int x = 0; x < camera.width; ++x) {
            const std::size_t i = std::size_t(y) * std::size_t(camera.width) + std::size_t(x);
            float sum[3] = {};
            int hits = 0;
            for (const int part : {0, 1, 2, 3}) {
                const std::size_t j = std::size_t(2 * y + part / 2) * std::size_t(fine.width) + std::size_t(2 * x + part % 2);
                hits += fine.mask[j];
                for (std::size_t c = 0; fine.mask[j] && c < 3; ++c)
                    sum[c] += fine.rgb[3 * j + c];
            }
            for (std::size_t c = 0; hits && c < 3; ++c)
                view.image.pixels[4 * i + c] = std::uint8_t(255 * std::min(1.0f, sum[c] / float(hits)) + 0.5f);
            view.image.pixels[4 * i + 3] = std::uint8_t(255 * hits / 4);
        }
    for (std::size_t i = 0; i < middle.mask.size(); ++i)
        view.depth.push_back(middle.mask[i] ? float(middle.depth[i]) : std::numeric_limits<float>::infinity());
    return view;
}

Exit synthesize(Session& session, SceneSynthesizeOptions options)
{
    if (options.size > 0)
        options.views.width = options.views.height = options.size;
    options.views.depth = !options.noDepth;
    auto box = scene::shapesBox();
    scene::ViewRenderer render = [](const scene::Camera& camera) { return scene::renderShapes(camera); };
    std::shared_ptr<scene::CloudFile> file;
    if (!options.from.empty()) {
        file = std::make_shared<scene::CloudFile>(scene::readCloud(options.from));
        box = boxOf(file->mesh.points);
        render = [file](const scene::Camera& camera) { return renderMesh(file->mesh, camera); };
    }
    jobs::DirectContext context(session.stopToken());
    context.onProgress = [&](const jobs::Progress& progress) { session.showProgress(progress.done, progress.total, progress.unit, progress.phase); };
    const auto set = scene::synthesize(options.folder, box, render, options.views, context);
    session.endProgress();
    const auto document = (std::filesystem::path(options.folder) / "transforms.json").string();
    if (session.json)
        session.print({{"transforms", document}, {"views", set.views.size()}, {"box", box}});
    else
        std::cout << fmt::format("{} views of {} x {} pixels: {}\n", set.views.size(), options.views.width, options.views.height, document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneSynthesize(CLI::App& app)
{
    auto options = std::make_shared<SceneSynthesizeOptions>();
    app.add_option("folder", options->folder, "Where transforms.json, images and depth go; it is made.")->required();
    app.add_option("--from", options->from, "A mesh or point cloud; without it a small built-in scene.");
    app.add_option("--views", options->views.train, "Views for training.");
    app.add_option("--val", options->views.val, "Views for validation.");
    app.add_option("--test", options->views.test, "Views for testing.");
    app.add_option("--size", options->size, "Pixels a side; default 128.");
    app.add_option("--lowest", options->views.lowest, "Sine of the lowest elevation, -1 to 1.");
    app.add_option("--highest", options->views.highest, "Sine of the highest elevation, -1 to 1.");
    app.add_flag("--no-depth", options->noDepth, "Write no depth files.");
    return [options](Session& session) { return synthesize(session, *options); };
}

}  // namespace orrery::cli
