#include "unigram_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <core/base/error.h>

#include "string_map.h"
#include "unicode.h"

namespace orrery::text {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();
/// A character that is hardly ever a piece of its own counts so often at least.
constexpr double kLeastCharacterCount = 0.5;
/// Pieces that are expected less often go at once.
constexpr double kLeastPieceCount = 0.5;

double logSum(double a, double b)
{
    if (a < b)
        std::swap(a, b);
    return b == kImpossible ? a : a + std::log1p(std::exp(b - a));
}

/// Where the characters of a word begin, its end included.
std::vector<std::size_t> characterBegins(std::string_view word)
{
    std::vector<std::size_t> begins;
    for (std::size_t at = 0; at < word.size(); at += pointAt(word, at).bytes)
        begins.push_back(at);
    begins.push_back(word.size());
    return begins;
}

/// Pieces to be looked up in words.
class PieceFinder {
public:
    explicit PieceFinder(const UnigramPieces& pieces) : m_scores(pieces.scores)
    {
        for (std::size_t i = 0; i < pieces.pieces.size(); ++i) {
            m_numbers.try_emplace(pieces.pieces[i], std::int32_t(i));
            m_longest = std::max(m_longest, characterBegins(pieces.pieces[i]).size() - 1);
        }
    }

    /// Calls `found(first, last, piece, score)` for the pieces in a word between its characters `first` and `last`, in the order of `last`, then of `first`.
    template <class Found>
    void eachIn(std::string_view word, const std::vector<std::size_t>& begins, const Found& found) const
    {
        for (std::size_t last = 1; last < begins.size(); ++last)
            for (std::size_t first = last > m_longest ? last - m_longest : 0; first < last; ++first)
                if (const auto piece = m_numbers.find(word.substr(begins[first], begins[last] - begins[first]));
                    piece != m_numbers.end() && m_scores[std::size_t(piece->second)] != kImpossible)
                    found(first, last, std::size_t(piece->second), m_scores[std::size_t(piece->second)]);
    }

    /// Pieces of the most probable way to cut a word, without the piece `left`; empty if there is none.
    std::vector<std::size_t> bestCut(std::string_view word, std::size_t left) const
    {
        const auto begins = characterBegins(word);
        std::vector<double> best(begins.size(), kImpossible);
        std::vector<std::pair<std::size_t, std::size_t>> from(begins.size());
        best[0] = 0;
        eachIn(word, begins, [&](std::size_t first, std::size_t last, std::size_t piece, double score) {
            if (piece == left || best[first] == kImpossible || best[first] + score <= best[last])
                return;
            best[last] = best[first] + score;
            from[last] = {first, piece};
        });
        std::vector<std::size_t> out;
        if (best.back() == kImpossible)
            return out;
        for (std::size_t at = begins.size() - 1; at > 0; at = from[at].first)
            out.push_back(from[at].second);
        std::reverse(out.begin(), out.end());
        return out;
    }

private:
    TextMap<std::int32_t> m_numbers;
    const std::vector<double>& m_scores;
    std::size_t m_longest = 1;
};

struct LatticeEdge {
    std::size_t first, last, piece;
    double score;
};

void addExpectation(const PieceFinder& finder, const std::string& word, double count, UnigramExpectation& out)
{
    const auto begins = characterBegins(word);
    std::vector<LatticeEdge> edges;
    finder.eachIn(word, begins, [&](std::size_t first, std::size_t last, std::size_t piece, double score) {
        edges.push_back({first, last, piece, score});
    });
    std::vector<double> forward(begins.size(), kImpossible), backward(begins.size(), kImpossible);
    forward[0] = backward.back() = 0;
    for (const auto& edge : edges)  // in the order of their ends
        if (forward[edge.first] != kImpossible)
            forward[edge.last] = logSum(forward[edge.last], forward[edge.first] + edge.score);
    if (forward.back() == kImpossible)
        throw core::InputError(fmt::format("the word \"{}\" cannot be cut into the pieces", word));
    std::stable_sort(edges.begin(), edges.end(), [](const LatticeEdge& a, const LatticeEdge& b) { return a.first > b.first; });
    for (const auto& edge : edges)  // from the last beginning to the first
        if (backward[edge.last] != kImpossible)
            backward[edge.first] = logSum(backward[edge.first], backward[edge.last] + edge.score);
    for (const auto& edge : edges)
        if (const double path = forward[edge.first] + edge.score + backward[edge.last]; path != kImpossible)
            out.counts[edge.piece] += count * std::exp(path - forward.back());
    out.logLikelihood += count * forward.back();
}

class UnigramTrainer {
public:
    UnigramTrainer(const std::map<std::string, std::int64_t>& words, const UnigramTraining& training) : m_words(words), m_training(training) {}

