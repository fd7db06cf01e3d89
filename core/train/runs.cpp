#include "runs.h"

#include <ATen/Parallel.h>
#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <torch/version.h>

#include <core/base/files.h>
#include <core/base/log.h>
#include <core/base/text.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>
#include <core/scene/splat/splat_model.h>

#include "data_order.h"

namespace orrery::train {
namespace {

using core::Json;

/// Passes everything to the run. Checkpoints are what resuming starts from: before one is stored, the metrics up to its step are committed.
class StoreSink : public RunSink {
public:
    StoreSink(store::Workspace& workspace, store::RunId run) : m_workspace(workspace), m_run(run) {}
    void metric(const std::string& name, std::int64_t step, double value) override { m_workspace.metric(m_run, name, step, value); }
    void artifact(const std::string& name, const std::string& mediaType, std::optional<std::int64_t> step, const std::string& content) override
    {
        m_workspace.flush();
        m_workspace.addArtifact(m_run, {name, mediaType, step}, content);
    }
    void removeArtifact(const std::string& name) override { m_workspace.removeArtifact(m_run, name); }

private:
    store::Workspace& m_workspace;
    store::RunId m_run;
};

/// Hands everything on; log lines go to the store as well.
class RunContext : public jobs::Context {
public:
    RunContext(jobs::Context& inner, store::Workspace& workspace, store::RunId run) : m_inner(inner), m_workspace(workspace), m_run(run) {}
    std::stop_token stopToken() const override { return m_inner.stopToken(); }
    int threads() const override { return m_inner.threads(); }
    void progress(double done, double total, std::string_view unit, std::string_view phase) override { m_inner.progress(done, total, unit, phase); }
    void log(jobs::LogLevel level, std::string_view text) override
    {
        m_inner.log(level, text);
        m_workspace.logLine(m_run, store::LogLevel(level), text);
    }
    void metric(std::string_view name, std::int64_t step, double value) override { m_inner.metric(name, step, value); }
    void partial(std::shared_ptr<const void> result) override { m_inner.partial(std::move(result)); }
    void pausePoint() override
    {
        if (!m_inner.isPauseAsked())
            return m_inner.pausePoint();
        // The store tells other processes, too. Whoever ends the job while it stands still sets the status of its end.
        m_workspace.setStatus(m_run, store::RunStatus::Paused);
        m_inner.pausePoint();
        m_workspace.setStatus(m_run, store::RunStatus::Running);
    }
    bool isPauseAsked() const override { return m_inner.isPauseAsked(); }

private:
    jobs::Context& m_inner;
    store::Workspace& m_workspace;
    store::RunId m_run;
};

std::optional<std::int64_t> checkpointStep(const store::Artifact& artifact)
{
    return artifact.name.starts_with("checkpoint@") ? artifact.step : std::nullopt;
}

std::vector<store::Artifact> checkpointsOf(const store::Workspace& workspace, store::RunId run)
{
    std::vector<store::Artifact> out;
    for (store::Artifact& artifact : workspace.artifacts(run))
        if (checkpointStep(artifact))
            out.push_back(std::move(artifact));
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return *a.step < *b.step; });
    return out;
}

/// The commit that `.git` of the folder or one above it points to; read from its files, no program is started.
std::string gitCommit(std::filesystem::path folder)
{
    std::error_code error;
    for (; !folder.empty(); folder = folder.parent_path()) {
        const auto git = folder / ".git";
        if (std::filesystem::is_directory(git, error)) {
            std::string head, hash;
            std::ifstream(git / "HEAD") >> head >> hash;
            if (head != "ref:")
                return head;
            std::string commit;
            std::ifstream(git / hash) >> commit;
            return commit;
        }
        if (folder == folder.parent_path())
            break;
    }
    return "";
}

void markEnd(store::Workspace& workspace, store::RunId run, store::RunStatus status, const std::string& message = {})
{
    try {
        workspace.setStatus(run, status, message);
    } catch (const core::Error& error) {
        core::log().error("run {}: status {} could not be stored: {}", run, store::statusName(status), error.what());
    }
}

/// Values that were recorded before a resumption complete those of this session.
void completeMetrics(TrainResult& result, const store::Workspace& workspace, store::RunId run)
{
    for (const auto& [name, value] : workspace.lastMetrics(run))
        result.metrics.emplace(name, value);
}

}  // namespace

