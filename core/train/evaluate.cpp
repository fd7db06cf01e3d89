#include "evaluate.h"

#include <ATen/ATen.h>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include <core/base/text.h>
#include <core/data/label_tables.h>
#include <core/graph/output_kind.h>

#include "defaults.h"
#include "samples.h"

namespace orrery::train {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Class and its probability, or the number itself.
void addPredictions(Evaluation& out, const data::Batch& batch, const at::Tensor& output, data::Task task)
{
    out.indices.insert(out.indices.end(), batch.indices.begin(), batch.indices.end());
    at::Tensor logits = output.detach().to(at::kCPU, at::kDouble);
    const at::Tensor targets = batch.targets.to(at::kDouble).reshape({batch.size(), -1}).select(1, 0).contiguous();
    const bool classes = task == data::Task::Classification;
    at::Tensor predicted, confidence;
    if (classes) {
        logits = logits.reshape({batch.size(), -1});
        const at::Tensor probability = logits.size(1) == 1 ? at::cat({1 - logits.sigmoid(), logits.sigmoid()}, 1) : logits.softmax(1);
        std::tie(confidence, predicted) = probability.max(1);
        predicted = predicted.to(at::kDouble);
    } else {
        predicted = logits.reshape({batch.size(), -1}).select(1, 0).contiguous();
        confidence = at::full_like(predicted, kNan);
    }
    const auto append = [](std::vector<double>& to, const at::Tensor& from) {
        to.insert(to.end(), from.data_ptr<double>(), from.data_ptr<double>() + from.numel());
    };
    append(out.targets, targets);
    append(out.predicted, predicted.contiguous());
    append(out.confidence, confidence.contiguous());
}

std::vector<std::unique_ptr<Metric>> makeMetrics(const core::Json& documents)
{
    std::vector<std::unique_ptr<Metric>> out;
    for (const core::Json& document : documents)
        out.push_back(makeMetric(document));
    return out;
}

core::Json numberOrNull(double value)
{
    return std::isfinite(value) ? core::Json(value) : core::Json(nullptr);
}

}  // namespace

double Evaluation::value(const std::string& name) const
{
    for (const auto& [key, number] : values)
        if (key == name)
            return number;
    return kNan;
}

std::vector<std::int64_t> spreadSamples(const std::vector<std::int64_t>& part, std::int64_t maxSamples)
{
    const auto size = std::int64_t(part.size());
    if (maxSamples <= 0 || size <= maxSamples)
        return part;
    std::vector<std::int64_t> out;
    for (std::int64_t i = 0; i < maxSamples; ++i)
        out.push_back(part[std::size_t(i * size / maxSamples)]);
    return out;
}

c10::TensorOptions optionsOf(const graph::Weights& weights)
{
    for (const auto& [name, tensor] : weights.tensors())
        if (at::isFloatingType(tensor.scalar_type()))
            return tensor.options().requires_grad(false);
    return at::TensorOptions().dtype(at::kFloat);
}

at::Tensor moved(const at::Tensor& tensor, const c10::TensorOptions& options)
{
    return at::isFloatingType(tensor.scalar_type()) ? tensor.to(options.device(), c10::typeMetaToScalarType(options.dtype()))
                                                    : tensor.to(options.device());
}

