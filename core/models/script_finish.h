#pragma once
#include <string>
#include <vector>

#include <core/graph/graph.h>

/// Internal to core/models.
namespace orrery::models {

/// What a value is to be called, until all that is not needed is gone and names can be numbered.
struct ValueNote {
    std::string base;               ///< module path + operator
    graph::ValueId versionOf = -1;  ///< a later version of that value: `name@2`
};

/// Drops nodes (and outputs of branches) that nothing needs, renumbers the values and gives final names: a repeated base name gets `#2`, a second output `:1`, a version
/// `@2`. Nodes that write or raise stay.
void finishGraph(graph::GraphData& data, const std::vector<ValueNote>& notes);

}  // namespace orrery::models
