#pragma once
#include "cli.h"

namespace orrery::cli {

// Subcommands of `runs` that are files of their own.
std::function<Exit(Session&)> declareGroups(CLI::App& app);
std::function<Exit(Session&)> declareReproduce(CLI::App& app);
std::function<Exit(Session&)> declareLeaderboard(CLI::App& app);

}  // namespace orrery::cli