    UnigramPieces run()
    {
        seed();
        const double begin = double(m_now.pieces.size()), wanted = double(m_training.vocabulary);
        while (true) {
            for (int step = 0; step < m_training.steps; ++step)
                improve();
            if (m_now.pieces.size() <= m_training.vocabulary)
                break;
            prune();
            if (m_training.progress)
                m_training.progress(std::log(begin / double(m_now.pieces.size())), std::log(std::max(begin / wanted, 1.0)));
        }
        return sorted();
    }

private:
    bool isCharacter(const std::string& piece) const { return m_characters.contains(piece); }

    void throwIfStopped() const
    {
        if (m_training.stop.stop_requested())
            throw core::Cancelled{};
    }

    /// Substrings that are there more than once, those that cover most text first; and every character.
    void seed()
    {
        TextMap<std::int64_t> counts;
        for (const auto& [word, count] : m_words) {
            throwIfStopped();
            const auto begins = characterBegins(word);
            for (std::size_t first = 0; first + 1 < begins.size(); ++first)
                for (std::size_t last = first + 1; last < begins.size() && last - first <= m_training.longestPiece; ++last) {
                    const auto piece = std::string_view(word).substr(begins[first], begins[last] - begins[first]);
                    counts.try_emplace(std::string(piece), 0).first->second += count;
                    if (last == first + 1)
                        m_characters.emplace(piece);
                }
        }
        if (m_characters.size() > m_training.vocabulary)
            throw core::InputError(
                fmt::format("expected room for the {} characters of the text, got a vocabulary of {}", m_characters.size(), m_training.vocabulary));
        struct Seed {
            double covered;
            const std::string* piece;
            std::int64_t count;
        };
        std::vector<Seed> seeds;
        for (const auto& [piece, count] : counts)
            if (count > 1 && !isCharacter(piece))
                seeds.push_back({double(count) * double(countPoints(piece)), &piece, count});
        std::sort(seeds.begin(), seeds.end(),
                  [](const Seed& a, const Seed& b) { return a.covered != b.covered ? a.covered > b.covered : *a.piece < *b.piece; });
        seeds.resize(std::min(seeds.size(), m_training.seedPieces));
        std::vector<double> numbers;
        for (const auto& character : m_characters) {
            m_now.pieces.push_back(character);
            numbers.push_back(double(counts.find(character)->second));
        }
        for (const auto& each : seeds) {
            m_now.pieces.push_back(*each.piece);
            numbers.push_back(double(each.count));
        }
        m_now.scores = mostProbableScores(numbers);
    }

    /// One step of expectation and maximisation; pieces that are hardly expected any more go.
    void improve()
    {
        throwIfStopped();
        const auto expected = expectedCounts(m_now, m_words);
        UnigramPieces next;
        std::vector<double> counts;
        for (std::size_t i = 0; i < m_now.pieces.size(); ++i) {
            const bool character = isCharacter(m_now.pieces[i]);
            if (!character && expected.counts[i] < kLeastPieceCount)
                continue;
            next.pieces.push_back(std::move(m_now.pieces[i]));
            counts.push_back(character ? std::max(expected.counts[i], kLeastCharacterCount) : expected.counts[i]);
        }
        next.scores = mostProbableScores(counts);
        m_now = std::move(next);
    }

