#pragma once
#include "future_lens.h"

namespace orrery::intervene {

/// Where states are put: at the last position of a sequence.
struct TransplantContext {
    TransplantContext(at::Tensor numbers) : tokens(std::move(numbers)) {}
    at::Tensor tokens;  ///< [1, position]
    std::vector<at::Tensor>
        prompts;  ///< one a place, [position, feature]: what the stream's first place holds instead of the tokens; empty: the tokens
};

struct TransplantSettings {
    std::int64_t offset = 1;  ///< tokens that are read; 1: the next one alone
    std::int64_t top = 5;
};

/// What hidden states say in another context.
struct Transplant {
    LensGrid grid;             ///< of the last token that is read, `offset` ahead
    at::Tensor context;        ///< [position] tokens of the context
    at::Tensor tokens;         ///< [place, position, offset] int64: the tokens written on, each the most probable one
    at::Tensor probabilities;  ///< [place, position, offset] double: theirs
};

/// Reads tokens ahead by transplanting: the state of one place and position is put at the same place of another context, at its last position, and the model
/// writes on from there, always the most probable token; the state stays in place while it does. Nothing is fitted. At the last place nothing but the model's
/// own head follows, so that the next token there is the model's own prediction; a state that is put where it came from changes nothing.
/// @param tokens   [1, position]: whose states are read.
/// @throws core::InputError for an offset below 1, or a context that leaves no room for it; as `logitLens`; core::Cancelled.
/// Source: Pal, Sun, Yuan, Wallace & Bau (2023), "Future Lens: Anticipating Subsequent Tokens from a Single Hidden State", arXiv:2311.04897, section on
/// fixed prompt causal intervention; with learned prompts (soft_prompt.h) its learned prompt causal intervention. Cost: `offset` runs a place, of as many rows as there are positions.
Transplant transplant(const LensSubject& subject, const at::Tensor& tokens, const TransplantContext& context, const TransplantSettings& settings,
                      const Control& control = {});

/// How often the token `offset` ahead that is read by transplanting is the true one. @param sequences  [sequence, position]. As `scoreFutureLens`, without bigrams.
FutureLensScore scoreTransplant(const LensSubject& subject, const at::Tensor& sequences, const TransplantContext& context, std::int64_t offset,
                                const Control& control = {});

/// Logits [row, token] of the last position of `written` [row, position], in which the stream holds `states` [row, feature] at `place` and position `at`.
/// @param prompt  [position, feature] held by the first place of the stream at the first positions, or undefined. Recorded by autograd if it requires grad.
at::Tensor transplantedLogits(const LensSubject& subject, const StreamPlace& place, const at::Tensor& prompt, const at::Tensor& states,
                              std::int64_t at, const at::Tensor& written, const Control& control);

}  // namespace orrery::intervene
