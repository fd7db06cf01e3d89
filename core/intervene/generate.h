#pragma once
#include <optional>
#include <string>
#include <vector>

#include <core/generate/sampling.h>

#include "intervention.h"

namespace orrery::intervene {

/// How the text goes on; see generation::SamplingOptions for how a token is chosen.
struct GenerationOptions : generation::SamplingOptions {
    std::int64_t maxNewTokens = 20;
    std::optional<std::int64_t> stopToken;
    std::size_t alternatives = 5;  ///< most probable tokens that are reported for each step
};

/// Form, check and help of the options: max_new_tokens, do_sample, temperature, top_k, top_p, stop_token.
const core::Schema& generationSchema();
/// @throws core::DocumentError.
GenerationOptions generationOptions(const core::Json& document, std::uint64_t seed);

using generation::chooseToken;
using generation::GeneratedToken;

struct GenerationResult {
    std::vector<std::int64_t> prompt;
    std::vector<GeneratedToken> tokens;
    bool stopped = false;  ///< the stop token came
    std::vector<std::int64_t> newTokens() const;
};

/// Writes on from a prompt: a pass over the whole text for every token, nothing cached, with the interventions as a run with a cache of keys and values would
/// have them (see `When`): the result is that of such a run.
/// @param model    Gives logits [1, position, token] for tokens [1, position] int64.
/// @param program  May be null.
/// @throws core::InputError if the model takes no tokens, the prompt is no [1, position] or holds unknown tokens, or the text would exceed the model's longest;
///         core::Error for NaN in the logits; what running throws; core::Cancelled. `control.progress` counts tokens. Any thread.
GenerationResult generate(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card, const at::Tensor& prompt,
                          const GenerationOptions& options, const InterventionProgram* program = nullptr, const Control& control = {});

}  // namespace orrery::intervene
