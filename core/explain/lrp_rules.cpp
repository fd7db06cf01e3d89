#include "lrp_rules.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace orrery::explain::lrp {
namespace {

/// One part of a denominator: apply(x, weight).
struct Term {
    at::Tensor x, weight;
};

at::Tensor positivePart(const at::Tensor& tensor)
{
    return tensor.clamp_min(0);
}

at::Tensor negativePart(const at::Tensor& tensor)
{
    return tensor.clamp_max(0);
}

bool hasNegative(const at::Tensor& tensor)
{
    return tensor.numel() > 0 && tensor.min().item<double>() < 0;
}

// R_j = sum over terms of x_j * (gradient of the term at R / z): each term's share of the sum of all.
Shares shareOut(const WeightedLayer& layer, const std::vector<Term>& terms, const at::Tensor& bias, const at::Tensor& relevance, double epsilon)
{
    at::AutoGradMode enable(true);
    std::vector<at::Tensor> leaves, parts;
    at::Tensor z;
    for (const auto& term : terms) {
        leaves.push_back(term.x.detach().requires_grad_(true));
        parts.push_back(layer.apply(leaves.back(), term.weight));
        z = z.defined() ? z + parts.back().detach() : parts.back().detach();
    }
    if (bias.defined())
        z = z + bias;
    const auto perUnit = (relevance / stabilised(z, epsilon)).detach();
    const auto gradients = torch::autograd::grad(parts, leaves, std::vector<at::Tensor>(parts.size(), perUnit));
    Shares shares;
    for (std::size_t i = 0; i < terms.size(); ++i) {
        const auto share = terms[i].x * gradients[i];
        shares.relevance = shares.relevance.defined() ? shares.relevance + share : share;
    }
    shares.relevance = shares.relevance.detach();
    if (bias.defined())
        shares.bias = (perUnit * bias).to(at::kDouble).sum().item<double>();
    return shares;
}

// The terms whose contributions are positive (sign > 0) or negative, weighted by `factor`.
std::vector<Term> signedTerms(const WeightedLayer& layer, int sign, double factor)
{
    const auto &x = layer.x, &w = layer.weight;
    std::vector<Term> terms = {{positivePart(x), factor * (sign > 0 ? positivePart(w) : negativePart(w))}};
    if (hasNegative(x))
        terms.push_back({negativePart(x), factor * (sign > 0 ? negativePart(w) : positivePart(w))});
    return terms;
}

at::Tensor signedBias(const at::Tensor& bias, int sign)
{
    if (!bias.defined())
        return bias;
    return sign > 0 ? positivePart(bias) : negativePart(bias);
}

Shares gammaShares(const WeightedLayer& layer, const at::Tensor& relevance, const RuleSettings& settings)
{
    auto terms = signedTerms(layer, 1, settings.gamma);
    terms.push_back({layer.x, layer.weight});
    const auto bias = layer.bias.defined() ? layer.bias + settings.gamma * positivePart(layer.bias) : layer.bias;
    return shareOut(layer, terms, bias, relevance, settings.epsilon);
}

Shares alphaBetaShares(const WeightedLayer& layer, const at::Tensor& relevance, const RuleSettings& settings)
{
    auto up = shareOut(layer, signedTerms(layer, 1, 1), signedBias(layer.bias, 1), relevance, settings.epsilon);
    if (settings.beta == 0)
        return {settings.alpha * up.relevance, settings.alpha * up.bias};
    const auto down = shareOut(layer, signedTerms(layer, -1, 1), signedBias(layer.bias, -1), relevance, settings.epsilon);
    return {settings.alpha * up.relevance - settings.beta * down.relevance, settings.alpha * up.bias - settings.beta * down.bias};
}

Shares boxShares(const WeightedLayer& layer, const at::Tensor& relevance, const RuleSettings& settings)
{
    const std::vector<Term> terms = {{layer.x, layer.weight},
                                     {at::full_like(layer.x, settings.low), -positivePart(layer.weight)},
                                     {at::full_like(layer.x, settings.high), -negativePart(layer.weight)}};
    return shareOut(layer, terms, {}, relevance, settings.epsilon);
}

}  // namespace

const char* nameOf(Rule rule)
{
    switch (rule) {
    case Rule::Gamma: return "gamma";
    case Rule::ZPlus: return "z_plus";
    case Rule::AlphaBeta: return "alpha_beta";
    case Rule::ZBox: return "z_box";
    case Rule::Epsilon: break;
    }
    return "epsilon";
}

at::Tensor stabilised(const at::Tensor& z, double epsilon)
{
    const auto shifted = z + at::where(z.lt(0), at::full_like(z, -epsilon), at::full_like(z, epsilon));
    // With epsilon 0 a sum of exactly nothing has nothing to hand out.
    return at::where(shifted.eq(0), at::ones_like(shifted), shifted);
}

Shares propagate(const WeightedLayer& layer, const at::Tensor& relevance, Rule rule, const RuleSettings& settings)
{
    switch (rule) {
    case Rule::Gamma: return gammaShares(layer, relevance, settings);
    case Rule::ZPlus: return shareOut(layer, signedTerms(layer, 1, 1), signedBias(layer.bias, 1), relevance, settings.epsilon);
    case Rule::AlphaBeta: return alphaBetaShares(layer, relevance, settings);
    case Rule::ZBox: return boxShares(layer, relevance, settings);
    case Rule::Epsilon: break;
    }
    return shareOut(layer, {{layer.x, layer.weight}}, layer.bias, relevance, settings.epsilon);
}

}  // namespace orrery::explain::lrp
