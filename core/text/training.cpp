#include "training.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <set>
#include <unordered_map>

#include <core/base/error.h>

#include "aligned_text.h"
#include "json_place.h"
#include "normalisers.h"
#include "pre_tokenizers.h"
#include "string_map.h"
#include "unicode.h"
#include "unigram_training.h"

namespace orrery::text {
namespace {

using Pair = std::pair<std::int32_t, std::int32_t>;

struct PairHash {
    std::size_t operator()(const Pair& pair) const
    {
        return std::hash<std::uint64_t>()(std::uint64_t(std::uint32_t(pair.first)) << 32 | std::uint32_t(pair.second));
    }
};

/// The characters that words have, the most frequent ones up to a limit, ascending.
std::vector<char32_t> alphabetOf(const std::map<std::string, std::int64_t>& words, const MergeTraining& training)
{
    std::map<char32_t, std::int64_t> counts;
    for (const auto& [word, count] : words)
        for (const char32_t point : pointsOf(word))
            counts[point] += count;
    std::vector<std::pair<std::int64_t, char32_t>> order;
    for (const auto& [point, count] : counts)
        order.emplace_back(-count, point);
    std::sort(order.begin(), order.end());
    order.resize(std::min(order.size(), training.alphabetLimit));
    std::set<char32_t> alphabet(training.alphabet.begin(), training.alphabet.end());
    for (const auto& entry : order)
        alphabet.insert(entry.second);
    return {alphabet.begin(), alphabet.end()};
}

class MergeTrainer {
public:
    MergeTrainer(const std::map<std::string, std::int64_t>& words, const MergeTraining& training) : m_training(training)
    {
        for (const auto& piece : training.special)
            number(piece);
        const auto alphabet = alphabetOf(words, training);
        for (const char32_t point : alphabet)
            number(utf8Of(point));
        if (!training.continuation.empty())
            for (const char32_t point : alphabet)
                number(training.continuation + utf8Of(point));
        if (m_out.pieces.size() > training.vocabulary)
            throw core::InputError(fmt::format("vocabulary: expected at least {} pieces for the special tokens and characters alone, got {}",
                                               m_out.pieces.size(), training.vocabulary));
        for (const auto& [word, count] : words)
            addWord(word, count, alphabet);
        for (const auto& [pair, entry] : m_pairs)
            m_queue.push({entry.count, pair});
    }

    TrainedMerges run()
    {
        const auto first = m_out.pieces.size();
        while (m_out.pieces.size() < m_training.vocabulary && !m_queue.empty()) {
            const Candidate top = m_queue.top();
            m_queue.pop();
            const auto count = m_pairs[top.pair].count;
            if (count != top.count) {  // other merges took some of them in the meantime
                m_queue.push({count, top.pair});
                continue;
            }
            if (count < std::max<std::int64_t>(1, m_training.minimumCount))
                break;
            merge(top.pair);
            if (m_training.stop.stop_requested())
                throw core::Cancelled();
            if (m_training.progress)
                m_training.progress(double(m_out.pieces.size() - first), double(m_training.vocabulary - first));
        }
        return std::move(m_out);
    }

private:
    struct Word {
        std::vector<std::int32_t> pieces;
        std::int64_t count = 0;
    };
    struct PairEntry {
        std::int64_t count = 0;
        std::vector<std::uint32_t> words;  ///< may hold words that have it no longer
    };
    struct Candidate {
        std::int64_t count;
        Pair pair;
        bool operator<(const Candidate& other) const { return count != other.count ? count < other.count : pair > other.pair; }
    };

    std::int32_t number(const std::string& piece)
    {
        const auto [entry, isNew] = m_numbers.emplace(piece, std::int32_t(m_out.pieces.size()));
        if (isNew)
            m_out.pieces.push_back(piece);
        return entry->second;
    }

    void addWord(const std::string& text, std::int64_t count, const std::vector<char32_t>& alphabet)
    {
        Word word;
        word.count = count;
        bool isFirst = true;
        for (const char32_t point : pointsOf(text)) {
            if (std::binary_search(alphabet.begin(), alphabet.end(), point))
                word.pieces.push_back(number((isFirst ? std::string() : m_training.continuation) + utf8Of(point)));
            isFirst = false;
        }
        const auto index = std::uint32_t(m_words.size());
        m_words.push_back(std::move(word));
        countPairs(index, 1);
    }

