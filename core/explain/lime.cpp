#include <core/base/rng.h>

#include "coalitions.h"
#include "linear_fit.h"
#include "methods.h"

namespace orrery::explain {
namespace {

/// How near a perturbed sample is to the sample itself: exp(-d² / (2 width²)).
class Nearness {
public:
    Nearness(const Features& features, const at::Tensor& value, const core::Json& parameters);
    at::Tensor of(const at::Tensor& members) const;  ///< [rows, count] of 0 and 1 -> [rows, batch]

private:
    // Dot products of sample x and baseline b restricted to one feature, [batch, count]: distances need no perturbed copies.
    at::Tensor m_xx, m_xb, m_bb;
    bool m_isCosine;
    double m_width;
};

Nearness::Nearness(const Features& features, const at::Tensor& value, const core::Json& parameters)
    : m_isCosine(parameters.at("distance_mode") == "cosine"), m_width(parameters.at("kernel_width").get<double>())
{
    const auto x = value.to(at::kCPU, at::kDouble), b = features.baseline().to(at::kCPU, at::kDouble);
    m_xx = features.sums(x * x);
    m_xb = features.sums(x * b);
    m_bb = features.sums(b * b);
}

at::Tensor Nearness::of(const at::Tensor& members) const
{
    const auto absent = 1 - members;
    at::Tensor distance;
    if (m_isCosine) {
        const auto dot = members.matmul(m_xx.t()) + absent.matmul(m_xb.t()), square = members.matmul(m_xx.t()) + absent.matmul(m_bb.t());
        distance = 1 - dot / (square * m_xx.sum(1)).sqrt().clamp_min(1e-8);
    } else {
        distance = absent.matmul((m_xx - 2 * m_xb + m_bb).t()).clamp_min(0).sqrt();
    }
    return (-distance.square() / (2 * m_width * m_width)).exp();
}

Coalition drawUniformCoalition(std::size_t count, std::uint64_t seed)
{
    core::SplitMix64 random(seed);
    Coalition coalition(count);
    for (std::size_t i = 0; i < count; ++i)
        coalition[i] = random.next() >> 63;
    return coalition;
}

/// What was evaluated: one row a drawn coalition.
struct Draws {
    at::Tensor members;               ///< [rows, count], double
    std::vector<at::Tensor> outputs;  ///< batches of [.., batch]
    at::Tensor weights;               ///< [rows, batch]
    Penalty penalty = Penalty::Lasso;
    double alpha = 0;
    std::vector<LinearFit> fits(const at::Tensor& used) const;  ///< one a sample; `used` are numbers of rows
    std::int64_t rows() const;
};

std::int64_t Draws::rows() const
{
    std::int64_t sum = 0;
    for (const auto& batch : outputs)
        sum += batch.size(0);
    return sum;
}

std::vector<LinearFit> Draws::fits(const at::Tensor& used) const
{
    const auto x = members.index_select(0, used), y = at::cat(outputs).index_select(0, used), nearness = weights.index_select(0, used);
    // A kernel so narrow that every draw is infinitely far leaves nothing to weigh by.
    if (!nearness.sum(0).gt(0).all().item<bool>())
        throw core::InputError("lime.kernel_width: every perturbed copy is so far away that its weight is 0; expected a larger width");
    std::vector<LinearFit> fits;
    for (std::int64_t i = 0; i < y.size(1); ++i)
        fits.push_back(fitLinear(x, y.select(1, i), nearness.select(1, i), penalty, alpha));
    return fits;
}

// [batch, count]
at::Tensor coefficients(const std::vector<LinearFit>& fits)
{
    std::vector<at::Tensor> rows;
    for (const auto& fit : fits)
        rows.push_back(fit.coefficients);
    return at::stack(rows);
}

Draws drawn(const FeatureGame& game, const at::Tensor& value, const core::Json& parameters, std::uint64_t seed)
{
    const auto samples = parameters.at("n_samples").get<std::int64_t>();
    std::vector<Coalition> coalitions;
    for (std::int64_t i = 0; i < samples; ++i)
        coalitions.push_back(drawUniformCoalition(std::size_t(game.count()), core::deriveSeed(seed, std::uint64_t(i), "lime")));
    const auto model = parameters.at("interpretable_model").get<std::string>();
    Draws draws;
    draws.members = coalitionMatrix(coalitions, at::kDouble);
    draws.weights = Nearness(game.features(), value, parameters).of(draws.members);
    draws.penalty = model == "lasso" ? Penalty::Lasso : model == "ridge" ? Penalty::Ridge : Penalty::None;
    draws.alpha = draws.penalty == Penalty::None ? 0 : parameters.at("alpha").get<double>();
    return draws;
}

AttributionResult lime(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    FeatureGame game(function, parameters, "lime");
    auto draws = drawn(game, function.value(), parameters, seed);
    const auto samples = draws.members.size(0);
    for (std::int64_t begin = 0; begin < samples; begin += game.perBatch()) {
        control.report(double(begin), double(samples), "samples");
        draws.outputs.push_back(game.values(draws.members.narrow(0, begin, std::min(game.perBatch(), samples - begin)).to(at::kBool)));
        // Fits of very many features cost more than they show.
        if (control.partial && game.count() <= 256 && draws.rows() > 1)
            control.partial(game.features().spread(coefficients(draws.fits(at::arange(draws.rows(), at::kLong)))));
    }
    control.report(double(samples), double(samples), "samples");
    const auto all = at::arange(samples, at::kLong);
    const auto fits = draws.fits(all);
    auto result = game.result(coefficients(fits));
    const auto error = jackknifeError(samples, [&](const at::Tensor& used) {
        control.report(double(samples), double(samples), "samples");
        return coefficients(draws.fits(used));
    });
    if (error.defined())
        result.standardError = game.features().spread(error);
    auto scores = core::Json::array(), intercepts = core::Json::array();
    for (const auto& fit : fits) {
        scores.push_back(fit.score);
        intercepts.push_back(fit.intercept);
    }
    result.details["score"] = scores;
    result.details["intercept"] = intercepts;
    return result;
}

}  // namespace

void addLime(AttributionRegistry& registry)
{
    registry.add(
        {"lime",
         "LIME",
         "Coefficients of a simple linear model that imitates the output on copies of the input with random features absent, near ones counting "
         "more.",
         "Ribeiro, Singh & Guestrin (2016), \"\\\"Why Should I Trust You?\\\": Explaining the Predictions of Any Classifier\", arXiv:1602.04938; "
         "kernel and defaults as in Captum",
         {core::integer("n_samples", 25, "Perturbed copies; each feature is absent with probability 1/2.").range(1, 10000000),
          core::choice("interpretable_model", {"lasso", "ridge", "linear"}, "lasso", "How the imitating model is fitted."),
          core::real("alpha", 0.01, "Strength of the penalty on coefficients, as scikit-learn scales it.")
              .atLeast(0)
              .when("interpretable_model", {"lasso", "ridge"}),
          core::choice("distance_mode", {"cosine", "euclidean"}, "cosine", "Distance of a copy from the input."),
          core::real("kernel_width", 1, "Width of the exponential kernel that turns distances into weights.").above(0), baselineParameter(),
          featureMaskParameter(), perturbationsParameter()}},
        lime);
}

}  // namespace orrery::explain