namespace {

/// Makes of an output what losses and metrics of classes take.
using Reading = std::function<at::Tensor(const at::Tensor& output)>;

Evaluation evaluateRead(const graph::Executor& executor, const graph::Weights& weights, const data::DataSet& data,
                        std::span<const std::int64_t> samples, const Loss& loss, const core::Json& metricDocuments, const EvaluateOptions& options,
                        const Reading& read)
{
    const at::NoGradGuard noGrad;
    const auto metrics = makeMetrics(metricDocuments);
    const c10::TensorOptions where = optionsOf(weights);
    Evaluation out;
    const auto total = std::int64_t(samples.size());
    for (std::int64_t begin = 0; begin < total; begin += options.batchSize) {
        const data::Batch batch = data.fetch(samples.subspan(std::size_t(begin), std::size_t(std::min(options.batchSize, total - begin))));
        graph::RunRequest request;
        request.stop = options.stop;
        for (const at::Tensor& input : batch.inputs)
            request.inputs.emplace_back(moved(input, where));
        const at::Tensor output = read(executor.run(weights, request).tensor()), target = moved(batch.targets, where);
        MetricBatch result{output, target, loss.mean(output, target).item<double>(), loss.count(output, target)};
        for (const auto& metric : metrics)
            metric->add(result);
        // One class or number a sample is what predictions are; several labels are neither.
        if (options.predictions && data.info().task != data::Task::NextToken && !data::holdsLabels(data.info()))
            addPredictions(out, batch, output, data.info().task);
        out.samples += batch.size();
        if (options.progress)
            options.progress(out.samples, total);
    }
    for (std::size_t i = 0; i < metrics.size(); ++i) {
        const auto values = metrics[i]->values();
        out.values.insert(out.values.end(), values.begin(), values.end());
        if (core::Json detail = metrics[i]->detail(); !detail.is_null())
            out.details[metricDocuments[i].is_string() ? metricDocuments[i].get<std::string>() : metricDocuments[i]["id"].get<std::string>()] =
                std::move(detail);
    }
    return out;
}

at::Tensor outputOfFirst(const graph::Model& model, const graph::Executor& executor, const data::DataSet& data, data::Split part, std::int64_t count,
                         const std::stop_token& stop)
{
    const at::NoGradGuard noGrad;
    graph::RunRequest request;
    request.stop = stop;
    request.inputs = sampleInputs(model, data, std::span(data.split(part)).first(std::size_t(count)));
    return executor.run(model.weights, request).tensor();
}

/// Of one sample, or of a batch where a model takes batches of one size alone: it tells what the model gives.
at::Tensor outputOfSome(const graph::Model& model, const graph::Executor& executor, const data::DataSet& data, data::Split part,
                        const EvaluateOptions& options)
{
    try {
        return outputOfFirst(model, executor, data, part, 1, options.stop);
    } catch (const graph::NodeError&) {
        const auto count = std::min<std::int64_t>(options.batchSize, std::int64_t(data.split(part).size()));
        return outputOfFirst(model, executor, data, part, count, options.stop);
    }
}

/// A single number a sample tells two classes apart.
core::Json lossFor(const at::Tensor& output, const data::DataInfo& info)
{
    if (info.task != data::Task::Classification || data::holdsLabels(info) || output.dim() == 0 || output.numel() != output.size(0))
        return defaultLoss(info);
    if (info.classNames.size() > 2)
        throw core::InputError(fmt::format("the model gives 1 number a sample, which tells two classes apart; the data \"{}\" have {}", info.id,
                                           info.classNames.size()));
    return "binary_cross_entropy";
}

/// The losses of classes read logits. What another one reads (a run that was trained by the squares of its probabilities) is left as it is.
Reading readingFor(const graph::Model& model, const at::Tensor& output, const data::DataInfo& info, const core::Json& loss)
{
    const auto id = loss.is_string() ? loss.get<std::string>() : loss.at("id").get<std::string>();
    const auto kind = graph::outputKind(*model.graph, model.card, output.dim());
    if (info.task == data::Task::Regression || (id != "cross_entropy" && id != "binary_cross_entropy" && id != "masked_binary_cross_entropy"))
        return [](const at::Tensor& each) { return each; };
    const bool isSeparate = id != "cross_entropy";
    return [kind, isSeparate](const at::Tensor& each) { return isSeparate ? graph::eachLogit(each, kind) : graph::classLogits(each, kind); };
}

}  // namespace

Evaluation evaluate(const graph::Executor& executor, const graph::Weights& weights, const data::DataSet& data, std::span<const std::int64_t> samples,
                    const Loss& loss, const core::Json& metricDocuments, const EvaluateOptions& options)
{
    return evaluateRead(executor, weights, data, samples, loss, metricDocuments, options, [](const at::Tensor& output) { return output; });
}

Evaluation evaluateModel(const graph::Model& model, const data::DataSet& data, data::Split part, const core::Json& metricDocuments,
                         const EvaluateOptions& options)
{
    if (data.info().task == data::Task::None)
        throw core::InputError(fmt::format(
            "expected data with targets, got \"{0}\" without; its parameters say where they are (orrery-cli describe data/{0})", data.info().id));
    if (data.split(part).empty())
        throw core::InputError(fmt::format("the data \"{}\" has no samples in its {} part", data.info().id, data::splitName(part)));
    const graph::Executor executor(model.graph);
    const auto some = outputOfSome(model, executor, data, part, options);  // what does not fit is said before the work, in its own words
    const auto loss = options.loss.is_null() ? lossFor(some, data.info()) : options.loss;
    return evaluateRead(executor, model.weights, data, spreadSamples(data.split(part), options.maxSamples), makeLoss(loss),
                        metricDocuments.is_null() ? defaultMetrics(data.info()) : metricDocuments, options,
                        readingFor(model, some, data.info(), loss));
}

core::Json confusionDocument(const Evaluation& evaluation, const data::DataInfo& info, std::string_view split)
{
    const auto found = evaluation.details.find("confusion_matrix");
    if (found == evaluation.details.end())
        return nullptr;
    return {{"classes", info.classNames}, {"counts", found->second.at("counts")}, {"split", split}};
}

core::Json predictionsDocument(const Evaluation& evaluation, std::string_view split)
{
    if (evaluation.indices.empty())
        return nullptr;
    const auto numbers = [](const std::vector<double>& values) {
        core::Json out = core::Json::array();
        for (const double value : values)
            out.push_back(value == std::floor(value) && std::abs(value) < 1e9 ? core::Json(std::int64_t(value)) : numberOrNull(value));
        return out;
    };
    return {{"split", split},
            {"samples", evaluation.indices},
            {"targets", numbers(evaluation.targets)},
            {"predicted", numbers(evaluation.predicted)},
            {"confidence", numbers(evaluation.confidence)}};
}

}  // namespace orrery::train