    /// How often each piece stands in the most probable cuts of the words.
    std::vector<double> usedCounts(const PieceFinder& finder) const
    {
        std::vector<double> used(m_now.pieces.size(), 0);
        for (const auto& [word, count] : m_words)
            for (const std::size_t piece : finder.bestCut(word, std::size_t(-1)))
                used[piece] += double(count);
        return used;
    }

    /// What a piece's absence costs: its uses become those of its own best cut into others.
    double costOf(std::size_t piece, const PieceFinder& finder, const std::vector<double>& used, double total) const
    {
        const auto parts = finder.bestCut(m_now.pieces[piece], piece);
        if (parts.empty())
            return std::numeric_limits<double>::infinity();
        const double with = std::log(used[piece]) - std::log(total), newTotal = std::log(total + used[piece] * double(parts.size() - 1));
        double without = 0;
        for (const std::size_t part : parts)
            without += std::log(used[part] + used[piece]) - newTotal;
        return used[piece] / total * (with - without);
    }

    void prune()
    {
        const PieceFinder finder(m_now);
        const std::vector<double> used = usedCounts(finder);
        const double total = std::accumulate(used.begin(), used.end(), 0.0);
        std::vector<std::pair<double, std::size_t>> costs;  // of pieces that may go, dearest first
        std::vector<bool> stays(m_now.pieces.size());
        std::size_t kept = 0;
        for (std::size_t i = 0; i < m_now.pieces.size(); ++i) {
            if (i % 4096 == 0)
                throwIfStopped();
            stays[i] = isCharacter(m_now.pieces[i]);
            kept += stays[i];
            if (!stays[i] && used[i] > 0)
                costs.emplace_back(-costOf(i, finder, used, total), i);
        }
        std::sort(costs.begin(), costs.end());
        const auto wanted = std::max(m_training.vocabulary, std::size_t(m_training.keep * double(m_now.pieces.size())));
        for (std::size_t i = 0; i < costs.size() && kept < wanted; ++i, ++kept)
            stays[costs[i].second] = true;
        UnigramPieces next;
        for (std::size_t i = 0; i < m_now.pieces.size(); ++i)
            if (stays[i]) {
                next.pieces.push_back(std::move(m_now.pieces[i]));
                next.scores.push_back(m_now.scores[i]);
            }
        m_now = std::move(next);
    }

    UnigramPieces sorted() const
    {
        std::vector<std::size_t> order(m_now.pieces.size());
        std::iota(order.begin(), order.end(), 0);
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return m_now.scores[a] != m_now.scores[b] ? m_now.scores[a] > m_now.scores[b] : m_now.pieces[a] < m_now.pieces[b];
        });
        UnigramPieces out;
        for (const std::size_t i : order) {
            out.pieces.push_back(m_now.pieces[i]);
            out.scores.push_back(m_now.scores[i]);
        }
        return out;
    }

    const std::map<std::string, std::int64_t>& m_words;
    const UnigramTraining& m_training;
    std::set<std::string, std::less<>> m_characters;
    UnigramPieces m_now;
};

}  // namespace

UnigramExpectation expectedCounts(const UnigramPieces& pieces, const std::map<std::string, std::int64_t>& words)
{
    const PieceFinder finder(pieces);
    UnigramExpectation out;
    out.counts.resize(pieces.pieces.size());
    for (const auto& [word, count] : words)
        addExpectation(finder, word, double(count), out);
    return out;
}

std::vector<double> mostProbableScores(const std::vector<double>& counts)
{
    const double total = std::log(std::accumulate(counts.begin(), counts.end(), 0.0));
    std::vector<double> scores;
    for (const double count : counts)
        scores.push_back(count > 0 ? std::log(count) - total : kImpossible);
    return scores;
}

UnigramPieces trainUnigram(const std::map<std::string, std::int64_t>& words, const UnigramTraining& training)
{
    return UnigramTrainer(words, training).run();
}

}  // namespace orrery::text
