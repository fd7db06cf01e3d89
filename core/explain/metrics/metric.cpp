#include "metric.h"

#include <ATen/ATen.h>

#include <chrono>

#include <core/base/text.h>
#include <core/explain/padded_batch.h>

namespace orrery::explain {
namespace {

core::Json numbers(const at::Tensor& tensor)
{
    const auto plain = tensor.to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return std::vector<double>(plain.data_ptr<double>(), plain.data_ptr<double>() + plain.numel());
}

// One sample's numbers stand alone, several make a list.
core::Json perSample(const at::Tensor& tensor)
{
    if (tensor.size(0) == 1)
        return tensor.dim() == 1 ? core::Json(tensor.to(at::kDouble).item<double>()) : numbers(tensor[0]);
    auto list = core::Json::array();
    for (std::int64_t i = 0; i < tensor.size(0); ++i)
        list.push_back(tensor.dim() == 1 ? core::Json(tensor[i].to(at::kDouble).item<double>()) : numbers(tensor[i]));
    return list;
}

MeasuredMetric measureOne(const graph::Executor& executor, const graph::Weights& weights, const std::string& method,
                          const AttributionRequest& request, const AttributionResult& result, const MetricRequest& metric, const Control& control)
{
    // The method runs again and again inside a metric: its own progress and pictures would only flicker.
    Control quiet;
    quiet.stop = control.stop;
    const ScalarFunction function(executor, weights, request, quiet);
    const auto explain = [&](const ScalarFunction& other) {
        auto again = attributionRegistry().factory(method)(other, request.parameters, request.seed, quiet);
        if (again.site.empty())
            again.site = other.site();
        return again;
    };
    const MetricSubject subject{explain, method, request.parameters, result, function, control};
    const auto started = std::chrono::steady_clock::now();
    MeasuredMetric measured;
    measured.id = metric.id;
    measured.parameters = metric.parameters;
    measured.result = attributionMetricRegistry().factory(metric.id)(subject, metric.parameters, request.seed);
    measured.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    return measured;
}

// Rows of different lengths have curves of different points: only their values stand side by side.
MeasuredMetric joined(std::vector<MeasuredMetric> rows)
{
    auto whole = rows.at(0);
    whole.result = {};
    whole.seconds = 0;
    std::vector<at::Tensor> values;
    std::vector<core::Json> details;
    for (auto& row : rows) {
        values.push_back(row.result.value);
        details.push_back(row.result.details);
        whole.seconds += row.seconds;
        whole.rows.push_back(std::move(row.result));
    }
    whole.result.value = at::cat(values);
    whole.result.details = mergedDetails(details);
    return whole;
}

core::Json curveOf(const MetricResult& result)
{
    return {{"x_name", result.xName}, {"y_name", result.yName}, {"x", numbers(result.curveX)}, {"y", perSample(result.curveY)}};
}

core::Json referenceOf(const MetricResult& result)
{
    return {{"name", result.referenceName}, {"value", perSample(result.referenceValue)}, {"y", perSample(result.referenceY)}};
}

}  // namespace

ScalarFunction MetricSubject::atSite() const
{
    if (result.site == function.site())
        return function;
    auto request = function.request();
    request.site = result.site;
    return ScalarFunction(function.executor(), function.weights(), request, control);
}

at::Tensor MetricSubject::attributionLike(const ScalarFunction& site) const
{
    const auto wanted = site.value().sizes(), found = result.attribution.sizes();
    const bool oneChannel = wanted.size() == 4 && found.size() == 4 && found[1] == 1 && found[0] == wanted[0] && found.slice(2) == wanted.slice(2);
    if (found != wanted && !oneChannel)
        throw core::ShapeError(
            fmt::format("expected an attribution shaped like \"{}\" {}, got {}", site.site(), core::formatShape(wanted), core::formatShape(found)));
    return result.attribution.to(at::kDouble).expand(wanted);
}

const core::Registry<AttributionMetric>& attributionMetricRegistry()
{
    static const auto registry = [] {
        auto made = std::make_unique<core::Registry<AttributionMetric>>("attribution_metric", "Metrics of attributions");
        addInfidelity(*made);
        addSensitivityMax(*made);
        addDeletionAndInsertion(*made);
        addPointingGame(*made);
        addParameterRandomisation(*made);
        return made;
    }();
    return *registry;
}

std::vector<MeasuredMetric> measure(const graph::Executor& executor, const graph::Weights& weights, const std::string& method,
                                    AttributionRequest request, const AttributionResult& result, const std::vector<MetricRequest>& metrics,
                                    const Control& control, const std::function<void(const MeasuredMetric&)>& done)
{
    if (metrics.empty())
        return {};
    if (result.details.is_object() && result.details.value("is_input", false))
        throw core::InputError(fmt::format("{} gives an input that was found, not an attribution; metrics of attributions do not fit it", method));
    std::vector<MetricRequest> resolved;
    for (const auto& metric : metrics)
        resolved.push_back({metric.id, attributionMetricRegistry().at(metric.id).schema.resolve(metric.parameters, metric.id)});
    request.parameters = attributionRegistry().at(method).schema.resolve(request.parameters, method);
    const auto tokens = result.rows.empty() ? std::nullopt : tokensOfRows(*executor.graph(), request.inputs);
    const auto alone = tokens ? rowsAlone(executor, weights, request, *tokens) : std::vector<AttributionRequest>();
    std::vector<MeasuredMetric> measured;
    for (const auto& metric : resolved) {
        if (!tokens) {
            measured.push_back(measureOne(executor, weights, method, request, result, metric, control));
        } else {
            std::vector<MeasuredMetric> rows;
            for (std::size_t row = 0; row < alone.size(); ++row)
                ofRow(row, (*tokens)[row], [&] {
                    rows.push_back(
                        measureOne(executor, weights, method, alone[row], result.rows.at(row), metric, controlOfRow(control, row, alone.size())));
                });
            measured.push_back(joined(std::move(rows)));
        }
        if (done)
            done(measured.back());
    }
    return measured;
}

core::Json toJson(const MeasuredMetric& metric)
{
    core::Json document = {{"value", perSample(metric.result.value)}, {"parameters", metric.parameters}, {"seconds", metric.seconds}};
    if (metric.result.curveX.defined())
        document["curve"] = curveOf(metric.result);
    if (metric.result.referenceY.defined())
        document["reference"] = referenceOf(metric.result);
    for (const auto& row : metric.rows) {
        if (row.curveX.defined())
            document["curve"].push_back(curveOf(row));
        if (row.referenceY.defined())
            document["reference"].push_back(referenceOf(row));
    }
    document["details"] = metric.result.details;
    return document;
}

MeasuredMetric ofSample(const MeasuredMetric& metric, std::int64_t row)
{
    auto sample = metric;
    if (!metric.rows.empty()) {
        sample.result = metric.rows.at(std::size_t(row));
        sample.rows.clear();
        return sample;
    }
    for (auto* tensor : {&sample.result.value, &sample.result.curveY, &sample.result.referenceY, &sample.result.referenceValue})
        if (tensor->defined())
            *tensor = tensor->narrow(0, row, 1);
    return sample;
}

at::Tensor perUnit(const at::Tensor& tensor)
{
    if (tensor.dim() == 4)
        return tensor.sum(1).flatten(1);
    return tensor.dim() == 3 ? tensor.sum(2) : tensor.flatten(1);
}

}  // namespace orrery::explain
