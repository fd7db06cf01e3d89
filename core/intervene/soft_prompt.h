#pragma once
#include "transplant.h"

namespace orrery::intervene {

struct SoftPromptSettings {
    std::int64_t length = 10;  ///< vectors; the state is put at the last one
    std::int64_t offset = 1;   ///< tokens ahead
    std::int64_t steps = 100;  ///< of Adam, each on `batch` states
    std::int64_t batch = 64;
    double rate = 0.1;  ///< learning rate, in standard deviations of the stream's first place
    std::uint64_t seed = 0;
};

/// Learned prompts, one a place: vectors that stand where a context's embeddings would, chosen such that the model, with a state put at their last position,
/// says what it said in the state's own context.
struct SoftPrompts {
    TransplantContext context;          ///< to be handed to `transplant` and `scoreTransplant`
    std::vector<double> before, after;  ///< one a place: mean of the loss over all states, nats, at the start and at the end
    std::int64_t states = 0;            ///< learned on
};

/// Minimises KL(the model's own distribution || the transplanted one) of the token `offset` ahead, over states drawn from the sequences; the true tokens between
/// are written in. A prompt starts as the mean embedding of each position. The weights stay as they are. Same seed, same result.
/// @param sequences  [sequence, position].
/// @throws core::InputError for settings out of range, sequences that are too short, a model whose longest sequence has no room for the prompt; core::Cancelled.
/// Source: Pal, Sun, Yuan, Wallace & Bau (2023), "Future Lens: Anticipating Subsequent Tokens from a Single Hidden State", arXiv:2311.04897, section on learned
/// prompt causal intervention. Cost: `steps` runs forward and backward a place, of `batch` rows of `length + offset - 1` tokens.
SoftPrompts learnPrompts(const LensSubject& subject, const at::Tensor& sequences, const SoftPromptSettings& settings, const Control& control = {});

}  // namespace orrery::intervene
