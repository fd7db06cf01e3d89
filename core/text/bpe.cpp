#include <fmt/format.h>

#include <array>
#include <queue>

#include <core/base/error.h>

#include "merge_table.h"
#include "subword_model.h"
#include "unicode.h"

namespace orrery::text {
namespace {

/// A symbol of a word being merged: a doubly linked list in an array.
struct Symbol {
    std::int32_t id;
    std::int32_t before, after;  ///< -1: none
    std::uint32_t begin, end;    ///< bytes; begin == end: merged into the one before
};

struct Candidate {
    std::int32_t rank, at, id;
    /// The queue gives the lowest rank first, and of one rank the leftmost.
    bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
};

/// Source: Sennrich, Haddow & Birch (2016), "Neural Machine Translation of Rare Words with Subword Units", section 3.2 (arXiv:1508.07909).
/// `dropout` of the file is a matter of training and not followed.
class BytePairs final : public SubwordModel {
public:
    explicit BytePairs(const JsonPlace& json)
        : m_pieces(pieceTableOf(json.at("vocab"))), m_merges(countedMerges(json.at("merges"), m_pieces)),
          m_prefix(json.text("continuing_subword_prefix", "")), m_suffix(json.text("end_of_word_suffix", "")), m_unknown(json.text("unk_token", "")),
          m_fuseUnknown(json.flag("fuse_unk", false)), m_byteFallback(json.flag("byte_fallback", false)),
          m_ignoreMerges(json.flag("ignore_merges", false))
    {
        m_unknownId = m_unknown.empty() ? -1 : m_pieces.find(m_unknown);
        readMerges(json.at("merges"));
        for (std::size_t byte = 0; byte < m_byteIds.size(); ++byte)
            m_byteIds[byte] = m_pieces.find(fmt::format("<0x{:02X}>", byte));
        for (char32_t point = 0; point < m_characterIds.size(); ++point)
            m_characterIds[point] = m_pieces.find(utf8Of(point));
    }

    void tokenize(std::string_view word, std::vector<Piece>& out) const override
    {
        if (m_ignoreMerges)
            if (const auto id = m_pieces.find(word); id >= 0) {
                out.push_back({id, 0, std::uint32_t(word.size())});
                return;
            }
        std::vector<Symbol> symbols = symbolsOf(word);
        merge(symbols);
        for (const Symbol& symbol : symbols)
            if (symbol.begin != symbol.end)
                out.push_back({symbol.id, symbol.begin, symbol.end});
    }
    const PieceTable& pieces() const override { return m_pieces; }
    std::string name() const override { return "BPE"; }
    std::int32_t unknownId() const override { return m_unknownId; }
    std::string continuation() const override { return m_prefix; }

private:
    void readMerges(const JsonPlace& merges)
    {
        std::int32_t rank = 0;
        for (const auto& entry : merges.list()) {
            const auto [left, right] = pairOf(entry);
            const std::string_view tail = std::string_view(right).substr(std::min(m_prefix.size(), right.size()));
            const auto known = [&](std::string_view piece) {
                const auto id = m_pieces.find(piece);
                if (id < 0)
                    throw core::FormatError(fmt::format("{}: expected pieces of the vocabulary, got \"{}\"", entry.place(), piece));
                return id;
            };
            const auto first = known(left), second = known(right);
            m_merges.set(first, second, {rank++, known(left + std::string(tail))});
        }
    }

    /// A piece is made in as many ways as it has characters, in most files in one or two: more would only take memory.
    static std::size_t countedMerges(const JsonPlace& merges, const PieceTable& pieces)
    {
        const std::size_t count = merges.list().size(), limit = std::max<std::size_t>(1 << 20, 16 * pieces.count());
        if (count > limit)
            merges.fail(fmt::format("at most {} merges for {} pieces", limit, pieces.count()));
        return count;
    }

    /// ["a", "b"] or "a b".
    static std::pair<std::string, std::string> pairOf(const JsonPlace& entry)
    {
        if (entry.value().isList()) {
            const auto items = entry.list();
            if (items.size() == 2)
                return {items[0].text(), items[1].text()};
        } else if (entry.value().isText()) {
            const auto text = entry.text();
            const auto blank = text.find(' ');
            if (blank != text.npos && text.find(' ', blank + 1) == text.npos)
                return {text.substr(0, blank), text.substr(blank + 1)};
        }
        entry.fail("two pieces, \"a b\" or [\"a\", \"b\"]");
    }

