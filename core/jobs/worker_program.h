#pragma once
#include <filesystem>
#include <optional>

namespace orrery::jobs {

/// The command line beside the running program, or one folder up, whose hidden commands do work in a process of their own. Nothing if there is none.
std::optional<std::filesystem::path> findWorkerProgram();

}  // namespace orrery::jobs
