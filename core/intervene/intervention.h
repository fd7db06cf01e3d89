#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <core/explain/attribution.h>
#include <core/graph/executor.h>
#include <core/graph/model.h>
#include <core/graph/output_kind.h>

#include "document.h"

namespace orrery::intervene {

using explain::Control;

/// Inputs of source runs by the names that documents use; batch first. A batch of one serves every sample.
using SourceInputs = std::map<std::string, std::vector<c10::IValue>>;

/// A document made ready for one model: its places resolved, its files read, its source runs computed once with only what is needed kept.
/// Several interventions on one value act in the document's order, each on what the one before it left; different values act in the order of computation.
/// Const after construction; any thread.
class InterventionProgram {
public:
    struct Options {
        std::filesystem::path folder;  ///< files that the document names are relative to it
        std::uint64_t seed = 0;
    };
    /// @throws core::InputError for a place that does not fit (the nearest names are given), a source that is needed and not there (or a name the document
    ///         does not know); what the kinds throw; what running the sources throws; core::Cancelled.
    InterventionProgram(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card,
                        const InterventionDocument& document, const SourceInputs& sources, const Options& options, const Control& control = {});
    ~InterventionProgram();
    InterventionProgram(const InterventionProgram&) = delete;
    InterventionProgram& operator=(const InterventionProgram&) = delete;

    /// Exact names of the values that are changed, in the order of computation.
    const std::vector<std::string>& values() const;
    /// Runs the model with the interventions beside the request's own probes. Without any the request runs as it is, to the last bit.
    /// @param promptLength  While text is generated: positions before it are the prompt's, see `When`. Else `new` and steps do not act.
    /// @throws core::InputError, core::ShapeError naming the intervention: unit outside the value (axis and size), shapes that do not fit (both shapes);
    ///         what the executor throws.
    graph::RunResult run(graph::RunRequest request, std::optional<std::int64_t> promptLength = {}) const;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

/// One class (or token) whose probability changed.
struct OutputChange {
    std::int64_t index = 0;
    double before = 0, after = 0;            ///< probabilities
    double logitBefore = 0, logitAfter = 0;  ///< logits; log probabilities where the model gives probabilities or their logarithms
};

struct InterventionRequest {
    std::vector<c10::IValue> inputs;  ///< the model's inputs, batch first
    SourceInputs sources;
    std::vector<std::string> probes;  ///< places of values that are handed back from both runs
    std::filesystem::path folder;     ///< files that the document names are relative to it
    std::uint64_t seed = 0;
};

struct InterventionResult {
    at::Tensor plain, intervened;                        ///< first output of the model without and with
    graph::OutputKind kind = graph::OutputKind::Logits;  ///< what they are, if they have classes
    /// KL(plain || intervened) over the last axis, in nats, double, [batch] or [batch, position]; undefined where the output has no classes.
    at::Tensor divergence;
    std::map<std::string, std::pair<at::Tensor, at::Tensor>> values;  ///< of the probes: without and with
    std::vector<std::string> changed;                                 ///< exact names of the values that were intervened on
};

/// Runs the model without and with the interventions of a document.
/// @throws as `InterventionProgram`; core::InputError if the answer holds NaN without them. Any thread.
InterventionResult runIntervened(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card,
                                 const InterventionDocument& document, const InterventionRequest& request, const Control& control = {});

/// KL(p || q) in nats of softmax(plain) and softmax(intervened) over the last axis, in double; classes of probability 0 in p count nothing.
at::Tensor outputDivergence(const at::Tensor& plain, const at::Tensor& intervened);
/// The classes of one row of logits [class] whose probability changed most, by falling change.
std::vector<OutputChange> topChanges(const at::Tensor& plain, const at::Tensor& intervened, std::size_t count);
/// The row of a result's output that stands for a sample: [class]; of a sequence, that position (none: the last).
at::Tensor outputRow(const at::Tensor& output, std::int64_t sample, std::optional<std::int64_t> position = {});
/// True if the last axis of an output holds classes that exclude each other.
bool hasClasses(const at::Tensor& output, const graph::ModelCard& card, graph::OutputKind kind = graph::OutputKind::Logits);

}  // namespace orrery::intervene
