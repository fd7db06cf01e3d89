#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::text {

/// Pieces with the natural logarithms of their probabilities. A word may be cut in many ways, each as probable as the product of its pieces.
/// Source: Kudo (2018), "Subword Regularization: Improving Neural Network Translation Models with Multiple Subword Candidates", arXiv:1804.10959, section 3.2.
struct UnigramPieces {
    std::vector<std::string> pieces;
    std::vector<double> scores;
};

/// What words say of pieces: how often each is expected in all ways of cutting them, and the logarithm of the words' probability (each word as often as it is counted).
struct UnigramExpectation {
    std::vector<double> counts;  ///< by piece
    double logLikelihood = 0;
};
/// By the forward-backward algorithm. @throws core::InputError for a word that cannot be cut into these pieces.
UnigramExpectation expectedCounts(const UnigramPieces& pieces, const std::map<std::string, std::int64_t>& words);
/// The scores that make these counts most probable: logarithms of their shares. A count of 0 gives -infinity.
std::vector<double> mostProbableScores(const std::vector<double>& counts);

struct UnigramTraining {
    std::size_t vocabulary = 1000;       ///< pieces at most
    std::size_t longestPiece = 16;       ///< characters
    std::size_t seedPieces = 1'000'000;  ///< substrings to begin with, those that cover most text
    double keep = 0.75;                  ///< share of the pieces that stays each time the least useful ones go
    int steps = 2;                       ///< of expectation and maximisation between these times
    std::stop_token stop;                ///< @throws core::Cancelled
    std::function<void(double done, double total)> progress;
};
/// Begins with frequent substrings, fits their probabilities by expectation and maximisation, and leaves out those whose absence costs the words least probability, until as many as wanted are left.
/// Every character of the words stays a piece. The result depends on the words alone; most probable pieces come first.
/// @throws core::InputError if the words have more characters than pieces are wanted.
UnigramPieces trainUnigram(const std::map<std::string, std::int64_t>& words, const UnigramTraining& training);

}  // namespace orrery::text