Json environmentOf(const Experiment& experiment, int threads)
{
    const int asked = experiment.document["train"]["threads"].get<int>();
    Json out{{"libtorch", TORCH_VERSION},
             {"compiler", __VERSION__},
             {"device", experiment.document["train"]["device"]},
             {"threads", asked > 0 ? asked : threads},
             {"data_hash", experiment.data->contentHash()},
             {"data_order", dataOrderHash(experiment)},
             {"document_hash", experimentHash(experiment.document)},
             {"folder", experiment.folder.string()}};
    if (const std::string commit = gitCommit(experiment.folder); !commit.empty())
        out["git"] = commit;
    return out;
}

store::RunId createRun(store::Workspace& workspace, const Experiment& experiment, std::optional<store::RunId> parent)
{
    const Json& document = experiment.document;
    store::NewRun run;
    run.name = document["name"];
    run.document = document;
    run.seed = document["seed"];
    run.environment = environmentOf(experiment, 0);
    run.tags = document["tags"].get<std::vector<std::string>>();
    run.notes = document["notes"];
    run.parent = parent;
    return workspace.createRun(run);
}

Experiment experimentOfRun(const store::Workspace& workspace, store::RunId run)
{
    const store::RunRecord record = workspace.run(run);
    return resolveExperiment(record.document, record.environment.value("folder", std::string()));
}

std::vector<std::int64_t> checkpointSteps(const store::Workspace& workspace, store::RunId run)
{
    std::vector<std::int64_t> steps;
    for (const store::Artifact& artifact : checkpointsOf(workspace, run))
        steps.push_back(*artifact.step);
    return steps;
}

std::optional<Checkpoint> lastCheckpoint(const store::Workspace& workspace, store::RunId run)
{
    std::vector<store::Artifact> all = checkpointsOf(workspace, run);
    while (!all.empty()) {
        try {
            return readCheckpoint(workspace.readArtifact(all.back()), all.back().name);
        } catch (const core::Error& error) {
            core::log().warn("run {}: {} cannot be used: {}", run, all.back().name, error.what());
            all.pop_back();
        }
    }
    return std::nullopt;
}

namespace {

/// Takes the lease and gives the state to go on from.
std::optional<Checkpoint> takeUp(store::Workspace& workspace, store::RunId run)
{
    const store::RunStatus status = workspace.run(run).status;
    if (status == store::RunStatus::Finished)
        throw core::InputError(fmt::format("run {} has finished: expected a run that can go on", run));
    if (status == store::RunStatus::Queued) {
        workspace.startRun(run);
        return std::nullopt;
    }
    std::optional<Checkpoint> checkpoint = lastCheckpoint(workspace, run);
    workspace.resumeRun(run, checkpoint ? checkpoint->step : 0);
    // A kill between writing a checkpoint and removing an older one leaves the older one.
    if (checkpoint)
        for (const store::Artifact& artifact : checkpointsOf(workspace, run))
            if (std::find(checkpoint->kept.begin(), checkpoint->kept.end(), *artifact.step) == checkpoint->kept.end())
                workspace.removeArtifact(run, artifact.name);
    return checkpoint;
}

}  // namespace

namespace {

/// MODEL texts in documents may name runs of the same workspace.
std::function<graph::Model(const std::string&)> modelOpener(const store::Workspace& workspace)
{
    return [&workspace](const std::string& text) {
        models::OpenOptions options;
        options.openRun = [&workspace](const std::string& reference) { return modelOfRunReference(workspace, reference); };
        return models::openModel(text, options);
    };
}

/// Sums of a parallel product depend on how it was cut.
void warnOfOtherThreads(const Json& before, const Json& now, jobs::Context& context)
{
    const int earlier = before.value("threads", 0), threads = now.value("threads", 0);
    if (earlier > 0 && earlier != threads)
        context.warning(
            fmt::format("goes on with {} threads, began with {}: the last bits may differ from a run that was not interrupted", threads, earlier));
}

}  // namespace

graph::Model modelOfRunReference(const store::Workspace& workspace, const std::string& reference)
{
    const auto read = [&](std::string_view digits) {
        std::int64_t number = 0;
        const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (end.ec != std::errc() || end.ptr != digits.data() + digits.size())
            throw core::InputError(fmt::format("expected run:ID or run:ID@STEP with whole numbers, got \"run:{}\"", reference));
        return number;
    };
    const std::size_t at = reference.find('@');
    const std::int64_t run = read(std::string_view(reference).substr(0, at));
    return modelOfRun(workspace, run, at == std::string::npos ? std::nullopt : std::optional(read(std::string_view(reference).substr(at + 1))));
}

