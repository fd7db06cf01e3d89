#pragma once
#include <string>
#include <vector>

#include <core/graph/model.h>

#include "family.h"

namespace orrery::models::families {

/// Tensors of a checkpoint under the names that the graph has for them.
struct NamedTensors {
    graph::Weights tensors;
    std::vector<std::string> ignored;  ///< names that carry nothing (masks, position numbers)
    std::string prefix;                ///< "transformer." was added to or taken off names; empty: neither
};

/// Maps the file's names to the graph's: `gamma` and `beta` of old files are weight and bias, and the base model's prefix is added or taken off where the file was written by
/// the other kind of model (base alone, or with a head).
NamedTensors namedForGraph(const graph::Graph& graph, const graph::Weights& file, const Family& family);

/// Weights for a family's graph out of a checkpoint's tensors, aliased. Gives sentences about what was left out in `notes`.
/// @throws core::InputError naming tensors that are missing; core::ShapeError naming one of another shape.
graph::Weights weightsFor(const graph::Graph& graph, const graph::Weights& file, const Family& family, const std::string& origin,
                          std::vector<std::string>& notes);

/// The same graph with each parameter declared in the dtype its tensor has.
graph::GraphPtr withDtypesOf(const graph::GraphPtr& graph, const graph::Weights& weights);

}  // namespace orrery::models::families
