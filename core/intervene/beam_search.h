#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>
#include <vector>

#include <core/base/json.h>
#include <core/graph/model.h>

namespace orrery::intervene {

struct BeamOptions {
    int beams = 4;                                            ///< prefixes kept a step
    std::int64_t maxLength = 64;                              ///< new tokens at most
    double lengthPenalty = 1;                                 ///< score = log probability / length^penalty; 0: the log probability itself
    std::optional<std::int64_t> end;                          ///< a hypothesis ends with this token; none: all run to `maxLength`
    std::vector<std::int64_t> excluded;                       ///< tokens that are never chosen (padding)
    std::function<void(double done, double total)> progress;  ///< tokens so far and at most; called on the searching thread, may be empty
};

/// One hypothesis.
struct Hypothesis {
    std::vector<std::int64_t> tokens;  ///< new tokens, the end token among them
    double logProbability = 0, score = 0;
    bool ended = false;      ///< by the end token
    int step = 0, node = 0;  ///< its last token in `BeamResult::steps`
};

/// What one step kept, for a view of the search: prefix `parent` of the step before, one token more.
struct BeamNode {
    int parent = -1;
    std::int64_t token = 0;
    double logProbability = 0;  ///< of the whole prefix
    bool ended = false;
};

struct BeamResult {
    std::vector<Hypothesis> hypotheses;        ///< by falling score; at most `beams`
    std::vector<std::vector<BeamNode>> steps;  ///< kept nodes of each step, by falling log probability
    /// The nodes of a hypothesis, one a step from the first on.
    std::vector<int> pathOf(const Hypothesis& hypothesis) const;
    core::Json toJson(const std::function<std::string(std::int64_t)>& tokenText) const;
};

/// Log probabilities of the next token for each prefix of new tokens: [prefix, token], double.
using NextLogProbabilities = std::function<at::Tensor(const std::vector<std::vector<std::int64_t>>& prefixes)>;

/// Beam search: of all one-token extensions of the kept prefixes the `beams` most probable are kept; those that end leave the beam for the list of results. With
/// as many beams as there are prefixes it is exhaustive. It ends when nothing is left to extend, at `maxLength`, or when no prefix can still reach the score of
/// the worst of `beams` finished hypotheses (for penalties where scores cannot rise: penalty 0).
/// Source: Graves (2012), arXiv:1211.3711, section 2.5 (beam search over sequences); length normalisation: Wu et al. (2016), arXiv:1609.08144, section 7, here
/// with the plain length as in fairseq (Ott et al. 2019, arXiv:1904.01038).
/// @throws core::InputError for beams or maxLength below 1; core::Cancelled.
BeamResult beamSearch(const NextLogProbabilities& next, const BeamOptions& options, std::stop_token stop = {});

/// Beam search with a model: `text` is the source of an encoder-decoder (two token inputs; the encoder runs once), or the beginning that a language model goes on
/// from. No hypothesis grows beyond what the model can read. Begin, end and padding are those of the model (see generation::specialTokens). `end` and `excluded` of the options are set here for encoder-decoders.
/// @throws core::InputError for a model that takes no text, or a text longer than the model takes.
BeamResult searchText(const graph::Model& model, std::string_view text, BeamOptions options, std::stop_token stop = {});

}  // namespace orrery::intervene
