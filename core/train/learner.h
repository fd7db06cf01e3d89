#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "trainer.h"

namespace orrery::train {

/// What is trained, and how one step changes it. The loop around it (evaluation, checkpoints, snapshots, the end) is the trainer's and the same for all.
/// One thread; libtorch's number of threads is set before it is made.
class Learner {
public:
    virtual ~Learner() = default;

    /// The step after `taken` others. What it reports, in order: {"loss", 0.3}. If it throws, the state is as it was before.
    virtual std::vector<std::pair<std::string, double>> step(std::int64_t taken) = 0;
    /// The weights that are evaluated, shown and kept: averaged if asked for. Aliases: clone what is to stay.
    virtual graph::Weights evaluated() const = 0;
    /// Graph and card for weights that `evaluated` gave now or earlier, with these weights.
    virtual graph::Model modelWith(graph::Weights weights) const = 0;

    /// Fills in loader, weights, optimizer and average.
    virtual void save(Checkpoint& checkpoint) const = 0;
    /// @throws core::FormatError for a state that does not fit.
    virtual void restore(const Checkpoint& checkpoint) = 0;

    /// Stores what belongs to the final model besides its weights.
    virtual void storeFinal(const graph::Model&, std::int64_t /*step*/, RunSink&) const {}
};

struct LearnerInput {
    const Experiment& experiment;
    const TrainOptions& options;
    TrainLength length;
    std::stop_token stop;
};

/// Gradients through the executor for any graph. @throws as trainExperiment.
std::unique_ptr<Learner> makeGraphLearner(const LearnerInput& input);

}  // namespace orrery::train
