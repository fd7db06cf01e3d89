#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/text.h>

#include "features.h"
#include "methods.h"
#include "samples.h"

namespace orrery::explain {
namespace {

/// [batch, channel]: how much of each channel of the site's value is to be found again, 0..1.
at::Tensor keptChannels(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    const auto& value = function.value();
    const auto channels = value.size(1);
    const auto listed = parameters.at("channels").get<std::vector<std::int64_t>>();
    const auto& area = parameters.at("area");
    if (!listed.empty() && !area.is_null())
        throw core::InputError("feature_inversion: expected channels or area, got both");
    if (!area.is_null()) {
        const char* const chooser = "extremal_perturbation";
        const auto asked = attributionRegistry().at(chooser).schema.resolve({{"mask", "channels"}, {"areas", {area}}, {"random_masks", 0}}, chooser);
        Control quiet;
        quiet.stop = control.stop;
        const auto mask = attributionRegistry().factory(chooser)(function, asked, seed, quiet).attribution;
        return mask.reshape({value.size(0), channels, -1}).select(2, 0);
    }
    auto kept = listed.empty() ? at::ones({value.size(0), channels}, value.options()) : at::zeros({value.size(0), channels}, value.options());
    for (const auto channel : listed) {
        if (channel >= channels)
            throw core::InputError(fmt::format("feature_inversion.channels: expected 0..{} (\"{}\" is {}), got {}", channels - 1, function.site(),
                                               core::formatShape(value.sizes()), channel));
        kept.select(1, channel).fill_(1);
    }
    return kept;
}

/// Mean over the pixels of the squared step to the right and below, a sample; 0 for what is no picture.
at::Tensor variation(const at::Tensor& x)
{
    if (x.dim() != 4 || x.size(2) < 2 || x.size(3) < 2)
        return at::zeros({x.size(0)}, x.options());
    return x.diff(1, 2).square().mean({1, 2, 3}) + x.diff(1, 3).square().mean({1, 2, 3});
}

/// Adam (Kingma & Ba 2015) on one tensor with its published constants.
class Adam {
public:
    explicit Adam(const at::Tensor& x) : m_mean(at::zeros_like(x)), m_square(at::zeros_like(x)) {}
    at::Tensor step(const at::Tensor& gradient, double rate)
    {
        ++m_count;
        m_mean = 0.9 * m_mean + 0.1 * gradient;
        m_square = 0.999 * m_square + 0.001 * gradient.square();
        return -rate * (m_mean / (1 - std::pow(0.9, m_count))) / ((m_square / (1 - std::pow(0.999, m_count))).sqrt() + 1e-8);
    }

private:
    at::Tensor m_mean, m_square;
    int m_count = 0;
};

class Inversion {
public:
    Inversion(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
        : m_function(function), m_control(control), m_origin(function.origin()), m_input(function.valueOf(m_origin)),
          m_kept(keptChannels(function, parameters, seed, control))
    {
        auto shape = m_kept.sizes().vec();
        shape.resize(std::size_t(function.value().dim()), 1);
        m_weights = m_kept.reshape(shape);
        m_size = (m_weights * function.value()).square().flatten(1).sum(1);
        if (!m_size.gt(0).all().item<bool>())
            throw core::InputError(
                fmt::format("feature_inversion: the kept channels of \"{}\" are zero throughout; there is nothing to find again", function.site()));
        const double spread = m_input.std().item<double>();
        m_unit = std::isfinite(spread) && spread > 0 ? spread : 1;
        m_smooth = parameters.at("tv_weight").get<double>() / (m_unit * m_unit);
        m_iterations = parameters.at("max_iter").get<std::int64_t>();
        m_rate = parameters.at("learning_rate").get<double>() * m_unit;
        m_x = parameters.at("baseline").get<double>() + 0.1 * m_unit * copyNoise(m_input, 0, 1, seed, "feature_inversion");
    }

    AttributionResult run()
    {
        Adam adam(m_x);
        const auto before = errors();
        for (std::int64_t i = 0; i < m_iterations; ++i) {
            m_control.report(double(i), double(m_iterations), "iterations");
            if (m_control.partial && i % 10 == 0 && i > 0)
                m_control.partial(m_x);
            // Long steps first, short ones last: half a cosine.
            m_x = m_x + adam.step(gradient(), m_rate * (0.5 + 0.5 * std::cos(M_PI * double(i) / double(m_iterations))));
        }
        m_control.report(double(m_iterations), double(m_iterations), "iterations");
        AttributionResult result;
        result.site = m_origin;
        result.value = m_input;
        result.attribution = m_x;
        result.details = {{"is_input", true},       {"iterations", m_iterations},    {"matched", m_function.site()},
                          {"kept", listed(m_kept)}, {"start_error", listed(before)}, {"feature_error", listed(errors())}};
        return result;
    }

private:
    at::Tensor error(const at::Tensor& value) const { return (m_weights * (value - m_function.value())).square().flatten(1).sum(1) / m_size; }
    at::Tensor errors() const
    {
        PassRequest request;
        request.values = {m_function.site()};
        return error(m_function.forward(m_origin, m_x, 1, request).values.at(m_function.site()));
    }
    at::Tensor gradient() const
    {
        PassRequest request;
        request.values = {m_function.site()};
        request.objective = [this](const at::Tensor&, const std::map<std::string, at::Tensor>& values) {
            return error(values.at(m_function.site()));
        };
        auto slope = m_function.pass(m_origin, m_x, 1, request).gradient;
        if (m_smooth <= 0 || m_x.dim() != 4)
            return slope;
        at::AutoGradMode enable(true);
        const auto x = m_x.detach().requires_grad_(true);
        const auto rough = variation(x).sum() * m_smooth;
        return rough.requires_grad() ? slope + torch::autograd::grad({rough}, {x})[0] : slope;
    }
    // One number, or list, a sample; a single sample's alone.
    static core::Json listed(const at::Tensor& numbers)
    {
        auto rows = core::Json::array();
        const auto plain = numbers.detach().to(at::kCPU, at::kDouble).reshape({numbers.size(0), -1}).contiguous();
        for (std::int64_t i = 0; i < plain.size(0); ++i) {
            const double* begin = plain.data_ptr<double>() + i * plain.size(1);
            rows.push_back(plain.size(1) == 1 && numbers.dim() == 1 ? core::Json(*begin)
                                                                    : core::Json(std::vector<double>(begin, begin + plain.size(1))));
        }
        return rows;
    }

    const ScalarFunction& m_function;
    const Control& m_control;
    std::string m_origin;
    at::Tensor m_input, m_kept, m_weights, m_size, m_x;
    double m_unit = 1, m_smooth = 0, m_rate = 0;
    std::int64_t m_iterations = 0;
};

AttributionResult featureInversion(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    const auto& value = function.value();
    if (function.site() == function.origin())
        throw core::InputError(fmt::format(
            "feature_inversion: \"{}\" is the model's input itself; choose an inner value whose channels are to be found again", function.site()));
    if (value.dim() < 2 || value.size(1) < 1)
        throw core::ShapeError(
            fmt::format("feature_inversion: expected [batch, channel, ...] at \"{}\", got {}", function.site(), core::formatShape(value.sizes())));
    requireFinite(function, "feature_inversion");
    at::NoGradGuard noGrad;
    return Inversion(function, parameters, seed, control).run();
}

}  // namespace

void addFeatureInversion(AttributionRegistry& registry)
{
    core::Component component{
        "feature_inversion",
        "Feature inversion",
        "An input, found from nothing, whose inner value has the same kept channels: what those channels hold of the input.",
        "Mahendran & Vedaldi (2015), \"Understanding Deep Image Representations by Inverting Them\", arXiv:1412.0035, with the "
        "total-variation prior of exponent 2, by Adam; for kept channels: Fong, Patrick & Vedaldi (2019), arXiv:1910.08485",
        {core::list("channels", core::integer("", 0, "").atLeast(0), core::Json::array(), "Numbers of the channels to keep; empty: all."),
         core::real("area", 0.1, "Instead of channels: keep this share of them, as extremal_perturbation's mask of channels chooses.")
             .above(0)
             .below(1)
             .noneByDefault(),
         core::integer("max_iter", 400, "Steps.").range(1, 1000000),
         core::real("learning_rate", 0.1, "First step length, in standard deviations of the input; it falls to zero.").above(0),
         core::real("tv_weight", 0.01, "Weight of the picture's roughness against the relative error of the kept channels.").atLeast(0),
         core::real("baseline", 0, "The search starts here, with a little noise.")}};
    registry.add(std::move(component), featureInversion);
}

}  // namespace orrery::explain
