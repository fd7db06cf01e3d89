#pragma once
#include <core/train/text_batch.h>

#include "model_argument.h"

namespace orrery::cli {

/// Opens a model that is to read these texts; for several, or a pair, with its inputs attention_mask and token_type_ids.
graph::Model openForTexts(Session& session, ModelArgument model, std::span<const train::GivenText> texts);
/// On the session's device. @throws core::InputError as train::textInputs.
std::vector<c10::IValue> inputsOfTexts(Session& session, const graph::Model& model, std::span<const train::GivenText> texts);

/// `--text`, once or several times, and `--pair`, once for all of them or one for each: what a model with a tokenizer reads.
struct TextArgument {
    std::vector<std::string> texts, pairs;
    void declare(CLI::App& app, const std::string& help);
    bool given() const { return !texts.empty(); }
    graph::Model openModel(Session& session, const ModelArgument& model) const { return openForTexts(session, model, givenTexts()); }
    std::vector<c10::IValue> inputs(Session& session, const graph::Model& model) const { return inputsOfTexts(session, model, givenTexts()); }
    /// What a stored result says about them: `text` and `pair`, lists where there are several.
    core::Json document() const { return train::textDocument(givenTexts()); }
    /// An empty second text is none. @throws core::InputError for pairs that are neither one nor as many as the texts.
    std::vector<train::GivenText> givenTexts() const;
};

/// `--keep-input`.
void declareKeepInput(CLI::App& app, ModelArgument& model);

}  // namespace orrery::cli
