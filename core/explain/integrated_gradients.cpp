#include "methods.h"
#include "quadrature.h"

namespace orrery::explain {
namespace {

// Sum over the rule's nodes of weight * gradient on the straight path from the baseline, in batches of `perBatch` nodes.
at::Tensor pathGradient(const ScalarFunction& function, const at::Tensor& baseline, const Quadrature& rule, std::int64_t perBatch,
                        const Control& control)
{
    const auto difference = function.value() - baseline;
    const auto count = std::int64_t(rule.nodes.size());
    auto sum = at::zeros_like(difference, difference.options().dtype(at::kDouble));
    for (std::int64_t begin = 0; begin < count; begin += perBatch) {
        control.report(double(begin), double(count), "steps");
        const auto end = std::min(begin + perBatch, count), steps = end - begin;
        std::vector<std::int64_t> shape(std::size_t(difference.dim()) + 1, 1);
        shape[0] = steps;
        const auto options = at::TensorOptions().dtype(at::kDouble);
        const auto alpha =
            at::tensor(std::vector<double>(rule.nodes.begin() + begin, rule.nodes.begin() + end), options).to(difference.device()).reshape(shape);
        const auto weight =
            at::tensor(std::vector<double>(rule.weights.begin() + begin, rule.weights.begin() + end), options).to(difference.device()).reshape(shape);
        auto points = baseline.unsqueeze(0) + alpha.to(difference.scalar_type()) * difference.unsqueeze(0);
        const auto gradient = function.withGradient(points.flatten(0, 1), steps).second;
        auto stacked = difference.sizes().vec();
        stacked.insert(stacked.begin(), steps);
        sum += (gradient.reshape(stacked).to(at::kDouble) * weight).sum(0);
    }
    control.report(double(count), double(count), "steps");
    return sum;
}

std::int64_t stepsPerBatch(const ScalarFunction& function, const core::Json& parameters)
{
    const auto batch = std::max<std::int64_t>(function.value().size(0), 1);
    const auto wanted = parameters.at("internal_batch_size");
    // A batch of 64 rows keeps two cores busy and the caches warm; larger ones were not faster.
    return std::max<std::int64_t>((wanted.is_null() ? 64 : wanted.get<std::int64_t>()) / batch, 1);
}

AttributionResult integratedGradients(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    const auto baseline = at::full_like(function.value(), parameters.at("baseline").get<double>());
    const auto baselineOutput = function.at(baseline, 1).to(at::kDouble);
    const auto listed = baselineOutput.to(at::kCPU).contiguous();
    const auto difference = (function.value() - baseline).to(at::kDouble);
    const auto rest = function.outputs().to(at::kDouble) - baselineOutput;
    const auto rule = parameters.at("method").get<std::string>();
    const auto steps = parameters.at("n_steps").get<int>(), limit = parameters.at("max_steps").get<int>();
    const auto tolerance = parameters.at("tolerance");
    AttributionResult result;
    for (int n = steps;; n = std::min(2 * n, limit)) {
        const auto attribution = pathGradient(function, baseline, quadrature(rule, n), stepsPerBatch(function, parameters), control) * difference;
        result.attribution = attribution.to(function.value().scalar_type());
        result.completenessError = attribution.flatten(1).sum(1) - rest;
        const double worst = result.completenessError.abs().max().item<double>();
        result.details = {{"steps", n},
                          {"baseline_outputs", std::vector<double>(listed.data_ptr<double>(), listed.data_ptr<double>() + listed.numel())}};
        if (tolerance.is_null() || worst <= tolerance.get<double>() || n >= limit) {
            if (!tolerance.is_null())
                result.details["converged"] = worst <= tolerance.get<double>();
            return result;
        }
    }
}

}  // namespace

void addIntegratedGradients(AttributionRegistry& registry)
{
    core::Component component{
        "integrated_gradients",
        "Integrated gradients",
        "Gradients summed along the straight path from a baseline; the attributions add up to the change of the output.",
        "Sundararajan, Taly & Yan (2017), \"Axiomatic Attribution for Deep Networks\", arXiv:1703.01365, equation 1; rules as in Captum",
        {core::integer("n_steps", 50, "Points on the path.").range(1, 100000),
         core::choice("method", {"gausslegendre", "riemann_trapezoid", "riemann_left", "riemann_right", "riemann_middle"}, "gausslegendre",
                      "Quadrature rule."),
         core::real("baseline", 0, "Value of every feature at the start of the path."),
         core::real("tolerance", 0.01, "Steps are doubled until the completeness error of every sample is at most this; none: n_steps, once.")
             .above(0)
             .noneByDefault(),
         core::integer("max_steps", 3200, "With a tolerance: where doubling stops.").range(1, 1000000),
         core::integer("internal_batch_size", 64, "Rows evaluated at a time; none: 64.").range(1, 1000000).noneByDefault()}};
    registry.add(std::move(component), integratedGradients);
}

}  // namespace orrery::explain
