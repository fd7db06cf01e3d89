#pragma once
#include <memory>

#include <core/intervene/representations.h>

#include "sample_argument.h"

namespace orrery::cli {

/// Which rows of which data: options of the commands that look at representations.
struct RepresentationArgument {
    std::string data, split = "test", position = "auto";
    std::int64_t limit = 1000;
    void declare(CLI::App& app);
    /// Positions and limit; what is looked at is the caller's. @throws core::InputError for unknown positions.
    intervene::CollectRequest request(std::uint64_t seed) const;
};

/// Model and data of a command, opened, with progress on standard error and stopped by SIGINT.
struct Opened {
    graph::Model model;
    graph::Executor executor;
    core::Json document;  ///< of the data
    data::DataSetPtr data;
    intervene::Control control;
    std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
    Opened(Session& session, const ModelArgument& argument, const RepresentationArgument& rows);
    /// The workspace results go to: a named one, if the model is a run of it; else null.
    std::shared_ptr<store::Workspace> storeIn(Session& session, const ModelArgument& argument) const;
    intervene::StudyOrigin origin(const ModelArgument& argument, const RepresentationArgument& rows) const;
};

}  // namespace orrery::cli
