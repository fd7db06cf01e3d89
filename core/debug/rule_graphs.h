#pragma once
#include "operator_rules.h"
#include "random_graphs.h"

namespace orrery::debug {

/// Are calls that the rules object to drawn anew?
enum class Preconditions { Obeyed, Ignored };

/// A graph of up to `nodes` calls, drawn one after another on what is there (two inputs, what calls gave) and on fresh parameters; shapes as the rules predict them. Obeyed: each call
/// keeps the learned rules. Ignored: calls are taken as they come, and the graph ends at the first one whose output has no shape that could be predicted. Same seed, same graph.
/// Source of the idea: Liu et al. (2023), "NeuRI: Diversifying DNN Generation via Inductive Rule Inference", arXiv:2302.02261.
/// @throws core::InputError if the rules let nothing pass.
RandomGraph drawGraph(const OperatorRules& rules, std::uint64_t seed, int nodes, Preconditions preconditions);

/// What is wrong with a graph when it is run, one sentence without names of values; empty: it runs, and every shape is as predicted.
std::string faultOf(const RandomGraph& graph);

/// How many graphs are valid without and with the rules. The graphs have the same seeds and sizes.
struct DrawnShares {
    int graphs = 0, nodesWithout = 0, nodesWith = 0;
    int validWithout = 0, validWith = 0;
    std::map<std::string, int> faults;  ///< of those drawn by the rules: sentence -> graphs
    core::Json toJson() const;
};
/// @throws core::Cancelled; as drawGraph.
DrawnShares compareDrawn(const OperatorRules& rules, int count, std::uint64_t seed, std::stop_token stop = {},
                         const std::function<void(double done, double total)>& progress = {});

/// Makes the valid graphs that the rules draw, for checkRandomGraphs. `rules` must outlive it.
GraphMaker drawnBy(const OperatorRules& rules);

}  // namespace orrery::debug
