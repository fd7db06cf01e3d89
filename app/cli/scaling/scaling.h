#pragma once
#include "../cli.h"

/// `orrery-cli scaling ...`: laws fitted to points, plans, counters, the check of widths. One file a subcommand, one line in scaling.cpp.
namespace orrery::cli {

// One declaration a subcommand; each in its own file.
std::function<Exit(Session&)> declareScalingFit(CLI::App& app);
std::function<Exit(Session&)> declareScalingBootstrap(CLI::App& app);
std::function<Exit(Session&)> declareScalingIsoflop(CLI::App& app);
std::function<Exit(Session&)> declareScalingPlan(CLI::App& app);
std::function<Exit(Session&)> declareScalingCoordCheck(CLI::App& app);
std::function<Exit(Session&)> declareScalingCount(CLI::App& app);
std::function<Exit(Session&)> declareScalingEqualCompute(CLI::App& app);

}  // namespace orrery::cli
