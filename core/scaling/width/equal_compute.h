#pragma once
#include <optional>

#include <core/train/experiment.h>

#include "counters.h"

namespace orrery::scaling {

/// An experiment cut to a budget of time on this machine.
struct EqualCompute {
    std::string model;  ///< the architecture's id, or the document's text
    Cost cost;          ///< of one batch
    Throughput throughput;
    std::int64_t batches = 1;            ///< of a step
    std::int64_t steps = 0, tokens = 0;  ///< that fit into the budget
    double seconds = 0;                  ///< what they take by the measured step: the budget, less than one step short of it
    core::Json document;                 ///< the experiment with that many steps, ready to be trained
    std::optional<double> loss;          ///< held out, once it was trained
    /// {"model", "parameters", "N", "D", "compute" in seconds, "flops", "steps", "step_seconds"}, and "loss" if it was trained: N counts no embeddings, D is tokens.
    core::Json toJson() const;
};

/// The template of equal compute: models are compared that were given the same time on the same machine, not the same tokens. A training step of the experiment's own model on its
/// own batches is measured as the training takes it (batches, loss, gradients, its own optimizer), and the budget is cut into such steps.
/// @param measureSeconds  How long steps are measured; three at least, but one is enough where a step takes longer.
/// @throws core::InputError if not even one step fits, naming both times, as soon as that is known; core::Cancelled; what building the model and a step of it throw.
/// Source: Stanic et al. (2023), "The Languini Kitchen: Enabling Language Modelling Research at Different Scales of Compute", arXiv:2309.11197, section 3.
EqualCompute equalCompute(const train::Experiment& experiment, double budgetSeconds, double measureSeconds, std::stop_token stop = {});
/// The same measurement cut to another budget. @throws core::InputError as equalCompute.
EqualCompute cutTo(EqualCompute measured, double budgetSeconds);

/// The held-out loss is no part of the budget, yet it should not take many times as long: where a document does not say otherwise, it is measured once, at the end, and on no more
/// samples than the slowest training sees; on the same for each row, so that losses can be compared.
/// @return  Samples of the test part (or the validation part, where there is none); all rows measure on the same data.
/// @throws core::InputError for data with neither.
std::int64_t shortenEvaluation(std::vector<EqualCompute>& rows, const data::DataSet& data);

}  // namespace orrery::scaling
