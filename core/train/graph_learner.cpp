// Training by gradients through the executor.
#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/text.h>
#include <core/data/masking.h>
#include <core/graph/autocast.h>

#include "diagnose.h"
#include "gradients.h"
#include "learner.h"

namespace orrery::train {
namespace {

using core::Json;

c10::Device chosenDevice(const std::string& name)
{
    const bool hasCuda = at::globalContext().hasCUDA();
    if (name == "cpu" || (name == "auto" && !hasCuda))
        return c10::Device(c10::kCPU);
    if (!hasCuda)
        throw core::DeviceError(fmt::format("train.device: expected a device of this machine, got \"{}\": there is no CUDA here", name));
    return name == "auto" ? c10::Device(c10::kCUDA) : c10::Device(name);
}

bool isExcluded(const std::string& name, const Json& patterns)
{
    return std::any_of(patterns.begin(), patterns.end(), [&](const Json& pattern) { return core::matchesGlob(pattern.get<std::string>(), name); });
}

/// What a parametrisation of the width says of this tensor's learning rate (core/zoo/parametrisation.h); 1 where it says nothing.
double rateFactor(const graph::Parameter& parameter, const std::string& optimizer)
{
    const Json rates = parameter.init.is_object() ? parameter.init.value("rate", Json()) : Json();
    if (!rates.is_object())
        return 1;
    const char* const kind = optimizer == "sgd" ? "sgd" : "adam";
    const auto found = rates.find(kind);
    if (found == rates.end() || !found->is_number() || !(found->get<double>() > 0))
        throw core::InputError(fmt::format(
            "train.optimizer: expected sgd, as the model's parametrisation asks for, got \"{}\": {} has no rate for it", optimizer, parameter.name));
    return *found;
}

/// Everything that changes from step to step is a member and goes into the checkpoint.
class GraphLearner : public Learner {
public:
    explicit GraphLearner(const LearnerInput& input);
    std::vector<std::pair<std::string, double>> step(std::int64_t taken) override;
    graph::Weights evaluated() const override { return m_averageDecay ? m_average : m_weights; }
    graph::Model modelWith(graph::Weights weights) const override;
    void save(Checkpoint& checkpoint) const override;
    void restore(const Checkpoint& saved) override;

private:
    void openModel(const TrainOptions& options);
    void makeLeaves();
    void makeOptimizerAndLoader();
    void copyInto(graph::Weights& target, const graph::Weights& source) const;
    void forwardAndBackward(std::int64_t taken, std::vector<at::Tensor>& gradients, double& loss);
    graph::RunRequest request(const data::Batch& batch, std::int64_t pass) const;
    data::Batch nextBatch();
    void updateAverage();
    graph::Executor& stepExecutor() { return m_mixed ? *m_mixed : *m_executor; }

    const Experiment& m_experiment;
    const Json& m_train;
    const std::uint64_t m_seed;
    const Loss m_loss;
    const TrainLength m_length;
    const std::int64_t m_accumulate;
    const std::stop_token m_stop;

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
    data::LoaderState m_loaderState;  // behind the last batch of the last whole step
    graph::Weights m_average;
};

GraphLearner::GraphLearner(const LearnerInput& input)
    : m_experiment(input.experiment), m_train(m_experiment.document["train"]), m_seed(m_experiment.document["seed"].get<std::uint64_t>()),
      m_loss(makeLoss(m_train["loss"])), m_length(input.length), m_accumulate(m_train["accumulate"].get<std::int64_t>()), m_stop(input.stop)
{
    openModel(input.options);
    makeLeaves();
    makeOptimizerAndLoader();
}

void GraphLearner::openModel(const TrainOptions& options)
{
    m_model = buildExperimentModel(m_experiment, options.openModel);
    const data::DataInfo& info = m_experiment.data->info();
    if (m_model.card.task == "masked_language_model" && info.task == data::Task::NextToken && !data::predictsMaskedTokens(info))
        throw core::InputError("data.objective: expected masked with a model that fills masks, which sees the whole text, got the next token");
    const c10::Device device = chosenDevice(m_train["device"].get<std::string>());
    const at::ScalarType dtype = graph::dtypeFromName(m_train["dtype"].get<std::string>());
    if (device.is_cuda() || dtype != at::kFloat)
        m_model.graph = graph::moved(m_model.graph, device, dtype);
    m_weights = m_model.weights.to(device, dtype);
    m_where = at::TensorOptions().device(device).dtype(dtype);
    completeCard(m_model.card, *m_experiment.data);
    m_executor.emplace(m_model.graph);
    if (!m_train["autocast"].is_null())
        m_mixed.emplace(graph::autocast(m_model.graph, graph::dtypeFromName(m_train["autocast"].get<std::string>())));
}

// The leaves are copies: nobody else holds the tensors that are written in place.
void GraphLearner::makeLeaves()
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
        trainables.push_back({parameter.name, leaf, !isExcluded(parameter.name, m_train["weight_decay_exclude"]),
                              rateFactor(parameter, m_train["optimizer"]["id"].get<std::string>())});
    }
    if (trainables.empty())
        throw core::InputError("model: expected parameters that can be trained, got none");
    m_optimizer = makeOptimizer(m_train["optimizer"], std::move(trainables));
}

