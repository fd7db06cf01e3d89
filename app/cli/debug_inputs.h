#pragma once
#include "sample_argument.h"
#include "text_argument.h"

namespace orrery::cli {

/// What debug, profile and diff-run run a model on: files, a sample of a data set, texts, or the example of the model card.
struct DebugInputs {
    std::vector<std::string> files;
    SampleArgument sample;
    TextArgument text;
    bool example = false;
    std::string option = "--input";  ///< what the files belong to, for messages
    void declare(CLI::App& app);
    bool given() const { return !files.empty() || sample.given() || text.given() || example; }
    /// Opens the model with the inputs that the texts need.
    graph::Model openModel(Session& session, const ModelArgument& argument) const { return text.openModel(session, argument); }
    /// @throws core::InputError unless exactly one kind is given.
    std::vector<c10::IValue> read(Session& session, const ModelArgument& argument, const graph::Model& model) const;
};

}  // namespace orrery::cli
