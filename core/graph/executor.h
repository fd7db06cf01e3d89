#pragma once
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <core/base/error.h>

#include "graph.h"
#include "probe.h"
#include "weights.h"

namespace orrery::graph {

/// A node failed: the message gives the node's path, operator, input shapes and libtorch's reason in one sentence.
class NodeError : public core::Error {
public:
    NodeError(std::string node, const std::string& message) : core::Error(message), m_node(std::move(node)) {}
    const std::string& node() const { return m_node; }

private:
    std::string m_node;
};

/// What autograd records. Weights that nobody asked gradients for are detached, so their gradients are not computed.
enum class Gradients {
    None,        ///< no-grad (never inference mode: kept values may take part in a later backward)
    Inputs,      ///< floating inputs become leaves that require grad
    Parameters,  ///< weights are used as given (those that require grad get gradients)
    All          ///< both
};

/// Cost of one node in one run.
struct NodeProfile {
    std::string node;
    double seconds = 0;
    std::int64_t allocatedBytes = 0;  ///< allocated while it ran, freed or not
    std::int64_t outputBytes = 0;
    std::int64_t flops = 0;  ///< multiply-add = 2; see flops.h
};

/// Values of an earlier run by name, to resume from.
using KeptValues = std::map<std::string, c10::IValue>;

struct RunRequest {
    std::vector<c10::IValue> inputs;                 ///< in the order of GraphData::inputs
    std::map<std::string, c10::IValue> namedInputs;  ///< or by name
    std::vector<std::string> targets;                ///< values to compute; empty: the graph's outputs
    std::vector<std::string> keep;                   ///< patterns of values to hand back in RunResult::values
    std::vector<Probe> probes;
    /// Resume: values of an earlier run with the same weights and inputs. What does not depend on `changed` or on a Set/Replace/Add/Leaf probe is taken from
    /// here; what is missing is computed. Another input value goes into `changed` under the input's name.
    const KeptValues* resumeFrom = nullptr;
    KeptValues changed;  ///< values given instead of computed; everything that depends on them is recomputed
    Gradients gradients = Gradients::None;
    bool training = false;
    std::uint64_t seed = 0, step = 0;  ///< random operators draw from (seed, step, node name)
    bool profile = false;
    std::stop_token stop;  ///< honoured between nodes: throws core::Cancelled
};

struct RunResult {
    std::vector<c10::IValue> outputs;                 ///< of the targets; empty if a Stop probe ended the run
    KeptValues values;                                ///< kept values (detached from autograd unless gradients were asked for) and leaves
    std::map<std::string, at::Tensor> bufferUpdates;  ///< running statistics after this run; a training step commits them
    std::vector<NodeProfile> profile;
    std::int64_t nodesRun = 0;
    bool stoppedByProbe = false;
    at::Tensor tensor(std::size_t output = 0) const;        ///< @throws core::ShapeError if that output is no tensor
    const at::Tensor value(const std::string& name) const;  ///< a kept tensor. @throws core::InputError
};

/// Runs a graph. Compiled once for a graph; `run` is const and may be called from several threads at a time.
class Executor {
public:
    /// @throws core::FormatError naming node and operator if libtorch has no such operator.
    explicit Executor(GraphPtr graph);
    ~Executor();
    Executor(Executor&&) noexcept;
    Executor& operator=(Executor&&) noexcept;

    const GraphPtr& graph() const;
    /// @throws NodeError, core::InputError (unknown names, missing inputs), core::ShapeError, core::Cancelled.
    RunResult run(const Weights& weights, const RunRequest& request) const;
    /// The common case: inference on inputs in order, first output as a tensor.
    at::Tensor forward(const Weights& weights, std::vector<c10::IValue> inputs) const;
    /// Names of the nodes that depend on any of `values` and are needed for the outputs, in order.
    std::vector<std::string> dependencyCone(const std::vector<std::string>& values) const;

    struct Program;  ///< internal: see program.h

private:
    std::unique_ptr<const Program> m_program;
};

}  // namespace orrery::graph
