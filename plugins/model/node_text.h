#pragma once
#include <QString>
#include <utility>
#include <vector>

#include "model_tree.h"

namespace orrery::plugins {

/// What is to be said of a node, as names and values: operator, module, each input with its shape, each attribute under the name that the operator's schema
/// gives it, outputs, parameters, cost, place in the source. What is not known has an empty value.
std::vector<std::pair<QString, QString>> describedNode(const OpenedModel& opened, const graph::NodeInfo& node);

}  // namespace orrery::plugins
