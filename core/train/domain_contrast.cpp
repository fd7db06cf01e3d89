#include "domain_contrast.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/graph/sequence_limit.h>
#include <core/models/families/checkpoint_card.h>
#include <core/text/card_tokenizer.h>
#include <core/text/training.h>

#include "document_file.h"

namespace orrery::train {
namespace {

using core::Json;

constexpr std::int64_t kLongestBlock = 128;

/// The text's beginning, which is learned from, and its end, which is held out; cut behind a line.
struct TextParts {
    std::string_view learned, heldOut;
};

TextParts partsOf(std::string_view text, double heldOut)
{
    const auto wanted = std::size_t(double(text.size()) * (1 - heldOut));
    const auto line = text.rfind('\n', wanted);
    const std::size_t cut = line == text.npos ? 0 : line + 1;
    if (cut == 0 || cut >= text.size())
        throw core::InputError(fmt::format("expected a text of several lines, got {} bytes", text.size()));
    return {text.substr(0, cut), text.substr(cut)};
}

text::TokenizerPtr ownTokenizer(const text::Tokenizer& general, std::string_view text, const ContrastOptions& options)
{
    text::MergeTraining training;
    training.vocabulary = std::size_t(options.vocabulary > 0 ? options.vocabulary : general.size());
    training.stop = options.stop;
    // The special tokens that the model's config speaks of are in the own vocabulary, too.
    for (const std::int64_t id : general.specialIds())
        if (const auto piece = general.pieceOf(id))
            training.special.push_back(*piece);
    const bool wordPiece = general.kind() == "WordPiece";
    return text::trainTokenizer(wordPiece ? text::TrainedKind::WordPiece : text::TrainedKind::BytePairs, text, training);
}

/// The config with the size of the own vocabulary and its numbers of the special tokens.
Json ownConfig(Json config, const text::Tokenizer& general, const text::Tokenizer& own)
{
    config["vocab_size"] = own.size();
    for (auto& [key, value] : config.items()) {
        if (!std::string_view(key).ends_with("_token_id") || !value.is_number_integer())
            continue;
        const auto piece = general.pieceOf(value.get<std::int64_t>());
        const auto id = piece ? own.idOf(*piece) : std::nullopt;
        value = id ? Json(*id) : Json();
    }
    return config;
}

Json contrastDocument(const std::string& name, const std::string& model, const std::string& tokenizer, const graph::ModelCard& card,
                      std::int64_t block, const ContrastOptions& options)
{
    Json data = {{"id", "text_file"},
                 {"path", std::filesystem::absolute(options.text).string()},
                 {"tokenizer", tokenizer},
                 {"block_length", block},
                 {"split", {{"test", options.test}, {"val", options.val}}}};
    if (card.task == "masked_language_model")
        data["objective"] = "masked";
    return {{"name", name},
            {"model", model},
            {"data", std::move(data)},
            {"train",
             {{"steps", options.steps},
              {"batch_size", options.batch},
              {"optimizer", {{"id", "adamw"}, {"lr", 0.001}}},
              {"schedule", "linear"},
              {"warmup", options.steps / 10},
              {"clip_norm", 1},
              {"weight_decay_exclude", {"**.bias", "**LayerNorm.weight"}}}},
            {"tags", {"domain"}}};
}

std::string jsonOf(const text::Tokenizer& tokenizer)
{
    const Json card = tokenizer.toJson();
    return card.value("kind", "") == "tokenizer_json" ? card["json"].get<std::string>() : std::string();
}

Json countsOf(const text::PieceCounts& counts, std::int64_t size)
{
    return {{"vocabulary", size}, {"pieces", counts.pieces}, {"pieces_per_word", counts.perWord()}, {"unknown", counts.unknown}};
}

}  // namespace

Json Contrast::toJson() const
{
    return {{"scratch", scratch.string()},
            {"continued", continued.string()},
            {"tokens", tokens},
            {"held_out", {{"words", own.words}, {"general", countsOf(general, generalSize)}, {"own", countsOf(own, ownSize)}}}};
}

Contrast writeContrast(const std::string& reference, const graph::Model& model, const ContrastOptions& options)
{
    const Json config = models::families::checkpointConfig(model.card);
    const auto general = text::tokenizerOf(model.card);
    const std::string generalJson = general ? jsonOf(*general) : std::string();
    if (!config.is_object() || !config.contains("vocab_size") || generalJson.empty())
        throw core::InputError(
            fmt::format("{}: expected a language model out of a checkpoint folder, or trained from zoo:bert, with a tokenizer of pieces", reference));
    const bool isLanguageModel = model.card.task == "masked_language_model" || model.card.task == "language_model";
    if (!isLanguageModel)
        throw core::InputError(
            fmt::format("{}: expected a model that fills masks or predicts the next token, got one for \"{}\"", reference, model.card.task));
    const std::string text = core::readFile(options.text);
    const TextParts parts = partsOf(text, options.test + options.val);
    const auto own = ownTokenizer(*general, parts.learned, options);
    const std::int64_t longest = graph::longestSequence(*model.graph, model.card).value_or(kLongestBlock);
    const std::int64_t block = options.block > 0 ? options.block : std::min(longest, kLongestBlock);
    if (block > longest)
        throw core::InputError(fmt::format("block length: expected at most {} tokens, the model's longest sequence, got {}", longest, block));

    Contrast out;
    out.tokens = options.steps * options.batch * block;
    out.generalSize = general->size();
    out.ownSize = own->size();
    out.general = text::countPieces(*general, parts.heldOut).all;
    out.own = text::countPieces(*own, parts.heldOut).all;
    out.scratch = options.folder / "scratch.yaml";
    out.continued = options.folder / "continued.yaml";
    for (const char* part : {"own", "general"})
        std::filesystem::create_directories(options.folder / part);
    core::writeFileAtomically(options.folder / "general" / "tokenizer.json", generalJson);
    core::writeFileAtomically(options.folder / "own" / "tokenizer.json", jsonOf(*own));
    core::writeFileAtomically(options.folder / "own" / "config.json", ownConfig(config, *general, *own).dump(2) + "\n");
    std::error_code ignored;
    const bool isPath = std::filesystem::exists(reference, ignored);
    const std::string start = isPath ? std::filesystem::absolute(reference).string() : reference;
    core::writeFileAtomically(out.scratch,
                              toYaml(contrastDocument("own vocabulary, from scratch", "./own", "own/tokenizer.json", model.card, block, options)));
    core::writeFileAtomically(out.continued,
                              toYaml(contrastDocument("general vocabulary, continued", start, "general/tokenizer.json", model.card, block, options)));
    return out;
}

}  // namespace orrery::train
