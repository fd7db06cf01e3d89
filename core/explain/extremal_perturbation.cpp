#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/text.h>

#include "blur.h"
#include "mask_operator.h"
#include "methods.h"

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

// Sorted, a mask of exactly this area is a step; the pixel on the edge takes the fraction, so that small images reach any area.
at::Tensor areaTemplate(double area, std::int64_t pixels, const at::TensorOptions& options)
{
    const auto rank = at::arange(pixels, at::kDouble) - double(pixels) * (1 - area) + 1;
    return rank.clamp(0, 1).to(options.device(), c10::typeMetaToScalarType(options.dtype()));
}

struct Settings {
    std::vector<double> areas;
    std::int64_t iterations = 0, step = 1;
    double sigma = 1, weight = 300, rate = 0.01;
    bool preserves = true, jitters = false;
};

Settings settingsOf(const core::Json& parameters, const at::Tensor& image)
{
    Settings settings;
    settings.areas = parameters.at("areas").get<std::vector<double>>();
    if (settings.areas.empty())
        throw core::InputError("extremal_perturbation.areas: expected at least one area, got none");
    const double scale = double(std::max(image.size(2), image.size(3))) / 224;
    const auto &step = parameters.at("step"), &sigma = parameters.at("sigma");
    settings.step = step.is_null() ? std::max<std::int64_t>(std::llround(7 * scale), 1) : step.get<std::int64_t>();
    settings.sigma = sigma.is_null() ? 21 * scale : sigma.get<double>();
    if (settings.step > std::min(image.size(2), image.size(3)))
        throw core::InputError(fmt::format("extremal_perturbation.step: expected 1..{} (the image is {}), got {}",
                                           std::min(image.size(2), image.size(3)), core::formatShape(image.sizes()), settings.step));
    settings.iterations = parameters.at("max_iter").get<std::int64_t>();
    settings.weight = parameters.at("reg_weight").get<double>();
    // The fewer nodes share the output and the constraint, the steeper both are in each: shorter steps follow the same path.
    const auto nodes = ((image.size(2) + settings.step - 1) / settings.step) * ((image.size(3) + settings.step - 1) / settings.step);
    const auto& rate = parameters.at("learning_rate");
    settings.rate = rate.is_null() ? 0.01 * std::min(double(nodes) / 1024, 1.0) : rate.get<double>();
    settings.preserves = parameters.at("variant") == "preserve";
    settings.jitters = parameters.at("jitter").get<bool>();
    return settings;
}

class Optimisation {
public:
    Optimisation(const ScalarFunction& function, const core::Json& parameters, const Control& control)
        : m_function(function), m_settings(settingsOf(parameters, function.value())), m_control(control), m_pyramid(function.value(), parameters),
          m_margin(std::int64_t(std::ceil(m_settings.sigma))),
          m_operator(function.value().size(2), function.value().size(3), m_settings.step, m_settings.sigma, function.value().options(), m_margin)
    {
        m_copies = std::int64_t(m_settings.areas.size());
        m_batch = function.value().size(0);
        m_nodes = at::ones({m_copies * m_batch, m_operator.rows(), m_operator.columns()}, function.value().options());
        std::vector<at::Tensor> templates;
        // The mask's rim counts beyond the image's edge, too: else masks would hide in corners, where half of their rim costs nothing.
        const auto height = function.value().size(2), width = function.value().size(3);
        const auto pixels = (height + 2 * m_margin) * (width + 2 * m_margin);
        const double share = double(height * width) / double(pixels);
        for (const double area : m_settings.areas)
            templates.push_back(areaTemplate(area * share, pixels, function.value().options()).expand({m_batch, pixels}));
        m_templates = at::cat(templates);
    }

