#include "scene.h"

namespace orrery::cli {
namespace {

/// The subcommands of `scene`, in the order of the help. The one list: one file and one line each.
const std::vector<Command>& sceneCommands()
{
    static const std::vector<Command> list = {
        {"info", "What a file of points holds: format, points, fields with their ranges, bounds.", declareSceneInfo},
        {"convert", "Write points or a mesh in another format.", declareSceneConvert},
        {"filter", "Apply filters to points: voxels, outliers, normals, planes, clusters.", declareSceneFilter},
        {"synthesize", "Make posed images with exact cameras and depth of a mesh, a cloud or a built-in scene.", declareSceneSynthesize},
        {"train", "Train a field as an experiment document says.", declareTrain},
        {"render", "Pictures of splats, a mesh or a cloud from given cameras.", declareSceneRender},
        {"eval", "PSNR and SSIM of a trained field on posed images.", declareSceneEval},
        {"export", "Surface of a trained field as a mesh or points.", declareSceneExport},
        {"graph", "The graph that a model learned between points, as a cloud with edges.", declareSceneGraph},
        {"distill", "A trained field as a grid of tiny networks that is drawn faster (KiloNeRF).", declareSceneDistill},
    };
    return list;
}

}  // namespace

std::function<Exit(Session&)> declareScene(CLI::App& app)
{
    return declareGroup(app, sceneCommands());
}

}  // namespace orrery::cli