    /// Adds or takes away the pairs of a word.
    void countPairs(std::uint32_t index, int sign)
    {
        const Word& word = m_words[index];
        for (std::size_t i = 0; i + 1 < word.pieces.size(); ++i) {
            PairEntry& entry = m_pairs[{word.pieces[i], word.pieces[i + 1]}];
            entry.count += sign * word.count;
            if (sign > 0 && (entry.words.empty() || entry.words.back() != index))
                entry.words.push_back(index);
        }
    }

    void merge(Pair pair)
    {
        const std::string left = m_out.pieces[std::size_t(pair.first)], right = m_out.pieces[std::size_t(pair.second)];
        const auto merged = number(left + right.substr(m_training.continuation.size()));
        m_out.merges.emplace_back(left, right);
        auto words = std::move(m_pairs[pair].words);
        std::sort(words.begin(), words.end());
        words.erase(std::unique(words.begin(), words.end()), words.end());
        std::set<Pair> changed;
        for (const auto index : words) {
            auto& pieces = m_words[index].pieces;
            countPairs(index, -1);
            std::size_t out = 0;
            for (std::size_t i = 0; i < pieces.size(); ++out) {
                const bool here = i + 1 < pieces.size() && pieces[i] == pair.first && pieces[i + 1] == pair.second;
                pieces[out] = here ? merged : pieces[i];
                i += here ? 2 : 1;
            }
            pieces.resize(out);
            countPairs(index, 1);
            for (std::size_t i = 0; i + 1 < pieces.size(); ++i)
                if (pieces[i] == merged || pieces[i + 1] == merged)
                    changed.insert({pieces[i], pieces[i + 1]});
        }
        for (const Pair& other : changed)
            m_queue.push({m_pairs[other].count, other});
    }

