#include "lrp_walk.h"

#include <ATen/ATen.h>

#include <core/base/text.h>

#include "methods.h"

namespace orrery::explain {
namespace {

using lrp::Rule;

lrp::RuleSettings settingsOf(const ScalarFunction& function, const core::Json& parameters)
{
    lrp::RuleSettings settings;
    settings.epsilon = parameters.at("epsilon").get<double>();
    settings.gamma = parameters.at("gamma").get<double>();
    settings.alpha = parameters.at("alpha").get<double>();
    settings.beta = parameters.at("beta").get<double>();
    if (std::abs(settings.alpha - settings.beta - 1) > 1e-9)
        throw core::InputError(
            fmt::format("lrp: expected alpha - beta = 1, or relevance is not conserved; got alpha {} and beta {}", settings.alpha, settings.beta));
    const auto bound = [&](const char* name, const at::Tensor& otherwise) {
        return parameters.at(name).is_null() ? otherwise.item<double>() : parameters.at(name).get<double>();
    };
    settings.low = bound("low", function.value().min());
    settings.high = bound("high", function.value().max());
    if (settings.low > settings.high)
        throw core::InputError(fmt::format("lrp: expected low <= high, got low {} and high {}", settings.low, settings.high));
    if (function.value().min().item<double>() < settings.low || function.value().max().item<double>() > settings.high)
        throw core::InputError(fmt::format("lrp: the input lies in {}..{}, outside the box {}..{}", function.value().min().item<double>(),
                                           function.value().max().item<double>(), settings.low, settings.high));
    return settings;
}

lrp::RuleChoice choiceOf(const core::Json& parameters)
{
    const auto rule = parameters.at("rule").get<std::string>();
    if (rule == "gamma")
        return {Rule::Gamma, Rule::Gamma, Rule::Gamma};
    if (rule == "z_plus")
        return {Rule::ZPlus, Rule::ZPlus, Rule::ZPlus};
    if (rule == "alpha_beta")
        return {Rule::AlphaBeta, Rule::AlphaBeta, Rule::AlphaBeta};
    if (rule == "z_box")
        return {Rule::ZBox, Rule::ZPlus, Rule::ZPlus};
    if (rule == "composite") {
        const bool hasBox = !parameters.at("low").is_null() && !parameters.at("high").is_null();
        return {hasBox ? Rule::ZBox : Rule::Epsilon, Rule::Gamma, Rule::Epsilon};
    }
    return {};
}

core::Json conservationOf(const std::vector<lrp::Crossing>& crossings)
{
    auto list = core::Json::array();
    for (const auto& crossing : crossings)
        list.push_back({{"node", crossing.node},
                        {"operator", crossing.op},
                        {"rule", crossing.rule},
                        {"relevance", crossing.relevance},
                        {"bias", crossing.bias},
                        {"other", crossing.other}});
    return list;
}

AttributionResult relevance(const ScalarFunction& function, const core::Json& parameters, std::uint64_t, const Control& control)
{
    at::NoGradGuard noGrad;
    if (!function.outputs().isfinite().all().item<bool>() || !function.value().isfinite().all().item<bool>())
        throw core::InputError("lrp: the input or the explained output is not finite (NaN or infinity); expected finite numbers");
    lrp::Walk walk(function, choiceOf(parameters), settingsOf(function, parameters), control);
    AttributionResult result;
    result.attribution = walk.run();
    result.completenessError = result.attribution.to(at::kDouble).flatten(1).sum(1) - function.outputs().to(at::kDouble);
    double bias = 0, other = 0;
    for (const auto& crossing : walk.crossings()) {
        bias += crossing.bias;
        other += crossing.other;
    }
    result.details = {{"conservation", conservationOf(walk.crossings())}, {"absorbed_by_biases", bias}, {"absorbed_otherwise", other}};
    return result;
}

}  // namespace

void addLrp(AttributionRegistry& registry)
{
    core::Component component{
        "lrp",
        "Layer-wise relevance propagation",
        "The output handed back layer by layer, each unit sharing its relevance among its inputs; sums are kept but for what biases take.",
        "Bach et al. (2015), \"On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation\", "
        "doi:10.1371/journal.pone.0130140; gamma and composite: Montavon et al. (2019), doi:10.1007/978-3-030-28954-6_10; z_plus and z_box: Montavon "
        "et al. (2017), arXiv:1512.02479; attention and layer norm held fixed: Ali et al. (2022), arXiv:2202.07304; products of two signals shared "
        "equally: Achtibat et al. (2024), arXiv:2402.05602",
        {core::choice(
             "rule", {"epsilon", "gamma", "z_plus", "alpha_beta", "z_box", "composite"}, "epsilon",
             "How layers with weights share relevance. z_box: z_box at the first, z_plus at the others. composite: gamma for convolutions, epsilon "
             "for linear layers, at the first layer z_box if low and high are given, else epsilon."),
         core::real("epsilon", 1e-9, "Added to every denominator, away from zero; larger values damp weak, contradicting shares.").atLeast(0),
         core::real("gamma", 0.25, "How much more positive contributions count in the gamma rule.").atLeast(0),
         core::real("alpha", 2, "Weight of positive contributions in the alpha_beta rule.").atLeast(1),
         core::real("beta", 1, "Weight of negative contributions in the alpha_beta rule; alpha - beta is 1.").atLeast(0),
         core::real("low", 0, "Smallest value an input can take, for z_box; none: the smallest of the input explained.").noneByDefault(),
         core::real("high", 1, "Largest value an input can take, for z_box; none: the largest of the input explained.").noneByDefault()}};
    registry.add(std::move(component), relevance);
}

}  // namespace orrery::explain
