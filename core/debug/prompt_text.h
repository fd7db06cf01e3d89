#pragma once
#include <string>

#include <core/base/json.h>

#include "stepper.h"

/// How a debugging session is put into words: for the prompt and for panels.
namespace orrery::debug {

/// "float32 [2, 3], min -1 max 2 mean 0.5 sd 1, 3 NaN"; other values as they are.
std::string summaryText(const c10::IValue& value);
/// dtype, shape and statistics (`graph::TensorStatistics` without its histogram); `text` for what is no tensor.
core::Json summaryJson(const c10::IValue& value);
/// The numbers, in nested brackets; long axes are shortened to their first and last three elements.
std::string tensorText(const at::Tensor& tensor);
/// All elements as nested lists; NaN and infinities as text.
core::Json tensorJson(const at::Tensor& tensor);

/// Where the run stands and why: one to three lines.
std::string stopText(const Stepper& stepper, const Stop& stop);
core::Json stopJson(const Stepper& stepper, const Stop& stop);
/// Lines around one, with the position (=>) and breakpoints (*): what `list` prints.
std::string listText(const Stepper& stepper, int around, int context = 5);
/// One line as it is listed: "blocks.0.norm.layer_norm = aten::layer_norm(x, ...)".
std::string lineText(const graph::Graph& graph, const graph::Node& node);
/// The module calls around the position.
std::string whereText(const Stepper& stepper);

}  // namespace orrery::debug
