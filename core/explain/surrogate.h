#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <core/graph/executor.h>

#include "attribution.h"

/// Changed backward passes, made of probes alone: a node's result is replaced by one with the same value and another derivative. Rules belong to nodes of
/// the graph, so an activation module that is called twice gets its rule twice.
namespace orrery::explain {

/// Top-level nodes that run one of `operators` ("aten::relu"; the in-place form "aten::relu_" counts as well), take a tensor that depends on the value
/// `from`, in order.
/// @throws core::InputError naming the node if one of them sits inside a loop or a branch, where a rule cannot tell the steps apart.
std::vector<const graph::Node*> dependentNodes(const graph::Executor& executor, const std::string& from, const std::set<std::string_view>& operators,
                                               const char* method);

/// One call of a node while a run goes on.
struct NodeCall {
    const graph::Node* node = nullptr;
    std::vector<c10::IValue> arguments;  ///< one for each input of the node, as they enter it
    at::Tensor x;                        ///< the first argument, attached to what came before
    at::Tensor y;                        ///< what the node gave
};

/// Probes that call `observe` with each call of the nodes. They share a record, so they serve one run at a time.
std::vector<graph::Probe> callProbes(const graph::Graph& graph, const std::vector<const graph::Node*>& nodes,
                                     std::function<void(const NodeCall&)> observe);
/// Probes that put `surrogate(call)` in place of each node's result where that takes part in a backward pass.
std::vector<graph::Probe> surrogateProbes(const graph::Graph& graph, const std::vector<const graph::Node*>& nodes,
                                          std::function<at::Tensor(const NodeCall&)> surrogate);

/// `y` with the derivative of `carrier`: the value is that of `y` to the last bit (as long as `carrier` is finite).
at::Tensor withDerivativeOf(const at::Tensor& y, const at::Tensor& carrier);
/// `y` whose gradient with respect to `x` is `slope` (element by element): y + slope * (x - x), the first x differentiated.
at::Tensor withSlope(const at::Tensor& y, const at::Tensor& x, const at::Tensor& slope);

/// What happens to a gradient at a rectifier's result: negative parts are dropped. Nothing where `y` takes no part in a backward pass.
void clampGradient(const at::Tensor& y);

/// How a rectifier passes the gradient on.
enum class Rectifier {
    Guided,        ///< where its input was positive and the gradient is positive
    Deconvolution  ///< where the gradient is positive, whatever its input was
};
struct RectifiedGradient {
    at::Tensor gradient;         ///< of the explained number, at `from`, with every relu after `from` changed
    std::size_t rectifiers = 0;  ///< how many there are
};
/// One backward pass from the explained number to the value `from` (holding `x`, [batch, ...]).
RectifiedGradient rectifiedGradient(const ScalarFunction& function, const std::string& from, const at::Tensor& x, Rectifier rule, const char* method);
/// The attribution method that is this pass to the function's site. @param method  Its id, for messages; a literal.
AttributionMethod rectifierMethod(Rectifier rule, const char* method);

}  // namespace orrery::explain
