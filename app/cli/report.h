#pragma once
#include "cli.h"

namespace orrery::cli {

// The subcommands of `report`: report_items.cpp.
std::function<Exit(Session&)> declareReportAdd(CLI::App& app);
std::function<Exit(Session&)> declareReportList(CLI::App& app);
std::function<Exit(Session&)> declareReportSources(CLI::App& app);
std::function<Exit(Session&)> declareReportCreate(CLI::App& app);
std::function<Exit(Session&)> declareReportMove(CLI::App& app);
std::function<Exit(Session&)> declareReportRemove(CLI::App& app);

}  // namespace orrery::cli
