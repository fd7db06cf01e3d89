#include <fmt/format.h>

#include <charconv>
#include <iostream>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/text/card_tokenizer.h>
#include <core/text/comparison.h>
#include <core/text/training.h>
#include <core/text/unicode.h>
#include <core/train/domain_contrast.h>

#include "arrays.h"
#include "model_argument.h"

namespace orrery::cli {
namespace {

struct TokenizeOptions {
    std::vector<std::string> tokenizers;
    std::string text, file, decode;
    std::optional<std::string> pair;
    bool ids = false, plain = false, ownLimits = false;
};

/// A tokenizer with what it makes of the text.
struct Tokenized {
    std::string name;
    text::TokenizerPtr tokenizer;
    text::Encoding encoding;
    text::TextCounts counts;
};

constexpr const char* kTokenizerForms =
    "tokenizer.json, vocab.txt, vocab.json, a SentencePiece model (.model), a list of words (.words), a folder with one of "
    "them, a MODEL, or bytes";

text::TokenizerPtr openNamed(Session& session, const std::string& name)
{
    std::error_code error;
    if (name != "bytes" && name.find(':') == std::string::npos && !std::filesystem::exists(core::resolvePath(name), error))
        throw core::InputError(fmt::format("{}: no such file or folder; expected {}", name, kTokenizerForms));
    return text::namedTokenizer(name, [&](const std::string& argument) {
        ModelArgument model;
        model.text = argument;
        return model.open(session).card;
    });
}

std::string scriptOfToken(const text::Encoding& encoding, std::size_t i, std::string_view text)
{
    const auto span = encoding.offsets[i];
    const auto part = text.substr(std::min<std::size_t>(span.begin, text.size()), span.end - span.begin);
    return encoding.special[i] ? "" : text::scriptName(text::mainScript(text::withReplacements(part)));
}

core::Json countsJson(const text::PieceCounts& counts)
{
    return {{"words", counts.words},
            {"characters", counts.characters},
            {"pieces", counts.pieces},
            {"unknown", counts.unknown},
            {"dropped", counts.dropped},
            {"split_words", counts.splitWords},
            {"pieces_per_word", counts.perWord()},
            {"pieces_per_character", counts.perCharacter()}};
}

core::Json tokensJson(const Tokenized& made, const std::string& text, const std::optional<std::string>& pair)
{
    auto list = core::Json::array();
    const auto& encoding = made.encoding;
    for (std::size_t i = 0; i < encoding.size(); ++i) {
        const bool ofPair = encoding.sequenceIds[i] == 1;
        list.push_back({{"id", encoding.ids[i]},
                        {"piece", text::escaped(encoding.tokens[i])},
                        {"text", made.tokenizer->tokenText(encoding.ids[i])},
                        {"begin", encoding.offsets[i].begin},
                        {"end", encoding.offsets[i].end},
                        {"word", encoding.wordIds[i] < 0 ? core::Json() : core::Json(encoding.wordIds[i])},
                        {"type", encoding.typeIds[i]},
                        {"special", encoding.special[i] != 0},
                        {"script", scriptOfToken(encoding, i, ofPair ? *pair : text)}});
    }
    return list;
}

core::Json tokenizedJson(const Tokenized& made, const TokenizeOptions& options, const std::string& text)
{
    core::Json json = {
        {"name", made.name}, {"kind", made.tokenizer->kind()}, {"size", made.tokenizer->size()}, {"counts", countsJson(made.counts.all)}};
    json["comes_back"] = made.counts.comesBack;
    json["scripts"] = core::Json::array();
    for (const auto& script : made.counts.scripts) {
        core::Json entry = {{"script", script.script}};
        entry.update(countsJson(script.counts));
        json["scripts"].push_back(std::move(entry));
    }
    if (options.file.empty()) {
        json["tokens"] = tokensJson(made, text, options.pair);
        json["dropped"] = core::Json::array();
        for (const auto& part : text::droppedParts(made.encoding, text))
            json["dropped"].push_back(
                {{"begin", part.begin}, {"end", part.end}, {"text", text::withReplacements(text.substr(part.begin, part.end - part.begin))}});
    }
    json["ids"] = made.encoding.ids;
    return json;
}

void printTokens(const Tokenized& made, const std::string& text, const std::optional<std::string>& pair)
{
    std::cout << fmt::format("{:>5} {:>7} {:>11} {:>5}  {:<12} {}\n", "token", "id", "bytes", "word", "script", "text");
    const auto& encoding = made.encoding;
    const auto dropped = text::droppedParts(encoding, text);
    auto next = dropped.begin();
    const auto printDropped = [&](std::size_t before) {
        for (; next != dropped.end() && next->begin < before; ++next)
            std::cout << fmt::format("{:>5} {:>7} {:>11} {:>5}  {:<12} {}\n", "", "", fmt::format("{}-{}", next->begin, next->end), "", "(dropped)",
                                     text.substr(next->begin, next->end - next->begin));
    };
    for (std::size_t i = 0; i < encoding.size(); ++i) {
        const auto& span = encoding.offsets[i];
        if (encoding.sequenceIds[i] == 0 && !encoding.special[i])
            printDropped(span.begin);
        const bool special = encoding.special[i];
        std::cout << fmt::format(
            "{:>5} {:>7} {:>11} {:>5}  {:<12} {}\n", i, encoding.ids[i], special ? "" : fmt::format("{}-{}", span.begin, span.end),
            encoding.wordIds[i] < 0 ? "" : std::to_string(encoding.wordIds[i]),
            special ? "(special)" : scriptOfToken(encoding, i, encoding.sequenceIds[i] == 1 ? *pair : text),
            made.tokenizer->unknownId() == encoding.ids[i] ? encoding.tokens[i] + " (unknown)" : made.tokenizer->tokenText(encoding.ids[i]));
    }
    printDropped(text.size());
}

void printCounts(const std::vector<Tokenized>& all)
{
    std::cout << fmt::format("{:<28} {:<10} {:>7} {:>8} {:>9} {:>10} {:>11} {:>8} {:>8}  {}\n", "tokenizer", "kind", "size", "pieces", "per word",
                             "per letter", "split words", "unknown", "dropped", "comes back");
    for (const auto& made : all) {
        const auto& counts = made.counts.all;
        std::cout << fmt::format("{:<28} {:<10} {:>7} {:>8} {:>9.3f} {:>10.3f} {:>11} {:>8} {:>8}  {}\n", made.name, made.tokenizer->kind(),
                                 made.tokenizer->size(), counts.pieces, counts.perWord(), counts.perCharacter(), counts.splitWords, counts.unknown,
                                 counts.dropped, made.counts.comesBack ? "yes" : "no");
    }
    std::cout << fmt::format("\npieces a word (unknown or dropped)\n{:<14} {:>7} ", "script", "words");
    for (const auto& made : all)
        std::cout << fmt::format(" {:>14}", made.name.substr(made.name.size() - std::min<std::size_t>(made.name.size(), 14)));
    for (std::size_t row = 0; row < all[0].counts.scripts.size(); ++row) {
        const auto& script = all[0].counts.scripts[row];
        std::cout << fmt::format("\n{:<14} {:>7} ", script.script, script.counts.words);
        for (const auto& made : all) {
            const auto& counts = made.counts.scripts[row].counts;
            std::cout << fmt::format(" {:>14}", fmt::format("{:.3f} ({})", counts.perWord(), counts.unknown + counts.dropped));
        }
    }
    std::cout << "\n";
}

std::string utf8File(const std::string& file)
{
    auto text = core::readFile(file);
    for (std::size_t at = 0; at < text.size();) {
        const auto [length, whole] = text::sequenceAt(text, at);
        if (!whole)
            throw core::InputError(fmt::format("--file {}: expected UTF-8 text, found other bytes at {}", file, at));
        at += length;
    }
    return text;
}

std::vector<std::int64_t> numbersIn(const std::string& text)
{
    std::vector<std::int64_t> numbers;
    for (const auto& part : core::split(text, ',')) {
        std::int64_t number = 0;
        const auto trimmed = core::trim(part);
        const auto [end, error] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), number);
        if (error != std::errc() || end != trimmed.data() + trimmed.size())
            throw core::InputError(fmt::format("--decode {}: expected numbers with commas between them, got \"{}\"", text, part));
        numbers.push_back(number);
    }
    return numbers;
}

