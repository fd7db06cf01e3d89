#pragma once
#include <core/graph/executor.h>

#include "cli.h"

namespace orrery::cli {

/// Options of every command that takes a MODEL.
struct ModelArgument {
    std::string text, architecture, method = "forward";
    std::vector<std::string> keepInputs;     ///< inputs that stay although they would be bound: attention_mask, token_type_ids
    std::vector<std::string> inputsOfTexts;  ///< the same, where the model has them: what its texts need
    bool keepQuantised = false;
    void declare(CLI::App& app);
    /// Opens the model on the session's device and compute type. `run:ID[@STEP]` looks into the session's workspace.
    /// What was changed, bound, left out or checked while opening goes into `notes`, if given, else into the log.
    /// @throws core::Cancelled after an interrupt; core::InputError for a --keep-input that the model does not have, and what opening throws.
    graph::Model open(Session& session, std::vector<std::string>* notes = nullptr) const;

private:
    void requireKept(const graph::Model& model) const;
    void requireUsed() const;
};

}  // namespace orrery::cli
