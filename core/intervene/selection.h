#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "document.h"

namespace orrery::intervene {

/// The elements of one tensor that a unit names, ready to be read and written.
class Selection {
public:
    /// @param axes   Meaning of the value's axes. @param sizes  Its sizes.
    /// @param place  Prefix of messages: `interventions[0].unit`.
    /// @throws core::InputError: an axis the value does not have, an index outside it (the message gives axis and size).
    static Selection resolve(const Unit& unit, const std::vector<Axis>& axes, at::IntArrayRef sizes, const std::string& place);

    bool isWhole() const;
    bool isElements() const { return m_mask.defined(); }
    /// Indices along an axis; nothing: all of them.
    const std::optional<std::vector<std::int64_t>>& along(std::size_t axis) const { return m_indices[axis]; }
    /// Indices along an axis, written out.
    std::vector<std::int64_t> indices(std::size_t axis, std::int64_t size) const;
    /// Names other indices along an axis. An empty list selects nothing.
    void setAlong(std::size_t axis, std::vector<std::int64_t> indices);

    /// The selected part [indices of axis 0, indices of axis 1, ...]; single elements: the whole value. Aliases or copies.
    /// @throws core::ShapeError, with both sizes, if an index lies outside a tensor that is smaller than the one this was made for.
    at::Tensor gather(const at::Tensor& value, const std::string& what) const;
    /// A copy of `value`, in its memory layout, in which the selected elements are those of `part` (broadcast to what `gather` gives; single elements: to the
    /// whole value) and all others keep their bits.
    at::Tensor scatter(const at::Tensor& value, const at::Tensor& part) const;

private:
    std::vector<std::optional<std::vector<std::int64_t>>> m_indices;  // per axis
    at::Tensor m_mask;                                                // bool, of the value's shape: single elements
};

/// Ranges as indices of an axis of that size, in the order given.
/// @throws core::InputError: `position 9: expected -5..4 (the axis "position" of "embed" has 5)`.
std::vector<std::int64_t> resolveIndices(const std::vector<IndexRange>& ranges, std::int64_t size, const std::string& place);

}  // namespace orrery::intervene
