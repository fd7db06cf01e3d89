#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "program_lines.h"

namespace orrery::debug {

/// What is known of the first output of a line from a run.
struct LineValue {
    std::string kind;  ///< "Tensor", "Int", "GenericList"; empty: not known
    std::vector<std::int64_t> shape;
    bool isKnownTensor() const { return kind == "Tensor"; }
};

/// One for each line; empty: nothing is known.
using LineValues = std::vector<LineValue>;

/// Operators that do the same in evaluation, whatever their names: "conv2d" for `aten::_convolution` of a picture, "reshape" for `view`, `flatten`, `squeeze`. Else `op`.
std::string canonicalOperator(const graph::Node& node);

/// Gives what it gets in evaluation: dropout, copies.
bool isCopy(const graph::Node& node);

}  // namespace orrery::debug
