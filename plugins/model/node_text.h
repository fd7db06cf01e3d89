#pragma once
#include <QString>
#include <utility>
#include <vector>

#include "model_tree.h"

namespace orrery::plugins {

/// "1,152 FLOPs, 256 bytes out, 3.1 us", with the calls of a node in a loop; of one that was not run that it was not. `bytes`: the word for them.
QString costText(const graph::NodeInfo& node, const QString& bytes);

/// What is to be said of a node, as names and values: operator, module, each input with its shape, each attribute under the name that the operator's schema
/// gives it, outputs, parameters, cost, place in the source. What is not known has an empty value.
std::vector<std::pair<QString, QString>> describedNode(const OpenedModel& opened, const graph::NodeInfo& node);

/// The same of an input of the model: what it is by the model's card, its shape there and in the example, who reads it.
std::vector<std::pair<QString, QString>> describedInput(const OpenedModel& opened, std::size_t input);

}  // namespace orrery::plugins