    AttributionResult run()
    {
        auto momentum = at::zeros_like(m_nodes);
        // The output speaks first, the area last: early on a heavy constraint would keep whatever pixels are sorted highest.
        double weight = m_settings.weight * kFirstWeight;
        const double growth = std::pow(kLastWeight / kFirstWeight, 1.0 / double(m_settings.iterations));
        for (std::int64_t i = 0; i < m_settings.iterations; ++i) {
            m_control.report(double(i), double(m_settings.iterations), "iterations");
            if (m_control.partial && i % 10 == 0 && i > 0)
                m_control.partial(summary());
            // Momentum with equal dampening, as in the reference implementation.
            momentum = kMomentum * momentum + (1 - kMomentum) * gradient(weight, m_settings.jitters && i % 2 == 0);
            m_nodes = (m_nodes - m_settings.rate * momentum).clamp(0, 1);
            weight *= growth;
        }
        m_control.report(double(m_settings.iterations), double(m_settings.iterations), "iterations");
        const auto optimised = areas();
        makeAreaExact();
        AttributionResult result;
        result.attribution = summary();
        result.details = {
            {"areas", report(optimised)}, {"iterations", m_settings.iterations}, {"step", m_settings.step}, {"sigma", m_settings.sigma}};
        return result;
    }

private:
    static constexpr double kMomentum = 0.9, kFirstWeight = 0.01, kLastWeight = 16;

    at::Tensor asGrid(const at::Tensor& masks) const { return masks.reshape({m_copies, m_batch, masks.size(1), masks.size(2)}); }
    at::Tensor perturbed(const at::Tensor& masks) const { return m_pyramid(asGrid(m_settings.preserves ? masks : 1 - masks)); }
    at::Tensor inside(const at::Tensor& masks) const
    {
        return masks.narrow(1, m_margin, masks.size(1) - 2 * m_margin).narrow(2, m_margin, masks.size(2) - 2 * m_margin);
    }
    at::Tensor masks() const
    {
        at::NoGradGuard noGrad;
        return inside(m_operator(m_nodes));
    }

    // Of -F (or F, where the masked part is deleted) plus the distance of the sorted mask from one of the wanted area.
    at::Tensor gradient(double weight, bool flips)
    {
        at::AutoGradMode enable(true);
        const auto nodes = m_nodes.detach().requires_grad_(true);
        const auto mask = m_operator(nodes);
        auto x = perturbed(inside(mask));
        if (flips)
            x = x.flip({3});
        const auto slope = m_function.withGradient(x.detach(), m_copies).second;
        const auto sorted = std::get<0>(mask.flatten(1).sort(1));
        const auto excess = (sorted - m_templates).square().mean(1).sum() * weight;
        return torch::autograd::grad({x, excess}, {nodes}, {m_settings.preserves ? -slope : slope, at::ones_like(excess)})[0];
    }

    // The mean over the areas: with one area its mask.
    at::Tensor summary() const { return asGrid(masks()).mean(0).unsqueeze(1).expand_as(m_function.value()).contiguous(); }

    at::Tensor areas() const { return masks().to(at::kDouble).mean({1, 2}).reshape({m_copies, m_batch}); }

    // The soft constraint leaves the area a few per cent off, on images of few pixels more. It is made exact: too large a mask gives up its weak nodes first,
    // by a power; what a power cannot reach, and too small a mask, is scaled.
    void makeAreaExact()
    {
        const auto shaped = [](const at::Tensor& nodes, const at::Tensor& t) { return nodes.pow(t); };
        const auto scaled = [](const at::Tensor& nodes, const at::Tensor& t) { return (nodes / t).clamp(0, 1); };
        bisect(shaped, 0, 10);
        bisect(scaled, -10, 10);
    }

    // Finds for each mask the power of two between 2^low and 2^high with which `change` makes its area the wanted one; a larger one makes it smaller.
    template <class Change>
    void bisect(const Change& change, double lowest, double highest)
    {
        const auto wanted = at::tensor(m_settings.areas, at::kDouble).to(m_nodes.device()).repeat_interleave(m_batch);
        auto low = at::full_like(wanted, lowest), high = at::full_like(wanted, highest);
        const auto nodes = m_nodes;
        for (int i = 0; i < 30; ++i) {
            const auto middle = (low + high) / 2;
            m_nodes = change(nodes, middle.exp2().to(nodes.scalar_type()).reshape({-1, 1, 1}));
            const auto isLarge = areas().reshape(-1).gt(wanted);
            low = at::where(isLarge, middle, low);
            high = at::where(isLarge, high, middle);
        }
    }

