#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <core/base/error.h>

#include "subword_model.h"
#include "unicode.h"

namespace orrery::text {
namespace {

/// An unknown character costs so much more than the rarest piece, in natural logarithms.
constexpr double kUnknownPenalty = 10;

/// All pieces by their first bytes, a radix tree: an edge is as long as all below it agree, so that there are at most twice as many nodes as pieces, however long those are.
/// Children of a node are sorted, so that memory stays small and the search is a few steps.
class PieceTrie {
public:
    /// @param pieces  Sorted by text, with their numbers; the texts are kept as views.
    explicit PieceTrie(const std::vector<std::pair<std::string_view, std::int32_t>>& pieces)
    {
        m_nodes.push_back({});
        grow(0, pieces, 0, pieces.size(), 0);
    }
    /// Calls `found(bytes, id)` for each piece that the text begins with, shortest first.
    template <class Found>
    void prefixes(std::string_view text, const Found& found) const
    {
        std::uint32_t node = 0;
        for (std::size_t at = 0; at < text.size();) {
            const auto& parent = m_nodes[node];
            const auto first = m_labels.begin() + parent.firstChild, last = first + parent.children;
            const auto child = std::lower_bound(first, last, static_cast<unsigned char>(text[at]));
            if (child == last || *child != static_cast<unsigned char>(text[at]))
                return;
            node = m_children[std::size_t(child - m_labels.begin())];
            const auto edge = m_nodes[node].edge;
            if (!text.substr(at).starts_with(edge))
                return;
            at += edge.size();
            if (m_nodes[node].id >= 0)
                found(at, m_nodes[node].id);
        }
    }

private:
    struct Node {
        std::string_view edge;  ///< the bytes between the node above and this one
        std::int32_t id = -1;
        std::uint32_t firstChild = 0, children = 0;
    };
    // Breadth of one node, then each child. Depth is at most a piece's length, so pieces are limited in length by who calls.
    void grow(std::uint32_t node, const std::vector<std::pair<std::string_view, std::int32_t>>& pieces, std::size_t first, std::size_t last,
              std::size_t depth)
    {
        while (first < last && pieces[first].first.size() == depth)
            m_nodes[node].id = pieces[first++].second;
        std::vector<std::pair<std::size_t, std::size_t>> groups;
        for (std::size_t i = first; i < last;) {
            std::size_t end = i + 1;
            while (end < last && pieces[end].first[depth] == pieces[i].first[depth])
                ++end;
            groups.emplace_back(i, end);
            i = end;
        }
        const auto firstChild = std::uint32_t(m_labels.size());
        m_nodes[node].firstChild = firstChild;
        m_nodes[node].children = std::uint32_t(groups.size());
        for (const auto& [begin, end] : groups) {
            m_labels.push_back(static_cast<unsigned char>(pieces[begin].first[depth]));
            m_children.push_back(std::uint32_t(m_nodes.size()));
            m_nodes.push_back({pieces[begin].first.substr(depth, sharedBytes(pieces[begin].first, pieces[end - 1].first) - depth)});
        }
        for (std::size_t i = 0; i < groups.size(); ++i) {
            const auto child = m_children[firstChild + i];
            grow(child, pieces, groups[i].first, groups[i].second, depth + m_nodes[child].edge.size());
        }
    }
    /// Of sorted texts the first and the last share what all of them share.
    static std::size_t sharedBytes(std::string_view first, std::string_view last)
    {
        return std::size_t(std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first - first.begin());
    }

    std::vector<Node> m_nodes;
    std::vector<unsigned char> m_labels;
    std::vector<std::uint32_t> m_children;
};

/// Source: Kudo (2018), "Subword Regularization", section 3.2 (arXiv:1804.10959): the pieces of the highest sum of log probabilities, by Viterbi's algorithm.
class Unigram final : public SubwordModel {
public:
    explicit Unigram(const JsonPlace& json) : m_byteFallback(json.flag("byte_fallback", false))
    {
        readPieces(json.at("vocab"));
        if (json.has("unk_id"))
            m_unknown = std::int32_t(json.at("unk_id").number(0, std::int64_t(m_scores.size()) - 1));
        const auto hidden = hiddenPieces(json);
        for (std::size_t id = 0; id < m_scores.size(); ++id)
            if (!hidden[id])
                m_lowest = std::min(m_lowest, m_scores[id]);
        std::vector<std::pair<std::string_view, std::int32_t>> sorted;
        for (std::size_t id = 0; id < m_scores.size(); ++id)
            if (const auto* piece = m_pieces.pieceOf(std::int64_t(id));
                piece && !hidden[id] && m_pieces.find(*piece) == std::int32_t(id) && !piece->empty())
                sorted.emplace_back(*piece, std::int32_t(id));
        std::sort(sorted.begin(), sorted.end());
        m_trie = std::make_unique<PieceTrie>(sorted);
    }

