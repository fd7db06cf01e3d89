#pragma once
#include <vector>

#include "profile.h"

namespace orrery::debug {

/// Takes the costs of measured runs apart into the steps of their loops: the k-th time that a node of a loop's body runs is the loop's k-th step.
class LoopSteps {
public:
    /// @param nodes  In order of execution with their depths, loops before what is inside them.
    explicit LoopSteps(const std::vector<NodeCost>& nodes);

    void beginRun();
    /// One node was run once; the costs of a run come in the order in which the nodes ended.
    void add(std::size_t node, const graph::NodeProfile& cost);
    /// Over all runs so far.
    std::vector<LoopCost> loops() const;

private:
    struct Steps {
        std::vector<double> seconds;
        std::vector<std::int64_t> flops, calls;
    };
    /// The entry of a step, made where it is the first of its step.
    static void addStep(Steps& steps, std::size_t step, double seconds, std::int64_t flops);

    std::vector<std::string> m_names;
    std::vector<int> m_around;               ///< the loop or branch that holds a node directly; -1: none
    std::vector<int> m_loopOf;               ///< index into the loops of a node that is one; -1
    std::vector<std::size_t> m_loops;        ///< nodes
    std::vector<std::size_t> m_count;        ///< how often each node has run in this run
    std::vector<std::vector<Steps>> m_runs;  ///< [run][loop]
};

}  // namespace orrery::debug
