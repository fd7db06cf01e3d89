#include <ATen/ATen.h>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "metric.h"

namespace orrery::explain {
namespace {

at::Tensor flatNorm(const at::Tensor& tensor)
{
    return tensor.to(at::kDouble).flatten(1).norm(2, {1});
}

MetricResult sensitivityMax(const MetricSubject& subject, const core::Json& parameters, std::uint64_t seed)
{
    const auto& function = subject.function;
    const auto origin = function.origin();
    const auto x = origin == function.site() ? function.value() : function.valueOf(origin);
    const auto radius = parameters.at("perturb_radius").get<double>();
    const auto count = parameters.at("n_perturb_samples").get<std::int64_t>();
    const auto plain = flatNorm(subject.result.attribution);
    const auto scale = at::where(plain.eq(0), at::ones_like(plain), plain);
    std::vector<at::Tensor> changes;
    for (std::int64_t i = 0; i < count; ++i) {
        subject.control.report(double(i), double(count), "perturbations");
        auto generator = at::detail::createCPUGenerator(core::deriveSeed(seed, std::uint64_t(i), "sensitivity_max"));
        const auto noise = (2 * at::rand(x.sizes(), generator, at::TensorOptions().dtype(at::kDouble)) - 1) * radius;
        const auto moved = function.movedAtOrigin(x + noise.to(x.device(), x.scalar_type()), 1);
        changes.push_back(flatNorm(subject.explain(moved).attribution.to(at::kDouble) - subject.result.attribution.to(at::kDouble)) / scale);
    }
    subject.control.report(double(count), double(count), "perturbations");
    const auto all = at::stack(changes);
    MetricResult result;
    result.value = std::get<0>(all.max(0));
    result.details["mean"] = all.mean().item<double>();
    return result;
}

}  // namespace

void addSensitivityMax(core::Registry<AttributionMetric>& registry)
{
    core::Component component{
        "sensitivity_max",
        "Max-sensitivity",
        "Largest relative change of the attribution when the input moves a little in any direction, estimated by sampling; 0 is best.",
        "Yeh, Hsieh, Suggala, Inouye & Ravikumar (2019), \"On the (In)fidelity and Sensitivity of Explanations\", arXiv:1901.09392, section 4; "
        "parameters as in Captum",
        {core::integer("n_perturb_samples", 10, "Perturbed inputs that are explained.").range(1, 1000000),
         core::real("perturb_radius", 0.02, "How far each element moves at most (uniform).").above(0)}};
    registry.add(std::move(component), sensitivityMax);
}

}  // namespace orrery::explain
