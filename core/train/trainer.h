#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <core/graph/model.h>
#include <core/jobs/job.h>

#include "checkpoint.h"
#include "evaluate.h"
#include "experiment.h"

namespace orrery::train {

/// Where a training leaves what it makes: a run in the store, a folder, memory. Called on the training's thread; what it throws ends the training.
class RunSink {
public:
    virtual ~RunSink() = default;
    virtual void metric(const std::string& name, std::int64_t step, double value) = 0;
    /// Stores a file under a name, atomically; one of the same name is replaced.
    virtual void artifact(const std::string& name, const std::string& mediaType, std::optional<std::int64_t> step, const std::string& content) = 0;
    virtual void removeArtifact(const std::string& name) = 0;
};

/// A copy of the weights as they were after a step, for live views: `Context::partial` publishes a `const Snapshot`. Nobody writes to it.
struct Snapshot {
    graph::GraphPtr graph;
    graph::Weights weights;
    std::int64_t step = 0;
};

/// The training met a NaN or an infinity: which step (1 is the first), and the value where it first appeared ("input", "weights of fc1.weight",
/// "blocks.3.attn.softmax", "loss", "gradient at fc2").
class NonFiniteError : public core::Error {
public:
    NonFiniteError(std::int64_t step, std::string node, const std::string& message) : core::Error(message), m_step(step), m_node(std::move(node)) {}
    std::int64_t step() const { return m_step; }
    const std::string& node() const { return m_node; }

private:
    std::int64_t m_step;
    std::string m_node;
};

struct TrainResult {
    graph::Model model;                     ///< with the final weights ("best" or "last", averaged if an EMA was asked for)
    std::int64_t steps = 0;                 ///< optimizer steps taken in all
    std::int64_t bestStep = -1;             ///< step of the best evaluation; -1: none
    std::map<std::string, double> metrics;  ///< last value of each metric: "train/loss", "val/accuracy", "test/accuracy", ...
};

struct TrainOptions {
    std::optional<Checkpoint> resume;
    /// Opens a MODEL text that is no architecture of ours; see buildExperimentModel.
    std::function<graph::Model(const std::string&)> openModel;
    double snapshotSeconds = 1;  ///< shortest time between two snapshots
};

/// Adds what the data knows and a model should carry: class and feature names, task, tokenizer, preprocessing.
void completeCard(graph::ModelCard& card, const data::DataSet& data);

/// Names of what a training leaves: "checkpoint@1200", "final weights" (a model file, see models::saveModel), "confusion_matrix", "predictions".
std::string checkpointName(std::int64_t step);
inline constexpr const char* kFinalWeights = "final weights";
inline constexpr const char* kConfusionMatrix = "confusion_matrix";
inline constexpr const char* kPredictions = "predictions";

/// Trains. A step is the learner's (learner.h). Of any graph: batches -> executor -> loss -> gradients -> clip -> optimizer -> running statistics -> average, with
/// the metrics train/loss, train/lr and train/gradient_norm; of Gaussians: train/loss, train/psnr and train/gaussians. At each step (step numbers start at 1), val/* at each evaluation, test/* at the end with the final weights. Same document, same number of
/// threads, same machine: the same bits, whether the training was resumed in between or not.
/// Asked to stop, it saves a checkpoint after the last whole step and throws core::Cancelled. Pauses between steps.
/// @throws NonFiniteError, core::InputError (a checkpoint of another document, batch larger than the data), core::DeviceError, core::Cancelled, and what the sink throws.
/// Sets the number of threads of the calling thread.
TrainResult trainExperiment(const Experiment& experiment, jobs::Context& context, RunSink& sink, TrainOptions options = {});

}  // namespace orrery::train
