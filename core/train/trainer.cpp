#include "trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <unistd.h>

#include <core/base/files.h>
#include <core/base/plain_reason.h>
#include <core/data/label_tables.h>
#include <core/data/masking.h>
#include <core/data/vocabulary.h>
#include <core/models/model_file.h>

#include "leaderboard.h"
#include "splat_learner.h"

namespace orrery::train {
namespace {

using core::Json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostPredictions = 100'000;

/// A model file as bytes: the writer wants a file.
std::string modelBytes(const graph::Model& model)
{
    const auto file =
        std::filesystem::temp_directory_path() / fmt::format("orrery-{}-{:p}.safetensors", ::getpid(), static_cast<const void*>(&model));
    struct Remove {
        const std::filesystem::path& file;
        ~Remove()
        {
            std::error_code ignored;
            std::filesystem::remove(file, ignored);
        }
    } const remove{file};
    models::saveModel(file, model);
    return core::readFile(file);
}

}  // namespace

void completeCard(graph::ModelCard& card, const data::DataSet& data)
{
    const data::DataInfo& info = data.info();
    card.classNames = info.classNames;
    card.featureNames = info.featureNames;
    card.task = data::holdsLabels(info)               ? "multi_label"
                : info.task == data::Task::Regression ? "regression"
                : data::predictsMaskedTokens(info)    ? "masked_language_model"
                : info.task == data::Task::NextToken  ? (info.inputs.size() == 2 ? "sequence_to_sequence" : "language_model")
                                                      : "classification";
    if (const data::Vocabulary* vocabulary = data.vocabulary())
        card.tokenizer = vocabulary->toJson();
    if (!card.inputs.empty() && (info.kind == data::DataKind::Image || !info.mean.empty()))
        card.inputs[0].preprocessing = {{"mean", info.mean}, {"std", info.std}, {"range", {info.displayLow, info.displayHigh}}};
}

std::string checkpointName(std::int64_t step)
{
    return fmt::format("checkpoint@{}", step);
}

/// One training: the loop around a learner.
class Trainer {
public:
    Trainer(const Experiment& experiment, jobs::Context& context, RunSink& sink, TrainOptions options)
        : m_experiment(experiment), m_document(experiment.document), m_train(m_document["train"]), m_context(context), m_sink(sink),
          m_options(std::move(options)), m_data(*experiment.data), m_hash(experimentHash(m_document)), m_loss(makeLoss(m_train["loss"])),
          m_length(trainLength(m_document, m_data))
    {
    }
    TrainResult run();

private:
    void setThreads();
    void chooseIntervals();
    void restore();
    void loop();
    void step();
    void afterStep();
    void evaluateValidation();
    void noteBest(double value);
    void saveCheckpoint();
    void publish(bool always);
    void record(const std::string& name, double value);
    Evaluation evaluateWith(const graph::Model& model, std::span<const std::int64_t> samples, const EvaluateOptions& options);
    void finish(TrainResult& result);
    void test(TrainResult& result);
    EvaluateOptions evaluateOptions() const;

    const Experiment& m_experiment;
    const Json& m_document;
    const Json& m_train;
    jobs::Context& m_context;
    RunSink& m_sink;
    TrainOptions m_options;
    const data::DataSet& m_data;
    const std::string m_hash;
    const Loss m_loss;
    const TrainLength m_length;

    std::unique_ptr<Learner> m_learner;
    std::optional<graph::Executor> m_executor;  // of the last evaluation
    std::int64_t m_evaluateEvery = 1, m_checkpointEvery = 0;
    std::string m_bestMetric;

