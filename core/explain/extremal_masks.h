#pragma once
#include <ATen/core/Tensor.h>

#include <memory>

#include <core/base/schema.h>

namespace orrery::explain {

/// What an extremal perturbation searches: masks that few numbers (nodes, 0..1) describe, and what a mask leaves of the value. Immutable; any thread.
class MaskSpace {
public:
    virtual ~MaskSpace() = default;
    /// Shape of one mask's nodes: [rows, columns].
    virtual std::vector<std::int64_t> nodes() const = 0;
    /// [masks, rows, columns] -> [masks, height, width] in 0..1; the area counts here, a rim beyond the value included. Differentiable.
    virtual at::Tensor whole(const at::Tensor& nodes) const = 0;
    /// The part of a whole mask that lies on the value.
    virtual at::Tensor inside(const at::Tensor& whole) const = 0;
    /// Share of the value in a whole mask.
    virtual double share() const = 0;
    /// mask [copies, batch, height, width]: 1 keeps -> [copies * batch, ...], shaped like the value. Differentiable in the mask.
    virtual at::Tensor perturbed(const at::Tensor& mask) const = 0;
    /// mask [batch, height, width] -> shaped like the value.
    virtual at::Tensor spread(const at::Tensor& mask) const = 0;
    /// Nodes of masks drawn at random for comparison, [count, rows, columns]; their area is near `area`.
    virtual at::Tensor randomNodes(std::int64_t count, double area, at::Generator generator) const = 0;
    /// Whether the value is a picture that may be flipped from left to right.
    virtual bool canFlip() const = 0;
    /// Nodes that stand alone, one an element, with no order among them: the search then measures the output in units of the largest slope, starts from the
    /// whole value, and equal nodes share what the area asks of them.
    virtual bool areAlone() const = 0;
    /// What the masks were made of, for the result's details.
    virtual core::Json details() const = 0;
};

/// Smooth masks over the image [batch, channel, height, width]; the rest is blurred or fades.
/// Source: Fong, Patrick & Vedaldi (2019), arXiv:1910.08485.
/// @throws core::InputError for a step that the image has no room for.
std::unique_ptr<MaskSpace> imageMasks(const at::Tensor& image, const core::Json& parameters);
/// One number a channel of a value [batch, channel, ...]: 1 keeps the channel, 0 sets it to the baseline; nothing is smooth, the order of channels says nothing.
/// Source: the same, on attribution at intermediate activations.
std::unique_ptr<MaskSpace> channelMasks(const at::Tensor& value, const core::Json& parameters);

/// A mask of exactly this area, sorted ascending: zeros, then ones; the element on the edge takes the fraction. [elements]
at::Tensor areaTemplate(double area, std::int64_t elements, const at::TensorOptions& options);

}  // namespace orrery::explain
