#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/graph/executor.h>

namespace orrery::debug {

/// The gradient at one value.
struct GradientAt {
    std::string name;     ///< as the executor names it: `cell[3]` inside loops
    at::Tensor gradient;  ///< undefined where the limit of memory did not leave room
    double norm = 0;      ///< of all elements, in double
    std::int64_t nonFinite = 0;
    std::vector<std::int64_t> shape;
};

/// What a backward pass starts from.
struct GradientRequest {
    std::vector<c10::IValue> inputs;
    std::uint64_t seed = 0, step = 0;
    bool training = false;
    graph::KeptValues changed;         ///< edited values: constants of the run, whose own gradients are shown
    std::vector<graph::Probe> probes;  ///< edits inside loops and branches
    std::vector<std::string> keep;     ///< values that `scalar` reads
    /// Makes the number that is differentiated out of the kept values; a tensor of several elements is summed.
    std::function<at::Tensor(const graph::RunResult&)> scalar;
    std::string only;  ///< one value: nothing else is recorded
    std::int64_t keepBytes = std::int64_t(1) << 30;
};

/// Gradients at every value that has one, in the order in which the backward pass reaches them; inputs and parameters are among them.
/// @throws core::InputError if nothing that is differentiated depends on an input or parameter with floating numbers; graph::NodeError as a run does.
std::vector<GradientAt> traceGradients(const graph::Executor& executor, const graph::Weights& weights, const GradientRequest& request,
                                       std::stop_token stop = {});

}  // namespace orrery::debug
