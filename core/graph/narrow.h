#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "executor.h"
#include "graph.h"

namespace orrery::graph {

/// Shape of every tensor of one run, by value; empty where a value is no tensor, was not computed, or is made inside a loop or branch.
using Shapes = std::vector<std::vector<std::int64_t>>;

/// A probe that fills in the shapes of the run it is given to; `graph` and `shapes` must outlive that run.
Probe shapeProbe(const Graph& graph, Shapes& shapes);

/// Part of an axis: indices [begin, begin + length). A negative begin counts from the end.
struct Range {
    std::int64_t axis = 0, begin = 0, length = 0;
    bool operator==(const Range&) const = default;
};

/// A graph that computes less, and which of its values hold only a part of what they held.
struct Narrowed {
    GraphPtr graph;
    std::map<std::string, Range> values;
};

/// The same graph for somebody who reads only a part of an output: work per position (pointwise operators, linear layers, layer norm, the queries' side of attention)
/// is done for that part alone. Every operator is narrowed by a rule that follows from what it computes; where none is known the whole value is computed and cut.
/// The cut axis keeps its place with the shorter length. Values that are read in several ways stay whole. Selections that the graph holds itself (a class token)
/// are followed in the same way.
/// @param output  Number of the output; its range, or nothing: only the graph's own selections are followed. Where the range counts from the end, so do all that follow from it.
/// @param one, two  Shapes for two batch sizes: the new graph holds for any batch size, but for these lengths of other axes alone. Counted from the end it may hold for other
/// lengths of the range's axis, too: then it comes out the same for each of them.
/// Graphs that write in place are handed back as they are.
Narrowed narrowed(const GraphPtr& graph, std::size_t output, const std::optional<Range>& range, const Shapes& one, const Shapes& two);

}  // namespace orrery::graph
