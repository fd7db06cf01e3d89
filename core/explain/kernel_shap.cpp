#include <numeric>

#include <core/base/rng.h>

#include "coalitions.h"
#include "linear_fit.h"
#include "methods.h"

namespace orrery::explain {
namespace {

/// Coalitions drawn, or listed with their weights: what the regression sees.
struct Design {
    std::vector<std::size_t> numbers;  ///< of CoalitionValues, one a row
    std::vector<Coalition> rows;
    std::vector<double> weights;
    bool isComplete = false;  ///< every coalition is in it: the solution is exact
};

// (n - 1) / (C(n, k) k (n - k)) is the weight of one coalition of k features; without the binomial it is that of all of them together.
double sizeWeight(std::size_t count, std::size_t size)
{
    return double(count - 1) / (double(size) * double(count - size));
}

Design allCoalitions(std::size_t count, CoalitionValues& values)
{
    Design design;
    design.isComplete = true;
    std::vector<double> ofSize(count + 1, 0);
    double binomial = 1;
    for (std::size_t size = 1; size < count; ++size) {
        binomial *= double(count - size + 1) / double(size);
        ofSize[size] = sizeWeight(count, size) / binomial;
    }
    for (std::size_t bits = 1; bits + 1 < std::size_t(1) << count; ++bits) {
        Coalition coalition(count);
        for (std::size_t i = 0; i < count; ++i)
            coalition[i] = bits >> i & 1;
        design.weights.push_back(ofSize[std::size_t(std::popcount(bits))]);
        design.numbers.push_back(values.add(coalition));
        design.rows.push_back(std::move(coalition));
    }
    return design;
}

// A size by the kernel, then a coalition of that size, all alike: each row then counts the same.
Coalition drawWeightedCoalition(std::size_t count, std::uint64_t seed)
{
    core::SplitMix64 random(seed);
    std::vector<double> upTo(count, 0);
    for (std::size_t size = 1; size < count; ++size)
        upTo[size] = upTo[size - 1] + sizeWeight(count, size);
    const double drawn = random.uniform() * upTo.back();
    const auto size = std::min(std::size_t(std::upper_bound(upTo.begin() + 1, upTo.end(), drawn) - upTo.begin()), count - 1);
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    Coalition coalition(count, false);
    for (std::size_t i = 0; i < size; ++i) {
        std::swap(order[i], order[i + random.below(count - i)]);
        coalition[order[i]] = true;
    }
    return coalition;
}

Design drawnCoalitions(std::size_t count, std::size_t samples, std::uint64_t seed, CoalitionValues& values)
{
    Design design;
    for (std::size_t i = 0; i < samples; ++i) {
        design.rows.push_back(drawWeightedCoalition(count, core::deriveSeed(seed, i, "kernel_shap")));
        design.numbers.push_back(values.add(design.rows.back()));
    }
    design.weights.assign(samples, 1);
    return design;
}

/// The regression on the first `rows` rows of a design whose values are known, with the sum of the attributions held at v(all) - v(none).
class Regression {
public:
    Regression(const FeatureGame& game, const Design& design, const CoalitionValues& values, std::size_t rows);
    at::Tensor attribution() const { return m_attribution.t(); }  ///< [batch, count]
    at::Tensor standardError() const;                             ///< [batch, count]; undefined with too few rows

private:
    at::Tensor m_free;                      // [rows, count]: coalitions less their mean, what may move while the sum stays
    at::Tensor m_weights;                   // [rows, 1]
    at::Tensor m_attribution, m_residuals;  // [count, batch], [rows, batch]
};

Regression::Regression(const FeatureGame& game, const Design& design, const CoalitionValues& values, std::size_t rows)
{
    const auto count = game.count();
    const auto members = coalitionMatrix(std::span(design.rows).first(rows), at::kDouble);
    auto outputs = at::empty({std::int64_t(rows), game.batch()}, at::kDouble);
    for (std::size_t i = 0; i < rows; ++i)
        std::copy_n(values.at(design.numbers[i]).begin(), game.batch(), outputs.data_ptr<double>() + std::int64_t(i) * game.batch());
    m_weights = at::tensor(std::vector<double>(design.weights.begin(), design.weights.begin() + std::ptrdiff_t(rows)), at::kDouble).unsqueeze(1);
    const auto even = ((game.full() - game.empty()) / double(count)).unsqueeze(0);  // every feature's equal share
    m_free = members - members.mean(1, /*keepdim=*/true);
    const auto rest = outputs - game.empty() - members.sum(1, /*keepdim=*/true) * even;
    const auto root = m_weights.sqrt();
    const auto moved = shortestLeastSquares(m_free * root, rest * root);
    m_attribution = even + moved - moved.mean(0, /*keepdim=*/true);
    m_residuals = rest - m_free.matmul(moved);
}

// The sandwich estimator for rows drawn independently; the residuals of a model that is not additive differ in size from row to row.
// Source: White (1980), "A Heteroskedasticity-Consistent Covariance Matrix Estimator", Econometrica 48(4), with the usual factor m / (m - parameters).
at::Tensor Regression::standardError() const
{
    const auto rows = m_free.size(0), parameters = m_free.size(1) - 1;
    if (rows <= parameters)
        return {};
    const auto bread = at::linalg_pinv(m_free.t().matmul(m_free), 1e-12, /*hermitian=*/true);
    const auto variance = m_residuals.square().t().matmul(m_free.matmul(bread).square());
    return (variance * (double(rows) / double(rows - parameters))).sqrt();
}

// Shows what is known after each batch, as long as that costs little beside the evaluations.
class PartialFits {
public:
    explicit PartialFits(const Control& control) : m_control(control) {}
    void show(const std::function<at::Tensor()>& fit)
    {
        const auto now = std::chrono::steady_clock::now();
        if (!m_control.partial || (m_last && now - *m_last < 5 * m_cost))
            return;
        m_control.partial(fit());
        m_last = std::chrono::steady_clock::now();
        m_cost = *m_last - now;
    }

private:
    const Control& m_control;
    std::optional<std::chrono::steady_clock::time_point> m_last;
    std::chrono::steady_clock::duration m_cost{};
};

std::size_t knownRows(const Design& design, const CoalitionValues& values)
{
    const auto unknown = std::find_if(design.numbers.begin(), design.numbers.end(), [&](auto number) { return number >= values.evaluated(); });
    return std::size_t(unknown - design.numbers.begin());
}

AttributionResult kernelShap(const ScalarFunction& function, const core::Json& parameters, std::uint64_t seed, const Control& control)
{
    FeatureGame game(function, parameters, "kernel_shap");
    const auto count = std::size_t(game.count());
    const auto samples = parameters.at("n_samples").get<std::size_t>();
    CoalitionValues values(game);
    if (count == 1)
        return game.completeResult((game.full() - game.empty()).unsqueeze(1));
    const bool coversAll = count < 24 && samples >= std::size_t(1) << count;
    // As in Captum two of the samples are the empty and the full coalition.
    const auto design = coversAll ? allCoalitions(count, values) : drawnCoalitions(count, std::max<std::size_t>(samples, 3) - 2, seed, values);
    PartialFits partial(control);
    while (values.pending()) {
        control.report(double(values.evaluated()), double(values.size()), "coalitions");
        values.evaluateBatch();
        if (const auto rows = knownRows(design, values); values.pending() && rows > 0)
            partial.show([&] { return game.features().spread(Regression(game, design, values, rows).attribution()); });
    }
    control.report(double(values.size()), double(values.size()), "coalitions");
    const Regression regression(game, design, values, design.rows.size());
    auto result = game.completeResult(regression.attribution());
    result.details["exact"] = design.isComplete;
    const auto error = design.isComplete ? at::zeros({game.batch(), game.count()}, at::kDouble) : regression.standardError();
    if (error.defined())
        result.standardError = game.features().spread(error);
    else
        result.details["note"] =
            fmt::format("{} samples do not determine {} features; the shortest solution is given, without a standard error", samples, count);
    return result;
}

}  // namespace

void addKernelShap(AttributionRegistry& registry)
{
    registry.add({"kernel_shap",
                  "Kernel SHAP",
                  "Shapley values from a weighted linear regression on random coalitions; exact once n_samples covers all 2^n of them.",
                  "Lundberg & Lee (2017), \"A Unified Approach to Interpreting Model Predictions\", arXiv:1705.07874, theorem 2; sampling and "
                  "defaults as in Captum; "
                  "the sum of the attributions is held exactly",
                  {core::integer("n_samples", 25, "Coalitions, the empty and the full one included.").range(3, 100000000), baselineParameter(),
                   featureMaskParameter(), perturbationsParameter()}},
                 kernelShap);
}

}  // namespace orrery::explain