Exit decodeIds(Session& session, const TokenizeOptions& options)
{
    auto list = core::Json::array();
    for (const auto& name : options.tokenizers) {
        const auto tokenizer = openNamed(session, name);
        const auto decoded = tokenizer->decode(numbersIn(options.decode), options.plain);
        list.push_back({{"name", name}, {"text", text::withReplacements(decoded)}});
        if (!session.json)
            std::cout << (options.tokenizers.size() > 1 ? name + ": " : "") << decoded << "\n";
    }
    if (session.json)
        session.print({{"tokenizers", std::move(list)}});
    return Exit::Done;
}

Exit tokenize(Session& session, const TokenizeOptions& options)
{
    if (options.tokenizers.empty())
        throw core::InputError("tokenize: expected a tokenizer (a file, a folder or a model), or train, contrast");
    if (!options.decode.empty())
        return decodeIds(session, options);
    if (options.text.empty() == options.file.empty())
        throw core::InputError("tokenize: expected one of --text, --file, --decode");
    const std::string text = options.file.empty() ? options.text : utf8File(options.file);
    std::vector<Tokenized> all;
    for (const auto& name : options.tokenizers) {
        Tokenized made{name, openNamed(session, name), {}, {}};
        text::EncodeOptions wanted;
        wanted.addSpecialTokens = !options.plain;
        wanted.ownLimits = options.ownLimits;
        if (options.pair)
            wanted.pair = *options.pair;
        if (options.ids && !session.json && !options.pair && !options.ownLimits) {
            made.encoding.ids = made.tokenizer->ids(text, !options.plain);
        } else {
            if (options.file.empty() || options.ids)
                made.encoding = made.tokenizer->encode(text, wanted);
            made.counts = text::countPieces(*made.tokenizer, text);
        }
        all.push_back(std::move(made));
        if (session.stopToken().stop_requested())
            return Exit::Interrupted;
    }
    if (session.json) {
        core::Json document = {{"text", options.file.empty() ? core::Json(text::withReplacements(text)) : core::Json()},
                               {"tokenizers", core::Json::array()}};
        for (const auto& made : all)
            document["tokenizers"].push_back(tokenizedJson(made, options, text));
        session.print(document);
    } else if (options.ids) {
        for (const auto& made : all)
            std::cout << fmt::format("{}\n", fmt::join(made.encoding.ids, " "));
    } else {
        if (all.size() == 1 && options.file.empty()) {
            printTokens(all[0], text, options.pair);
            std::cout << "\n";
        }
        printCounts(all);
    }
    return Exit::Done;
}

