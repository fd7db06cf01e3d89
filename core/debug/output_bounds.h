#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include <core/graph/model.h>

/// How far a change of weights may take what a model gives.
namespace orrery::debug {

/// For each output a tensor of its shape: no element moves farther when `changed` stand in place of the model's weights; nothing where no bound is proven. `without`: the
/// operator that none is known for, empty: all outputs have one.
struct OutputBounds {
    std::vector<std::optional<at::Tensor>> outputs;
    std::string without;
};

/// Element by element along the graph, in the arithmetic of the model (give it in float64): an operator that is linear in each of two values (products, convolutions) takes
/// e(ab) <= (|a| + e(a)) e(b) + e(a) |b|, with e(W) = |W' - W|; linear ones with positive factors (sums, means, views, joins) take their own of e; elementwise ones their
/// Lipschitz constant (relu, tanh 1, sigmoid 1/4, gelu 1.13, silu 1.1); maxima the largest e; softmax p (exp(2 max e) - 1). Where the changes meet the worst signs the
/// bound is reached; it grows with the depth, as all bounds of norms do. Loops, branches and other operators have no bound. @throws what Executor::run throws.
OutputBounds outputBounds(const graph::Model& model, const graph::Weights& changed, const std::vector<c10::IValue>& inputs);

/// What a change of weights does to the outputs, and what it could do at most, both in float64 and relative to the largest output.
struct OutputChange {
    double change = 0;
    std::optional<double> bound;  ///< nothing: an output has none
    std::string exceeded;         ///< where an element moved farther than its bound; empty: nowhere
};
OutputChange outputChange(const graph::Model& model, const graph::Weights& changed, const std::vector<c10::IValue>& inputs);

/// The first element that lies farther from `before` than its bound; empty: none.
std::string exceeding(const OutputBounds& bounds, const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after);

}  // namespace orrery::debug