    std::int32_t characterId(std::string_view word, std::size_t at, const Point& point) const
    {
        const bool inside = at > 0 && !m_prefix.empty();
        const bool last = at + point.bytes >= word.size() && !m_suffix.empty();
        if (!inside && !last)
            return point.value < m_characterIds.size() ? m_characterIds[point.value] : m_pieces.find(word.substr(at, point.bytes));
        std::string piece = inside ? m_prefix : std::string();
        piece += word.substr(at, point.bytes);
        if (last)
            piece += m_suffix;
        return m_pieces.find(piece);
    }

    /// The characters of a word; unknown ones as bytes where the vocabulary has those, else as the unknown token (side by side as one, if fused), else left out.
    std::vector<Symbol> symbolsOf(std::string_view word) const
    {
        std::vector<Symbol> symbols;
        symbols.reserve(word.size());
        std::uint32_t unknownBegin = 0, unknownEnd = 0;
        const auto put = [&](std::int32_t id, std::uint32_t begin, std::uint32_t end) {
            const auto at = std::int32_t(symbols.size());
            symbols.push_back({id, at - 1, at + 1, begin, end});
        };
        const auto putUnknown = [&] {
            if (unknownEnd > unknownBegin)
                put(m_unknownId, unknownBegin, unknownEnd);
            unknownBegin = unknownEnd = 0;
        };
        for (std::size_t at = 0; at < word.size();) {
            const Point point = pointAt(word, at);
            const auto begin = std::uint32_t(at), end = std::uint32_t(std::min(at + point.bytes, word.size()));
            at = end;
            if (const auto id = characterId(word, begin, point); id >= 0) {
                putUnknown();
                put(id, begin, end);
            } else if (m_byteFallback && hasBytes(word.substr(begin, end - begin))) {
                putUnknown();
                for (auto byte = begin; byte < end; ++byte)
                    put(m_byteIds[static_cast<unsigned char>(word[byte])], byte, byte + 1);
            } else if (!m_unknown.empty()) {
                if (m_unknownId < 0)
                    throw core::InputError(
                        fmt::format("word \"{}\": expected a vocabulary with the unknown token \"{}\", found none", word, m_unknown));
                if (!m_fuseUnknown)
                    putUnknown();
                unknownBegin = unknownEnd > unknownBegin ? unknownBegin : begin;
                unknownEnd = end;
            }
        }
        putUnknown();
        if (!symbols.empty())
            symbols.back().after = -1;
        return symbols;
    }

    bool hasBytes(std::string_view bytes) const
    {
        for (const char byte : bytes)
            if (m_byteIds[static_cast<unsigned char>(byte)] < 0)
                return false;
        return true;
    }

    void merge(std::vector<Symbol>& symbols) const
    {
        std::priority_queue<Candidate> queue;
        const auto offer = [&](std::int32_t at) {
            if (at < 0 || symbols[std::size_t(at)].after < 0)
                return;
            const auto found = m_merges.find(symbols[std::size_t(at)].id, symbols[std::size_t(symbols[std::size_t(at)].after)].id);
            if (found.rank >= 0)
                queue.push({found.rank, at, found.id});
        };
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i)
            offer(std::int32_t(i));
        while (!queue.empty()) {
            const Candidate top = queue.top();
            queue.pop();
            Symbol& left = symbols[std::size_t(top.at)];
            if (left.begin == left.end || left.after < 0)
                continue;
            Symbol& right = symbols[std::size_t(left.after)];
            if (m_merges.find(left.id, right.id).id != top.id)
                continue;  // one of the two was merged in the meantime
            left.id = top.id;
            left.end = right.end;
            right.begin = right.end;
            left.after = right.after;
            if (right.after >= 0)
                symbols[std::size_t(right.after)].before = top.at;
            offer(left.before);
            offer(top.at);
        }
    }

    PieceTable m_pieces;
    MergeTable m_merges;
    std::string m_prefix, m_suffix, m_unknown;
    std::int32_t m_unknownId = -1;
    bool m_fuseUnknown, m_byteFallback, m_ignoreMerges;
    std::array<std::int32_t, 256> m_byteIds{};
    std::array<std::int32_t, 0x180> m_characterIds{};
};

}  // namespace

SubwordModelPtr bytePairModel(const JsonPlace& json)
{
    return std::make_shared<BytePairs>(json);
}

}  // namespace orrery::text
