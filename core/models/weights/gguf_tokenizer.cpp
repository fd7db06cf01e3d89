#include "gguf_tokenizer.h"

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/text/sentencepiece.h>

namespace orrery::models {
namespace {

using text::JsonTree;
using text::ScoredVocabulary;

constexpr std::size_t kMostTokens = std::size_t(1) << 24;
const std::string kTokenizerKeys = "tokenizer.ggml.";

/// How words are cut before their bytes are merged.
struct WordRule {
    const char* name;
    const char* pattern;  ///< null: GPT-2's own
    bool ignoresMerges;   ///< a word that is a piece is that piece
    bool composes;        ///< NFC first
    bool begins;          ///< where add_bos_token is not in the file, as llama.cpp has it
};
constexpr WordRule kWordRules[] = {
    {"", nullptr, false, false, false},
    {"default", nullptr, false, false, false},
    {"gpt-2", nullptr, false, false, false},
    {"llama-bpe", R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", true,
     false, true},
    {"qwen2", R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)", false, true,
     false},
};

/// The keys `tokenizer.ggml.*`.
class GgufVocabulary {
public:
    GgufVocabulary(const io::GgufFile& file, const std::string& name) : m_file(file), m_name(name)
    {
        const auto tokens = list("tokens", io::GgufValueType::Text);
        const bool hasTypes = m_file.find(kTokenizerKeys + "token_type");
        const auto types = hasTypes ? list("token_type", io::GgufValueType::Int32) : core::Json::array();
        if (hasTypes && types.size() != tokens.size())
            fail("token_type", fmt::format("{} numbers, as many as tokens, found {}", tokens.size(), types.size()));
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            const auto type = hasTypes ? types[i].get<std::int64_t>() : 1;
            if (type < 1 || type > 6)
                fail("token_type", fmt::format("numbers from 1 to 6, found {} at {}", type, i));
            m_entries.push_back({tokens[i].get<std::string>(), 0, ScoredVocabulary::PieceType(type)});
        }
    }

    JsonTree tree() const
    {
        const auto model = io::ggufText(m_file, kTokenizerKeys + "model");
        if (model == "llama")
            return scored();
        if (model == "gpt2")
            return byteLevel();
        throw core::InputError(fmt::format("{}: {}model: expected llama or gpt2, found \"{}\"", m_name, kTokenizerKeys, model));
    }

private:
    [[noreturn]] void fail(const std::string& key, const std::string& expected) const
    {
        throw core::FormatError(fmt::format("{}: {}{}: expected {}", m_name, kTokenizerKeys, key, expected));
    }

    core::Json list(const std::string& key, io::GgufValueType type) const
    {
        const auto* value = m_file.find(kTokenizerKeys + key);
        if (!value || value->type != io::GgufValueType::List || value->elementType != type || value->count > kMostTokens)
            fail(key, type == io::GgufValueType::Text ? "a list of texts" : "a list of numbers");
        core::Json made = io::toJson(*value, kMostTokens);
        for (const auto& each : made)
            if (type == io::GgufValueType::Text ? !each.is_string() : !each.is_number())
                fail(key, "finite numbers and texts in UTF-8");
        return made;
    }

    bool flag(const std::string& key, bool otherwise) const
    {
        const auto* value = m_file.find(kTokenizerKeys + key);
        if (value && value->type != io::GgufValueType::Bool)
            fail(key, "true or false");
        return value ? io::toJson(*value).get<bool>() : otherwise;
    }

    /// The number of a special token, if texts are to have it.
    std::optional<std::int64_t> bound(const std::string& flagKey, bool otherwise, const std::string& key) const
    {
        if (!flag(flagKey, otherwise) || !m_file.find(kTokenizerKeys + key))
            return std::nullopt;
        const auto id = io::ggufInteger(m_file, kTokenizerKeys + key, m_name);
        if (id < 0 || id >= std::int64_t(m_entries.size()))
            fail(key, fmt::format("a number from 0 to {}, found {}", m_entries.size() - 1, id));
        return id;
    }

