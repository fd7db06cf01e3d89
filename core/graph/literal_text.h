#pragma once
#include <ATen/core/ivalue.h>

#include <string>

namespace orrery::graph {

/// A literal as people write it: 1e-05, "none", None, true, [1, 1], (2, 3), cpu.
std::string literalText(const c10::IValue& literal);

}  // namespace orrery::graph
