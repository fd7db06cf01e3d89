#pragma once
#include <vector>

#include <core/graph/executor.h>

#include "loss.h"
#include "trainer.h"

namespace orrery::train {

/// One forward pass of the step in question, to be run again exactly.
struct StepPass {
    graph::RunRequest request;
    at::Tensor target;
};

/// Runs the passes again, watching every value and gradient, and names where the first NaN or infinity came from. An infinity that a mask wrote on purpose
/// (`masked_fill`, `where`) does not count. Expensive: called once, when a training fails.
[[noreturn]] void throwNonFinite(const graph::Executor& executor, const graph::Weights& weights, const std::vector<StepPass>& passes,
                                 const Loss& loss, std::int64_t step);

}  // namespace orrery::train
