#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "extremal_masks.h"
#include "methods.h"

namespace orrery::explain {
namespace {

struct Settings {
    std::vector<double> areas;
    std::int64_t iterations = 0;
    double weight = 300, rate = 0.01;
    bool preserves = true, jitters = false;
    std::int64_t randomMasks = 0;
};

Settings settingsOf(const core::Json& parameters, const MaskSpace& space)
{
    Settings settings;
    settings.areas = parameters.at("areas").get<std::vector<double>>();
    if (settings.areas.empty())
        throw core::InputError("extremal_perturbation.areas: expected at least one area, got none");
    settings.iterations = parameters.at("max_iter").get<std::int64_t>();
    settings.weight = parameters.at("reg_weight").get<double>();
    // The fewer nodes share the output and the constraint, the steeper both are in each: shorter steps follow the same path.
    const double nodes = double(c10::multiply_integers(space.nodes()));
    const auto& rate = parameters.at("learning_rate");
    settings.rate = !rate.is_null() ? rate.get<double>() : space.areAlone() ? 0.01 : 0.01 * std::min(nodes / 1024, 1.0);
    // Slopes of nodes that stand alone are measured in units of the largest one, so that the constraint is one for each node.
    if (space.areAlone())
        settings.weight *= nodes / 300;
    settings.preserves = parameters.at("variant") == "preserve";
    settings.jitters = parameters.at("jitter").get<bool>() && space.canFlip();
    settings.randomMasks = parameters.at("random_masks").get<std::int64_t>();
    return settings;
}

// Equal elements of sorted rows [mask, element] share what `wanted` gives to their places: which of them is sorted first is an accident.
at::Tensor sharedAmongEquals(const at::Tensor& sorted, const at::Tensor& wanted)
{
    const auto first = at::cat({at::zeros_like(sorted.narrow(1, 0, 1)), sorted.diff(1, 1).ne(0).to(sorted.scalar_type())}, 1);
    const auto group = first.cumsum(1).to(at::kLong);
    const auto sum = at::zeros_like(sorted).scatter_add(1, group, wanted),
               count = at::zeros_like(sorted).scatter_add(1, group, at::ones_like(sorted));
    return (sum / count.clamp_min(1)).gather(1, group);
}

class Optimisation {
public:
    Optimisation(const ScalarFunction& function, const MaskSpace& space, const core::Json& parameters, const Control& control, std::uint64_t seed)
        : m_function(function), m_space(space), m_settings(settingsOf(parameters, space)), m_control(control), m_seed(seed)
    {
        m_copies = std::int64_t(m_settings.areas.size());
        m_batch = function.value().size(0);
        const auto shape = space.nodes();
        // Of nodes that stand alone nothing is taken away at first: the model sees what it knows.
        const double start = space.areAlone() && !m_settings.preserves ? 0 : 1;
        m_nodes = at::full({m_copies * m_batch, shape[0], shape[1]}, start, function.value().options());
        const auto pixels = space.whole(m_nodes.narrow(0, 0, 1)).numel();
        std::vector<at::Tensor> templates;
        for (const double area : m_settings.areas)
            templates.push_back(areaTemplate(area * space.share(), pixels, function.value().options()).expand({m_batch, pixels}));
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
        result.details = m_space.details();
        result.details.update({{"areas", report(optimised)}, {"iterations", m_settings.iterations}});
        return result;
    }

private:
    static constexpr double kMomentum = 0.9, kFirstWeight = 0.01, kLastWeight = 16;

    at::Tensor asGrid(const at::Tensor& masks) const { return masks.reshape({-1, m_batch, masks.size(1), masks.size(2)}); }
    at::Tensor perturbed(const at::Tensor& masks) const { return m_space.perturbed(asGrid(m_settings.preserves ? masks : 1 - masks)); }
    at::Tensor masksOf(const at::Tensor& nodes) const
    {
        at::NoGradGuard noGrad;
        return m_space.inside(m_space.whole(nodes));
    }
    at::Tensor masks() const { return masksOf(m_nodes); }

    // Of -F (or F, where the masked part is deleted) plus the distance of the sorted mask from one of the wanted area.
    at::Tensor gradient(double weight, bool flips)
    {
        at::AutoGradMode enable(true);
        const auto nodes = m_nodes.detach().requires_grad_(true);
        const auto mask = m_space.whole(nodes);
        auto x = perturbed(m_space.inside(mask));
        if (flips)
            x = x.flip({3});
        const auto slope = m_function.withGradient(x.detach(), m_copies).second;
        const auto ofOutput = torch::autograd::grad({x}, {nodes}, {m_settings.preserves ? -slope : slope}, /*retain_graph=*/true)[0];
        const auto sorted = std::get<0>(mask.flatten(1).sort(1));
        const auto wanted = m_space.areAlone() ? sharedAmongEquals(sorted.detach(), m_templates) : m_templates;
        const auto excess = (sorted - wanted).square().mean(1).sum() * weight;
        return inUnits(ofOutput) + torch::autograd::grad({excess}, {nodes})[0];
    }

    // An output of small numbers is worth as much against the constraint as one of large numbers.
    at::Tensor inUnits(const at::Tensor& slope)
    {
        if (!m_space.areAlone())
            return slope;
        if (!m_unit.defined()) {
            const auto largest = slope.abs().amax({1, 2}, true);
            m_unit = at::where(largest.gt(0), largest, at::ones_like(largest));
        }
        return slope / m_unit;
    }

    // The mean over the areas: with one area its mask.
    at::Tensor summary() const { return m_space.spread(asGrid(masks()).mean(0)); }