struct TrainTokenizerOptions {
    std::string kind = "bpe", file, out;
    text::MergeTraining training;
};

Exit trainTokenizer(Session& session, const TrainTokenizerOptions& options)
{
    auto training = options.training;
    training.stop = session.stopToken();
    training.progress = [&](double done, double total) { session.showProgress(done, total, "pieces"); };
    const auto text = utf8File(options.file);
    const auto kind = options.kind == "bpe"       ? text::TrainedKind::BytePairs
                      : options.kind == "unigram" ? text::TrainedKind::Unigram
                                                  : text::TrainedKind::WordPiece;
    const auto tokenizer = text::trainTokenizer(kind, text, training);
    session.endProgress();
    core::writeFileAtomically(options.out, tokenizer->toJson()["json"].get_ref<const std::string&>());
    const auto counts = text::countPieces(*tokenizer, text);
    if (session.json)
        session.print({{"file", options.out}, {"kind", tokenizer->kind()}, {"size", tokenizer->size()}, {"counts", countsJson(counts.all)}});
    else
        std::cout << fmt::format("{}: {}, {} pieces; the text it was made of has {:.3f} a word\n", options.out, tokenizer->kind(), tokenizer->size(),
                                 counts.all.perWord());
    return Exit::Done;
}

std::function<Exit(Session&)> declareTokenizeTrain(CLI::App& app)
{
    auto options = std::make_shared<TrainTokenizerOptions>();
    app.add_option(
           "--kind", options->kind,
           "bpe: byte-level, any text comes back; wordpiece: lower case, without accents; unigram: the most probable pieces, as SentencePiece.")
        ->check(CLI::IsMember({"bpe", "wordpiece", "unigram"}));
    app.add_option("--vocabulary", options->training.vocabulary, "Pieces at most.")->check(CLI::Range(1, 1 << 24));
    app.add_option("--special", options->training.special, "A special token besides the usual ones, such as <mask>; may be given several times.");
    app.add_option("--minimum-count", options->training.minimumCount, "Pairs that are seen less often stay apart.")->check(CLI::Range(1, 1 << 30));
    app.add_option("--file", options->file, "UTF-8 text to learn from.")->required()->check(CLI::ExistingFile);
    app.add_option("--out", options->out, "tokenizer.json to write.")->required()->check(folderProblem);
    return [options](Session& session) { return trainTokenizer(session, *options); };
}

