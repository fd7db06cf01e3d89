#pragma once
#include "sample_argument.h"

namespace orrery::cli {

/// What debug, profile and diff-run run a model on: files, a sample of a data set, or a text.
struct DebugInputs {
    std::vector<std::string> files;
    SampleArgument sample;
    std::string text;
    void declare(CLI::App& app);
    bool given() const { return !files.empty() || sample.given() || !text.empty(); }
    /// @throws core::InputError unless exactly one kind is given.
    std::vector<c10::IValue> read(Session& session, const ModelArgument& argument, const graph::Model& model) const;
};

}  // namespace orrery::cli