    std::int64_t m_step = 0;  // steps taken
    graph::Weights m_best;
    std::int64_t m_bestStep = -1;
    double m_bestValue = 0;
    std::vector<std::int64_t> m_kept;
    std::int64_t m_saved = -1;       // step of the last checkpoint
    bool m_isEvaluationDue = false;  // this step's evaluation has begun and not ended
    std::map<std::string, double> m_last;
    Clock::time_point m_published;
};

void Trainer::setThreads()
{
    const int asked = m_train["threads"].get<int>();
    at::set_num_threads(std::max(1, asked > 0 ? asked : m_context.threads()));
}

void Trainer::chooseIntervals()
{
    const Json& every = m_train["evaluate_every"];
    m_evaluateEvery = !every.is_null()             ? every.get<std::int64_t>()
                      : m_train["steps"].is_null() ? m_length.perEpoch
                                                   : std::max<std::int64_t>(1, m_length.steps / 10);
    const Json& checkpoint = m_train["checkpoint"];
    m_checkpointEvery = checkpoint["every"].is_null() ? m_evaluateEvery : checkpoint["every"].get<std::int64_t>();
    if (!checkpoint["best"].is_null())
        m_bestMetric = checkpoint["best"] == "auto" ? "val/loss" : checkpoint["best"].get<std::string>();
}

void Trainer::restore()
{
    if (!m_options.resume)
        return;
    const Checkpoint saved = std::move(*m_options.resume);
    m_options.resume.reset();
    if (saved.documentHash != m_hash)
        throw core::InputError("expected a checkpoint of this experiment, got one of another document");
    m_learner->restore(saved);
    m_best = saved.best.to(optionsOf(m_learner->evaluated()).device());
    m_bestStep = saved.bestStep;
    m_bestValue = saved.bestValue;
    m_step = m_saved = saved.step;
    m_kept = saved.kept;
    m_context.info(fmt::format("goes on after step {}", m_step));
}

void Trainer::step()
{
    const auto report = m_learner->step(m_step);
    ++m_step;
    for (const auto& [name, value] : report)
        record("train/" + name, value);
}

void Trainer::record(const std::string& name, double value)
{
    m_last[name] = value;
    m_sink.metric(name, m_step, value);
    m_context.metric(name, m_step, value);
}

EvaluateOptions Trainer::evaluateOptions() const
{
    EvaluateOptions options;
    options.batchSize = m_train["eval_batch_size"].is_null() ? 256 : m_train["eval_batch_size"].get<std::int64_t>();
    options.stop = m_context.stopToken();
    return options;
}

Evaluation Trainer::evaluateWith(const graph::Model& model, std::span<const std::int64_t> samples, const EvaluateOptions& options)
{
    if (!m_executor || m_executor->graph() != model.graph)
        m_executor.emplace(model.graph);
    return evaluate(*m_executor, model.weights, m_data, samples, m_loss, m_train["metrics"], options);
}

void Trainer::evaluateValidation()
{
    const auto& part = m_data.split(data::Split::Val);
    if (part.empty())
        return;
    const Json& most = m_train["evaluate_samples"];
    m_context.progress(double(m_step), double(m_length.steps), "steps", "evaluating");
    const Evaluation found = evaluateWith(m_learner->modelWith(m_learner->evaluated()),
                                          spreadSamples(part, most.is_null() ? 0 : most.get<std::int64_t>()), evaluateOptions());
    for (const auto& [name, value] : found.values)
        record("val/" + name, value);
    if (const auto best = m_last.find(m_bestMetric); best != m_last.end())
        noteBest(best->second);
    else if (!m_bestMetric.empty())
        throw core::InputError(fmt::format("train.checkpoint.best: \"{}\" is not among the metrics of this experiment", m_bestMetric));
}

void Trainer::noteBest(double value)
{
    const bool better = m_bestStep < 0 || (isLowerBetter(m_bestMetric) ? value < m_bestValue : value > m_bestValue);
    if (!better || std::isnan(value))
        return;
    m_best = m_learner->evaluated().clone();
    m_bestStep = m_step;
    m_bestValue = value;
}

void Trainer::saveCheckpoint()
{
    if (m_saved == m_step)
        return;
    m_kept.push_back(m_step);
    std::vector<std::int64_t> dropped;
    while (std::int64_t(m_kept.size()) > m_train["checkpoint"]["keep"].get<std::int64_t>()) {
        dropped.push_back(m_kept.front());
        m_kept.erase(m_kept.begin());
    }
    Checkpoint state;
    m_learner->save(state);
    state.step = m_step;
    state.best = m_best;
    state.bestStep = m_bestStep;
    state.bestValue = m_bestValue;
    state.kept = m_kept;
    state.documentHash = m_hash;
    std::string bytes;
    writeCheckpoint(state, [&](std::string_view piece) { bytes += piece; });
    m_sink.artifact(checkpointName(m_step), "application/vnd.safetensors", m_step, bytes);
    m_saved = m_step;
    for (const std::int64_t step : dropped)
        m_sink.removeArtifact(checkpointName(step));
}

void Trainer::publish(bool always)
{
    const auto now = Clock::now();
    if (!always && std::chrono::duration<double>(now - m_published).count() < m_options.snapshotSeconds)
        return;
    m_published = now;
    const graph::Model model = m_learner->modelWith(m_learner->evaluated().clone());
    m_context.partial(std::make_shared<const Snapshot>(Snapshot{model.graph, model.weights, m_step}));
}

void Trainer::afterStep()
{
    const bool last = m_step == m_length.steps;
    if (m_step % m_evaluateEvery == 0 || last) {
        m_isEvaluationDue = true;
        evaluateValidation();
        m_isEvaluationDue = false;
    }
    if (m_step % m_checkpointEvery == 0 || last)
        saveCheckpoint();
    publish(last);
    m_context.progress(double(m_step), double(m_length.steps), "steps", "training");
}

void Trainer::loop()
{
    try {
        while (m_step < m_length.steps) {
            m_context.pausePoint();
            step();
            afterStep();
        }
    } catch (const core::Cancelled&) {
        // A checkpoint of this step would say that its evaluation is done.
        if (m_step > 0 && !m_isEvaluationDue)
            saveCheckpoint();
        throw;
    }
}

void Trainer::test(TrainResult& result)
{
    const bool hasTest = !m_data.split(data::Split::Test).empty();
    const data::Split part = hasTest ? data::Split::Test : data::Split::Val;
    const Json most = m_train.value("test_samples", Json());
    const std::vector<std::int64_t> samples = spreadSamples(m_data.split(part), most.is_null() ? 0 : most.get<std::int64_t>());
    if (samples.empty())
        return;
    m_context.progress(double(m_step), double(m_length.steps), "steps", "testing");
    EvaluateOptions options = evaluateOptions();
    // Rays of pictures come by the million: nobody looks through a list of them. A whole picture is no entry of a list either.
    options.predictions = samples.size() <= kMostPredictions && m_data.info().target.axes.size() <= 2;
    const Evaluation found = evaluateWith(result.model, samples, options);
    const std::string split(data::splitName(part));
    if (hasTest)
        for (const auto& [name, value] : found.values)
            record("test/" + name, value);
    if (const Json confusion = confusionDocument(found, m_data.info(), split); !confusion.is_null())
        m_sink.artifact(kConfusionMatrix, "application/json", m_step, confusion.dump());
    if (const Json predictions = predictionsDocument(found, split); !predictions.is_null())
        m_sink.artifact(kPredictions, "application/json", m_step, predictions.dump());
}

void Trainer::finish(TrainResult& result)
{
    const bool best = m_train["checkpoint"]["use"] == "best" && m_bestStep >= 0;
    result.model = m_learner->modelWith(best ? m_best.clone() : m_learner->evaluated().clone());
    m_sink.artifact(kFinalWeights, "application/vnd.safetensors", m_step, modelBytes(result.model));
    m_learner->storeFinal(result.model, m_step, m_sink);
    test(result);
    result.steps = m_step;
    result.bestStep = m_bestStep;
    result.metrics = m_last;
}

TrainResult Trainer::run()
{
    setThreads();
    const LearnerInput input{m_experiment, m_options, m_length, m_context.stopToken()};
    m_learner = trainsSplats(m_document) ? makeSplatLearner(input) : makeGraphLearner(input);
    chooseIntervals();
    restore();
    loop();
    TrainResult result;
    finish(result);
    return result;
}

TrainResult trainExperiment(const Experiment& experiment, jobs::Context& context, RunSink& sink, TrainOptions options)
{
    try {
        return Trainer(experiment, context, sink, std::move(options)).run();
    } catch (const c10::Error& error) {
        throw core::Error(fmt::format("training failed: {}", core::plainReason(error)));
    }
}

}  // namespace orrery::train
