#pragma once
#include <functional>
#include <string>
#include <vector>

#include <core/explain/attribution.h>

/// How good is an explanation: metrics of attributions, family "attribution_metric".
namespace orrery::explain {

struct MetricResult {
    at::Tensor value;                       ///< [batch], double
    at::Tensor curveX;                      ///< [points]: undefined for metrics without a curve
    at::Tensor curveY;                      ///< [batch, points]
    at::Tensor referenceY, referenceValue;  ///< [batch, points] and [batch]: the curve of what to compare with; undefined for metrics without one
    std::string referenceName;
    std::string xName, yName;
    core::Json details;
};

/// What is measured: an attribution, and the means to compute it again elsewhere.
struct MetricSubject {
    /// The method with its parameters and seed, as it made `result`, on another function.
    std::function<AttributionResult(const ScalarFunction& function)> explain;
    std::string method;
    core::Json parameters;  ///< of the method, resolved
    const AttributionResult& result;
    /// Around the site that was asked for; methods run here.
    const ScalarFunction& function;
    const Control& control;

    /// Around the value the attribution belongs to. @throws core::InputError if that value has no gradients (tokens).
    ScalarFunction atSite() const;
    /// The attribution as double, one number for each element of `site.value()`.
    /// @throws core::ShapeError if the attribution is not shaped like it (one channel may stand for all).
    at::Tensor attributionLike(const ScalarFunction& site) const;
};

using AttributionMetric = std::function<MetricResult(const MetricSubject& subject, const core::Json& parameters, std::uint64_t seed)>;

/// All metrics of attributions. One line each in metric.cpp.
const core::Registry<AttributionMetric>& attributionMetricRegistry();

/// One metric that is asked for, and what came out.
struct MetricRequest {
    std::string id;
    core::Json parameters = core::Json::object();
};
struct MeasuredMetric {
    std::string id;
    core::Json parameters;  ///< resolved
    MetricResult result;
    double seconds = 0;
    /// Of a batch of texts of several lengths: each row's own, without its padding; `result` then holds their values and details alone. Empty: no row holds padding.
    std::vector<MetricResult> rows = {};
};

/// Measures an attribution that `attribute` made of the same method and request, metric by metric, in the order asked for.
/// @param done  Called after each metric, on this thread; may be empty.
/// @throws core::DocumentError for parameters out of range (before anything is computed), core::InputError for what a metric cannot take, core::Cancelled.
std::vector<MeasuredMetric> measure(const graph::Executor& executor, const graph::Weights& weights, const std::string& method,
                                    AttributionRequest request, const AttributionResult& result, const std::vector<MetricRequest>& metrics,
                                    const Control& control = {}, const std::function<void(const MeasuredMetric&)>& done = {});

/// {"value": number, or a list for several samples, "curve": {"x_name", "y_name", "x": [...], "y": [...]}, "reference": {"name", "value", "y": [...]},
/// "details", "parameters", "seconds"}; curve and reference where there are such.
core::Json toJson(const MeasuredMetric& metric);
/// The same of one sample: what is stored with its attribution.
MeasuredMetric ofSample(const MeasuredMetric& metric, std::int64_t row);

/// One number for each thing that is switched on and off or pointed at: the pixels of an image (channels summed), the positions of a sequence (features
/// summed), else every element. `tensor` [batch, ...] -> [batch, units].
at::Tensor perUnit(const at::Tensor& tensor);

void addInfidelity(core::Registry<AttributionMetric>& registry);
void addSensitivityMax(core::Registry<AttributionMetric>& registry);
void addDeletionAndInsertion(core::Registry<AttributionMetric>& registry);
void addPointingGame(core::Registry<AttributionMetric>& registry);
void addParameterRandomisation(core::Registry<AttributionMetric>& registry);

}  // namespace orrery::explain
