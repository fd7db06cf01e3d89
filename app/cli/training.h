#pragma once
#include <core/jobs/process_engine.h>
#include <core/train/runs.h>

#include "cli.h"

namespace orrery::cli {

/// Adds --engine and --memory-limit.
void addEngineOptions(CLI::App& app, jobs::EngineChoice& choice);

/// Trains a run of the workspace (queued, or to be resumed) where `choice` says, with progress and warnings on standard error. An interrupt stops it cleanly.
/// @param threads  Cores; 0: as --threads says, else all. @throws as train::trainRun; core::InputError for an engine that does not exist.
train::TrainResult trainShown(Session& session, const std::shared_ptr<store::Workspace>& workspace, store::RunId run,
                              const jobs::EngineChoice& choice, int threads = 0);

}  // namespace orrery::cli
