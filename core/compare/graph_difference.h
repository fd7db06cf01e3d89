#pragma once
#include <map>
#include <string>
#include <vector>

#include <core/graph/graph.h>

/// Two models side by side: which nodes and weights differ, and by how much.
namespace orrery::compare {

enum class Change { Same, Changed, Added, Removed };
/// "same", "changed", "added", "removed".
const char* changeName(Change change);

/// A node of the first graph, of the second, or of both.
struct NodeDifference {
    std::string first, second;  ///< names; empty where there is none
    std::string op;             ///< of the first, else of the second
    Change change = Change::Same;
    std::vector<std::string> what;  ///< one sentence a change: "operator aten::relu became aten::gelu"
    bool isRenamed() const { return !first.empty() && !second.empty() && first != second; }
};

struct GraphDifference {
    std::vector<NodeDifference> nodes;               ///< in the order of the first graph; what only the second has stands where it runs there
    std::map<std::string, std::string> parameters;   ///< of the first -> of the second: what plays the same part
    std::vector<std::string> onlyFirst, onlySecond;  ///< parameters without a partner
    std::vector<std::string> ends;                   ///< how inputs and outputs differ, one sentence each
    int count(Change change) const;
    bool equal() const;
    core::Json toJson() const;
};

/// Matches nodes by name where the operator is the same, then by structure (operator, literals and what is read, as far as that is matched), then by name
/// alone, then by place (module and what is read). A matched node has changed if its operator, a literal or what it reads differs, or a parameter that it reads
/// has another shape; a node that only has another name, or other numbers in its parameters, has not. Any thread.
GraphDifference compareGraphs(const graph::Graph& first, const graph::Graph& second);

}  // namespace orrery::compare
