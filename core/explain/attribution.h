#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
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
    std::vector<c10::IValue> inputs;      ///< the model's inputs, first axis is the batch
    std::string site;                     ///< value attributed to: an input's name or any value's path; empty: the first floating input, else the
                                          ///< first floating value computed from the first input (a token model's embedding)
    std::size_t output = 0;               ///< which output of the model
    std::optional<std::int64_t> target;   ///< class (last axis of the output); empty: the class with the largest output, for each sample its own
    std::vector<std::int64_t> positions;  ///< in a sequence output [batch, position, class]: one for all samples, or one each; empty: the last
    bool positionsAreUsual = false;       ///< the positions are only where such models answer: an output without them is explained as a whole
    core::Json parameters;                ///< of the method, resolved by its schema
    std::uint64_t seed = 0;
};

/// What a sequence output says at the explained positions: [rows, position, class] -> [rows, class]; an output without positions stays as it is.
/// @param positions  As in the request; for stacked copies of a batch, those of the batch.
at::Tensor atPositions(const at::Tensor& output, const std::vector<std::int64_t>& positions);

struct AttributionResult {
    std::string site;                     ///< what was attributed to; a method that leaves it empty means the function's site
    at::Tensor attribution;               ///< float, shaped like the site's value
    at::Tensor value;                     ///< the site's value that was explained
    at::Tensor outputs;                   ///< [batch]: the explained numbers
    std::vector<std::int64_t> targets;    ///< [batch]; -1 where the output has no classes
    std::vector<std::int64_t> positions;  ///< explained in a sequence output, one for all samples or one each; empty: the output has none
    at::Tensor completenessError;         ///< [batch]: sum of attributions - (F(x) - F(baseline)); undefined for methods without that property
    at::Tensor standardError;             ///< like attribution; undefined for methods that do not sample
    core::Json details;                   ///< what else the method reports (steps used, evaluations)
    /// Of a batch of texts of several lengths: each row's result without its padding, which is exactly 0 in `attribution`. Empty: no row holds padding.
    std::vector<AttributionResult> rows;
};

/// Progress and stop of a computation. `progress` may be empty; it is called on the computing thread.
struct Control {
    std::stop_token stop;
    std::function<void(double done, double total, const char* unit)> progress;
    /// Given by who shows results as they come: called between steps with the attribution as far as it is known, shaped like the result's.
    std::function<void(const at::Tensor& attribution)> partial;
    /// Throws core::Cancelled if a stop was asked for, then reports.
    void report(double done, double total, const char* unit) const;
};

class FastModel;

/// What one differentiable pass is asked for.
struct PassRequest {
    std::vector<std::string> values;   ///< exact names of values that are handed back together with their gradients
    std::vector<graph::Probe> probes;  ///< acting in this pass: surrogates of nodes, replaced gradients
    /// What is differentiated, [rows], from the explained numbers and the values asked for; empty: the explained numbers.
    std::function<at::Tensor(const at::Tensor& outputs, const std::map<std::string, at::Tensor>& values)> objective;
};

/// What it gave; everything detached.
struct Pass {
    at::Tensor outputs;                           ///< F, [rows]
    at::Tensor gradient;                          ///< of the objective at the value the pass started from; zeros if it does not depend on it
    std::map<std::string, at::Tensor> values;     ///< as asked
    std::map<std::string, at::Tensor> gradients;  ///< of the objective at them; zeros where it does not depend on them
};

/// The number to explain, F, as a function of the site's value: for batches of any size, with or without gradient.
/// Any thread; sets the gradient mode itself. Copies share the model; `executor`, `weights` and `control` must outlive them.
class ScalarFunction {
public:
    /// Runs the model once on the request's inputs. @throws core::InputError for a bad site, target or position, core::ShapeError for odd outputs.
    ScalarFunction(const graph::Executor& executor, const graph::Weights& weights, const AttributionRequest& request, const Control& control);

    const std::string& site() const { return m_site; }
    const at::Tensor& value() const { return m_value; }      ///< at the request's inputs, detached
    const at::Tensor& outputs() const { return m_outputs; }  ///< F at `value`, [batch]
    const std::vector<std::int64_t>& targets() const { return m_targets; }
    /// Positions of a sequence output that are explained, one for all samples or one each; empty: it has none.
    const std::vector<std::int64_t>& explainedPositions() const { return m_explained; }
    const graph::Executor& executor() const { return m_executor; }
    const graph::Weights& weights() const { return m_weights; }
    const AttributionRequest& request() const { return m_request; }

