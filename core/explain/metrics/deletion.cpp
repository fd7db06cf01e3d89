#include <ATen/ATen.h>

#include <core/base/rng.h>
#include <core/base/text.h>
#include <core/explain/blur.h>
#include <core/graph/output_kind.h>

#include "metric.h"

namespace orrery::explain {
namespace {

// What stands in place of what is not there.
at::Tensor substrateOf(const ScalarFunction& site, const core::Json& parameters)
{
    const auto& x = site.value();
    const auto kind = parameters.at("substrate").get<std::string>();
    if (kind == "constant")
        return at::full_like(x, parameters.at("baseline").get<double>());
    if (x.dim() != 4)
        throw core::InputError(
            fmt::format("substrate {}: expected an image [batch, channel, height, width], got {}; use constant", kind, core::formatShape(x.sizes())));
    if (kind == "mean")
        return x.mean({2, 3}, true).expand_as(x);
    const auto sigma = parameters.at("sigma");
    return gaussianBlur(x, sigma.is_null() ? strongBlur(x.size(2), x.size(3)) : sigma.get<double>());
}

at::Tensor scoreOf(const ScalarFunction& site, const at::Tensor& x, std::int64_t repeats, bool probability)
{
    if (!probability || site.targets()[0] < 0)
        return site.at(x, repeats).to(at::kDouble);
    const auto whole = site.wholeOutput(x, repeats);
    const auto kind = graph::outputKind(*site.executor().graph(), {}, whole.dim(), site.request().output);
    const auto row = atPositions(whole, site.request().positions).to(at::kDouble);
    const auto targets = at::tensor(site.targets()).repeat({repeats}).unsqueeze(1).to(row.device());
    if (kind == graph::OutputKind::EachProbability)
        return row.gather(1, targets).squeeze(1);
    const auto logits = graph::classLogits(row, kind);
    return (logits.size(-1) == 1 ? logits.sigmoid() : logits.softmax(-1)).gather(1, targets).squeeze(1);
}

// The mask of units [batch, units] over the site's elements.
at::Tensor overElements(const at::Tensor& mask, const at::Tensor& x)
{
    if (x.dim() == 4)
        return mask.reshape({x.size(0), 1, x.size(2), x.size(3)});
    return x.dim() == 3 ? mask.unsqueeze(2) : mask.reshape(x.sizes());
}

std::vector<std::int64_t> countsOf(std::int64_t units, const core::Json& steps)
{
    const auto wanted = std::min<std::int64_t>(steps.is_null() ? std::min<std::int64_t>(units, 224) : steps.get<std::int64_t>(), units);
    std::vector<std::int64_t> counts;
    for (std::int64_t i = 0; i <= wanted; ++i)
        counts.push_back(std::int64_t(std::llround(double(i) * double(units) / double(wanted))));
    return counts;
}

/// Scores while more and more units change from `start` to `switched`, in one order after the other.
class Switching {
public:
    Switching(const MetricSubject& subject, const ScalarFunction& site, const core::Json& parameters, const at::Tensor& start,
              const at::Tensor& switched, std::int64_t units, std::int64_t orders)
        : m_control(subject.control), m_site(site), m_start(start), m_switched(switched), m_counts(countsOf(units, parameters.at("steps"))),
          m_probability(parameters.at("score") == "probability"), m_total(double(m_counts.size()) * double(orders))
    {
        for (const auto count : m_counts)
            m_fractions.push_back(double(count) / double(units));
    }
    /// rank [batch, units]: 0 changes first -> [batch, points].
    at::Tensor operator()(const at::Tensor& rank)
    {
        const auto batch = m_site.value().size(0);
        const auto perRun = std::size_t(std::max<std::int64_t>(64 / std::max<std::int64_t>(batch, 1), 1));
        std::vector<at::Tensor> scores;
        for (std::size_t begin = 0; begin < m_counts.size(); begin += perRun) {
            m_control.report(m_done + double(begin), m_total, "steps");
            std::vector<at::Tensor> rows;
            for (auto i = begin; i < std::min(begin + perRun, m_counts.size()); ++i)
                rows.push_back(at::where(overElements(rank.lt(m_counts[i]), m_site.value()), m_switched, m_start));
            const auto repeats = std::int64_t(rows.size());
            scores.push_back(scoreOf(m_site, at::cat(rows), repeats, m_probability).reshape({repeats, batch}));
        }
        m_done += double(m_counts.size());
        m_control.report(m_done, m_total, "steps");
        return at::cat(scores).t().cpu();
    }
    at::Tensor fractions() const { return at::tensor(m_fractions, at::kDouble); }

private:
    const Control& m_control;
    const ScalarFunction& m_site;
    at::Tensor m_start, m_switched;
    std::vector<std::int64_t> m_counts;
    std::vector<double> m_fractions;
    bool m_probability;
    double m_done = 0, m_total;
};

// What to compare with: the mean curve of rankings drawn at random, each sample its own.
at::Tensor meanOfRandomRankings(Switching& scores, at::IntArrayRef shape, std::int64_t count, std::uint64_t seed, const at::Device& device)
{
    at::Tensor sum;
    for (std::int64_t i = 0; i < count; ++i) {
        auto generator = at::detail::createCPUGenerator(core::deriveSeed(seed, std::uint64_t(i), "random ranking"));
        const auto rank = at::rand(shape, generator, at::TensorOptions().dtype(at::kDouble)).argsort(std::int64_t(1)).to(device);
        const auto row = scores(rank);
        sum = sum.defined() ? sum + row : row;
    }
    return sum / double(count);
}

/// @param switched  The image that the ranked units are taken from; all others come from `start`.
MetricResult curve(const MetricSubject& subject, const ScalarFunction& site, const core::Json& parameters, std::uint64_t seed,
                   const at::Tensor& start, const at::Tensor& switched)
{
    const auto shares = perUnit(subject.attributionLike(site));
    const auto order = std::get<1>(shares.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true));
    const auto units = shares.size(1), random = parameters.at("random_rankings").get<std::int64_t>();
    Switching scores(subject, site, parameters, start, switched, units, 1 + random);
    MetricResult result;
    result.curveX = scores.fractions();
    result.curveY = scores(order.argsort(std::int64_t(1)));
    result.value = at::trapezoid(result.curveY, result.curveX, 1);
    if (random > 0) {
        result.referenceY = meanOfRandomRankings(scores, shares.sizes(), random, seed, shares.device());
        result.referenceValue = at::trapezoid(result.referenceY, result.curveX, 1);
        result.referenceName = "random ranking";
    }
    result.yName = parameters.at("score") == "probability" && site.targets()[0] >= 0 ? "probability" : "output";
    result.details = {{"units", units}};
    return result;
}

MetricResult deletion(const MetricSubject& subject, const core::Json& parameters, std::uint64_t seed)
{
    const auto site = subject.atSite();
    auto result = curve(subject, site, parameters, seed, site.value(), substrateOf(site, parameters));
    result.xName = "fraction deleted";
    return result;
}

MetricResult insertion(const MetricSubject& subject, const core::Json& parameters, std::uint64_t seed)
{
    const auto site = subject.atSite();
    auto result = curve(subject, site, parameters, seed, substrateOf(site, parameters), site.value());
    result.xName = "fraction inserted";
    return result;
}

core::Schema schema()
{
    return {core::integer("steps", 224, "Points of the curve after the first; none: one a unit (pixel, position, feature), at most 224.")
                .range(1, 1000000)
                .noneByDefault(),
            core::choice("substrate", {"constant", "blur", "mean"}, "constant",
                         "What stands in place of a missing unit: a value, the blurred image, or the image's mean colour."),
            core::real("baseline", 0, "The constant."),
            core::real("sigma", 0, "Standard deviation of the blur; none: 20 px at 224, in proportion to the larger side.")
                .above(0)
                .withUnit("px")
                .noneByDefault(),
            core::choice("score", {"probability", "output"}, "probability", "What is drawn: the target's probability, or the explained output."),
            core::integer("random_rankings", 5, "Rankings drawn at random, whose mean curve stands beside this one for comparison.").range(0, 1000)};
}

}  // namespace

void addDeletionAndInsertion(core::Registry<AttributionMetric>& registry)
{
    const char* source =
        "Petsiuk, Das & Saenko (2018), \"RISE: Randomized Input Sampling for Explanation of Black-box Models\", arXiv:1806.07421, section 4.1";
    registry.add(
        {"deletion", "Deletion curve", "Area under the score while the most important units are taken away first; low is good.", source, schema()},
        deletion);
    registry.add(
        {"insertion", "Insertion curve", "Area under the score while the most important units come back first; high is good.", source, schema()},
        insertion);
}

}  // namespace orrery::explain