void GraphLearner::makeOptimizerAndLoader()
{
    const std::int64_t warmup = m_train["warmup"];
    m_rate.emplace(m_train["optimizer"]["lr"].get<double>(), makeSchedule(m_train["schedule"]), warmup, m_length.steps, m_length.perEpoch);
    data::LoaderOptions options = trainingLoader(m_train);
    options.seed = m_seed;
    m_loader.emplace(m_experiment.data, data::Split::Train, options, m_stop);
    if (!m_train["clip_norm"].is_null())
        m_clip = m_train["clip_norm"].get<double>();
    if (!m_train["ema_decay"].is_null())
        m_averageDecay = m_train["ema_decay"].get<double>();
    if (m_averageDecay)
        m_average = m_weights.clone();
}

void GraphLearner::copyInto(graph::Weights& target, const graph::Weights& source) const
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

data::Batch GraphLearner::nextBatch()
{
    std::optional<data::Batch> batch = m_loader->next();
    if (!batch)
        batch = m_loader->next();
    if (!batch)
        throw core::Error("the loader gave no batch");
    return std::move(*batch);
}

// Each pass of an accumulated step has its own number, so that dropout differs between them.
graph::RunRequest GraphLearner::request(const data::Batch& batch, std::int64_t pass) const
{
    graph::RunRequest out;
    for (const at::Tensor& input : batch.inputs)
        out.inputs.emplace_back(moved(input, m_where));
    out.gradients = graph::Gradients::Parameters;
    out.training = true;
    out.seed = m_seed;
    out.step = std::uint64_t(pass);
    out.stop = m_stop;
    return out;
}

void GraphLearner::forwardAndBackward(std::int64_t taken, std::vector<at::Tensor>& gradients, double& loss)
{
    m_passes.clear();
    for (std::int64_t pass = 0; pass < m_accumulate; ++pass) {
        const data::Batch batch = nextBatch();
        m_passes.push_back({request(batch, taken * m_accumulate + pass), moved(batch.targets, m_where)});
        graph::RunResult result = stepExecutor().run(m_weights, m_passes.back().request);
        const at::Tensor mean = m_loss.mean(result.tensor(), m_passes.back().target);
        result.outputs.clear();
        loss += mean.item<double>() / double(m_accumulate);
        accumulate(gradients, torch::autograd::grad({mean}, m_leaves, {}, c10::nullopt, false, true));
        for (auto& [name, value] : result.bufferUpdates)
            m_weights.set(name, value.detach());
    }
}

std::vector<std::pair<std::string, double>> GraphLearner::step(std::int64_t taken)
{
    std::vector<at::Tensor> gradients;
    double loss = 0;
    const graph::Weights before =
        m_buffers.empty() ? graph::Weights() : m_weights;  // Aliases: a broken-off step leaves the running statistics as they were.
    try {
        const at::AutoGradMode gradMode(true);
        forwardAndBackward(taken, gradients, loss);
    } catch (...) {
        if (!m_buffers.empty())
            m_weights = before;
        throw;
    }
    const double norm = globalNorm(gradients) / double(m_accumulate);
    if (!std::isfinite(loss) || !std::isfinite(norm)) {
        if (!m_buffers.empty())
            m_weights = before;
        throwNonFinite(stepExecutor(), m_weights, m_passes, m_loss, taken + 1);
    }
    const double rate = m_rate->at(taken);
    m_optimizer->step(gradients, rate, (m_clip ? clipFactor(norm, *m_clip) : 1.0) / double(m_accumulate));
    updateAverage();
    m_loaderState = m_loader->state();
    std::vector<std::pair<std::string, double>> report{{"loss", loss}};
    if (m_loss.report)
        for (auto& value : m_loss.report(loss))
            report.push_back(std::move(value));
    report.emplace_back("lr", rate);
    report.emplace_back("gradient_norm", norm);
    return report;
}

void GraphLearner::updateAverage()
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

void GraphLearner::restore(const Checkpoint& saved)
{
    // Buffers may alias the opened model's; they get tensors of their own.
    for (const std::string& name : m_buffers)
        m_weights.set(name, m_weights.at(name).clone());
    copyInto(m_weights, saved.weights);
    m_optimizer->restore(saved.optimizer);
    if (m_averageDecay)
        copyInto(m_average, saved.average);
    m_loader->restore(saved.loader);
    m_loaderState = saved.loader;
}

graph::Model GraphLearner::modelWith(graph::Weights weights) const
{
    graph::Model model = m_model;
    model.weights = std::move(weights);
    return model;
}

void GraphLearner::save(Checkpoint& checkpoint) const
{
    checkpoint.loader = m_loaderState;
    checkpoint.weights = m_weights;
    checkpoint.optimizer = m_optimizer->state();
    checkpoint.average = m_average;
}

}  // namespace

std::unique_ptr<Learner> makeGraphLearner(const LearnerInput& input)
{
    return std::make_unique<GraphLearner>(input);
}

}  // namespace orrery::train