    const MergeTraining& m_training;
    TrainedMerges m_out;
    TextMap<std::int32_t> m_numbers;
    std::vector<Word> m_words;
    std::unordered_map<Pair, PairEntry, PairHash> m_pairs;
    std::priority_queue<Candidate> m_queue;
};

JsonTree specialTokens(const std::vector<std::string>& special)
{
    JsonTree list = JsonTree::array();
    for (std::size_t i = 0; i < special.size(); ++i)
        list.push_back({{"id", i},
                        {"content", special[i]},
                        {"single_word", false},
                        {"lstrip", false},
                        {"rstrip", false},
                        {"normalized", false},
                        {"special", true}});
    return list;
}

/// What stands around the model.
JsonTree stepsOf(TrainedKind kind)
{
    JsonTree tree = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"normalizer", nullptr}};
    if (kind == TrainedKind::BytePairs) {
        tree["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
        tree["post_processor"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", true}};
        tree["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
        return tree;
    }
    tree["normalizer"] = {
        {"type", "BertNormalizer"}, {"clean_text", true}, {"handle_chinese_chars", true}, {"strip_accents", nullptr}, {"lowercase", true}};
    tree["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
    tree["post_processor"] = {{"type", "BertProcessing"}, {"sep", JsonTree::array({"[SEP]", 3})}, {"cls", JsonTree::array({"[CLS]", 2})}};
    tree["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
    return tree;
}

std::map<std::string, std::int64_t> countedWords(const JsonTree& steps, std::string_view text)
{
    const std::string document = steps.dump();
    io::MemoryBudget budget(io::fileMemory(document.size()));
    const io::JsonTape tape(document, "tokenizer", budget);
    const JsonPlace json(tape.root(), "tokenizer");
    const auto normaliser = normaliserOf(json.at("normalizer"));
    const auto preTokenizer = preTokenizerOf(json.at("pre_tokenizer"));
    const auto invalid = preTokenizer->takesBytes() ? AlignedText::Invalid::Escape : AlignedText::Invalid::Replace;
    std::map<std::string, std::int64_t> counts;
    std::vector<AlignedText> words;
    for (std::size_t begin = 0; begin < text.size();) {  // line by line, so that a text of any size takes little memory
        const auto end = std::min(text.find('\n', begin), text.size() - 1) + 1;
        auto line = AlignedText::ofBytes(text.substr(begin, end - begin), invalid);
        if (normaliser)
            normaliser->apply(line);
        words.clear();
        preTokenizer->split(std::move(line), words);
        for (const auto& word : words)
            ++counts[word.text()];
        begin = end;
    }
    counts.erase("");
    return counts;
}

/// The special tokens of a kind, then others.
std::vector<std::string> allSpecial(TrainedKind kind, const std::vector<std::string>& others)
{
    std::vector<std::string> special = kind == TrainedKind::BytePairs ? std::vector<std::string>{"<|endoftext|>"}
                                       : kind == TrainedKind::Unigram ? std::vector<std::string>{"<unk>"}
                                                                      : std::vector<std::string>{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (const auto& name : others) {
        if (name.empty())
            throw core::InputError("special tokens: expected at least one character, got an empty one");
        if (std::find(special.begin(), special.end(), name) == special.end())
            special.push_back(name);
    }
    return special;
}

TokenizerPtr trainUnigramTokenizer(std::string_view text, const MergeTraining& training)
{
    JsonTree tree = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"normalizer", {{"type", "NFKC"}}}};
    tree["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\xe2\x96\x81"}, {"prepend_scheme", "always"}, {"split", true}};
    tree["decoder"] = tree["pre_tokenizer"];
    const auto words = countedWords(tree, text);
    if (words.empty())
        throw core::InputError("text: expected at least one word, got none");
    if (training.vocabulary <= training.special.size())
        throw core::InputError(
            fmt::format("expected a vocabulary of more than the {} special tokens, got {}", training.special.size(), training.vocabulary));
    UnigramTraining wanted;
    wanted.vocabulary = training.vocabulary - training.special.size();
    wanted.stop = training.stop;
    wanted.progress = training.progress;
    const UnigramPieces trained = trainUnigram(words, wanted);
    JsonTree pieces = JsonTree::array();
    for (const auto& name : training.special)
        pieces.push_back(JsonTree::array({name, 0.0}));
    for (std::size_t i = 0; i < trained.pieces.size(); ++i)
        pieces.push_back(JsonTree::array({trained.pieces[i], trained.scores[i]}));
    tree["added_tokens"] = specialTokens(training.special);
    tree["post_processor"] = nullptr;
    tree["model"] = {{"type", "Unigram"}, {"unk_id", 0}, {"byte_fallback", false}, {"vocab", std::move(pieces)}};
    return tokenizerFromJson(tree.dump(1), "trained tokenizer");
}

}  // namespace

TrainedMerges trainMerges(const std::map<std::string, std::int64_t>& words, const MergeTraining& training)
{
    return MergeTrainer(words, training).run();
}

TokenizerPtr trainTokenizer(TrainedKind kind, std::string_view text, MergeTraining training)
{
    const bool bytes = kind == TrainedKind::BytePairs;
    training.special = allSpecial(kind, training.special);
    if (kind == TrainedKind::Unigram)
        return trainUnigramTokenizer(text, training);
    training.continuation = bytes ? "" : "##";
    if (bytes)
        for (unsigned byte = 0; byte < 256; ++byte)
            training.alphabet.push_back(byteCharacter(static_cast<unsigned char>(byte)));
    JsonTree tree = stepsOf(kind);
    const auto words = countedWords(tree, text);
    if (words.empty())
        throw core::InputError("text: expected at least one word, got none");
    const auto trained = trainMerges(words, training);
    JsonTree vocabulary = JsonTree::object();
    for (std::size_t i = 0; i < trained.pieces.size(); ++i)
        vocabulary[trained.pieces[i]] = i;
    tree["added_tokens"] = specialTokens(training.special);
    if (bytes) {
        JsonTree merges = JsonTree::array();
        for (const auto& [left, right] : trained.merges)
            merges.push_back(JsonTree::array({left, right}));
        tree["model"] = {{"type", "BPE"},
                         {"dropout", nullptr},
                         {"unk_token", nullptr},
                         {"continuing_subword_prefix", nullptr},
                         {"end_of_word_suffix", nullptr},
                         {"fuse_unk", false},
                         {"byte_fallback", false},
                         {"ignore_merges", false},
                         {"merges", std::move(merges)}};
    } else {
        tree["model"] = {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"continuing_subword_prefix", "##"}, {"max_input_chars_per_word", 100}};
    }
    tree["model"]["vocab"] = std::move(vocabulary);
    return tokenizerFromJson(tree.dump(1), "trained tokenizer");
}

}  // namespace orrery::text
