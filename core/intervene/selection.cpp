#include "selection.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::intervene {
namespace {

std::string axesText(const std::vector<Axis>& axes)
{
    std::vector<std::string> names;
    for (const auto axis : axes)
        names.emplace_back(axisName(axis));
    return "[" + core::join(names, ", ") + "]";
}

std::size_t axisNumber(const AxisUnit& unit, const std::vector<Axis>& axes, const std::string& place)
{
    const auto rank = std::int64_t(axes.size());
    if (!unit.axis) {
        if (unit.number < -rank || unit.number >= rank)
            throw core::InputError(
                fmt::format("{}: axis {}: expected {}..{}, the value's axes are {}", place, unit.number, -rank, rank - 1, axesText(axes)));
        return std::size_t(unit.number < 0 ? unit.number + rank : unit.number);
    }
    auto found = findAxis(axes, *unit.axis);
    if (!found && *unit.axis == Axis::Feature)
        found = findAxis(axes, Axis::Class);
    if (!found)
        throw core::InputError(
            fmt::format("{}: the value has no axis \"{}\", its axes are {}; expected one of them, or {{\"axis\": n, \"index\": ...}}", place,
                        axisName(*unit.axis), axesText(axes)));
    return *found;
}

at::Tensor asTensor(const std::vector<std::int64_t>& indices, const at::Tensor& like)
{
    return at::tensor(indices, at::kLong).to(like.device());
}

// Elements without a batch index are meant in every sample.
at::Tensor elementMask(const std::vector<std::vector<std::int64_t>>& elements, at::IntArrayRef sizes, const std::string& place)
{
    auto mask = at::zeros(sizes, at::kBool);
    for (const auto& element : elements) {
        const auto rank = std::int64_t(sizes.size()), given = std::int64_t(element.size());
        if (given != rank && given != rank - 1)
            throw core::InputError(fmt::format("{}.index: expected {} or {} numbers an element (the value is {}), got {}", place, rank, rank - 1,
                                               core::formatShape(sizes), given));
        auto part = mask;
        for (std::int64_t i = 0; i < given; ++i) {
            const auto size = sizes[std::size_t(rank - given + i)];
            const auto index =
                resolveIndices({{element[std::size_t(i)], element[std::size_t(i)]}}, size, fmt::format("{}.index, axis {}", place, rank - given + i));
            part = part.select(rank - given, index[0]);
        }
        part.fill_(true);
    }
    return mask;
}

at::Tensor written(const at::Tensor& value, const at::Tensor& part, const std::vector<std::optional<std::vector<std::int64_t>>>& indices,
                   std::size_t axis)
{
    while (axis < indices.size() && !indices[axis])
        ++axis;
    auto result = value.clone();
    if (axis == indices.size())
        return result.copy_(part);
    const auto along = asTensor(*indices[axis], value);
    return result.index_copy_(std::int64_t(axis), along, written(value.index_select(std::int64_t(axis), along), part, indices, axis + 1));
}

}  // namespace

std::vector<std::int64_t> resolveIndices(const std::vector<IndexRange>& ranges, std::int64_t size, const std::string& place)
{
    std::vector<std::int64_t> result;
    const auto absolute = [&](std::int64_t index) {
        if (index < -size || index >= size)
            throw core::InputError(fmt::format("{}: index {}: expected {}..{}, the axis has size {}", place, index, -size, size - 1, size));
        return index < 0 ? index + size : index;
    };
    for (const auto& range : ranges) {
        const auto from = absolute(range.from), to = absolute(range.to);
        if (from > to)
            throw core::InputError(fmt::format("{}: expected from <= to, got {} and {}, which are {} and {} on an axis of size {}", place, range.from,
                                               range.to, from, to, size));
        for (auto i = from; i <= to; ++i)
            result.push_back(i);
    }
    return result;
}

Selection Selection::resolve(const Unit& unit, const std::vector<Axis>& axes, at::IntArrayRef sizes, const std::string& place)
{
    Selection selection;
    selection.m_indices.resize(sizes.size());
    if (!unit.elements.empty())
        selection.m_mask = elementMask(unit.elements, sizes, place);
    for (const auto& part : unit.axes) {
        const auto axis = axisNumber(part, axes, place);
        const auto name = part.axis ? std::string(axisName(*part.axis)) : fmt::format("axis {}", part.number);
        if (selection.m_indices[axis])
            throw core::InputError(fmt::format("{}: \"{}\" names axis {} a second time", place, name, axis));
        selection.m_indices[axis] = resolveIndices(part.indices, sizes[axis], place + "." + name);
    }
    return selection;
}

bool Selection::isWhole() const
{
    return !m_mask.defined() && std::none_of(m_indices.begin(), m_indices.end(), [](const auto& along) { return along.has_value(); });
}

std::vector<std::int64_t> Selection::indices(std::size_t axis, std::int64_t size) const
{
    if (m_indices[axis])
        return *m_indices[axis];
    std::vector<std::int64_t> all;
    for (std::int64_t i = 0; i < size; ++i)
        all.push_back(i);
    return all;
}

void Selection::setAlong(std::size_t axis, std::vector<std::int64_t> indices)
{
    m_indices[axis] = std::move(indices);
}

at::Tensor Selection::gather(const at::Tensor& value, const std::string& what) const
{
    auto part = value;
    for (std::size_t axis = 0; axis < m_indices.size(); ++axis) {
        if (!m_indices[axis])
            continue;
        const auto size = value.size(std::int64_t(axis));
        for (const auto index : *m_indices[axis])
            if (index >= size)
                throw core::ShapeError(
                    fmt::format("{}: index {} along axis {} lies outside {}", what, index, axis, core::formatShape(value.sizes())));
        part = part.index_select(std::int64_t(axis), asTensor(*m_indices[axis], value));
    }
    return part;
}

at::Tensor Selection::scatter(const at::Tensor& value, const at::Tensor& part) const
{
    if (!m_mask.defined())
        return written(value, part, m_indices, 0);
    auto result = value.clone();
    return result.copy_(at::where(m_mask.to(value.device()), part.to(value.scalar_type()), value));
}

}  // namespace orrery::intervene