    core::Json report(const at::Tensor& optimised) const
    {
        const auto all = masks();
        const auto found = areas();
        const auto scores = m_function.at(perturbed(all), m_copies).to(at::kDouble).reshape({m_copies, m_batch});
        const auto listed = [](const at::Tensor& row) {
            const auto plain = row.cpu().contiguous();
            return std::vector<double>(plain.data_ptr<double>(), plain.data_ptr<double>() + plain.numel());
        };
        auto list = core::Json::array();
        for (std::int64_t i = 0; i < m_copies; ++i)
            list.push_back({{"target", m_settings.areas[std::size_t(i)]},
                            {"area", listed(found[i])},
                            {"optimised_area", listed(optimised[i])},
                            {"output", listed(scores[i])}});
        return list;
    }

    const ScalarFunction& m_function;
    Settings m_settings;
    const Control& m_control;
    Pyramid m_pyramid;
    std::int64_t m_margin;
    MaskOperator m_operator;
    std::int64_t m_copies = 1, m_batch = 1;
    at::Tensor m_nodes;      ///< [copies * batch, rows, columns]
    at::Tensor m_templates;  ///< [copies * batch, pixels]
};

AttributionResult extremalPerturbation(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const auto& x = function.value();
    if (x.dim() != 4)
        throw core::ShapeError(fmt::format("extremal_perturbation: expected an image [batch, channel, height, width] at \"{}\", got {}",
                                           function.site(), core::formatShape(x.sizes())));
    if (!x.isfinite().all().item<bool>() || !function.outputs().isfinite().all().item<bool>())
        throw core::InputError("extremal_perturbation: the input or the explained output is not finite (NaN or infinity); expected finite numbers");
    at::NoGradGuard noGrad;
    return Optimisation(function, parameters, control).run();
}

}  // namespace

void addExtremalPerturbation(AttributionRegistry& registry)
{
    core::Component component{
        "extremal_perturbation",
        "Extremal perturbation",
        "The smooth mask of a given area that keeps the output highest (or brings it lowest), found by gradient ascent.",
        "Fong, Patrick & Vedaldi (2019), \"Understanding Deep Networks via Extremal Perturbations and Smooth Masks\", arXiv:1910.08485; "
        "defaults of TorchRay, lengths in proportion to the image; the constraint starts weaker, and the area is made exact at the end",
        {core::list("areas", core::real("", 0.1, "").above(0).below(1), {0.1}, "Areas of the mask as shares of the image; several are averaged."),
         core::choice("variant", {"preserve", "delete"}, "preserve", "Whether the mask shows what suffices or hides what is needed."),
         core::choice("perturbation", {"blur", "fade"}, "blur", "What happens to the rest: blurred, or faded to the baseline."),
         core::integer("max_iter", 800, "Steps of gradient ascent.").range(1, 1000000),
         core::integer("num_levels", 8, "Levels between the whole image and nothing.").range(2, 1000),
         core::integer("step", 7, "Distance of the mask's nodes; none: 7 at 224, in proportion to the larger side, at least 1.")
             .atLeast(1)
             .withUnit("px")
             .noneByDefault(),
         core::real("sigma", 21, "Width of the mask's bell; none: 21 at 224, in proportion to the larger side.")
             .above(0)
             .withUnit("px")
             .noneByDefault(),
         core::real("max_blur", 20, "Standard deviation of the strongest blur; none: 20 at 224, in proportion.")
             .above(0)
             .withUnit("px")
             .noneByDefault(),
         core::real("baseline", 0, "What fading ends in."),
         core::real("reg_weight", 300, "Weight of the area constraint; it grows from a hundredth of this to sixteen times this.").above(0),
         core::real("learning_rate", 0.01, "Step length; none: 0.01 for the 32 x 32 nodes of 224 px, in proportion where there are fewer.")
             .above(0)
             .noneByDefault(),
         core::boolean("jitter", false, "Flip the image from left to right at every other step, as the reference does on photographs.")}};
    registry.add(std::move(component), extremalPerturbation);
}

}  // namespace orrery::explain
