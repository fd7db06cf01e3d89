#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include <core/base/registry.h>
#include <core/graph/executor.h>
#include <core/graph/model.h>

#include "output_metric.h"

/// Activation patching: what a model's answer is worth when one part of one value is taken from another run.
/// Source: Vig et al. (2020), "Causal Mediation Analysis for Interpreting Neural NLP: The Case of Gender Bias", arXiv:2004.12265; Meng et al. (2022), "Locating and
/// Editing Factual Associations in GPT", arXiv:2202.05262; Wang et al. (2022), arXiv:2211.00593, who patch from a run on a corrupted prompt of the same length.
namespace orrery::intervene {

/// The sweep as a component: its schema is the one definition of the settings (components, layers, positions, by_head, by_position, direction, metric, output,
/// memory_limit).
const core::Component& patchingComponent();

struct PatchRequest {
    std::vector<c10::IValue> clean, corrupted;  ///< the model's inputs, one sample each: [1, ...], of the same shapes
    core::Json settings;                        ///< by `patchingComponent`'s schema; null: all defaults
};

/// One map: a component's sites (layers, or values) by head by unit. Cells that a site does not have, or that were not computed yet, are NaN.
struct PatchMap {
    std::string component;                   ///< as asked for
    std::vector<std::string> sites, values;  ///< labels of the rows, and the exact names of the values patched
    std::int64_t heads = 1;                  ///< 1: all heads at once
    bool byHead = false;
    std::string unit;                   ///< what the columns are: "position", "channel", "feature"; empty: the whole value at once
    std::vector<std::int64_t> columns;  ///< indices of the units
    at::Tensor cells;                   ///< [site, head, column] double: the metric
};

/// One finished cell.
struct PatchCell {
    std::size_t map = 0;
    std::int64_t site = 0, head = 0, column = 0;
    double value = 0;
};

struct PatchControl {
    std::stop_token stop;  ///< honoured between and within runs: core::Cancelled; what was handed to `cells` stays good
    std::function<void(double done, double total, const char* unit)> progress;
    std::function<void(std::span<const PatchCell> finished)> cells;  ///< called on the computing thread after every batch
};

struct PatchResult {
    core::Json settings;  ///< resolved, with the metric's answer filled in
    std::vector<PatchMap> maps;
    double clean = 0, corrupted = 0;          ///< the metric of the two runs, not normalised
    at::Tensor cleanLogits, corruptedLogits;  ///< [class], double, at the position read
    std::int64_t patches = 0, runs = 0;
    std::int64_t nodes = 0;         ///< computed in all runs together; a run of the whole model has as many as its graph
    std::int64_t fromPosition = 0;  ///< patches of which only positions from the patched one on were computed (a decoder read at its last position)
    double seconds = 0;
    core::Json summary() const;  ///< everything but the cells, for people and for the store
};

/// How the output of one class differs between two runs.
struct AnswerChange {
    std::int64_t index = 0;
    double reference = 0, value = 0;  ///< probabilities
};

/// A sweep made ready: inputs checked, both runs done, sites found. `executor` and `weights` must outlive it. Any thread.
class Patching {
public:
    /// @throws core::DocumentError (settings), core::InputError (unknown components, layers, positions, a metric that does not tell the runs apart),
    ///         core::ShapeError (inputs of different shapes, with both shapes), core::Cancelled, and what running the model throws.
    Patching(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card, const PatchRequest& request,
             std::stop_token stop = {});
    ~Patching();
    Patching(Patching&&) noexcept;

    /// The maps to come, every cell NaN.
    const std::vector<PatchMap>& maps() const;
    std::int64_t patches() const;
    const BoundMetric& metric() const;
    /// Logits of the two runs at the position read.
    MetricReference reference() const;
    /// All patches: each run of the base (corrupted for "denoise", clean for "noise") with one part of one value taken from the other run. Patches of a value are
    /// run as the rows of batches, as many as `memory_limit` and the processor's cache hold, from the first node that depends on the value. Equal to a full run for
    /// each patch but for the order of sums. @throws core::Cancelled, and what running the model throws.
    PatchResult sweep(const PatchControl& control = {}) const;
    /// The output of one cell's run: [class], double, at the position read. @throws core::InputError for a cell that is not there.
    at::Tensor outputOf(const PatchCell& cell, std::stop_token stop = {}) const;

private:
    struct State;
    std::unique_ptr<State> m_state;
};

/// The `count` classes whose probability differs most, largest change first. @param reference, logits  [class].
std::vector<AnswerChange> largestChanges(const at::Tensor& reference, const at::Tensor& logits, std::size_t count);
/// The `count` most probable classes of `logits`, with their probability in both.
std::vector<AnswerChange> mostProbable(const at::Tensor& reference, const at::Tensor& logits, std::size_t count);

}  // namespace orrery::intervene
