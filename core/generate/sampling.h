#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <core/base/schema.h>

namespace orrery::generation {

/// How the next token is chosen. Names and defaults as in the `generate` function that is common for such models.
struct SamplingOptions {
    bool sample = false;           ///< off: the most probable token (greedy)
    double temperature = 1;        ///< > 0; divides the logits
    std::int64_t topK = 50;        ///< only the k most probable; 0: all
    double topP = 1;               ///< of these only the fewest whose probabilities reach p (at least one)
    double repetitionPenalty = 1;  ///< > 0; logits of tokens that the text holds are divided by it where positive, else multiplied
    std::uint64_t seed = 0;
};

struct GeneratedToken {
    std::int64_t token = 0;
    double probability = 0;  ///< by softmax of the logits as they are
    std::vector<std::pair<std::int64_t, double>> alternatives;
};

/// The next token by `options` from logits [token]; draws are a function of (seed, step).
/// @param text  The tokens so far, which the repetition penalty looks at.
/// Source of the penalty: Keskar et al. (2019), "CTRL", arXiv:1909.05858, section 4.1; of top-p: Holtzman et al. (2019), arXiv:1904.09751, section 3.1.
std::int64_t chooseToken(const at::Tensor& logits, const SamplingOptions& options, std::int64_t step, std::span<const std::int64_t> text = {});

/// A token with its probability and the most probable ones beside it, by falling probability; of equals the smaller number first.
GeneratedToken describedToken(const at::Tensor& logits, std::int64_t token, std::size_t alternatives);

/// What every form for writing texts begins with: max_new_tokens, do_sample, temperature, top_k, top_p.
core::Schema samplingSchema();
/// Reads what `samplingSchema` declares, but for the number of tokens, from a resolved document.
void readSampling(const core::Json& resolved, SamplingOptions& options);

}  // namespace orrery::generation
