#include "reproduce.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include <core/base/text.h>

#include "runs.h"

namespace orrery::train {
namespace {

using core::Json;

/// Two NaN are the same; 0 and -0 are not.
bool sameBits(double a, double b)
{
    return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

/// Compares two values that belong to one step.
void comparePair(MetricComparison& out, std::int64_t step, double a, double b)
{
    if (sameBits(a, b))
        return;
    if (!out.firstDifference)
        out.firstDifference = step;
    const double difference = std::abs(a - b);
    if (std::isnan(difference) || difference > out.largestDifference)
        out.largestDifference = std::isnan(out.largestDifference) ? out.largestDifference : difference;
}

MetricComparison compareMetric(const store::Workspace& workspace, store::RunId run, store::RunId again, const std::string& name)
{
    using Limits = std::numeric_limits<std::int64_t>;
    const auto read = [&](store::RunId id) { return workspace.metricSeries(id, name, Limits::min(), Limits::max(), kComparedPoints); };
    const store::MetricSeries a = read(run), b = read(again);
    MetricComparison out;
    out.name = name;
    out.points = a.points;
    out.againPoints = b.points;
    if (!a.buckets.empty())
        out.last = workspace.lastMetrics(run).at(name);
    if (!b.buckets.empty())
        out.againLast = workspace.lastMetrics(again).at(name);
    const std::size_t common = std::min(a.buckets.size(), b.buckets.size());
    for (std::size_t i = 0; i < common; ++i) {
        const store::MetricBucket &x = a.buckets[i], &y = b.buckets[i];
        if (x.firstStep != y.firstStep || x.points != y.points) {
            out.firstDifference = out.firstDifference.value_or(std::min(x.firstStep, y.firstStep));
            break;
        }
        comparePair(out, x.minimumStep, x.minimum, y.minimum);
        comparePair(out, x.maximumStep, x.maximum, y.maximum);
        comparePair(out, x.firstStep, x.mean, y.mean);
    }
    if (a.buckets.size() != b.buckets.size() && !out.firstDifference)
        out.firstDifference = (a.buckets.size() > b.buckets.size() ? a : b).buckets[common].firstStep;
    return out;
}

std::vector<std::string> environmentDifferences(const Json& a, const Json& b)
{
    std::vector<std::string> out;
    std::set<std::string> names;
    for (const Json* environment : {&a, &b})
        if (environment->is_object())
            for (const auto& [name, value] : environment->items())
                names.insert(name);
    const auto text = [](const Json& environment, const std::string& name) {
        const auto found = environment.is_object() ? environment.find(name) : environment.end();
        return found == environment.end() ? std::string("none") : found->is_string() ? found->get<std::string>() : found->dump();
    };
    for (const std::string& name : names)
        if (const std::string x = text(a, name), y = text(b, name); x != y)
            out.push_back(fmt::format("{}: {}, then {}", name, x, y));
    return out;
}

Json numberOrNull(const std::optional<double>& value)
{
    return value ? Json(*value) : Json();
}

std::string valueText(const std::optional<double>& value)
{
    return value ? core::formatNumber(*value) : "none";
}

}  // namespace

bool Reproduction::isIdentical() const
{
    return sameWeights.value_or(true) && std::all_of(metrics.begin(), metrics.end(), [](const auto& metric) { return metric.isIdentical(); });
}

Json Reproduction::toJson() const
{
    Json list = Json::array();
    for (const MetricComparison& metric : metrics)
        list.push_back({{"name", metric.name},
                        {"identical", metric.isIdentical()},
                        {"points", {metric.points, metric.againPoints}},
                        {"last", {numberOrNull(metric.last), numberOrNull(metric.againLast)}},
                        {"first_difference", metric.firstDifference ? Json(*metric.firstDifference) : Json()},
                        {"largest_difference", metric.largestDifference}});
    return {{"run", run},
            {"again", again},
            {"identical", isIdentical()},
            {"same_weights", sameWeights ? Json(*sameWeights) : Json()},
            {"same_document", sameDocument},
            {"environment", environment},
            {"metrics", std::move(list)}};
}

std::string Reproduction::summary() const
{
    std::int64_t points = 0;
    for (const MetricComparison& metric : metrics)
        points += metric.againPoints;
    std::string out;
    if (isIdentical()) {
        out = fmt::format("run {} repeats run {} bit for bit: {} metrics, {} points{}\n", again, run, metrics.size(), points,
                          sameWeights ? ", final weights" : "");
    } else {
        out = fmt::format("run {} differs from run {}\n", again, run);
        for (const MetricComparison& metric : metrics)
            if (!metric.isIdentical())
                out += fmt::format("  {:<28} {} -> {} (differs from step {} on, by at most {})\n", metric.name, valueText(metric.last),
                                   valueText(metric.againLast), metric.firstDifference.value_or(0), core::formatNumber(metric.largestDifference));
        if (sameWeights)
            out += fmt::format("  {:<28} {}\n", "final weights", *sameWeights ? "the same bytes" : "not the same bytes");
    }
    for (const std::string& difference : environment)
        out += fmt::format("  environment {}\n", difference);
    return out;
}

Reproduction compareRepetition(const store::Workspace& workspace, store::RunId run, store::RunId again)
{
    const store::RunRecord a = workspace.run(run), b = workspace.run(again);
    Reproduction out;
    out.run = run;
    out.again = again;
    out.sameDocument = experimentHash(a.document) == experimentHash(b.document);
    out.environment = environmentDifferences(a.environment, b.environment);
    std::set<std::string> names;
    for (const store::RunId id : {run, again})
        for (const store::MetricInfo& metric : workspace.metricInfos(id))
            names.insert(metric.name);
    for (const std::string& name : names)
        out.metrics.push_back(compareMetric(workspace, run, again, name));
    const auto x = workspace.findArtifact(run, kFinalWeights), y = workspace.findArtifact(again, kFinalWeights);
    if (x && y)
        out.sameWeights = x->hash == y->hash;
    return out;
}

store::RunId createRepetition(store::Workspace& workspace, store::RunId run)
{
    return createRun(workspace, experimentOfRun(workspace, run), run);
}

int threadsOfRun(const store::RunRecord& run)
{
    const auto threads = run.environment.is_object() ? run.environment.find("threads") : run.environment.end();
    return threads != run.environment.end() && threads->is_number_integer() ? threads->get<int>() : 0;
}

void storeReproduction(store::Workspace& workspace, const Reproduction& reproduction)
{
    for (const store::Analysis& earlier : workspace.analyses(reproduction.again, kReproductionMethod))
        if (earlier.inputs.value("run", store::RunId(0)) == reproduction.run)
            workspace.removeAnalysis(earlier.id);
    store::NewAnalysis analysis;
    analysis.run = reproduction.again;
    analysis.method = kReproductionMethod;
    analysis.inputs = {{"run", reproduction.run}};
    analysis.parameters = Json::object();
    analysis.results = reproduction.toJson();
    workspace.addAnalysis(analysis);
}

}  // namespace orrery::train
