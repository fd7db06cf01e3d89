#include "extremal_masks.h"

#include <ATen/ATen.h>

#include <core/base/text.h>

#include "blur.h"
#include "mask_operator.h"

namespace orrery::explain {
namespace {

/// The image from what nothing is left of to itself, in equal steps: a mask picks a place between.
class Pyramid {
public:
    Pyramid(const at::Tensor& image, const core::Json& parameters)
    {
        const auto levels = parameters.at("num_levels").get<std::int64_t>();
        const bool blurs = parameters.at("perturbation") == "blur";
        const auto given = parameters.at("max_blur");
        const double strength = given.is_null() ? strongBlur(image.size(2), image.size(3)) : given.get<double>();
        const auto constant = at::full_like(image, parameters.at("baseline").get<double>());
        std::vector<at::Tensor> all;
        for (std::int64_t i = 0; i < levels; ++i) {
            const double gone = 1 - double(i) / double(levels - 1);
            all.push_back(blurs ? gaussianBlur(image, gone * strength) : image + gone * (constant - image));
        }
        m_levels = at::stack(all);
    }
    /// mask [copies, batch, height, width]: 1 keeps -> [copies * batch, channel, height, width]. Differentiable in the mask.
    at::Tensor operator()(const at::Tensor& mask) const
    {
        const auto last = m_levels.size(0) - 1;
        const auto place = mask * double(last);
        const auto below = place.detach().floor().clamp(0, double(last - 1));
        const auto between = (place - below).unsqueeze(2);
        const auto index = below.to(at::kLong).unsqueeze(2).expand({mask.size(0), mask.size(1), m_levels.size(2), mask.size(2), mask.size(3)});
        const auto low = m_levels.gather(0, index), high = m_levels.gather(0, index + 1);
        return ((1 - between) * low + between * high).flatten(0, 1);
    }

private:
    at::Tensor m_levels;  ///< [level, batch, channel, height, width]
};

/// Distance of the nodes and width of the bell: given, or the reference's in proportion to the image.
struct Lengths {
    std::int64_t step;
    double sigma;
    Lengths(const at::Tensor& image, const core::Json& parameters)
    {
        const double scale = double(std::max(image.size(2), image.size(3))) / 224;
        const auto &givenStep = parameters.at("step"), &givenSigma = parameters.at("sigma");
        step = givenStep.is_null() ? std::max<std::int64_t>(std::llround(7 * scale), 1) : givenStep.get<std::int64_t>();
        sigma = givenSigma.is_null() ? 21 * scale : givenSigma.get<double>();
        if (step > std::min(image.size(2), image.size(3)))
            throw core::InputError(fmt::format("extremal_perturbation.step: expected 1..{} (the image is {}), got {}",
                                               std::min(image.size(2), image.size(3)), core::formatShape(image.sizes()), step));
    }
};

class ImageMasks : public MaskSpace {
public:
    ImageMasks(const at::Tensor& image, const core::Json& parameters)
        : m_image(image), m_lengths(image, parameters), m_margin(std::int64_t(std::ceil(m_lengths.sigma))), m_pyramid(image, parameters),
          m_operator(image.size(2), image.size(3), m_lengths.step, m_lengths.sigma, image.options(), m_margin)
    {
    }
    std::vector<std::int64_t> nodes() const override { return {m_operator.rows(), m_operator.columns()}; }
    at::Tensor whole(const at::Tensor& nodes) const override { return m_operator(nodes); }
    at::Tensor inside(const at::Tensor& whole) const override
    {
        return whole.narrow(1, m_margin, whole.size(1) - 2 * m_margin).narrow(2, m_margin, whole.size(2) - 2 * m_margin);
    }
    // The mask's rim counts beyond the image's edge, too: else masks would hide in corners, where half of their rim costs nothing.
    double share() const override
    {
        const auto height = m_image.size(2), width = m_image.size(3);
        return double(height * width) / double((height + 2 * m_margin) * (width + 2 * m_margin));
    }
    at::Tensor perturbed(const at::Tensor& mask) const override { return m_pyramid(mask); }
    at::Tensor spread(const at::Tensor& mask) const override { return mask.unsqueeze(1).expand_as(m_image).contiguous(); }
    at::Tensor randomNodes(std::int64_t count, double, at::Generator generator) const override
    {
        return at::rand({count, m_operator.rows(), m_operator.columns()}, generator, m_image.scalar_type()).to(m_image.device());
    }
    bool canFlip() const override { return true; }
    bool areAlone() const override { return false; }
    core::Json details() const override { return {{"step", m_lengths.step}, {"sigma", m_lengths.sigma}}; }

private:
    at::Tensor m_image;
    Lengths m_lengths;
    std::int64_t m_margin;
    Pyramid m_pyramid;
    MaskOperator m_operator;
};

class ChannelMasks : public MaskSpace {
public:
    ChannelMasks(const at::Tensor& value, const core::Json& parameters) : m_value(value), m_baseline(parameters.at("baseline").get<double>()) {}
    std::vector<std::int64_t> nodes() const override { return {1, m_value.size(1)}; }
    at::Tensor whole(const at::Tensor& nodes) const override { return nodes; }
    at::Tensor inside(const at::Tensor& whole) const override { return whole; }
    double share() const override { return 1; }
    at::Tensor perturbed(const at::Tensor& mask) const override
    {
        return (m_baseline + overElements(mask.flatten(2)) * (m_value - m_baseline).unsqueeze(0)).flatten(0, 1);
    }
    at::Tensor spread(const at::Tensor& mask) const override { return overElements(mask.flatten(1)).expand_as(m_value).contiguous(); }
    at::Tensor randomNodes(std::int64_t count, double area, at::Generator generator) const override
    {
        const auto order = at::rand({count, m_value.size(1)}, generator, at::kDouble).argsort(std::int64_t(1)).to(m_value.device());
        const auto sorted = areaTemplate(area, m_value.size(1), m_value.options());
        return sorted.expand({count, -1}).gather(1, order).unsqueeze(1);
    }
    bool canFlip() const override { return false; }
    bool areAlone() const override { return true; }
    core::Json details() const override { return {{"channels", m_value.size(1)}}; }

private:
    // [..., channel] -> [..., channel, 1, 1]: as many axes of one as the value has after its channels.
    at::Tensor overElements(const at::Tensor& mask) const
    {
        auto shape = mask.sizes().vec();
        shape.resize(shape.size() + std::size_t(m_value.dim()) - 2, 1);
        return mask.reshape(shape);
    }
    at::Tensor m_value;
    double m_baseline;
};

}  // namespace

at::Tensor areaTemplate(double area, std::int64_t elements, const at::TensorOptions& options)
{
    const auto rank = at::arange(elements, at::kDouble) - double(elements) * (1 - area) + 1;
    return rank.clamp(0, 1).to(options.device(), c10::typeMetaToScalarType(options.dtype()));
}

std::unique_ptr<MaskSpace> imageMasks(const at::Tensor& image, const core::Json& parameters)
{
    return std::make_unique<ImageMasks>(image, parameters);
}

std::unique_ptr<MaskSpace> channelMasks(const at::Tensor& value, const core::Json& parameters)
{
    return std::make_unique<ChannelMasks>(value, parameters);
}

}  // namespace orrery::explain
