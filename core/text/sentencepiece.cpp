#include "sentencepiece.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <unordered_set>

#include <core/base/error.h>
#include <core/io/protobuf.h>
#include <core/io/utf8.h>

#include "charsmap.h"
#include "string_map.h"
#include "unicode.h"

namespace orrery::text {
namespace {

using io::ProtobufField;
using io::ProtobufReader;
using Entry = ScoredVocabulary::Entry;
using PieceType = ScoredVocabulary::PieceType;

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581
constexpr std::size_t kMostPieceBytes = 4096;
/// Longer pieces are not made by merges: the ways to cut them grow with the square of their length.
constexpr std::size_t kMostMergedBytes = 512;

// Numbers of fields in sentencepiece_model.proto.
constexpr std::uint32_t kPieces = 1, kTrainerSpec = 2, kNormaliserSpec = 3;
constexpr std::uint32_t kPiece = 1, kScore = 2, kType = 3;
constexpr std::uint32_t kModelType = 3, kWhitespaceAsSuffix = 24, kByteFallback = 35, kUnknownSurface = 44;
constexpr std::uint32_t kCharsmap = 2, kAddDummyPrefix = 3, kRemoveExtraWhitespaces = 4, kEscapeWhitespaces = 5;

bool isPlainText(std::string_view bytes)
{
    try {
        io::decodeUtf8(bytes, "");
        return true;
    } catch (const core::FormatError&) {
        return false;
    }
}

class SentencePieceReader {
public:
    SentencePieceReader(std::string_view bytes, const std::string& name) : m_bytes(bytes), m_name(name) {}

    ScoredVocabulary read()
    {
        auto reader = message(m_bytes);
        ProtobufField field;
        while (reader.next(field)) {
            if (field.wire != ProtobufField::Wire::Bytes)
                continue;
            if (field.number == kPieces)
                readPiece(field.bytes);
            if (field.number == kTrainerSpec)
                readTrainer(field.bytes);
            if (field.number == kNormaliserSpec)
                readNormaliser(field.bytes);
        }
        if (m_out.entries.empty())
            fail("at least one piece, found none");
        return std::move(m_out);
    }

private:
    ProtobufReader message(std::string_view bytes) const { return {bytes, m_bytes, m_name}; }
    [[noreturn]] void fail(const std::string& expected) const { throw core::FormatError(fmt::format("{}: expected {}", m_name, expected)); }

    void readPiece(std::string_view bytes)
    {
        auto reader = message(bytes);
        Entry entry;
        ProtobufField field;
        while (reader.next(field)) {
            if (field.number == kPiece && field.wire == ProtobufField::Wire::Bytes)
                entry.piece = field.bytes;
            if (field.number == kScore && field.wire == ProtobufField::Wire::Fixed32)
                entry.score = field.asFloat();
            if (field.number == kType && field.wire == ProtobufField::Wire::Varint)
                entry.type = PieceType(std::min<std::uint64_t>(field.value, 99));
        }
        const auto number = m_out.entries.size();
        if (entry.piece.empty() || entry.piece.size() > kMostPieceBytes || !isPlainText(entry.piece))
            fail(fmt::format("pieces of 1 to {} bytes of UTF-8, found another at number {}", kMostPieceBytes, number));
        if (int(entry.type) < 1 || int(entry.type) > 6)
            fail(fmt::format("a piece of type 1 to 6 at number {}, found type {}", number, int(entry.type)));
        if (!m_seen.insert(entry.piece).second)
            fail(fmt::format("each piece once, found \"{}\" again at number {}", entry.piece, number));
        if (!std::isfinite(entry.score))
            fail(fmt::format("a finite score at number {}", number));
        m_out.entries.push_back(std::move(entry));
    }

    void readTrainer(std::string_view bytes)
    {
        auto reader = message(bytes);
        ProtobufField field;
        while (reader.next(field)) {
            if (field.number == kUnknownSurface && field.wire == ProtobufField::Wire::Bytes && isPlainText(field.bytes))
                m_out.unknownSurface = field.bytes;
            if (field.wire != ProtobufField::Wire::Varint)
                continue;
            if (field.number == kModelType && field.value != 1 && field.value != 2)
                fail(fmt::format("a Unigram or BPE model (type 1 or 2), found type {}", field.value));
            if (field.number == kModelType)
                m_out.kind = ScoredVocabulary::Kind(field.value);
            if (field.number == kByteFallback)
                m_out.byteFallback = field.value != 0;
            if (field.number == kWhitespaceAsSuffix && field.value != 0)
                fail("blanks before words, found them as suffixes (treat_whitespace_as_suffix)");
        }
    }

