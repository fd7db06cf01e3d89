#pragma once
#include "residual.h"

/// Attention patterns and what their heads look at.
namespace orrery::intervene {

/// Averages over the queries of a sequence; NaN where no query counts.
/// @param pattern  [..., query, key], rows sum to 1. @param tokens  [position] of that sequence. @return  [...] float64 on the CPU.

/// Attention from each token (but the first) to the one before it.
at::Tensor previousTokenScore(const at::Tensor& pattern);
/// Attention to all earlier occurrences of the same token, over the tokens that have one.
at::Tensor duplicateTokenScore(const at::Tensor& pattern, const at::Tensor& tokens);
/// Attention to the tokens that followed earlier occurrences of the same token (those before the query itself), over the queries that have one.
at::Tensor inductionScore(const at::Tensor& pattern, const at::Tensor& tokens);
/// Attention to the first token, over all queries but the first: where a head with nothing to say rests.
at::Tensor firstTokenScore(const at::Tensor& pattern);
/// Entropy of a row in nats.
at::Tensor attentionEntropy(const at::Tensor& pattern);

/// One number a head: [block, head] float64.
struct HeadScores {
    at::Tensor previousToken, duplicateToken, induction, firstToken, entropy;
};
HeadScores headScores(const std::vector<at::Tensor>& patterns, const at::Tensor& tokens);

struct AttentionPatterns {
    at::Tensor tokens;                 ///< [position]
    std::vector<at::Tensor> patterns;  ///< one a block: [head, query, key] float32, CPU
    HeadScores scores;                 ///< on this sequence
};

/// @param tokens  [1, position].
/// @throws core::InputError for a model whose card names no attention patterns; as `logitLens`.
/// Source: previous-token, duplicate-token and induction heads as in Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits", and Olsson et
/// al. (2022), "In-context Learning and Induction Heads", arXiv:2209.11895. Any thread.
AttentionPatterns attentionPatterns(const LensSubject& subject, const at::Tensor& tokens, const Control& control = {});

/// The graph's names of the patterns, one a block. @throws core::InputError if the card names none.
std::vector<std::string> patternValues(const graph::ModelCard& card);

}  // namespace orrery::intervene
