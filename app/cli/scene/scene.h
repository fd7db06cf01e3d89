#pragma once
#include "../cli.h"

/// `orrery-cli scene ...`: point clouds, splats, radiance fields. One file a subcommand, one line in scene.cpp.
namespace orrery::cli {

// One declaration a subcommand; each in its own file.

}  // namespace orrery::cli