    void readNormaliser(std::string_view bytes)
    {
        auto reader = message(bytes);
        ProtobufField field;
        while (reader.next(field)) {
            if (field.number == kCharsmap && field.wire == ProtobufField::Wire::Bytes)
                m_out.charsmap = field.bytes;
            if (field.wire != ProtobufField::Wire::Varint)
                continue;
            if (field.number == kAddDummyPrefix)
                m_out.addDummyPrefix = field.value != 0;
            if (field.number == kRemoveExtraWhitespaces)
                m_out.removeExtraWhitespaces = field.value != 0;
            if (field.number == kEscapeWhitespaces && field.value == 0)
                fail("escaped blanks, found them plain (escape_whitespaces)");
        }
    }

    std::string_view m_bytes;
    const std::string& m_name;
    ScoredVocabulary m_out;
    std::unordered_set<std::string> m_seen;
};

/// A merge for every way in which a piece is two pieces, in the order of the scores; of one piece the parts with smaller numbers first.
JsonTree mergesByScore(const ScoredVocabulary& vocabulary)
{
    TextMap<std::int64_t> numbers;
    for (std::size_t i = 0; i < vocabulary.entries.size(); ++i)
        if (vocabulary.entries[i].type == PieceType::Normal)
            numbers.try_emplace(vocabulary.entries[i].piece, std::int64_t(i));
    struct Merge {
        float score;
        std::int64_t left, right;
    };
    std::vector<Merge> merges;
    for (const auto& [piece, number] : numbers)
        for (std::size_t cut = pointAt(piece, 0).bytes; cut < piece.size() && piece.size() <= kMostMergedBytes; cut += pointAt(piece, cut).bytes) {
            const auto left = numbers.find(std::string_view(piece).substr(0, cut)), right = numbers.find(std::string_view(piece).substr(cut));
            if (left != numbers.end() && right != numbers.end())
                merges.push_back({vocabulary.entries[std::size_t(number)].score, left->second, right->second});
        }
    std::sort(merges.begin(), merges.end(),
              [](const Merge& a, const Merge& b) { return std::tuple(-a.score, a.left, a.right) < std::tuple(-b.score, b.left, b.right); });
    JsonTree out = JsonTree::array();
    for (const Merge& merge : merges)
        out.push_back(JsonTree::array({vocabulary.entries[std::size_t(merge.left)].piece, vocabulary.entries[std::size_t(merge.right)].piece}));
    return out;
}

/// A symbol that the user defined is never cut: it is better than the best pieces for each of its characters, as in unigram_model.cc.
double unigramScore(const Entry& entry, double highest)
{
    const bool whole = entry.type == PieceType::UserDefined && std::isfinite(highest);
    return whole ? double(countPoints(entry.piece)) * highest - 0.1 : double(entry.score);
}

JsonTree modelTree(const ScoredVocabulary& vocabulary, const std::string& name)
{
    const auto unknown =
        std::find_if(vocabulary.entries.begin(), vocabulary.entries.end(), [](const Entry& entry) { return entry.type == PieceType::Unknown; });
    if (vocabulary.kind == ScoredVocabulary::Kind::BytePairs) {
        JsonTree pieces = JsonTree::object();
        for (std::size_t i = 0; i < vocabulary.entries.size(); ++i)
            pieces.emplace(vocabulary.entries[i].piece, i);
        JsonTree tree = {{"type", "BPE"},
                         {"fuse_unk", true},
                         {"byte_fallback", vocabulary.byteFallback},
                         {"merges", mergesByScore(vocabulary)},
                         {"vocab", std::move(pieces)}};
        if (unknown != vocabulary.entries.end())
            tree["unk_token"] = unknown->piece;
        return tree;
    }
    if (unknown == vocabulary.entries.end())
        throw core::FormatError(name + ": expected an unknown piece, found none");
    double highest = -std::numeric_limits<double>::infinity();
    for (const Entry& entry : vocabulary.entries)
        if (entry.type == PieceType::Normal)
            highest = std::max(highest, double(entry.score));
    JsonTree pieces = JsonTree::array(), notInText = JsonTree::array();
    for (std::size_t i = 0; i < vocabulary.entries.size(); ++i) {
        pieces.push_back(JsonTree::array({vocabulary.entries[i].piece, unigramScore(vocabulary.entries[i], highest)}));
        if (vocabulary.entries[i].type != PieceType::Normal && vocabulary.entries[i].type != PieceType::UserDefined)
            notInText.push_back(i);
    }
    return {{"type", "Unigram"},
            {"unk_id", unknown - vocabulary.entries.begin()},
            {"byte_fallback", vocabulary.byteFallback},
            {"not_in_text", std::move(notInText)},
            {"vocab", std::move(pieces)}};
}

JsonTree replaced(const char* kind, std::string_view pattern, std::string_view content)
{
    return {{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
}

JsonTree normaliserTree(const ScoredVocabulary& vocabulary)
{
    JsonTree steps = JsonTree::array();
    if (!vocabulary.charsmap.empty())
        steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", encodeBase64(vocabulary.charsmap)}});
    if (vocabulary.removeExtraWhitespaces) {
        steps.push_back({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
        steps.push_back(replaced("Regex", " {2,}", " "));
    }
    if (vocabulary.addDummyPrefix)
        steps.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
    steps.push_back(replaced("String", " ", kSpaceMark));
    return {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
}

JsonTree decoderTree(const ScoredVocabulary& vocabulary)
{
    JsonTree steps = JsonTree::array({replaced("String", kSpaceMark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
    if (vocabulary.addDummyPrefix)
        steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    return {{"type", "Sequence"}, {"decoders", std::move(steps)}};
}

JsonTree addedTree(const ScoredVocabulary& vocabulary)
{
    JsonTree list = JsonTree::array();
    for (std::size_t i = 0; i < vocabulary.entries.size(); ++i) {
        const auto type = vocabulary.entries[i].type;
        const bool special = type == PieceType::Unknown || type == PieceType::Control;
        // Unigram finds them by their score, so that blanks around them stay what they are.
        const bool symbol = type == PieceType::UserDefined && vocabulary.kind == ScoredVocabulary::Kind::BytePairs;
        if (special || symbol)
            list.push_back({{"id", i}, {"content", vocabulary.entries[i].piece}, {"special", special}, {"normalized", false}});
        if (type == PieceType::Unknown)
            list.back()["surface"] = vocabulary.unknownSurface;
    }
    return list;
}

JsonTree boundsTree(const ScoredVocabulary& vocabulary, const TextBounds& bounds)
{
    JsonTree specials = JsonTree::object();
    const auto around = [&](const char* sequence, int type) {
        JsonTree list = JsonTree::array();
        const auto add = [&](const std::optional<std::int64_t>& id) {
            if (!id)
                return;
            const auto& piece = vocabulary.entries[std::size_t(*id)].piece;
            list.push_back({{"SpecialToken", {{"id", piece}, {"type_id", type}}}});
            specials[piece] = {{"id", piece}, {"ids", JsonTree::array({*id})}, {"tokens", JsonTree::array({piece})}};
        };
        add(bounds.before);
        list.push_back({{"Sequence", {{"id", sequence}, {"type_id", type}}}});
        add(bounds.after);
        return list;
    };
    const JsonTree single = around("A", 0);
    JsonTree pair = single;
    for (auto& step : around("B", 1))
        pair.push_back(step);
    return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", std::move(pair)}, {"special_tokens", std::move(specials)}};
}

}  // namespace

bool isSentencePiece(std::string_view bytes)
{
    // The first piece: a field of bytes, which begins with a text.
    try {
        ProtobufReader whole(bytes, bytes, "");
        ProtobufField field, piece;
        if (!whole.next(field) || field.number != kPieces || field.wire != ProtobufField::Wire::Bytes)
            return false;
        ProtobufReader first(field.bytes, bytes, "");
        return first.next(piece) && piece.number == kPiece && piece.wire == ProtobufField::Wire::Bytes && isPlainText(piece.bytes);
    } catch (const core::FormatError&) {
        return false;
    }
}

ScoredVocabulary parseSentencePiece(std::string_view bytes, const std::string& name)
{
    if (!isSentencePiece(bytes))
        throw core::FormatError(name + ": expected a SentencePiece model, found other bytes");
    return SentencePieceReader(bytes, name).read();
}

JsonTree surroundings(const ScoredVocabulary& vocabulary, const TextBounds& bounds, const std::string& name)
{
    const auto count = std::int64_t(vocabulary.entries.size());
    for (const auto& id : {bounds.before, bounds.after})
        if (id && (*id < 0 || *id >= count))
            throw core::FormatError(fmt::format("{}: expected the number of a special token from 0 to {}, found {}", name, count - 1, *id));
    JsonTree tree = {{"version", "1.0"}, {"added_tokens", addedTree(vocabulary)}};
    tree["post_processor"] = bounds.before || bounds.after ? boundsTree(vocabulary, bounds) : JsonTree();
    return tree;
}

JsonTree tokenizerTree(const ScoredVocabulary& vocabulary, const TextBounds& bounds, const std::string& name)
{
    if (vocabulary.entries.empty())
        throw core::FormatError(name + ": expected at least one piece, found none");
    JsonTree tree = surroundings(vocabulary, bounds, name);
    tree["normalizer"] = normaliserTree(vocabulary);
    tree["pre_tokenizer"] = nullptr;
    tree["decoder"] = decoderTree(vocabulary);
    tree["model"] = modelTree(vocabulary, name);
    return tree;
}

}  // namespace orrery::text
