#pragma once
#include <stop_token>
#include <string>
#include <vector>

#include "executor.h"
#include "model.h"

namespace orrery::graph {

/// One node as seen in one run (shapes empty and costs zero if the model was not run).
struct NodeInfo {
    std::string name, op, module, type;
    std::vector<std::string> inputs;                ///< names of values, or literals as text
    std::vector<std::vector<std::int64_t>> shapes;  ///< of its tensor outputs
    std::vector<std::string> dtypes;                ///< of the same
    std::string dtype;                              ///< of the first tensor output
    std::int64_t parameters = 0;                    ///< elements of the parameters it reads
    std::int64_t flops = 0, bytes = 0;              ///< bytes of its outputs
    double seconds = 0;                             ///< of a second run where the first was quick
    std::int64_t calls = 0;  ///< in that run: 0 in a branch that was not taken or where nothing needed it, one a step in a loop
};

/// One module with everything below it.
struct ModuleInfo {
    std::string path, type;
    std::int64_t parameters = 0, flops = 0, bytes = 0;
    int nodes = 0;
    std::vector<std::int64_t> outputShape;
};

struct Inspection {
    std::vector<NodeInfo> nodes;
    std::vector<ModuleInfo> modules;  ///< in the order of declaration; the first is the whole model
    std::int64_t parameters = 0;      ///< elements of optimised parameters, tied ones once
    std::int64_t weightBytes = 0;     ///< of all weights
    std::int64_t flops = 0, activationBytes = 0;
    bool wasRun = false;
    core::Json toJson() const;
};

/// Structure and, if `inputs` are given, what one run shows. @throws what Executor::run throws.
Inspection inspect(const Executor& executor, const Weights& weights, const std::vector<c10::IValue>& inputs, std::stop_token stop = {});

/// Structure alone: also of a graph that cannot be run because libtorch lacks one of its operators. No weights are read.
Inspection inspectStructure(const Graph& graph, const Weights& weights);

/// Inputs made from the card's symbolic shapes: numbers as they are, "batch" 1 (or as many as an input of fixed size has), other names 8. Values are those of the card's example
/// (`{"NAME": [numbers, one batch row after another]}`) where it has one, else drawn with a fixed seed, so that no two models look alike by accident: normal numbers, tokens
/// over the whole vocabulary; masks hide nothing, and booleans, of which true means "look" here and "hide" there, are true and false in turn. Empty if the card does not say enough.
std::vector<c10::IValue> exampleInputs(const Model& model);

/// The same for every input of a model. @throws core::InputError for weights alone, and where the card does not say enough.
std::vector<c10::IValue> requiredExample(const Model& model);

/// Statistics of a tensor for people: computed in double on the values as float64 that are finite. NaN where none is; null in JSON.
struct TensorStatistics {
    std::int64_t count = 0, nans = 0, infinities = 0, zeros = 0;
    double minimum = 0, maximum = 0, mean = 0, standardDeviation = 0;  ///< over finite values; the deviation divides by n
    std::vector<std::int64_t> histogram;                               ///< equal bins over [minimum, maximum], finite values only
    core::Json toJson() const;
};
TensorStatistics statistics(const at::Tensor& tensor, int bins = 64);

}  // namespace orrery::graph
