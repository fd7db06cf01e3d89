#pragma once
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string_view>

#include <core/base/json.h>
#include <core/graph/model.h>

namespace orrery::scaling {

/// What one pass of a model over inputs of one size costs. Multiply-add counts as 2.
struct Cost {
    std::int64_t parameters = 0;  ///< optimised ones, tied ones once
    std::int64_t embeddings = 0;  ///< of these: in token and position tables
    std::int64_t samples = 0;     ///< in the inputs
    std::int64_t tokens = 0;      ///< positions in the inputs; samples where the model takes no sequences
    std::int64_t forward = 0;     ///< as the executor counts it (graph/flops.h)
    /// A product costs itself once for each factor that a parameter reaches, and its bias a sum; any other node what it costs forward, where a parameter reaches it.
    std::int64_t backward = 0;
    std::int64_t forwardProducts = 0, backwardProducts = 0;  ///< of these: matrix products and convolutions without their biases
    std::optional<std::int64_t> formula;                     ///< forward, by the architecture's closed formula, if it has one here
    std::int64_t training() const { return forward + backward; }
    /// 6 N D of Kaplan et al. (2020), "Scaling Laws for Neural Language Models", arXiv:2001.08361, section 2.1: N without embeddings, D tokens.
    double sixNd() const { return 6.0 * double(parameters - embeddings) * double(tokens); }
    core::Json toJson() const;
};

/// Inputs as the card says, `batch` of them and `length` positions each; other names of the card's shapes are 8.
/// @throws core::InputError if the card does not say what the model takes, or batch or length is below 1 or too long for the model.
std::vector<c10::IValue> sizedInputs(const graph::Model& model, std::int64_t batch, std::int64_t length);

/// The longest sequence the model takes, 128 if it has no limit; 1 for a model without sequences.
std::int64_t defaultLength(const graph::Model& model);

/// Runs the model once and counts. The formula is given where `origin` is a zoo reference of an architecture that has one.
/// @throws core::InputError, core::Cancelled, what Executor::run throws. Any thread.
Cost countCost(const graph::Model& model, const std::vector<c10::IValue>& inputs, std::stop_token stop = {});

/// Closed formula of the forward pass of mlp, lenet, resnet, vit, gpt and lstm from their resolved parameters, in evaluation; nothing for others.
/// @param length  Positions of a sequence; of no meaning where the model takes none.
std::optional<std::int64_t> forwardFormula(std::string_view architecture, const core::Json& parameters, std::int64_t batch, std::int64_t length);

/// How fast a model trains here: forward, backward and one AdamW update on these inputs.
struct Throughput {
    double stepSeconds = 0;                ///< median
    int steps = 0;                         ///< that were measured
    std::int64_t samples = 0, tokens = 0;  ///< of one step
    double tokensPerSecond() const { return double(tokens) / stepSeconds; }
    /// Whole steps that fit into a time budget, and their tokens: the equal-compute template of Stanic et al. (2023), "The Languini Kitchen", arXiv:2309.11197.
    std::int64_t stepsWithin(double seconds) const;
    std::int64_t tokensWithin(double seconds) const { return stepsWithin(seconds) * tokens; }
    core::Json toJson(std::optional<double> budgetSeconds) const;
};
/// One step to warm up, then steps for about `seconds`, at least three. @throws core::InputError for a model without parameters, core::Cancelled.
Throughput measureThroughput(const graph::Model& model, const std::vector<c10::IValue>& inputs, double seconds, std::stop_token stop = {});

}  // namespace orrery::scaling
