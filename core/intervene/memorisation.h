#pragma once
#include "residual.h"

namespace orrery::intervene {

struct MemorisationSettings {
    std::optional<std::int64_t> prompt;        ///< tokens given; nothing: half of each sequence
    std::optional<std::int64_t> continuation;  ///< tokens that must follow; nothing: the rest of the sequence
};

/// What a model wrote on from the beginnings of sequences.
struct Memorisation {
    std::int64_t prompt = 0, continuation = 0;
    at::Tensor matched;  ///< [sequence] int64: tokens of the continuation that came as in the sequence, before the first other one
    std::int64_t sequences() const { return matched.size(0); }
    /// Sequences whose continuation came whole.
    std::int64_t extractable() const;
    double share() const { return double(extractable()) / double(sequences()); }
    double meanMatched() const;
};

/// Which sequences a model knows by heart: one is extractable with a prompt of k tokens if the model, given its first k and always taking the most probable
/// token, writes what follows. No token is drawn: in a causal model the continuation comes as in the sequence exactly as long as each of its tokens is the most
/// probable one after all before it, so that one pass over the sequences tells it.
/// @param sequences  [sequence, position], of the text the model was trained on.
/// @throws core::InputError for lengths below 1 or beyond the sequences; as `runStream`; core::Cancelled. `control.progress` counts sequences.
/// Source: Carlini et al. (2023), "Quantifying Memorization Across Neural Language Models", arXiv:2202.07646, definition 3.1. Any thread.
Memorisation memorisation(const LensSubject& subject, const at::Tensor& sequences, const MemorisationSettings& settings, const Control& control = {});

}  // namespace orrery::intervene
