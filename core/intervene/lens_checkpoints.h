#pragma once
#include <functional>

#include <core/store/workspace.h>
#include <core/train/experiment.h>

#include "induction.h"
#include "memorisation.h"

namespace orrery::intervene {

/// The validation loss at a checkpoint: a checkpoint that is read back gives the loss that was logged, to the last bit on the same machine with as many threads.
struct CheckpointLoss {
    double logged = 0;    ///< val/loss as the training recorded it at that step; NaN if it did not
    double computed = 0;  ///< computed again from the checkpoint, on the same samples in the same batches; NaN for data without a validation part
};
/// @param model  The run's model at that step. @throws core::Cancelled.
CheckpointLoss checkpointLoss(const store::Workspace& workspace, store::RunId run, std::int64_t step, const graph::Model& model,
                              const train::Experiment& experiment, const Control& control = {});

/// One checkpoint of a training run under the lens.
struct CheckpointPoint {
    std::int64_t step = 0;
    CheckpointLoss loss;
    InductionScores induction;
    double bestScore = 0;  ///< largest induction score of a head
    HeadPlace bestHead;
    std::optional<Memorisation> memorised;  ///< of training sequences, half of each given; nothing for sequences of one token
};

/// Every checkpoint of a run in turn: validation loss on the samples the training evaluated on, induction scores, and which training
/// sequences it knows by heart.
/// @param each  Called after each checkpoint, in order, on this thread; may be empty.
/// @throws core::InputError for a run without checkpoints or whose model has no canonical names; core::Cancelled between checkpoints, and within one.
/// Source of the idea of looking along a training: Biderman et al. (2023), "Pythia", arXiv:2304.01373.
std::vector<CheckpointPoint> lensOverCheckpoints(const store::Workspace& workspace, store::RunId run, const InductionSettings& settings,
                                                 const Control& control = {}, const std::function<void(const CheckpointPoint&)>& each = {});

}  // namespace orrery::intervene
