#include "token_predictions.h"

#include <ATen/ATen.h>

#include <iostream>

#include <core/base/error.h>
#include <core/generate/special_tokens.h>
#include <core/text/card_tokenizer.h>
#include <core/train/predict.h>

#include "printable.h"

namespace orrery::cli {
namespace {

std::string textOf(const text::Tokenizer* tokenizer, std::int64_t token)
{
    return tokenizer ? tokenizer->tokenText(token) : std::to_string(token);
}

core::Json entryFor(const graph::Model& model, const at::Tensor& row, std::size_t top, bool classesAreTokens, const text::Tokenizer* tokenizer)
{
    core::Json classes = core::Json::array();
    const auto rows = train::topClasses(row.unsqueeze(0), model.card, top, graph::outputKind(*model.graph, model.card, /*rank=*/3));
    for (const auto& score : rows.at(0)) {
        const std::string name = classesAreTokens ? textOf(tokenizer, score.index) : score.name.empty() ? std::to_string(score.index) : score.name;
        classes.push_back({{"class", score.index}, {"name", name}, {"probability", score.probability}});
    }
    return classes;
}

}  // namespace

std::optional<core::Json> tokenPredictions(const graph::Model& model, const at::Tensor& tokens, const at::Tensor& output, std::size_t top)
{
    const bool fillsMasks = model.card.task == "masked_language_model", tags = model.card.task == "token_classification";
    if ((!fillsMasks && !tags) || output.dim() != 3 || tokens.dim() != 2)
        return std::nullopt;
    const auto tokenizer = text::tokenizerOf(model.card);
    const auto mask = fillsMasks ? generation::specialTokens(model.card).mask : std::nullopt;
    if (fillsMasks && !mask)
        throw core::InputError("the model fills masks, but neither its card nor its tokenizer says which token is the mask");
    core::Json entries = core::Json::array();
    const at::Tensor read = tokens.to(at::kCPU, at::kLong).contiguous();
    for (std::int64_t sample = 0; sample < read.size(0); ++sample)
        for (std::int64_t position = 0; position < read.size(1); ++position) {
            const auto token = read[sample][position].item<std::int64_t>();
            if (token < 0 || (fillsMasks && token != *mask))
                continue;
            entries.push_back({{"sample", sample},
                               {"position", position},
                               {"token", textOf(tokenizer.get(), token)},
                               {"classes", entryFor(model, output[sample][position], top, fillsMasks, tokenizer.get())}});
        }
    if (fillsMasks && entries.empty())
        throw core::InputError(fmt::format("the model fills masks: expected at least one {} in the text", textOf(tokenizer.get(), *mask)));
    return entries;
}

void printTokenPredictions(const core::Json& predictions)
{
    for (const auto& entry : predictions) {
        std::cout << fmt::format("position {} {}\n", entry["position"].get<std::int64_t>(), tokenCell(entry["token"].get<std::string>()));
        for (const auto& score : entry["classes"])
            std::cout << fmt::format("  {:<20} {:.4f}\n", tokenCell(score["name"].get<std::string>()), score["probability"].get<double>());
    }
}

}  // namespace orrery::cli