    text::TextBounds bounds(bool begins) const
    {
        return {bound("add_bos_token", begins, "bos_token_id"), bound("add_eos_token", false, "eos_token_id")};
    }

    JsonTree scored() const
    {
        ScoredVocabulary vocabulary;
        vocabulary.kind = ScoredVocabulary::Kind::BytePairs;
        vocabulary.entries = m_entries;
        const auto scores = list("scores", io::GgufValueType::Float32);
        if (scores.size() != m_entries.size())
            fail("scores", fmt::format("{} numbers, as many as tokens, found {}", m_entries.size(), scores.size()));
        for (std::size_t i = 0; i < scores.size(); ++i) {
            vocabulary.entries[i].score = scores[i].get<float>();
            vocabulary.byteFallback = vocabulary.byteFallback || m_entries[i].type == ScoredVocabulary::PieceType::Byte;
        }
        vocabulary.addDummyPrefix = flag("add_space_prefix", true);
        vocabulary.removeExtraWhitespaces = false;
        return text::tokenizerTree(vocabulary, bounds(true), m_name);
    }

    const WordRule& wordRule() const
    {
        const auto pre = io::ggufText(m_file, kTokenizerKeys + "pre");
        for (const auto& rule : kWordRules)
            if (pre == rule.name)
                return rule;
        throw core::InputError(fmt::format("{}: {}pre: expected gpt-2, llama-bpe or qwen2, found \"{}\"", m_name, kTokenizerKeys, pre));
    }

    JsonTree byteLevel() const
    {
        ScoredVocabulary vocabulary;
        vocabulary.kind = ScoredVocabulary::Kind::BytePairs;
        vocabulary.entries = m_entries;
        const WordRule& rule = wordRule();
        JsonTree tree = text::surroundings(vocabulary, bounds(rule.begins), m_name);
        JsonTree pieces = JsonTree::object(), merges = JsonTree::array();
        for (std::size_t i = 0; i < m_entries.size(); ++i)
            pieces.emplace(m_entries[i].piece, i);
        for (const auto& merge : list("merges", io::GgufValueType::Text))
            merges.push_back(merge.get<std::string>());
        tree["model"] = {{"type", "BPE"}, {"ignore_merges", rule.ignoresMerges}, {"merges", std::move(merges)}, {"vocab", std::move(pieces)}};
        tree["normalizer"] = rule.composes ? JsonTree{{"type", "NFC"}} : JsonTree();
        const JsonTree bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", rule.pattern == nullptr}};
        tree["pre_tokenizer"] = bytes;
        if (rule.pattern)
            tree["pre_tokenizer"] = {
                {"type", "Sequence"},
                {"pretokenizers",
                 JsonTree::array({{{"type", "Split"}, {"pattern", {{"Regex", rule.pattern}}}, {"behavior", "Isolated"}, {"invert", false}}, bytes})}};
        tree["decoder"] = bytes;
        return tree;
    }

    const io::GgufFile& m_file;
    const std::string& m_name;
    std::vector<ScoredVocabulary::Entry> m_entries;
};

}  // namespace

core::Json ggufTokenizerCard(const io::GgufFile& file, const std::string& name)
{
    if (!file.find(kTokenizerKeys + "model"))
        return nullptr;
    const JsonTree tree = GgufVocabulary(file, name).tree();
    return text::tokenizerFromJson(tree.dump(-1, ' ', false, JsonTree::error_handler_t::replace), name)->toJson();
}

core::Json ggufSpecialTokens(const io::GgufFile& file, const std::string& name)
{
    core::Json out = core::Json::object();
    for (const auto& [key, wanted] :
         {std::pair{"bos_token_id", "bos_token_id"}, {"eos_token_id", "eos_token_id"}, {"padding_token_id", "pad_token_id"}})
        if (file.find(kTokenizerKeys + key))
            out[wanted] = io::ggufInteger(file, kTokenizerKeys + key, name);
    return out;
}

}  // namespace orrery::models
