#include "lens_checkpoints.h"

#include <ATen/ATen.h>

#include <limits>

#include <core/train/evaluate.h>
#include <core/train/runs.h>
#include <core/train/samples.h>

namespace orrery::intervene {
namespace {

constexpr std::int64_t kMemorised = 200;
constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

double loggedAt(const store::Workspace& workspace, store::RunId run, std::int64_t step)
{
    const auto series = workspace.metricSeries(run, "val/loss", step, step);
    return series.buckets.empty() ? kNoValue : series.buckets.back().mean;
}

/// As the training evaluates: the same samples in the same batches.
double lossOf(const graph::Executor& executor, const graph::Model& model, const train::Experiment& experiment, const Control& control)
{
    const auto& part = experiment.data->split(data::Split::Val);
    if (part.empty())
        return kNoValue;
    const core::Json& settings = experiment.document["train"];
    train::EvaluateOptions options;
    options.batchSize = settings["eval_batch_size"].is_null() ? 256 : settings["eval_batch_size"].get<std::int64_t>();
    options.stop = control.stop;
    const auto samples = train::spreadSamples(part, settings["evaluate_samples"].is_null() ? 0 : settings["evaluate_samples"].get<std::int64_t>());
    return train::evaluate(executor, model.weights, *experiment.data, samples, train::makeLoss(settings["loss"]), settings["metrics"], options)
        .value("loss");
}

/// Of some training sequences, spread over all.
std::optional<Memorisation> memorisedOf(const LensSubject& subject, const train::Experiment& experiment, const Control& control)
{
    const auto samples = train::spreadSamples(experiment.data->split(data::Split::Train), kMemorised);
    const at::Tensor tokens = train::sampleInputs(subject.model, *experiment.data, samples).at(0).toTensor();
    return tokens.dim() == 2 && tokens.size(1) > 1 ? std::optional(memorisation(subject, tokens, {}, control)) : std::nullopt;
}

CheckpointPoint pointAt(const store::Workspace& workspace, store::RunId run, std::int64_t step, const train::Experiment& experiment,
                        const InductionSettings& settings, const Control& control)
{
    const graph::Model model = train::modelOfRun(workspace, run, step);
    const graph::Executor executor(model.graph);
    Control quiet;
    quiet.stop = control.stop;
    CheckpointPoint point;
    point.step = step;
    point.induction = inductionScores({executor, model}, settings, quiet);
    point.loss = {loggedAt(workspace, run, step), lossOf(executor, model, experiment, control)};
    point.memorised = memorisedOf({executor, model}, experiment, quiet);
    const at::Tensor& scores = point.induction.scores.induction;
    const auto best = scores.argmax().item<std::int64_t>();
    point.bestHead = {int(best / scores.size(1)), int(best % scores.size(1))};
    point.bestScore = scores.max().item<double>();
    return point;
}

}  // namespace

CheckpointLoss checkpointLoss(const store::Workspace& workspace, store::RunId run, std::int64_t step, const graph::Model& model,
                              const train::Experiment& experiment, const Control& control)
{
    return {loggedAt(workspace, run, step), lossOf(graph::Executor(model.graph), model, experiment, control)};
}

std::vector<CheckpointPoint> lensOverCheckpoints(const store::Workspace& workspace, store::RunId run, const InductionSettings& settings,
                                                 const Control& control, const std::function<void(const CheckpointPoint&)>& each)
{
    const auto steps = train::checkpointSteps(workspace, run);
    if (steps.empty()) {
        workspace.run(run);  // throws if there is none
        throw core::InputError(fmt::format("run {} has no checkpoints: train it with train.checkpoint.every and keep", run));
    }
    const train::Experiment experiment = train::experimentOfRun(workspace, run);
    std::vector<CheckpointPoint> points;
    for (const std::int64_t step : steps) {
        control.report(double(points.size()), double(steps.size()), "checkpoints");
        points.push_back(pointAt(workspace, run, step, experiment, settings, control));
        if (each)
            each(points.back());
    }
    control.report(double(steps.size()), double(steps.size()), "checkpoints");
    return points;
}

}  // namespace orrery::intervene
