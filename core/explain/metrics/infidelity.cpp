#include <ATen/ATen.h>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "metric.h"

namespace orrery::explain {
namespace {

// Methods that give slopes; the others give shares, which hold the factor (x - baseline) already.
bool givesSlopes(const std::string& method, const core::Json& parameters)
{
    for (const char* name : {"saliency", "deconvolution", "guided_backprop", "neuron_gradient"})
        if (method == name)
            return true;
    const auto inner = parameters.find("method");
    return method == "noise_tunnel" && inner != parameters.end() && inner->is_object() && inner->contains("id") &&
           givesSlopes(inner->at("id").get<std::string>(), inner->value("parameters", core::Json::object()));
}

struct Perturbation {
    bool fromBaseline = true;
    double baseline = 0, sigma = 0;
    at::Tensor draw(const at::Tensor& x, std::uint64_t seed, std::int64_t number) const  // I, [batch, ...]
    {
        auto generator = at::detail::createCPUGenerator(core::deriveSeed(seed, std::uint64_t(number), "infidelity"));
        const auto noise = sigma * at::randn(x.sizes(), generator, at::TensorOptions().dtype(at::kDouble)).to(x.device());
        return fromBaseline ? x.to(at::kDouble) - baseline - noise : noise;
    }
};

// Zero in place of a quotient by nothing, as in Captum's decorator: the numerator is kept.
at::Tensor quotient(const at::Tensor& a, const at::Tensor& b)
{
    return a / at::where(b.eq(0), at::ones_like(b), b);
}

struct Samples {
    at::Tensor expected, actual;  ///< [perturbation, batch]: I . attribution, F(x) - F(x - I)
};

Samples sampled(const MetricSubject& subject, const ScalarFunction& site, const Perturbation& perturbation, const core::Json& parameters,
                std::uint64_t seed)
{
    const auto count = parameters.at("n_perturb_samples").get<std::int64_t>();
    const auto given = parameters.at("multiply_by_inputs");
    const bool shares = given.is_null() ? !givesSlopes(subject.method, subject.parameters) : given.get<bool>();
    const auto attribution = subject.attributionLike(site);
    const auto x = site.value().to(at::kDouble);
    std::vector<at::Tensor> expected, actual;
    for (std::int64_t i = 0; i < count; ++i) {
        subject.control.report(double(i), double(count), "perturbations");
        const auto change = perturbation.draw(x, seed, i);
        const auto factor = shares ? quotient(change, x - perturbation.baseline) : change;
        expected.push_back((factor * attribution).flatten(1).sum(1));
        actual.push_back(site.outputs().to(at::kDouble) - site.at((x - change).to(site.value().scalar_type()), 1).to(at::kDouble));
    }
    subject.control.report(double(count), double(count), "perturbations");
    return {at::stack(expected), at::stack(actual)};
}

MetricResult infidelity(const MetricSubject& subject, const core::Json& parameters, std::uint64_t seed)
{
    const auto site = subject.atSite();
    const Perturbation perturbation{parameters.at("perturbation") == "noisy_baseline", parameters.at("baseline").get<double>(),
                                    parameters.at("sigma").get<double>()};
    const auto samples = sampled(subject, site, perturbation, parameters, seed);
    auto expected = samples.expected;
    if (parameters.at("normalize").get<bool>())
        expected = expected * quotient((expected * samples.actual).sum(0), expected.square().sum(0));
    const auto errors = (expected - samples.actual).square();
    MetricResult result;
    result.value = errors.mean(0);
    if (errors.size(0) > 1)
        result.details["standard_error"] = (errors.std(0, true) / std::sqrt(double(errors.size(0)))).max().item<double>();
    return result;
}

}  // namespace

void addInfidelity(core::Registry<AttributionMetric>& registry)
{
    core::Component component{
        "infidelity",
        "Infidelity",
        "Mean squared difference between what the attribution says a change of the input does and what it does; 0 is best.",
        "Yeh, Hsieh, Suggala, Inouye & Ravikumar (2019), \"On the (In)fidelity and Sensitivity of Explanations\", arXiv:1901.09392, definition 2.1; "
        "parameters as in Captum",
        {core::integer("n_perturb_samples", 10, "Perturbations drawn for each sample.").range(1, 1000000),
         core::choice("perturbation", {"noisy_baseline", "gaussian"}, "noisy_baseline",
                      "What is subtracted from the input: its difference from a noisy baseline, or small Gaussian noise."),
         core::real("baseline", 0, "The baseline's value; also the baseline of shares."),
         core::real("sigma", 0.2, "Standard deviation of the noise.").atLeast(0),
         core::boolean("multiply_by_inputs", true,
                       "Whether attributions are shares, that is slopes times (input - baseline); none: by method (saliency, deconvolution, guided "
                       "backprop and neuron gradients are slopes).")
             .noneByDefault(),
         core::boolean("normalize", false, "Scale the attribution so that the error is smallest.")}};
    registry.add(std::move(component), infidelity);
}

}  // namespace orrery::explain
