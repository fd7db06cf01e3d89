#include "text_argument.h"

#include <core/train/card_inputs.h>
#include <core/train/text_batch.h>

namespace orrery::cli {

void TextArgument::declare(CLI::App& app, const std::string& help)
{
    auto* const text = app.add_option("--text", texts, help + " Several are one batch, the shorter ones filled up.");
    app.add_option("--pair", pair, "A second text that belongs to each --text, as models for pairs of sentences take it.")->needs(text);
}

graph::Model TextArgument::openModel(Session& session, ModelArgument model) const
{
    if (texts.size() > 1 || pair)
        for (const char* input : {"attention_mask", "token_type_ids"})
            model.keepInputs.push_back(input);
    return model.open(session);
}

std::vector<c10::IValue> TextArgument::inputs(Session& session, const graph::Model& model) const
{
    const auto device = session.chosenDevice();
    if (texts.size() == 1 && !pair && model.graph->data().inputs.size() == 1)
        return {train::textInput(model, texts[0]).to(device)};
    std::vector<train::GivenText> given;
    for (const auto& text : texts)
        given.push_back({text, pair});
    auto values = train::textInputs(model, given);
    for (auto& value : values)
        value = value.toTensor().to(device);
    return values;
}

void declareKeepInput(CLI::App& app, ModelArgument& model)
{
    app.add_option("--keep-input", model.keepInputs,
                   "An input that is otherwise bound to what a single text needs: attention_mask, token_type_ids; may be given several times.");
}

}  // namespace orrery::cli
