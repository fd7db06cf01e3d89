#pragma once
#include <optional>

#include "selection.h"

namespace orrery::intervene {

/// What a unit selects while a text grows: the same as in a run that computes the prompt in one pass and then each new position in a pass of its own (with a
/// cache of keys and values). So a position counts as named if it is in the unit when it is first computed: "last" is the prompt's last and every new one.
/// Indices beyond the present length wait until the text is that long. Keys are counted from 0 (up to "last").
/// @return  Nothing if it does not act now.
/// @throws core::InputError for a restriction to positions on a value without an axis of positions, and as `Selection::resolve`.
std::optional<Selection> selectionInText(const Unit& unit, const When& when, const std::vector<Axis>& axes, at::IntArrayRef sizes,
                                         std::int64_t promptLength, const std::string& place);

}  // namespace orrery::intervene