TrainResult trainRun(const std::shared_ptr<store::Workspace>& workspace, store::RunId run, jobs::Context& context, TrainOptions options)
{
    options.resume = takeUp(*workspace, run);
    if (!options.openModel)
        options.openModel = modelOpener(*workspace);
    RunContext inRun(context, *workspace, run);
    StoreSink sink(*workspace, run);
    try {
        const Experiment experiment = experimentOfRun(*workspace, run);
        const Json environment = environmentOf(experiment, context.threads());
        if (options.resume)
            warnOfOtherThreads(workspace->run(run).environment, environment, inRun);
        workspace->setEnvironment(run, environment);
        TrainResult result = trainExperiment(experiment, inRun, sink, std::move(options));
        workspace->flush();
        completeMetrics(result, *workspace, run);
        workspace->setStatus(run, store::RunStatus::Finished);
        return result;
    } catch (const core::Cancelled&) {
        markEnd(*workspace, run, store::RunStatus::Cancelled);
        throw;
    } catch (const std::exception& error) {
        inRun.log(jobs::LogLevel::Error, error.what());
        markEnd(*workspace, run, store::RunStatus::Failed, error.what());
        throw;
    }
}

jobs::JobSpec trainJob(std::shared_ptr<store::Workspace> workspace, store::RunId run, int threads, TrainOptions options)
{
    const store::RunRecord record = workspace->run(run);
    jobs::JobSpec spec;
    spec.title = "Train " + record.name;
    spec.kind = "train";
    spec.document = record.document;
    spec.threads = threads;
    spec.run = run;
    spec.function = [workspace, run, options](jobs::Context& context) -> std::any { return trainRun(workspace, run, context, options); };
    return spec;
}

namespace {

graph::Model modelOfCheckpoint(const store::Workspace& workspace, store::RunId run, const store::Artifact& artifact, const TrainOptions& options)
{
    const Experiment experiment = experimentOfRun(workspace, run);
    graph::Model model = buildExperimentModel(experiment, options.openModel ? options.openModel : modelOpener(workspace));
    completeCard(model.card, *experiment.data);
    const Checkpoint checkpoint = readCheckpoint(workspace.readArtifact(artifact), artifact.name);
    model.weights = checkpoint.average.empty() ? checkpoint.weights : checkpoint.average;
    if (scene::isSplatModel(model))
        model = scene::splatModelWith(model, model.weights);  // their number changes in training
    graph::checkWeights(*model.graph, model.weights);
    return model;
}

}  // namespace

graph::Model modelOfRun(const store::Workspace& workspace, store::RunId run, std::optional<std::int64_t> step, const TrainOptions& options)
{
    const auto checkpoints = checkpointsOf(workspace, run);
    const auto final = workspace.findArtifact(run, kFinalWeights);
    const auto wanted =
        std::find_if(checkpoints.rbegin(), checkpoints.rend(), [&](const store::Artifact& artifact) { return !step || *artifact.step == *step; });
    if (wanted == checkpoints.rend() && (step || !final)) {
        workspace.run(run);  // throws if there is none
        std::vector<std::string> steps;
        for (const store::Artifact& artifact : checkpoints)
            steps.push_back(std::to_string(*artifact.step));
        throw core::InputError(fmt::format("run {} has no weights{}: expected one of the steps {}", run,
                                           step ? fmt::format(" of step {}", *step) : "", steps.empty() ? "(none yet)" : core::join(steps, ", ")));
    }
    graph::Model model = wanted == checkpoints.rend() || (!step && final) ? models::loadModel(workspace.artifactPath(*final))
                                                                          : modelOfCheckpoint(workspace, run, *wanted, options);
    model.origin = step ? fmt::format("run:{}@{}", run, *step) : fmt::format("run:{}", run);
    return model;
}

graph::Model modelOfReference(const store::Workspace& workspace, const std::string& reference)
{
    const auto at = reference.find('@');
    const auto number = [&](const std::string& text) {
        if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos)
            throw core::InputError(fmt::format("run:{}: expected run:ID or run:ID@STEP with numbers", reference));
        return std::stoll(text);
    };
    const auto run = number(reference.substr(0, at));
    if (at == std::string::npos)
        return modelOfRun(workspace, run);
    return modelOfRun(workspace, run, number(reference.substr(at + 1)));
}

}  // namespace orrery::train
