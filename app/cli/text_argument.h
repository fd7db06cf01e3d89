#pragma once
#include <optional>

#include <core/train/text_batch.h>

#include "model_argument.h"

namespace orrery::cli {

/// `--text`, once or several times, and `--pair`: what a model with a tokenizer reads.
struct TextArgument {
    std::vector<std::string> texts;
    std::optional<std::string> pair;
    void declare(CLI::App& app, const std::string& help);
    bool given() const { return !texts.empty(); }
    /// Opens the model; for several texts, or a pair, with its inputs attention_mask and token_type_ids.
    graph::Model openModel(Session& session, ModelArgument model) const;
    /// On the session's device. @throws core::InputError as train::textInputs.
    std::vector<c10::IValue> inputs(Session& session, const graph::Model& model) const;
    /// What a stored result says about them: `text`, one or a list, and `pair`.
    core::Json document() const;

private:
    std::vector<train::GivenText> givenTexts() const;
};

/// `--keep-input`.
void declareKeepInput(CLI::App& app, ModelArgument& model);

}  // namespace orrery::cli
