#include <iostream>

#include <core/scene/cloud/formats.h>
#include <core/scene/field/surface.h>

#include "../model_argument.h"
#include "scene.h"

namespace orrery::cli {
namespace {

struct Options {
    ModelArgument model;
    std::string out, kind = "mesh";
    scene::SurfaceOptions surface;
};

Exit exportSurface(Session& session, Options options)
{
    scene::formatForWriting(options.out);  // before the work
    options.surface.triangles = options.kind == "mesh";
    const scene::FieldView field(options.model.open(session));
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
    auto options = std::make_shared<Options>();
    options->model.declare(app);
    app.add_option("--out", options->out, "The file: .ply or another format of clouds and meshes.")->required();
    app.add_option("--kind", options->kind, "mesh (marching cubes) or points (its corners).")->check(CLI::IsMember({"mesh", "points"}));
    app.add_option("--resolution", options->surface.resolution, "Places an edge of the scene's cube, 2 to 512.");
    app.add_option("--density", options->surface.density, "Density at the surface, per edge of the cube.");
    return [options](Session& session) { return exportSurface(session, *options); };
}

}  // namespace orrery::cli
