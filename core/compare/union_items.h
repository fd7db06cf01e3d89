#pragma once
#include <vector>

#include <core/layout/graph_items.h>

#include "graph_difference.h"

namespace orrery::compare {

/// The items of two graphs in one picture: all of the first, and of the second what the first lacks, in the modules where it belongs.
struct UnionItems {
    layout::ItemTreePtr tree;  ///< the first `firstItems` are those of the first graph
    int firstItems = 0;
    std::vector<Change> changes;  ///< one an item; a group has changed if anything inside differs
};

/// @param difference  Of these two graphs. Values of edges that only the second has are numbered behind those of the first.
UnionItems unionItems(const graph::Graph& first, const graph::Graph& second, const GraphDifference& difference,
                      const layout::ItemOptions& options = {});

}  // namespace orrery::compare
