#pragma once
#include <vector>

#include <core/graph/model.h>

/// Internal to core/models.
namespace orrery::models {

/// What the first operators on each input say about it: token ids, images, features.
std::vector<graph::ModelCard::Input> describeInputs(const graph::Graph& graph);

}  // namespace orrery::models
