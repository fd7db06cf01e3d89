#include "text_argument.h"

namespace orrery::cli {

void TextArgument::declare(CLI::App& app, const std::string& help)
{
    auto* const text = app.add_option("--text", texts, help + " Several are one batch, the shorter ones filled up.");
    app.add_option("--pair", pairs,
                   "A second text that belongs to the --text, as models for pairs of sentences take it: one for all, or one for each in their order.")
        ->needs(text);
}

std::vector<train::GivenText> TextArgument::givenTexts() const
{
    if (pairs.size() > 1 && pairs.size() != texts.size())
        throw core::InputError(fmt::format("--pair: expected one for all {} texts or one for each, got {}", texts.size(), pairs.size()));
    std::vector<train::GivenText> out;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const std::string pair = pairs.empty() ? "" : pairs.size() == 1 ? pairs[0] : pairs[i];
        out.push_back({texts[i], pair.empty() ? std::nullopt : std::optional(pair)});
    }
    return out;
}

graph::Model openForTexts(Session& session, ModelArgument model, std::span<const train::GivenText> texts)
{
    const auto needed = train::neededInputs(texts);
    model.inputsOfTexts.assign(needed.begin(), needed.end());
    return model.open(session);
}

std::vector<c10::IValue> inputsOfTexts(Session& session, const graph::Model& model, std::span<const train::GivenText> texts)
{
    const auto device = session.chosenDevice();
    auto values = texts.size() == 1 ? train::textInputs(model, texts[0]) : train::textInputs(model, texts);
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
