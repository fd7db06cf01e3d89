#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/base/registry.h>
#include <core/graph/executor.h>
#include <core/graph/model.h>

/// Why does a model answer as it does: attribution methods, clients of the executor.
namespace orrery::explain {

/// What is explained: one output number per sample, as a function of one value of the graph.
struct AttributionRequest {
    std::vector<c10::IValue> inputs;       ///< the model's inputs, first axis is the batch
    std::string site;                      ///< value attributed to: an input's name or any value's path; empty: the first floating input, else the
                                           ///< first floating value computed from the first input (a token model's embedding)
    std::size_t output = 0;                ///< which output of the model
    std::optional<std::int64_t> target;    ///< class (last axis of the output); empty: the class with the largest output, for each sample its own
    std::optional<std::int64_t> position;  ///< position in a sequence output [batch, position, class]; empty: the last
    core::Json parameters;                 ///< of the method, resolved by its schema
    std::uint64_t seed = 0;
};

struct AttributionResult {
    std::string site;
    at::Tensor attribution;             ///< float, shaped like the site's value
    at::Tensor value;                   ///< the site's value that was explained
    at::Tensor outputs;                 ///< [batch]: the explained numbers
    std::vector<std::int64_t> targets;  ///< [batch]; -1 where the output has no classes
    at::Tensor completenessError;       ///< [batch]: sum of attributions - (F(x) - F(baseline)); undefined for methods without that property
    at::Tensor standardError;           ///< like attribution; undefined for methods that do not sample
    core::Json details;                 ///< what else the method reports (steps used, evaluations)
};

/// Progress and stop of a computation. `progress` may be empty; it is called on the computing thread.
struct Control {
    std::stop_token stop;
    std::function<void(double done, double total, const char* unit)> progress;
    /// Throws core::Cancelled if a stop was asked for, then reports.
    void report(double done, double total, const char* unit) const;
};

/// The number to explain, F, as a function of the site's value: for batches of any size, with or without gradient.
/// Any thread; sets the gradient mode itself.
class ScalarFunction {
public:
    /// Runs the model once on the request's inputs. @throws core::InputError for a bad site, target or position, core::ShapeError for odd outputs.
    ScalarFunction(const graph::Executor& executor, const graph::Weights& weights, const AttributionRequest& request, const Control& control);

    const std::string& site() const { return m_site; }
    const at::Tensor& value() const { return m_value; }      ///< at the request's inputs, detached
    const at::Tensor& outputs() const { return m_outputs; }  ///< F at `value`, [batch]
    const std::vector<std::int64_t>& targets() const { return m_targets; }
    /// F for `repeats` stacked copies of the batch whose site value is `x` [repeats * batch, ...] (copy-major: all samples of copy 0 first).
    at::Tensor at(const at::Tensor& x, std::int64_t repeats) const;
    /// F and dF/dx, both detached.
    std::pair<at::Tensor, at::Tensor> withGradient(const at::Tensor& x, std::int64_t repeats) const;

private:
    std::string chooseSite(const std::string& wanted) const;
    at::Tensor pick(const at::Tensor& output, std::int64_t repeats) const;
    graph::RunResult run(const at::Tensor& x, std::int64_t repeats, bool gradient) const;
    const graph::Executor& m_executor;
    const graph::Weights& m_weights;
    const AttributionRequest& m_request;
    const Control& m_control;
    std::string m_site;
    bool m_siteIsInput = false;
    at::Tensor m_value, m_outputs;
    std::vector<std::int64_t> m_targets;
};

using AttributionMethod =
    std::function<AttributionResult(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)>;

/// All attribution methods: family "attribution". One line each in attribution.cpp.
const core::Registry<AttributionMethod>& attributionRegistry();

/// Checks the parameters against the method's schema and computes. @throws core::DocumentError, core::InputError, core::Cancelled and what running the model throws.
AttributionResult attribute(const graph::Executor& executor, const graph::Weights& weights, const std::string& method, AttributionRequest request,
                            const Control& control = {});

}  // namespace orrery::explain
