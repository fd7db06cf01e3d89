#include <cmath>
#include <iostream>

#include <core/scene/cloud/formats.h>
#include <core/scene/field/surface.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/splat_ply.h>

#include "../model_argument.h"
#include "scene.h"

namespace orrery::cli {
namespace {

struct SceneExportOptions {
    ModelArgument model;
    std::string out, kind;
    scene::SurfaceOptions surface;
};

void checkPly(const std::string& file)
{
    if (!file.ends_with(".ply"))
        throw core::InputError(
            fmt::format("--out: expected a .ply file for Gaussians, got {}; --kind points writes their centres in other formats", file));
}

/// The centres in the colours that all directions share, with their opacities.
scene::TriangleMesh centresOf(const scene::Splats& splats)
{
    scene::TriangleMesh mesh;
    mesh.points.positions = splats.means;
    scene::PointField opacity{"opacity", {}, 0};
    const std::size_t width = 3 * scene::harmonicsOf(splats.degree);
    for (std::size_t i = 0; i < splats.size(); ++i) {
        opacity.values.push_back(1 / (1 + std::exp(-splats.opacities[i])));
        for (std::size_t c = 0; c < 3; ++c) {
            const double colour = 0.5 + 0.28209479177387814 * double(splats.harmonics[width * i + c]);
            mesh.points.colours.push_back(std::uint8_t(std::clamp(colour, 0.0, 1.0) * 255 + 0.5));
        }
    }
    mesh.points.fields.push_back(std::move(opacity));
    return mesh;
}

Exit exportSplats(Session& session, const SceneExportOptions& options, const graph::Model& model)
{
    if (options.kind == "mesh")
        throw core::InputError(fmt::format("--kind mesh: {} holds Gaussians, which have no surface: expected splats or points", options.model.text));
    scene::SplatFile file;
    file.splats = scene::splatsOf(model.weights);
    if (options.kind == "points") {
        scene::writeCloud(options.out, centresOf(file.splats));
    } else {
        checkPly(options.out);
        scene::writeSplatPly(options.out, file);
    }
    if (session.json)
        session.print({{"file", options.out}, {"gaussians", file.splats.size()}, {"degree", file.splats.degree}});
    else
        std::cout << fmt::format("{} Gaussians: {}\n", file.splats.size(), options.out);
    return Exit::Done;
}

Exit exportSurface(Session& session, SceneExportOptions options)
{
    scene::formatForWriting(options.out);  // before the work
    const auto model = options.model.open(session);
    if (scene::isSplatModel(model))
        return exportSplats(session, options, model);
    if (options.kind == "splats")
        throw core::InputError(fmt::format("--kind splats: expected a model of Gaussians, got {}", options.model.text));
    options.surface.triangles = options.kind != "points";
    const scene::FieldView field(model);
    const auto mesh = scene::fieldSurface(field, options.surface, session.stopToken(),
                                          [&](double done) { session.showProgress(100 * done, 100, "%", "sampling"); });
    session.endProgress();
    scene::writeCloud(options.out, mesh);
    if (session.json)
        session.print({{"file", options.out}, {"points", mesh.points.size()}, {"triangles", mesh.triangleCount()}});
    else
        std::cout << fmt::format("{} points and {} triangles: {}\n", mesh.points.size(), mesh.triangleCount(), options.out);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneExport(CLI::App& app)
{
    auto options = std::make_shared<SceneExportOptions>();
    options->model.declare(app);
    app.add_option("--out", options->out, "The file: .ply or another format of clouds and meshes.")->required();
    app.add_option(
           "--kind", options->kind,
           "Of a field mesh (marching cubes; the default) or points (its corners); of Gaussians splats (the default) or points (their centres).")
        ->check(CLI::IsMember({"mesh", "points", "splats"}));
    app.add_option("--resolution", options->surface.resolution, "Places an edge of the scene's cube, 2 to 512.");
    app.add_option("--density", options->surface.density, "Density at the surface, per edge of the cube.");
    return [options](Session& session) { return exportSurface(session, *options); };
}

}  // namespace orrery::cli