    void tokenize(std::string_view word, std::vector<Piece>& out) const override
    {
        const auto path = bestPath(word);
        std::vector<Piece> pieces;  // from the end
        for (std::size_t end = word.size(); end > 0;) {
            const auto& node = path[end];
            // Unknown characters side by side are one unknown piece.
            if (node.id == m_unknown && m_unknown >= 0 && !pieces.empty() && pieces.back().id == m_unknown && pieces.back().literal)
                pieces.back().begin = node.begin;
            else
                pieces.push_back({node.id, node.begin, std::uint32_t(end), node.id == m_unknown});
            end = node.begin;
        }
        for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece)
            if (!piece->literal || !known(word, *piece, out))
                out.push_back(*piece);
    }
    const PieceTable& pieces() const override { return m_pieces; }
    std::string name() const override { return "Unigram"; }
    std::int32_t unknownId() const override { return m_unknown; }

private:
    struct Node {
        double score = 0;
        std::uint32_t begin = 0;
        std::int32_t id = -1;
        bool reached = false;
    };

    void readPieces(const JsonPlace& vocabulary)
    {
        for (const auto& entry : vocabulary.list()) {
            const auto pair = entry.list();
            if (pair.size() != 2)
                entry.fail("[piece, log probability]");
            auto piece = pair[0].text();
            if (piece.size() > 4096)
                entry.fail("a piece of at most 4096 bytes");
            m_pieces.add(std::move(piece), std::int64_t(m_scores.size()), vocabulary.place());
            m_scores.push_back(pair[1].decimal());
            if (!std::isfinite(m_scores.back()))
                pair[1].fail("a finite log probability");
        }
        if (m_scores.empty())
            vocabulary.fail("at least one piece");
    }

    /// Pieces that stand for no text: those of a SentencePiece model that are control or byte pieces ("not_in_text", which the library's own files do not have).
    std::vector<bool> hiddenPieces(const JsonPlace& json) const
    {
        std::vector<bool> hidden(m_scores.size());
        if (json.has("not_in_text"))
            for (const auto& id : json.at("not_in_text").list())
                hidden[std::size_t(id.number(0, std::int64_t(m_scores.size()) - 1))] = true;
        return hidden;
    }

    std::vector<Node> bestPath(std::string_view word) const
    {
        std::vector<Node> ends(word.size() + 1);
        const auto offer = [&](std::size_t begin, std::size_t end, std::int32_t id, double score) {
            Node& node = ends[end];
            score += ends[begin].score;
            if (!node.reached || score > node.score)
                node = {score, std::uint32_t(begin), id, true};
        };
        for (std::size_t begin = 0; begin < word.size();) {
            const auto own = std::min<std::size_t>(pointAt(word, begin).bytes, word.size() - begin);
            bool single = false;
            m_trie->prefixes(word.substr(begin), [&](std::size_t bytes, std::int32_t id) {
                offer(begin, begin + bytes, id, m_scores[std::size_t(id)]);
                single |= bytes == own;
            });
            if (!single) {
                if (m_unknown < 0)
                    throw core::InputError(
                        fmt::format("text \"{}\": expected characters of the vocabulary, which has no unknown piece", word.substr(begin, own)));
                offer(begin, begin + own, m_unknown, m_lowest - kUnknownPenalty);
            }
            begin += own;
        }
        return ends;
    }

    /// An unknown stretch that is a piece after all, or bytes of it. False: neither.
    bool known(std::string_view word, const Piece& piece, std::vector<Piece>& out) const
    {
        const auto text = word.substr(piece.begin, piece.end - piece.begin);
        if (const auto id = m_pieces.find(text); id >= 0) {
            out.push_back({id, piece.begin, piece.end});
            return true;
        }
        if (!m_byteFallback)
            return false;
        std::vector<std::int32_t> bytes;
        for (const char byte : text)
            bytes.push_back(m_pieces.find(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte))));
        if (std::find(bytes.begin(), bytes.end(), -1) != bytes.end())
            return false;
        for (const auto id : bytes)
            out.push_back({id, piece.begin, piece.end});
        return true;
    }

    PieceTable m_pieces;
    std::vector<double> m_scores;
    std::unique_ptr<PieceTrie> m_trie;
    std::int32_t m_unknown = -1;
    bool m_byteFallback;
    double m_lowest = std::numeric_limits<double>::infinity();
};

}  // namespace

SubwordModelPtr unigramModel(const JsonPlace& json)
{
    return std::make_shared<Unigram>(json);
}

}  // namespace orrery::text
