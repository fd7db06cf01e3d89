#pragma once
#include <ATen/core/stack.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "executor.h"
#include "operators.h"
#include "random_operators.h"

/// Internal to core/graph: a graph compiled for running, and which part of it a request needs.
namespace orrery::graph {

/// Index of a value's slot; negative: ~index into the program's literals.
using Slot = std::int32_t;

struct Step;

struct CompiledBlock {
    std::vector<Slot> inputs, outputs;
    std::vector<Step> steps;
    std::vector<Slot> defined;  ///< every value made inside: freed when the block ends
};

/// Which arguments of a normalisation are its running statistics.
struct NormStatistics {
    int mean = -1, variance = -1, flag = -1;  ///< argument indices; flag: "training"
    std::size_t count = 0;
};

struct Step {
    const Node* node = nullptr;
    OwnOperator own = OwnOperator::None;
    std::function<void(torch::jit::Stack&)> call;
    std::optional<SeededOperator> seeded;
    std::optional<NormStatistics> norm;
    std::vector<Slot> inputs, outputs;
    std::vector<Slot> reads;           ///< slots read, including free values of nested blocks; each once
    std::vector<Slot> releaseInBlock;  ///< inside nested blocks: what is freed after this step
    std::vector<CompiledBlock> blocks;
    c10::TypePtr type;  ///< of the output, where an own operator needs it
    bool vararg = false;
};

/// What one request runs, in order. `value >= 0`: the value is given, not computed.
struct PlanEntry {
    int step = -1;
    ValueId given = -1;
    std::vector<Slot> release;
    std::vector<bool> moves;  ///< per input of the step: this is the last use, so it is moved out of its slot
};

struct Plan {
    std::vector<PlanEntry> entries;
    std::vector<Slot> outputs;
    std::vector<bool> needed;  ///< per value: inputs and parameters to bind
};

struct Executor::Program {
    GraphPtr graph;
    CompiledBlock body;
    std::vector<c10::IValue> literals;
    std::vector<int> rootStep;         ///< per value: the top-level step that makes it (or holds the block that does); -1 for inputs and parameters
    std::vector<bool> nested;          ///< per value: made inside a nested block
    bool mutates = false;              ///< some operator writes its argument
    std::vector<bool> writtenWeights;  ///< per value: a parameter that may be written through itself or a view
    Plan whole;                        ///< the plan of a plain run

    explicit Program(GraphPtr graph);
    /// @param given  Values taken instead of computed. @param mustRun  Top-level steps that have to run whatever is given. @param alsoNeeded  Values that live to the end as the outputs do.
    /// @param seen  Values that have to be computed and are freed after their last use: whoever looks at them does so when they are made.
    Plan plan(const std::vector<Slot>& outputs, const std::set<ValueId>& given, const std::set<int>& mustRun, const std::set<ValueId>& alsoNeeded,
              const std::set<ValueId>& seen = {}) const;
    /// Per value: does it depend on a member of `changed` (members of nested blocks make their whole top-level step depend).
    std::vector<bool> cone(const std::set<ValueId>& changed) const;
};

}  // namespace orrery::graph
