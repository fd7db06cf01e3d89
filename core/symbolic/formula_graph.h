#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <string_view>

#include <core/graph/model.h>

#include "formula.h"

namespace orrery::symbolic {

/// The formula as a model: one input a variable (also one that is not used), one node an operation, numbers as literals or constants. Each node's `source` is its
/// part of the formula. The card names the shapes; a single number is [1] there.
/// @param example  Values of the variables, kept in the card; may lack some.
graph::Model toModel(const Formula& formula, const std::string& name = "formula", const std::map<std::string, at::Tensor>& example = {});

/// The outputs by name, computed by the executor in the dtype of the values.
/// @throws core::InputError for a variable without a value or a value of another shape than the formula was made for.
std::map<std::string, at::Tensor> evaluateAt(const Formula& formula, const std::map<std::string, at::Tensor>& values);

/// Shapes of values, as parseFormula takes them.
std::map<std::string, Shape> shapesOf(const std::map<std::string, at::Tensor>& values);

/// A float64 value as people type it: "1.5", "[[1, 2], [3, 4]]", "randn[2, 3]" (standard normal from `seed` and `name`), "linspace(-1, 1, 5)".
/// @throws core::InputError naming the variable, what was expected and what was found.
at::Tensor valueFromText(const std::string& name, std::string_view text, std::uint64_t seed = 0);

}  // namespace orrery::symbolic