struct ContrastArguments {
    ModelArgument model;
    train::ContrastOptions contrast;
    std::string text, folder;
};

void printContrast(const train::Contrast& made)
{
    std::cout << fmt::format("each trains on {} tokens:\n  orrery-cli train {}\n  orrery-cli train {}\n\n", made.tokens, made.scratch.string(),
                             made.continued.string());
    std::cout << fmt::format("held-out end of the text, {} words\n{:<12} {:>10} {:>8} {:>9} {:>8}\n", made.own.words, "vocabulary", "size", "pieces",
                             "per word", "unknown");
    const auto row = [](const char* name, std::int64_t size, const text::PieceCounts& counts) {
        std::cout << fmt::format("{:<12} {:>10} {:>8} {:>9.3f} {:>8}\n", name, size, counts.pieces, counts.perWord(), counts.unknown);
    };
    row("general", made.generalSize, made.general);
    row("own", made.ownSize, made.own);
}

Exit contrast(Session& session, const ContrastArguments& arguments)
{
    auto options = arguments.contrast;
    options.text = arguments.text;
    options.folder = arguments.folder;
    options.stop = session.stopToken();
    const auto made = train::writeContrast(arguments.model.text, arguments.model.open(session), options);
    if (session.json)
        session.print(made.toJson());
    else
        printContrast(made);
    return Exit::Done;
}

std::function<Exit(Session&)> declareTokenizeContrast(CLI::App& app)
{
    auto options = std::make_shared<ContrastArguments>();
    options->model.declare(app);
    app.add_option("--file", options->text, "UTF-8 text of the domain.")->required()->check(CLI::ExistingFile);
    app.add_option("--out", options->folder, "Folder for the two documents and their vocabularies.")->required();
    app.add_option("--steps", options->contrast.steps, "Optimizer steps of each training.")->check(CLI::Range(1, 1 << 30));
    app.add_option("--batch", options->contrast.batch, "Samples a step.")->check(CLI::Range(1, 1 << 20));
    app.add_option("--block", options->contrast.block, "Tokens a sample; default: the model's longest sequence, at most 128.")
        ->check(CLI::Range(3, 1 << 20));
    app.add_option("--vocabulary", options->contrast.vocabulary, "Pieces of the own vocabulary at most; default: as many as the model's has.")
        ->check(CLI::Range(1, 1 << 24));
    return [options](Session& session) { return contrast(session, *options); };
}

}  // namespace

std::function<Exit(Session&)> declareTokenize(CLI::App& app)
{
    auto options = std::make_shared<TokenizeOptions>();
    app.add_option("tokenizer", options->tokenizers, kTokenizerForms + std::string("; several are compared."));
    auto* const text = app.add_option("--text", options->text, "Text to take apart.");
    auto* const file = app.add_option("--file", options->file, "UTF-8 text file; counts alone are shown, or --ids.")->check(CLI::ExistingFile);
    app.add_option("--pair", options->pair, "A second text, as models for pairs of sentences take it.");
    app.add_option("--decode", options->decode, "Numbers of tokens with commas between them; their text is printed.")->excludes(text)->excludes(file);
    app.add_flag("--ids", options->ids, "Print the numbers alone.");
    app.add_flag("--plain", options->plain, "Without special tokens.");
    app.add_flag("--own-limits", options->ownLimits, "Truncate and fill up as the tokenizer's file says.");
    const std::vector<Command> subcommands = {
        {"train", "Learn a vocabulary from a text and write tokenizer.json.", declareTokenizeTrain},
        {"contrast", "A text's own vocabulary from scratch against a model trained further on it: two documents of equal tokens.",
         declareTokenizeContrast},
    };
    return declareGroup(app, subcommands, [options](Session& session) { return tokenize(session, *options); });
}

}  // namespace orrery::cli
