#pragma once
#include <fmt/format.h>

#include <utility>

#include "attention.h"

namespace orrery::intervene {

/// A head by block and number within it, both from 0: "1.3".
struct HeadPlace {
    int block = 0, head = 0;
    bool operator==(const HeadPlace&) const = default;
    std::string text() const { return fmt::format("{}.{}", block, head); }
};
/// "1.3" -> block 1, head 3. @throws core::InputError for another form.
HeadPlace headPlace(const std::string& text);

struct InductionSettings {
    std::int64_t sequences = 16;
    std::int64_t length = 0;  ///< tokens that are repeated; 0: 50, or half of the model's longest sequence if that is less
    std::uint64_t seed = 0;
    std::vector<HeadPlace> ablated;  ///< heads whose output z is set to zero
};

/// What heads do on random sequences that are repeated once, and how well the model predicts the repetition.
struct InductionScores {
    std::int64_t length = 0, sequences = 0, vocabulary = 0;
    /// [block, head] averages. induction: attention from each token of the second half to the token after its previous occurrence, exactly `length - 1` back;
    /// duplicateToken: to that occurrence itself, `length` back (second half); previousToken and firstToken: over all tokens.
    HeadScores scores;
    at::Tensor loss;  ///< [2 * length - 1] mean next-token loss behind each position, nats
    double firstLoss = 0,
           secondLoss = 0;  ///< predictions of tokens within the first half, and within the second (its first token apart: nothing says it)
    double firstAccuracy = 0, secondAccuracy = 0;
    std::vector<HeadPlace> inductionHeads;  ///< score at least `kInductionThreshold`, highest first
};
inline constexpr double kInductionThreshold = 0.4;

/// Sequences of random tokens, each repeated: [sequences, 2 * length] int64. The tokens of one sequence differ from each other where the vocabulary is large enough.
at::Tensor repeatedTokens(std::int64_t sequences, std::int64_t length, std::int64_t vocabulary, std::uint64_t seed);

/// @throws core::InputError for a length the model does not take, heads that are not there, or a model without canonical names; core::Cancelled.
/// Source: Olsson et al. (2022), arXiv:2209.11895 (prefix matching score on repeated random sequences). Any thread.
InductionScores inductionScores(const LensSubject& subject, const InductionSettings& settings, const Control& control = {});

}  // namespace orrery::intervene
