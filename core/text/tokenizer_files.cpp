#include "tokenizer_files.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/json_memory.h>

#include "dictionary.h"
#include "json_place.h"
#include "sentencepiece.h"

namespace orrery::text {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t kMostBytes = std::uint64_t(512) << 20;

JsonTree treeOf(const fs::path& file)
{
    const auto text = core::readFile(file, kMostBytes);
    try {
        return io::parseGuarded<JsonTree>(text, io::JsonMemory(file.string(), io::fileMemory(text.size())));
    } catch (const JsonTree::exception& error) {
        throw core::FormatError(fmt::format("{}: expected JSON: {}", file.string(), error.what()));
    }
}

/// Without the ends of lines that a Windows program wrote, and without the last one if it is empty.
std::vector<std::string> linesOf(const fs::path& file)
{
    constexpr std::uint64_t kLineMemory = 100;
    const auto text = core::readFile(file, kMostBytes);
    io::MemoryBudget budget(io::fileMemory(text.size()));
    if (!budget.take(std::uint64_t(std::count(text.begin(), text.end(), '\n')) * kLineMemory))
        throw core::FormatError(fmt::format("{}: {}", file.string(), budget.refusal()));
    auto lines = core::split(text, '\n');
    if (!lines.empty() && lines.back().empty())
        lines.pop_back();
    for (auto& line : lines)
        if (line.ends_with('\r'))
            line.pop_back();
    return lines;
}

JsonTree treeBeside(const fs::path& file, const char* name)
{
    const auto other = file.parent_path() / name;
    return fs::exists(other) ? treeOf(other) : JsonTree::object();
}

/// What stands beside the vocabulary: settings and the names of special tokens.
struct Settings {
    JsonTree config, specials, added;
    explicit Settings(const fs::path& vocabulary)
        : config(treeBeside(vocabulary, "tokenizer_config.json")), specials(treeBeside(vocabulary, "special_tokens_map.json")),
          added(treeBeside(vocabulary, "added_tokens.json"))
    {
    }
    bool flag(const char* key, bool otherwise) const
    {
        return config.is_object() && config.contains(key) && config[key].is_boolean() ? config[key].get<bool>() : otherwise;
    }
    /// "[CLS]", or {"content": "[CLS]", ...}.
    std::string special(const char* key, const char* otherwise) const
    {
        for (const auto* tree : {&specials, &config})
            if (tree->is_object() && tree->contains(key)) {
                const auto& value = (*tree)[key];
                if (value.is_string())
                    return value.get<std::string>();
                if (value.is_object() && value.contains("content") && value["content"].is_string())
                    return value["content"].get<std::string>();
            }
        return otherwise;
    }
};

/// The list "added_tokens" for special tokens that the vocabulary has, and for what `added_tokens.json` adds.
JsonTree addedTokens(const JsonTree& vocabulary, const Settings& settings, const std::vector<std::pair<const char*, const char*>>& specials)
{
    std::vector<std::pair<std::int64_t, std::string>> tokens;
    for (const auto& [key, otherwise] : specials) {
        const auto content = settings.special(key, otherwise);
        if (!content.empty() && vocabulary.contains(content))
            tokens.emplace_back(vocabulary[content].get<std::int64_t>(), content);
    }
    std::sort(tokens.begin(), tokens.end());
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    JsonTree list = JsonTree::array();
    const std::string mask = settings.special("mask_token", "<mask>");
    for (const auto& [id, content] : tokens)
        list.push_back({{"id", id}, {"content", content}, {"special", true}, {"normalized", false}, {"lstrip", content == mask && mask == "<mask>"}});
    if (settings.added.is_object())
        for (const auto& [content, id] : settings.added.items())
            if (id.is_number_unsigned() && !vocabulary.contains(content))
                list.push_back({{"id", id}, {"content", content}, {"special", false}, {"normalized", true}});
    return list;
}

JsonTree piece(const char* kind, const std::string& id, int type)
{
    return {{kind, {{"id", id}, {"type_id", type}}}};
}

JsonTree wordPieceTree(const fs::path& file)
{
    const Settings settings(file);
    JsonTree vocabulary = JsonTree::object();
    std::int64_t number = 0;
    for (const auto& line : linesOf(file))
        vocabulary[line] = number++;
    if (vocabulary.size() < 2)
        throw core::FormatError(fmt::format("{}: expected one piece a line, found {}", file.string(), vocabulary.size()));
    const auto cls = settings.special("cls_token", "[CLS]"), sep = settings.special("sep_token", "[SEP]"),
               unknown = settings.special("unk_token", "[UNK]");
    JsonTree tree = {
        {"model", {{"type", "WordPiece"}, {"unk_token", unknown}, {"continuing_subword_prefix", "##"}, {"max_input_chars_per_word", 100}}}};
    tree["normalizer"] = {{"type", "BertNormalizer"},
                          {"clean_text", true},
                          {"handle_chinese_chars", settings.flag("tokenize_chinese_chars", true)},
                          {"lowercase", settings.flag("do_lower_case", true)}};
    if (settings.config.is_object() && settings.config.contains("strip_accents"))
        tree["normalizer"]["strip_accents"] = settings.config["strip_accents"];
    tree["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
    tree["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
    tree["added_tokens"] =
        addedTokens(vocabulary, settings,
                    {{"pad_token", "[PAD]"}, {"unk_token", "[UNK]"}, {"cls_token", "[CLS]"}, {"sep_token", "[SEP]"}, {"mask_token", "[MASK]"}});
    if (vocabulary.contains(cls) && vocabulary.contains(sep)) {
        const auto special = [&](const std::string& token) {
            return JsonTree{{"id", token}, {"ids", JsonTree::array({vocabulary[token]})}, {"tokens", JsonTree::array({token})}};
        };
        tree["post_processor"] = {
            {"type", "TemplateProcessing"},
            {"single", JsonTree::array({piece("SpecialToken", cls, 0), piece("Sequence", "A", 0), piece("SpecialToken", sep, 0)})},
            {"pair", JsonTree::array({piece("SpecialToken", cls, 0), piece("Sequence", "A", 0), piece("SpecialToken", sep, 0),
                                      piece("Sequence", "B", 1), piece("SpecialToken", sep, 1)})},
            {"special_tokens", {{cls, special(cls)}, {sep, special(sep)}}}};
    }
    tree["model"]["vocab"] = std::move(vocabulary);
    return tree;
}

JsonTree mergesOf(const fs::path& file)
{
    JsonTree merges = JsonTree::array();
    for (auto& line : linesOf(file))
        if (!line.empty() && !line.starts_with("#version"))
            merges.push_back(std::move(line));
    return merges;
}

/// The steps around a vocabulary whose words end with "</w>", as CLIP has it.
void addClipSteps(JsonTree& tree)
{
    tree["normalizer"] = {
        {"type", "Sequence"},
        {"normalizers",
         JsonTree::array({{{"type", "NFC"}}, {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}}, {{"type", "Lowercase"}}})}};
    const char* words = R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
    tree["pre_tokenizer"] = {
        {"type", "Sequence"},
        {"pretokenizers", JsonTree::array({{{"type", "Split"}, {"pattern", {{"Regex", words}}}, {"behavior", "Removed"}, {"invert", true}},
                                           {{"type", "ByteLevel"}, {"add_prefix_space", false}}})}};
    tree["decoder"] = {{"type", "Sequence"},
                       {"decoders", JsonTree::array({{{"type", "ByteLevel"}},
                                                     {{"type", "Replace"}, {"pattern", {{"String", "</w>"}}}, {"content", " "}},
                                                     {{"type", "Strip"}, {"content", " "}, {"start", 0}, {"stop", 1}}})}};
}

JsonTree bytePairTree(const fs::path& file)
{
    const auto mergesFile = file.parent_path() / "merges.txt";
    if (!fs::exists(mergesFile))
        throw core::InputError(fmt::format("{}: expected merges.txt beside it, found none", file.string()));
    const Settings settings(file);
    JsonTree vocabulary = treeOf(file);
    if (!vocabulary.is_object())
        throw core::FormatError(fmt::format("{}: expected an object of pieces and their numbers, got {}", file.string(), vocabulary.type_name()));
    bool marksEnds = false;
    for (const auto& [piece, id] : vocabulary.items()) {
        if (!id.is_number_unsigned())
            throw core::FormatError(fmt::format("{}: {}: expected a number, got {}", file.string(), piece, id.dump()));
        marksEnds |= piece.size() > 4 && piece.ends_with("</w>");
    }
    // RoBERTa, BART and their kin close each text; GPT-2's family does not. CLIP closes it, too.
    const auto cls = settings.special(marksEnds ? "bos_token" : "cls_token", marksEnds ? "<|startoftext|>" : "<s>");
    const auto sep = settings.special(marksEnds ? "eos_token" : "sep_token", marksEnds ? "<|endoftext|>" : "</s>");
    const bool closes = vocabulary.contains(cls) && vocabulary.contains(sep) && (marksEnds || vocabulary.contains("<mask>"));
    const bool addsPrefix = settings.flag("add_prefix_space", false);
    JsonTree tree = {{"model", {{"type", "BPE"}, {"merges", mergesOf(mergesFile)}}}};
    if (marksEnds) {
        addClipSteps(tree);
        tree["model"]["end_of_word_suffix"] = "</w>";
        tree["model"]["unk_token"] = settings.special("unk_token", "<|endoftext|>");
    } else {
        tree["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", addsPrefix}};
        tree["decoder"] = {{"type", "ByteLevel"}};
    }
    if (closes)
        tree["post_processor"] = {{"type", "RobertaProcessing"},
                                  {"cls", JsonTree::array({cls, vocabulary[cls]})},
                                  {"sep", JsonTree::array({sep, vocabulary[sep]})},
                                  {"trim_offsets", !marksEnds},
                                  {"add_prefix_space", addsPrefix}};
    tree["added_tokens"] = addedTokens(vocabulary, settings,
                                       {{"bos_token", marksEnds ? "<|startoftext|>" : "<s>"},
                                        {"eos_token", vocabulary.contains("<|endoftext|>") ? "<|endoftext|>" : "</s>"},
                                        {"pad_token", "<pad>"},
                                        {"unk_token", "<unk>"},
                                        {"mask_token", "<mask>"}});
    tree["model"]["vocab"] = std::move(vocabulary);
    return tree;
}

/// A SentencePiece model. What stands around a text is said by the settings beside it, or else by the two names that such files have.
JsonTree sentencePieceTreeOf(const fs::path& file)
{
    const Settings settings(file);
    const ScoredVocabulary vocabulary = parseSentencePiece(core::readFile(file, kMostBytes), file.string());
    const auto numberOf = [&](const char* key, const char* otherwise) -> std::optional<std::int64_t> {
        const auto piece = settings.special(key, otherwise);
        const auto found =
            std::find_if(vocabulary.entries.begin(), vocabulary.entries.end(), [&](const auto& entry) { return entry.piece == piece; });
        return found == vocabulary.entries.end() ? std::nullopt : std::optional<std::int64_t>(found - vocabulary.entries.begin());
    };
    TextBounds bounds;
    if (settings.flag("add_bos_token", file.filename() == "tokenizer.model"))
        bounds.before = numberOf("bos_token", "<s>");
    if (settings.flag("add_eos_token", file.filename() == "spiece.model"))
        bounds.after = numberOf("eos_token", "</s>");
    return tokenizerTree(vocabulary, bounds, file.string());
}

// Also a link whose file is gone: reading it says so.
bool isNamed(const fs::path& file)
{
    std::error_code error;
    return fs::exists(fs::symlink_status(file, error));
}

fs::path fileIn(const fs::path& folder)
{
    for (const char* name : {"tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model"})
        if (isNamed(folder / name) && (std::string_view(name) != "vocab.json" || fs::exists(folder / "merges.txt")))
            return folder / name;
    return {};
}

TokenizerPtr fromTree(const JsonTree& tree, const fs::path& file)
{
    return tokenizerFromJson(tree.dump(-1, ' ', false, JsonTree::error_handler_t::replace), file.string());
}

}  // namespace

