#pragma once
#include "../cli.h"

/// `orrery-cli scene ...`: point clouds, splats, radiance fields. One file a subcommand, one line in scene.cpp.
namespace orrery::cli {

// One declaration a subcommand; each in its own file.
std::function<Exit(Session&)> declareSceneInfo(CLI::App& app);
std::function<Exit(Session&)> declareSceneConvert(CLI::App& app);
std::function<Exit(Session&)> declareSceneFilter(CLI::App& app);
std::function<Exit(Session&)> declareSceneSynthesize(CLI::App& app);
std::function<Exit(Session&)> declareSceneRender(CLI::App& app);
std::function<Exit(Session&)> declareSceneEval(CLI::App& app);
std::function<Exit(Session&)> declareSceneExport(CLI::App& app);
std::function<Exit(Session&)> declareSceneGraph(CLI::App& app);
std::function<Exit(Session&)> declareSceneDistill(CLI::App& app);

}  // namespace orrery::cli
