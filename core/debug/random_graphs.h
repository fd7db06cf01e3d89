#pragma once
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include <core/graph/model.h>

#include "random_paths.h"

namespace orrery::debug {

/// A valid graph made at random, with what its rules say of its values.
struct RandomGraph {
    graph::Model model;
    std::vector<c10::IValue> inputs;
    std::map<std::string, std::vector<std::int64_t>> shapes;  ///< of every value that a node makes, as predicted
    /// Values that must stay positive, or away from zero, for the node that reads them to give numbers: value -> "log", "sqrt", "div".
    std::map<std::string, std::string> domains;
    /// The model with weights and normal inputs of these shapes, drawn with the seed; nothing is said of its values.
    static RandomGraph drawn(graph::Model model, const std::vector<std::vector<std::int64_t>>& inputShapes, std::uint64_t seed);
};

/// Up to `nodes` nodes, drawn from rules that know shapes: elementwise arithmetic with broadcasting, products, convolutions, reductions, normalisations, views,
/// joins. Same seed, same graph. Source of the idea: Liu et al. (2023), "NNSmith", doi:10.1145/3575693.3575707.
RandomGraph randomGraph(std::uint64_t seed, int nodes = 12);

/// Moves the inputs along the gradient of what their domains are hurt by, until every value is finite. @return False if that fails in 100 steps.
bool searchFiniteInputs(RandomGraph& graph);

/// Two ways of running one graph that do not agree.
struct Disagreement {
    std::uint64_t seed = 0;
    std::string check;    ///< "shapes", "traced", "document", "stepped", "fused", or the name of a rewrite or path
    std::string text;     ///< one sentence
    graph::Model shrunk;  ///< the smallest part that still shows it, with the graph's inputs
    std::vector<c10::IValue> inputs;
};

/// A change of graphs that must not change what they compute.
struct CheckedRewrite {
    std::string name;
    std::function<graph::GraphPtr(const graph::GraphPtr&)> apply;
};

/// A rewrite with a bug, to see that it is found: what nodes of that operator give becomes 1 % larger. @throws core::InputError if it is not "NAMESPACE::NAME".
CheckedRewrite brokenOperator(const std::string& op);

/// Predicted against real shapes; the executor against libtorch's own interpreter on a trace; the graph written as a document and read again; node by node with
/// no memory against at once; rewritten (bias and GELU fused, and `rewrites`) against as it is.
std::vector<Disagreement> checkGraph(const RandomGraph& graph, std::uint64_t seed, const std::vector<CheckedRewrite>& rewrites = {});

struct RandomGraphReport {
    int graphs = 0, nodes = 0, searched = 0, unsearchable = 0;  ///< `searched`: inputs had to be moved to be finite
    std::map<std::string, int> operators;                       ///< how often each was drawn
    std::map<std::string, PathCount> paths;                     ///< by name
    std::vector<Disagreement> disagreements;
    core::Json toJson() const;
};
/// Makes the graph of a seed; nothing: there is none.
using GraphMaker = std::function<std::optional<RandomGraph>(std::uint64_t seed)>;

/// Graphs of the seeds seed, seed + 1, ..., each along every path as well. @param make  Empty: randomGraph with 4 to 23 nodes. @throws core::Cancelled.
RandomGraphReport checkRandomGraphs(int count, std::uint64_t seed, const std::vector<CheckedRewrite>& rewrites = {},
                                    const std::function<void(double done, double total)>& progress = {}, std::stop_token stop = {},
                                    const std::vector<GraphPath>& paths = {}, const GraphMaker& make = {});

/// The part of a model that a value needs, with that value as its output and all inputs.
graph::Model cutTo(const graph::Model& model, const std::string& value);

}  // namespace orrery::debug