bool holdsTokenizer(const fs::path& folder)
{
    return !fileIn(folder).empty();
}

TokenizerPtr openTokenizer(const fs::path& path)
{
    if (!fs::exists(path))
        throw core::InputError(fmt::format("{}: expected a tokenizer, found no such file or folder", path.string()));
    const fs::path file = fs::is_directory(path) ? fileIn(path) : path;
    if (file.empty())
        throw core::InputError(fmt::format(
            "{}: expected a folder with tokenizer.json, vocab.txt, vocab.json and merges.txt, tokenizer.model or spiece.model, found none of them",
            path.string()));
    if (file.extension() == ".words")
        return dictionaryTokenizer({{"kind", "dictionary"}, {"words", linesOf(file)}});
    if (file.extension() == ".model")
        return fromTree(sentencePieceTreeOf(file), file);
    if (file.extension() == ".txt")
        return fromTree(wordPieceTree(file), file);
    if (file.filename() == "vocab.json")
        return fromTree(bytePairTree(file), file);
    return tokenizerFromJson(core::readFile(file, kMostBytes), file.string());
}

core::Json folderTokenizerCard(const fs::path& folder)
{
    return holdsTokenizer(folder) ? openTokenizer(folder)->toJson() : core::Json();
}

}  // namespace orrery::text