    /// F for `repeats` stacked copies of the batch whose site value is `x` [repeats * batch, ...] (copy-major: all samples of copy 0 first).
    at::Tensor at(const at::Tensor& x, std::int64_t repeats) const;
    /// The model's whole output there, detached: [repeats * batch, ...].
    at::Tensor wholeOutput(const at::Tensor& x, std::int64_t repeats) const;
    /// F and dF/dx, both detached.
    std::pair<at::Tensor, at::Tensor> withGradient(const at::Tensor& x, std::int64_t repeats) const;
    /// One pass that starts at any value: `from` (an exact name) becomes `x` [repeats * batch, ...].
    Pass pass(const std::string& from, const at::Tensor& x, std::int64_t repeats, const PassRequest& request) const;
    /// The same without gradients: outputs and the values asked for.
    Pass forward(const std::string& from, const at::Tensor& x, std::int64_t repeats, const PassRequest& request) const;

    /// Where the model's own input enters: its first floating input, else a token model's embedding. Paths of layer methods run there.
    std::string origin() const { return chooseSite({}); }
    /// Any value at the request's inputs, detached. @throws core::InputError if the pattern does not name exactly one tensor.
    at::Tensor valueOf(const std::string& pattern) const;
    /// The exact name of the one value that a pattern names. @throws core::InputError for none or several.
    std::string nameOf(const std::string& pattern) const;
    /// The same function around other values: a batch of `repeats` copies whose site value is `x`; targets stay those of the copied samples.
    ScalarFunction moved(const at::Tensor& x, std::int64_t repeats) const;
    /// The same function, site and targets with other weights of the same graph, which must outlive it.
    ScalarFunction withWeights(const graph::Weights& weights) const;
    /// The same around another input of the model: the value of `origin()` is `x` in each copy, and the site's value follows from it.
    ScalarFunction movedAtOrigin(const at::Tensor& x, std::int64_t repeats) const;

private:
    ScalarFunction(const ScalarFunction& other, const graph::Weights& weights);
    std::string chooseSite(const std::string& wanted) const;
    bool isInput(const std::string& name) const;
    at::Tensor pick(const at::Tensor& output, std::int64_t repeats) const;
    ScalarFunction copied(std::int64_t repeats) const;
    /// @param rowsInAll  Of all runs that this one is part of: many pay for another form of the model.
    graph::RunResult run(const std::string& from, const at::Tensor& x, std::int64_t repeats, bool gradient, const PassRequest& asked,
                         std::int64_t rowsInAll) const;
    Pass passOf(const std::string& from, const at::Tensor& x, std::int64_t repeats, const PassRequest& request, std::int64_t rowsInAll) const;
    const graph::Executor& m_executor;
    const graph::Weights& m_weights;
    AttributionRequest m_request;
    const Control& m_control;
    std::string m_site;
    std::shared_ptr<const FastModel> m_fast;
    std::map<std::string, at::Tensor> m_fixed;  ///< inner values given instead of computed: a moved embedding
    at::Tensor m_value, m_outputs;
    std::vector<std::int64_t> m_targets, m_explained;
};

using AttributionMethod =
    std::function<AttributionResult(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)>;

/// All attribution methods: family "attribution". One line each in attribution.cpp.
const core::Registry<AttributionMethod>& attributionRegistry();

/// The value that a request attributes to, at its inputs. @throws as ScalarFunction.
at::Tensor valueAt(const graph::Executor& executor, const graph::Weights& weights, const AttributionRequest& request);

/// Rows of a batch that are filled up with padding are explained one by one, without it (see padded_batch.h): numbers as of that text alone.
/// Checks the parameters against the method's schema and computes. @throws core::DocumentError, core::InputError, core::Cancelled and what running the model throws.
AttributionResult attribute(const graph::Executor& executor, const graph::Weights& weights, const std::string& method, AttributionRequest request,
                            const Control& control = {});

}  // namespace orrery::explain
