#include "positions.h"

#include <algorithm>

#include <core/base/error.h>

namespace orrery::intervene {
namespace {

bool isNamed(const std::vector<IndexRange>& ranges, std::int64_t position, std::int64_t length)
{
    const auto absolute = [&](std::int64_t index) { return index < 0 ? index + length : index; };
    return std::any_of(ranges.begin(), ranges.end(),
                       [&](const auto& range) { return absolute(range.from) <= position && position <= absolute(range.to); });
}

bool isNow(const When& when, std::int64_t position, std::int64_t promptLength)
{
    switch (when.kind) {
    case When::Kind::Always: return true;
    case When::Kind::Prompt: return position < promptLength;
    case When::Kind::New: return position >= promptLength;
    default: break;
    }
    return std::find(when.steps.begin(), when.steps.end(), position - promptLength + 1) != when.steps.end();
}

std::vector<std::int64_t> positionsInText(const std::optional<std::vector<IndexRange>>& ranges, const When& when, std::int64_t length,
                                          std::int64_t promptLength)
{
    std::vector<std::int64_t> positions;
    for (std::int64_t position = 0; position < length; ++position) {
        const auto lengthThen = std::max(promptLength, position + 1);
        if (isNow(when, position, promptLength) && (!ranges || isNamed(*ranges, position, lengthThen)))
            positions.push_back(position);
    }
    return positions;
}

/// Takes what a unit says about an axis out of it.
std::optional<std::vector<IndexRange>> taken(Unit& unit, std::initializer_list<Axis> meanings)
{
    const auto it = std::find_if(unit.axes.begin(), unit.axes.end(), [&](const auto& part) {
        return part.axis && std::find(meanings.begin(), meanings.end(), *part.axis) != meanings.end();
    });
    if (it == unit.axes.end())
        return std::nullopt;
    auto indices = std::move(it->indices);
    unit.axes.erase(it);
    return indices;
}

void refuseKeysFromTheEnd(const std::vector<IndexRange>& ranges, const std::string& place)
{
    for (const auto& range : ranges)
        if (range.from < 0 || range.to < -1)
            throw core::InputError(place + ".key: while a text grows keys are counted from 0; expected indices from 0, or {\"from\": a}");
}

}  // namespace

std::optional<Selection> selectionInText(const Unit& unit, const When& when, const std::vector<Axis>& axes, at::IntArrayRef sizes,
                                         std::int64_t promptLength, const std::string& place)
{
    const auto positionAxis = findAxis(axes, Axis::Position), keyAxis = findAxis(axes, Axis::Key);
    if (when.kind != When::Kind::Always && !positionAxis)
        throw core::InputError(place + ": the value has no axis of positions; expected \"when\": \"always\"");
    if (when.kind != When::Kind::Always && !unit.elements.empty())
        throw core::InputError(place + ": single elements act at all times; expected \"when\": \"always\"");
    Unit rest = unit;
    const auto positions = positionAxis ? taken(rest, {Axis::Position, Axis::Query}) : std::nullopt;
    const auto keys = keyAxis ? taken(rest, {Axis::Key}) : std::nullopt;
    auto selection = Selection::resolve(rest, axes, sizes, place);
    if (keys) {
        refuseKeysFromTheEnd(*keys, place);
        selection.setAlong(*keyAxis, positionsInText(keys, {}, sizes[*keyAxis], sizes[*keyAxis]));
    }
    if (!positions && when.kind == When::Kind::Always)
        return selection;
    auto chosen = positionsInText(positions, when, sizes[*positionAxis], promptLength);
    if (chosen.empty())
        return std::nullopt;
    selection.setAlong(*positionAxis, std::move(chosen));
    return selection;
}

}  // namespace orrery::intervene
