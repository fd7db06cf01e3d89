#include "text_argument.h"

namespace orrery::cli {

void TextArgument::declare(CLI::App& app, const std::string& help)
{
    auto* const text = app.add_option("--text", texts, help + " Several are one batch, the shorter ones filled up.");
    app.add_option("--pair", pair, "A second text that belongs to each --text, as models for pairs of sentences take it.")->needs(text);
}

std::vector<train::GivenText> TextArgument::givenTexts() const
{
    std::vector<train::GivenText> out;
    for (const auto& text : texts)
        out.push_back({text, pair});
    return out;
}

graph::Model TextArgument::openModel(Session& session, ModelArgument model) const
{
    const auto needed = train::neededInputs(givenTexts());
    model.keepInputs.insert(model.keepInputs.end(), needed.begin(), needed.end());
    return model.open(session);
}

std::vector<c10::IValue> TextArgument::inputs(Session& session, const graph::Model& model) const
{
    const auto device = session.chosenDevice();
    const auto given = givenTexts();
    auto values = given.size() == 1 ? train::textInputs(model, given[0]) : train::textInputs(model, given);
    for (auto& value : values)
        value = value.toTensor().to(device);
    return values;
}

core::Json TextArgument::document() const
{
    core::Json out = {{"text", texts.size() == 1 ? core::Json(texts[0]) : core::Json(texts)}};
    if (pair)
        out["pair"] = *pair;
    return out;
}

void declareKeepInput(CLI::App& app, ModelArgument& model)
{
    app.add_option("--keep-input", model.keepInputs,
                   "An input that is otherwise bound to what a single text needs: attention_mask, token_type_ids; may be given several times.");
}

}  // namespace orrery::cli
