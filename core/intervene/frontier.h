#pragma once
#include <set>
#include <string>
#include <vector>

#include <core/graph/executor.h>

namespace orrery::intervene {

/// Nodes behind a value that compute something from it, in order.
std::vector<const graph::Node*> coneOf(const graph::Executor& executor, const std::string& value);

/// Exact names of what the nodes behind any of these values read and what is computed by none of the nodes behind that value: with these kept from one run, a run in which such a
/// value is changed computes nothing else anew.
std::vector<std::string> frontierOf(const graph::Executor& executor, const std::vector<std::string>& values);

/// Values that a node reads, those of its blocks included.
void addReads(const graph::Node& node, std::set<graph::ValueId>& reads);

}  // namespace orrery::intervene
