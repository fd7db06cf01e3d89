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
    std::int64_t steps = 0, tokens = 0;  ///< that fit into the budget
    double seconds = 0;                  ///< what they take by the measured step: the budget, less than one step short of it
    core::Json document;                 ///< the experiment with that many steps, ready to be trained
    std::optional<double> loss;          ///< held out, once it was trained
    /// {"model", "parameters", "N", "D", "compute" in seconds, "flops", "steps", "step_seconds"}, and "loss" if it was trained: N counts no embeddings, D is tokens.
    core::Json toJson() const;
};

/// The template of equal compute: models are compared that were given the same time on the same machine, not the same tokens. A training step of the experiment's own model on its
/// own batches is measured (forward, backward, one AdamW update), and the budget is cut into such steps.
/// @throws core::InputError if not even one step fits, naming both times; core::Cancelled; what building the model throws.
/// Source: Stanic et al. (2023), "The Languini Kitchen: Enabling Language Modelling Research at Different Scales of Compute", arXiv:2309.11197, section 3.
EqualCompute equalCompute(const train::Experiment& experiment, double budgetSeconds, double measureSeconds, std::stop_token stop = {});
/// The same measurement cut to another budget. @throws core::InputError as equalCompute.
EqualCompute cutTo(EqualCompute measured, double budgetSeconds);

}  // namespace orrery::scaling
