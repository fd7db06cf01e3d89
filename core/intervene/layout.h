#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <core/graph/graph.h>
#include <core/graph/model.h>

/// Changing what happens inside a model, and reading what it holds there: clients of the executor.
namespace orrery::intervene {

/// What one axis of a value runs over.
enum class Axis { Batch, Position, Head, Query, Key, Channel, Height, Width, Feature, Class, Other };
std::string_view axisName(Axis axis);  ///< "batch", "position", ...

/// What the axes of a value mean. Canonical transformer values by their name (`resid_pre`, `q`, `pattern`, `z`, `logits`, ...); others by rank:
/// [batch, feature], [batch, position, feature], [batch, channel, height, width]. Values inside attention that have no canonical name: Other beyond the batch.
/// @param value  Exact name. @param rank  Number of its axes in a run.
std::vector<Axis> axesOf(const graph::Graph& graph, const graph::ModelCard& card, std::string_view value, std::size_t rank);
/// Index of the first axis of that meaning; `Position` also finds `Query`.
std::optional<std::size_t> findAxis(const std::vector<Axis>& axes, Axis wanted);

/// Exact names of all values that a place names: a value, a module (its outputs), a glob, `op:NAME` (see `graph::Graph::resolve`), or a canonical transformer
/// name or a glob over them (`blocks.3.resid_pre`, `blocks.*.attn.pattern`; TransformerLens's `hook_` in front of the last part is accepted).
/// @throws core::InputError if nothing fits; the message names the nearest names of both kinds.
std::vector<std::string> resolvePlace(const graph::Graph& graph, const graph::ModelCard& card, const std::string& place);
/// The one value a place names. @throws core::InputError for none or several.
std::string resolveOne(const graph::Graph& graph, const graph::ModelCard& card, const std::string& place);
/// Canonical name of a value, if it has one.
std::optional<std::string> canonicalNameOf(const graph::ModelCard& card, std::string_view value);
/// Number of transformer blocks the card names (`blocks.N.…`); 0 if it names none.
int blockCount(const graph::ModelCard& card);
/// The value behind a canonical name. @throws core::InputError that says the model has no such canonical value, and what the command needs it for.
std::string canonicalValue(const graph::ModelCard& card, const std::string& canonical, std::string_view neededFor);

}  // namespace orrery::intervene
