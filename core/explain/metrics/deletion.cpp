#include <ATen/ATen.h>

#include <core/base/text.h>
#include <core/explain/blur.h>

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
    auto row = site.wholeOutput(x, repeats).to(at::kDouble);
    if (row.dim() == 3)
        row = row.select(1, site.request().position.value_or(row.size(1) - 1));
    const auto targets = at::tensor(site.targets()).repeat({repeats}).unsqueeze(1).to(row.device());
    return row.softmax(-1).gather(1, targets).squeeze(1);
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

/// @param switched  The image that the ranked units are taken from; all others come from `start`.
MetricResult curve(const MetricSubject& subject, const ScalarFunction& site, const core::Json& parameters, const at::Tensor& start,
                   const at::Tensor& switched)
{
    const auto& x = site.value();
    const auto shares = perUnit(subject.attributionLike(site));
    const auto order = std::get<1>(shares.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true)), rank = order.argsort(std::int64_t(1));
    const auto units = shares.size(1), batch = x.size(0);
    const auto counts = countsOf(units, parameters.at("steps"));
    const bool probability = parameters.at("score") == "probability";
    const auto perBatch = std::max<std::int64_t>(64 / std::max<std::int64_t>(batch, 1), 1);
    std::vector<at::Tensor> scores;
    std::vector<double> fractions;
    for (std::size_t begin = 0; begin < counts.size(); begin += std::size_t(perBatch)) {
        subject.control.report(double(begin), double(counts.size()), "steps");
        std::vector<at::Tensor> rows;
        for (auto i = begin; i < std::min(begin + std::size_t(perBatch), counts.size()); ++i) {
            rows.push_back(at::where(overElements(rank.lt(counts[i]), x), switched, start));
            fractions.push_back(double(counts[i]) / double(units));
        }
        const auto repeats = std::int64_t(rows.size());
        scores.push_back(scoreOf(site, at::cat(rows), repeats, probability).reshape({repeats, batch}));
    }
    subject.control.report(double(counts.size()), double(counts.size()), "steps");
    MetricResult result;
    result.curveX = at::tensor(fractions, at::kDouble);
    result.curveY = at::cat(scores).t().cpu();
    result.value = at::trapezoid(result.curveY, result.curveX, 1);
    result.yName = probability && site.targets()[0] >= 0 ? "probability" : "output";
    result.details = {{"units", units}};
    return result;
}

MetricResult deletion(const MetricSubject& subject, const core::Json& parameters, std::uint64_t)
{
    const auto site = subject.atSite();
    auto result = curve(subject, site, parameters, site.value(), substrateOf(site, parameters));
    result.xName = "fraction deleted";
    return result;
}

MetricResult insertion(const MetricSubject& subject, const core::Json& parameters, std::uint64_t)
{
    const auto site = subject.atSite();
    auto result = curve(subject, site, parameters, substrateOf(site, parameters), site.value());
    result.xName = "fraction inserted";
    return result;
}

core::Schema schema()
{
    return {
        core::integer("steps", 224, "Points of the curve after the first; none: one a unit (pixel, position, feature), at most 224.")
            .range(1, 1000000)
            .noneByDefault(),
        core::choice("substrate", {"constant", "blur", "mean"}, "constant",
                     "What stands in place of a missing unit: a value, the blurred image, or the image's mean colour."),
        core::real("baseline", 0, "The constant."),
        core::real("sigma", 0, "Standard deviation of the blur; none: 20 px at 224, in proportion to the larger side.")
            .above(0)
            .withUnit("px")
            .noneByDefault(),
        core::choice("score", {"probability", "output"}, "probability", "What is drawn: the target's softmax probability, or the explained output.")};
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
