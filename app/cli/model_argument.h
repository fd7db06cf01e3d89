#pragma once
#include <core/graph/executor.h>

#include "cli.h"

namespace orrery::cli {

/// Options of every command that takes a MODEL.
struct ModelArgument {
    std::string text, architecture;
    void declare(CLI::App& app);
    /// Opens the model on the session's device and compute type. `run:ID[@STEP]` looks into the session's workspace.
    graph::Model open(Session& session) const;
};

}  // namespace orrery::cli
