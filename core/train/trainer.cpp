#include "trainer.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <core/base/files.h>
#include <core/base/rng.h>
#include <core/base/text.h>
#include <core/data/vocabulary.h>
#include <core/graph/autocast.h>
#include <core/models/model_file.h>

#include "diagnose.h"
#include "gradients.h"

namespace orrery::train {
namespace {

using core::Json;
using Clock = std::chrono::steady_clock;

c10::Device chosenDevice(const std::string& name)
{
    const bool hasCuda = at::globalContext().hasCUDA();
    if (name == "cpu" || (name == "auto" && !hasCuda))
        return c10::Device(c10::kCPU);
    if (!hasCuda)
        throw core::DeviceError(fmt::format("train.device: expected a device of this machine, got \"{}\": there is no CUDA here", name));
    return name == "auto" ? c10::Device(c10::kCUDA) : c10::Device(name);
}

constexpr std::size_t kMostPredictions = 100'000;

bool isLowerBetter(const std::string& metric)
{
    return metric.ends_with("loss") || metric.ends_with("mae") || metric.ends_with("rmse") || metric.ends_with("bits_per_character");
}

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

bool isExcluded(const std::string& name, const Json& patterns)
{
    return std::any_of(patterns.begin(), patterns.end(), [&](const Json& pattern) { return core::matchesGlob(pattern.get<std::string>(), name); });
}

}  // namespace

void completeCard(graph::ModelCard& card, const data::DataSet& data)
{
    const data::DataInfo& info = data.info();
    card.classNames = info.classNames;
    card.featureNames = info.featureNames;
    card.task = info.task == data::Task::Regression  ? "regression"
                : info.task == data::Task::NextToken ? (info.inputs.size() == 2 ? "sequence_to_sequence" : "language_model")
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

/// One training. Everything that changes from step to step is a member and goes into the checkpoint.
class Trainer {
public:
    Trainer(const Experiment& experiment, jobs::Context& context, RunSink& sink, TrainOptions options)
        : m_experiment(experiment), m_document(experiment.document), m_train(m_document["train"]), m_context(context), m_sink(sink),
          m_options(std::move(options)), m_data(*experiment.data), m_hash(experimentHash(m_document)),
          m_seed(m_document["seed"].get<std::uint64_t>()), m_loss(makeLoss(m_train["loss"])), m_length(trainLength(m_document, m_data)),
          m_accumulate(m_train["accumulate"].get<std::int64_t>())
    {
    }
    TrainResult run();

private:
    void setThreads();
    void openModel();
    void makeLeaves();
    void makeOptimizerAndLoader();
    void chooseIntervals();
    void restore();
    void copyInto(graph::Weights& target, const graph::Weights& source) const;
    void loop();
    void step();
    void forwardAndBackward(std::vector<at::Tensor>& gradients, double& loss);
    graph::RunRequest request(const data::Batch& batch, std::int64_t pass) const;
    data::Batch nextBatch();
    void updateAverage();
    void afterStep();
    void evaluateValidation();
    void noteBest(double value);
    void saveCheckpoint();
    void publish(bool always);
    void record(const std::string& name, double value);
    graph::Executor& stepExecutor() { return m_mixed ? *m_mixed : *m_executor; }
    const graph::Weights& evaluated() const { return m_averageDecay ? m_average : m_weights; }
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
    const std::uint64_t m_seed;
    const Loss m_loss;
    const TrainLength m_length;
    const std::int64_t m_accumulate;

    graph::Model m_model;
    std::optional<graph::Executor> m_executor;  // the model as it is kept and evaluated
    std::optional<graph::Executor> m_mixed;     // the same with products in a narrower type; only with train.autocast
    graph::Weights m_weights;                   // leaves that are trained, and buffers
    std::vector<std::string> m_buffers;
    std::vector<at::Tensor> m_leaves;
    c10::TensorOptions m_where;
    std::unique_ptr<Optimizer> m_optimizer;
    std::optional<LearningRate> m_rate;
    std::optional<data::Loader> m_loader;
    std::vector<StepPass> m_passes;  // of the step in progress
    std::optional<double> m_clip, m_averageDecay;
    std::int64_t m_evaluateEvery = 1, m_checkpointEvery = 0;
    std::string m_bestMetric;

    std::int64_t m_step = 0;          // steps taken
    data::LoaderState m_loaderState;  // behind the last batch of the last whole step
    graph::Weights m_average, m_best;
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

void Trainer::openModel()
{
    m_model = buildExperimentModel(m_experiment, m_options.openModel);
    const c10::Device device = chosenDevice(m_train["device"].get<std::string>());
    const at::ScalarType dtype = graph::dtypeFromName(m_train["dtype"].get<std::string>());
    if (device.is_cuda() || dtype != at::kFloat)
        m_model.graph = graph::moved(m_model.graph, device, dtype);
    m_weights = m_model.weights.to(device, dtype);
    m_where = at::TensorOptions().device(device).dtype(dtype);
    completeCard(m_model.card, m_data);
    m_executor.emplace(m_model.graph);
    if (!m_train["autocast"].is_null())
        m_mixed.emplace(graph::autocast(m_model.graph, graph::dtypeFromName(m_train["autocast"].get<std::string>())));
}

// The leaves are copies: nobody else holds the tensors that are written in place.
void Trainer::makeLeaves()
{
    std::vector<Trainable> trainables;
    for (const graph::Parameter& parameter : m_model.graph->data().parameters) {
        const at::Tensor* const found = m_weights.find(parameter.name);
        if (!found)
            throw core::InputError(fmt::format("model: weights hold no tensor \"{}\"", parameter.name));
        if (parameter.kind == graph::Parameter::Kind::Buffer)
            m_buffers.push_back(parameter.name);
        if (parameter.kind != graph::Parameter::Kind::Parameter || !at::isFloatingType(found->scalar_type()))
            continue;
        at::Tensor leaf = found->detach().clone(at::MemoryFormat::Contiguous).requires_grad_(true);
        m_weights.set(parameter.name, leaf);
        m_leaves.push_back(leaf);
        trainables.push_back({parameter.name, leaf, !isExcluded(parameter.name, m_train["weight_decay_exclude"])});
    }
    if (trainables.empty())
        throw core::InputError("model: expected parameters that can be trained, got none");
    m_optimizer = makeOptimizer(m_train["optimizer"], std::move(trainables));
}

void Trainer::makeOptimizerAndLoader()
{
    const std::int64_t warmup = m_train["warmup"];
    m_rate.emplace(m_train["optimizer"]["lr"].get<double>(), makeSchedule(m_train["schedule"]), warmup, m_length.steps, m_length.perEpoch);
    data::LoaderOptions options = trainingLoader(m_train);
    options.seed = m_seed;
    m_loader.emplace(m_experiment.data, data::Split::Train, options, m_context.stopToken());
    if (!m_train["clip_norm"].is_null())
        m_clip = m_train["clip_norm"].get<double>();
    if (!m_train["ema_decay"].is_null())
        m_averageDecay = m_train["ema_decay"].get<double>();
    if (m_averageDecay)
        m_average = m_weights.clone();
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

void Trainer::copyInto(graph::Weights& target, const graph::Weights& source) const
{
    const at::NoGradGuard noGrad;
    for (const auto& [name, tensor] : target.tensors()) {
        const at::Tensor& saved = source.at(name);
        if (saved.sizes() != tensor.sizes())
            throw core::FormatError(
                fmt::format("checkpoint: {}: expected {}, got {}", name, core::formatShape(tensor.sizes()), core::formatShape(saved.sizes())));
        at::Tensor(tensor).copy_(saved);
    }
}

void Trainer::restore()
{
    if (!m_options.resume)
        return;
    const Checkpoint saved = std::move(*m_options.resume);
    m_options.resume.reset();
    if (saved.documentHash != m_hash)
        throw core::InputError("expected a checkpoint of this experiment, got one of another document");
    // Buffers may alias the opened model's; they get tensors of their own.
    for (const std::string& name : m_buffers)
        m_weights.set(name, m_weights.at(name).clone());
    copyInto(m_weights, saved.weights);
    m_optimizer->restore(saved.optimizer);
    if (m_averageDecay)
        copyInto(m_average, saved.average);
    m_best = saved.best.to(m_where.device());
    m_bestStep = saved.bestStep;
    m_bestValue = saved.bestValue;
    m_step = m_saved = saved.step;
    m_kept = saved.kept;
    m_loader->restore(saved.loader);
    m_loaderState = saved.loader;
    m_context.info(fmt::format("goes on after step {}", m_step));
}

data::Batch Trainer::nextBatch()
{
    std::optional<data::Batch> batch = m_loader->next();
    if (!batch)
        batch = m_loader->next();
    if (!batch)
        throw core::Error("the loader gave no batch");
    return std::move(*batch);
}

// Each pass of an accumulated step has its own number, so that dropout differs between them.
graph::RunRequest Trainer::request(const data::Batch& batch, std::int64_t pass) const
{
    graph::RunRequest out;
    for (const at::Tensor& input : batch.inputs)
        out.inputs.emplace_back(moved(input, m_where));
    out.gradients = graph::Gradients::Parameters;
    out.training = true;
    out.seed = m_seed;
    out.step = std::uint64_t(m_step * m_accumulate + pass);
    out.stop = m_context.stopToken();
    return out;
}

void Trainer::forwardAndBackward(std::vector<at::Tensor>& gradients, double& loss)
{
    m_passes.clear();
    for (std::int64_t pass = 0; pass < m_accumulate; ++pass) {
        const data::Batch batch = nextBatch();
        m_passes.push_back({request(batch, pass), moved(batch.targets, m_where)});
        graph::RunResult result = stepExecutor().run(m_weights, m_passes.back().request);
        const at::Tensor mean = m_loss.mean(result.tensor(), m_passes.back().target);
        result.outputs.clear();
        loss += mean.item<double>() / double(m_accumulate);
        accumulate(gradients, torch::autograd::grad({mean}, m_leaves, {}, c10::nullopt, false, true));
        for (auto& [name, value] : result.bufferUpdates)
            m_weights.set(name, value.detach());
    }
}

void Trainer::step()
{
    std::vector<at::Tensor> gradients;
    double loss = 0;
    const graph::Weights before =
        m_buffers.empty() ? graph::Weights() : m_weights;  // Aliases: a broken-off step leaves the running statistics as they were.
    try {
        const at::AutoGradMode gradMode(true);
        forwardAndBackward(gradients, loss);
    } catch (...) {
        if (!m_buffers.empty())
            m_weights = before;
        throw;
    }
    const double norm = globalNorm(gradients) / double(m_accumulate);
    if (!std::isfinite(loss) || !std::isfinite(norm)) {
        if (!m_buffers.empty())
            m_weights = before;
        throwNonFinite(stepExecutor(), m_weights, m_passes, m_loss, m_step + 1);
    }
    const double rate = m_rate->at(m_step);
    m_optimizer->step(gradients, rate, (m_clip ? clipFactor(norm, *m_clip) : 1.0) / double(m_accumulate));
    updateAverage();
    m_loaderState = m_loader->state();
    ++m_step;
    record("train/loss", loss);
    if (m_loss.report)
        for (const auto& [name, value] : m_loss.report(loss))
            record("train/" + name, value);
    record("train/lr", rate);
    record("train/gradient_norm", norm);
}

void Trainer::updateAverage()
{
    if (!m_averageDecay)
        return;
    const at::NoGradGuard noGrad;
    for (const auto& [name, tensor] : m_average.tensors()) {
        const at::Tensor& current = m_weights.at(name);
        if (at::isFloatingType(current.scalar_type()))
            at::Tensor(tensor).mul_(*m_averageDecay).add_(current, 1 - *m_averageDecay);
        else
            at::Tensor(tensor).copy_(current);
    }
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

void Trainer::evaluateValidation()
{
    const auto& part = m_data.split(data::Split::Val);
    if (part.empty())
        return;
    const Json& most = m_train["evaluate_samples"];
    m_context.progress(double(m_step), double(m_length.steps), "steps", "evaluating");
    const Evaluation found = evaluate(*m_executor, evaluated(), m_data, spreadSamples(part, most.is_null() ? 0 : most.get<std::int64_t>()), m_loss,
                                      m_train["metrics"], evaluateOptions());
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
    m_best = evaluated().clone();
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
    const Checkpoint state{m_step, m_loaderState, m_weights, m_optimizer->state(), m_average, m_best, m_bestStep, m_bestValue, m_kept, m_hash};
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
    m_context.partial(std::make_shared<const Snapshot>(Snapshot{m_model.graph, evaluated().clone(), m_step}));
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
    const auto& samples = m_data.split(part);
    if (samples.empty())
        return;
    m_context.progress(double(m_step), double(m_length.steps), "steps", "testing");
    EvaluateOptions options = evaluateOptions();
    // Rays of pictures come by the million: nobody looks through a list of them.
    options.predictions = samples.size() <= kMostPredictions;
    const Evaluation found = evaluate(*m_executor, result.model.weights, m_data, samples, m_loss, m_train["metrics"], options);
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
    result.model = m_model;
    result.model.weights = best ? m_best.clone() : evaluated().clone();
    m_sink.artifact(kFinalWeights, "application/vnd.safetensors", m_step, modelBytes(result.model));
    test(result);
    result.steps = m_step;
    result.bestStep = m_bestStep;
    result.metrics = m_last;
}

TrainResult Trainer::run()
{
    setThreads();
    openModel();
    makeLeaves();
    makeOptimizerAndLoader();
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
        throw core::Error(fmt::format("training failed: {}", error.what_without_backtrace()));
    }
}

}  // namespace orrery::train
