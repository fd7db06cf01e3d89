#pragma once
#include <core/data/dataset.h>

#include "model_argument.h"

namespace orrery::cli {

/// `--data ID|PATH --split S --sample N`: inputs taken from a data set, as an alternative to `--input`. With `run:ID` the data default to the run's own.
struct SampleArgument {
    std::string data, split = "test";
    std::vector<std::int64_t> samples;
    void declare(CLI::App& app);
    bool given() const { return !samples.empty(); }
    /// @throws core::InputError without data, for an unknown part or number, or data that the model does not take.
    data::DataSetPtr open(Session& session, const ModelArgument& model) const;
    std::vector<c10::IValue> inputs(const data::DataSet& set, const graph::Model& model) const;
    /// The data document, as stored with results; null if the data are the run's own and it cannot be read.
    core::Json document(Session& session, const ModelArgument& model) const;
};

/// ID of `run:ID` or `run:ID@STEP`; nothing for other models.
std::optional<store::RunId> runOf(const std::string& model);

/// Inputs from `--sample` or `--input`: exactly one of the two. `set` is filled in for the former.
std::vector<c10::IValue> inputsFrom(Session& session, const std::vector<std::string>& files, const SampleArgument& sample,
                                    const ModelArgument& argument, const graph::Model& model, data::DataSetPtr* set = nullptr);

}  // namespace orrery::cli