    at::Tensor areaOf(const at::Tensor& nodes) const { return masksOf(nodes).to(at::kDouble).mean({1, 2}); }
    at::Tensor areas() const { return areaOf(m_nodes).reshape({m_copies, m_batch}); }

    // The soft constraint leaves the area a few per cent off, on images of few pixels more. It is made exact: too large a mask gives up its weak nodes first,
    // by a power; what a power cannot reach, and too small a mask, is scaled.
    void makeAreaExact()
    {
        const auto wanted = at::tensor(m_settings.areas, at::kDouble).repeat_interleave(m_batch);
        m_nodes = ofExactArea(m_nodes, wanted.to(m_nodes.device()));
    }

    at::Tensor ofExactArea(at::Tensor nodes, const at::Tensor& wanted) const
    {
        const auto shaped = [](const at::Tensor& nodes, const at::Tensor& t) { return nodes.pow(t); };
        const auto scaled = [](const at::Tensor& nodes, const at::Tensor& t) { return (nodes / t).clamp(0, 1); };
        nodes = bisect(nodes, wanted, shaped, 0, 10);
        return bisect(nodes, wanted, scaled, -10, 10);
    }

    // Finds for each mask the power of two between 2^low and 2^high with which `change` makes its area the wanted one; a larger one makes it smaller.
    template <class Change>
    at::Tensor bisect(const at::Tensor& nodes, const at::Tensor& wanted, const Change& change, double lowest, double highest) const
    {
        auto low = at::full_like(wanted, lowest), high = at::full_like(wanted, highest);
        auto changed = nodes;
        for (int i = 0; i < 30; ++i) {
            const auto middle = (low + high) / 2;
            changed = change(nodes, middle.exp2().to(nodes.scalar_type()).reshape({-1, 1, 1}));
            const auto isLarge = areaOf(changed).gt(wanted);
            low = at::where(isLarge, middle, low);
            high = at::where(isLarge, high, middle);
        }
        return changed;
    }

    // What masks of this area drawn at random leave of the output, [batch]: the mean.
    at::Tensor randomOutput(double area) const
    {
        const auto count = m_settings.randomMasks;
        auto generator = at::detail::createCPUGenerator(core::deriveSeed(m_seed, std::uint64_t(std::llround(area * 1e6)), "random masks"));
        const auto drawn = m_space.randomNodes(count * m_batch, area, generator);
        const auto nodes = ofExactArea(drawn, at::full({count * m_batch}, area, at::TensorOptions().dtype(at::kDouble).device(drawn.device())));
        return m_function.at(perturbed(masksOf(nodes)), count).to(at::kDouble).reshape({count, m_batch}).mean(0);
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
        for (std::int64_t i = 0; i < m_copies; ++i) {
            const double area = m_settings.areas[std::size_t(i)];
            list.push_back({{"target", area}, {"area", listed(found[i])}, {"optimised_area", listed(optimised[i])}, {"output", listed(scores[i])}});
            if (m_settings.randomMasks > 0)
                list.back()["random_output"] = listed(randomOutput(area));
        }
        return list;
    }

    const ScalarFunction& m_function;
    const MaskSpace& m_space;
    Settings m_settings;
    const Control& m_control;
    std::uint64_t m_seed;
    std::int64_t m_copies = 1, m_batch = 1;
    at::Tensor m_nodes;      ///< [copies * batch, rows, columns]
    at::Tensor m_templates;  ///< [copies * batch, pixels]
    at::Tensor m_unit;       ///< [copies * batch, 1, 1], the largest slope of the start; undefined: not yet known, or not used
};

std::unique_ptr<MaskSpace> spaceOf(const ScalarFunction& function, const core::Json& parameters)
{
    const auto& x = function.value();
    const bool ofChannels = parameters.at("mask") == "channels";
    if (!ofChannels && x.dim() != 4)
        throw core::ShapeError(fmt::format("extremal_perturbation: expected an image [batch, channel, height, width] at \"{}\", got {}",
                                           function.site(), core::formatShape(x.sizes())));
    if (ofChannels && (x.dim() < 2 || x.size(1) < 2))
        throw core::ShapeError(fmt::format("extremal_perturbation: a mask of channels expects [batch, channel, ...] with at least two channels at "
                                           "\"{}\", got {}; choose an inner value",
                                           function.site(), core::formatShape(x.sizes())));
    return ofChannels ? channelMasks(x, parameters) : imageMasks(x, parameters);
}

AttributionResult extremalPerturbation(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    const auto& x = function.value();
    const auto space = spaceOf(function, parameters);
    if (!x.isfinite().all().item<bool>() || !function.outputs().isfinite().all().item<bool>())
        throw core::InputError("extremal_perturbation: the input or the explained output is not finite (NaN or infinity); expected finite numbers");
    at::NoGradGuard noGrad;
    return Optimisation(function, *space, parameters, control, seed).run();
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
        {core::list("areas", core::real("", 0.1, "").above(0).below(1), {0.1},
                    "Areas of the mask as shares of the image (or of the channels); several are averaged, and make a curve of output against area."),
         core::choice("mask", {"image", "channels"}, "image",
                      "What the mask covers: the places of an image, or the channels of the attributed value, which then fade to the baseline."),
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
         core::real("learning_rate", 0.01,
                    "Step length; none: 0.01 for the 32 x 32 nodes of 224 px, in proportion where there are fewer; 0.01 for channels.")
             .above(0)
             .noneByDefault(),
         core::boolean("jitter", false, "Flip the image from left to right at every other step, as the reference does on photographs."),
         core::integer("random_masks", 10, "Masks of each area drawn at random, whose mean output stands beside the found one's.").range(0, 10000)}};
    registry.add(std::move(component), extremalPerturbation);
}

}  // namespace orrery::explain
