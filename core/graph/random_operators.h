#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/stack.h>

#include <functional>
#include <optional>

#include "graph.h"

namespace orrery::graph {

/// A random operator in the form that draws from a given generator; takes and leaves the stack like the operator itself.
using SeededOperator = std::function<void(torch::jit::Stack&, const at::Generator&)>;

/// The seeded form of a node's operator, or nothing if the operator draws no random numbers. Operators that draw but have no seeded form give one that throws.
/// An operator with a `generator` argument is given ours; `rand`, `randn`, `randint`, `randperm` run in their generator overload; dropout and its kin are computed
/// here from `bernoulli_` with the formulas of ATen/native/Dropout.cpp.
std::optional<SeededOperator> seededOperator(const Node& node, const c10::FunctionSchema& schema,
                                             const std::function<void(torch::jit::Stack&)>& plain);

/// A generator on `device` with that seed.
at::Generator makeGenerator(c10::Device device, std::uint64_t seed);

}  // namespace orrery::graph
