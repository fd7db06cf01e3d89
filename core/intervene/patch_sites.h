#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <core/base/json.h>

#include "layout.h"

namespace orrery::intervene {

/// One value that a sweep patches, and the parts of it that are patched one by one: every unit (position, channel, feature), or every head, or every unit of every
/// head. Without either the whole value is one patch.
struct PatchSite {
    std::string component;  ///< as asked for: "resid_pre", "z", or the place itself
    std::string value;      ///< exact name
    std::string label;      ///< "3" (the block) for canonical components, else the value's name
    std::vector<std::int64_t> shape;
    std::optional<std::size_t> headAxis, unitAxis;
    Axis unit = Axis::Other;          ///< what unitAxis runs over
    std::vector<std::int64_t> units;  ///< indices along unitAxis; {-1}: all at once
    std::int64_t heads = 1;           ///< 1 without headAxis
    std::int64_t patches() const { return heads * std::int64_t(units.size()); }
};

/// Canonical names of components for transformers: resid_pre, attn_out, z, ... in the order of a block.
const std::vector<std::string>& patchComponents();
/// Those that a model's card names, for at least one block.
std::vector<std::string> patchComponents(const graph::ModelCard& card);

/// Names and shape-independent part of the sites of a sweep.
/// @param components  Canonical components (`resid_pre`, `z`; over all `layers`, empty: all blocks), or places as `resolvePlace` takes them.
/// @throws core::InputError for a component that names nothing (nearest names), or a layer that is not there.
std::vector<PatchSite> sitesOf(const graph::Graph& graph, const graph::ModelCard& card, const std::vector<std::string>& components,
                               const std::vector<std::int64_t>& layers);

/// Fills in shape, axes and units. @param units  Indices, negative from the end; empty: all.
/// @throws core::InputError for an index outside the axis, by-head without a head axis anywhere is decided by the caller.
void layOut(PatchSite& site, const graph::Graph& graph, const graph::ModelCard& card, at::IntArrayRef shape, bool byHead, bool byUnit,
            const std::vector<std::int64_t>& units);

/// The part of `value` ([row, ...]) that patch (head, unit) of row `row` replaces, as a view.
at::Tensor patchedPart(const PatchSite& site, const at::Tensor& value, std::int64_t row, std::int64_t head, std::int64_t unit);

}  // namespace orrery::intervene
