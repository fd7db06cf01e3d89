#pragma once
#include "narrow.h"

namespace orrery::graph {

/// A graph that computes only what comes at and after one index of an axis.
struct Suffix {
    /// What a value held before the first index, to be given as an input of the graph: [..., begin, ...].
    struct Before {
        std::string input, value;
        std::int64_t axis = 0;
    };
    GraphPtr graph;
    std::map<std::string, std::int64_t> values;  ///< values that hold the indices from `begin` on alone, and the axis
    std::vector<Before> before;                  ///< further inputs, in order, after the graph's own
};

/// The same graph for somebody who changes values at indices >= `begin` alone and knows that nothing before `begin` follows (causal attention): work per position is
/// done from `begin` on, and where an operator reads all positions (keys and values of attention), what an earlier run gave stands before it. Every operator is
/// followed by the rules of `narrowed`; where none is known the whole value is put together and computed.
/// The graph itself cannot tell whether its mask is causal: whoever calls this tries it, by changing values from `begin` on and looking at `Suffix::before`.
/// @param changed  Values and their axes of positions, all of length `length`. 0 < begin < length.
/// @param one, two  Shapes for two batch sizes, as for `narrowed`.
/// @return nothing for graphs that write in place or compute with the changed values inside loops and branches.
std::optional<Suffix> suffixed(const GraphPtr& graph, const std::map<std::string, std::int64_t>& changed, std::int64_t begin, std::int64_t length,
                               const Shapes& one, const Shapes& two);

}  // namespace orrery::graph
