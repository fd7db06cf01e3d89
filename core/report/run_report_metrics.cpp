#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>

#include "plot.h"
#include "run_report_parts.h"

namespace orrery::report {

using store::RunRecord;

namespace {

/// `val/accuracy` -> {"val", "accuracy"}.
struct MetricName {
    std::string split, quantity;
};

MetricName parsed(const std::string& name)
{
    const auto slash = name.find('/');
    return slash == std::string::npos ? MetricName{"", name} : MetricName{name.substr(0, slash), name.substr(slash + 1)};
}

/// +1: larger is better, -1: smaller is better, 0: neither is known.
int direction(const std::string& quantity)
{
    const auto holds = [&](std::initializer_list<const char*> words) {
        return std::ranges::any_of(words, [&](const char* word) { return quantity.find(word) != std::string::npos; });
    };
    if (holds({"loss", "error", "mae", "rmse", "mse", "bits_per", "perplexity"}))
        return -1;
    return holds({"accuracy", "f1", "auc", "r2", "top", "precision", "recall"}) ? 1 : 0;
}

std::optional<double> bestOf(const std::vector<std::optional<double>>& values, int wanted)
{
    std::optional<double> best;
    std::size_t present = 0;
    for (const auto& value : values) {
        if (!value || !std::isfinite(*value))
            continue;
        ++present;
        if (!best || *value * wanted > *best * wanted)
            best = value;
    }
    return wanted != 0 && present > 1 ? best : std::nullopt;
}

std::vector<Cell> metricRow(const std::string& name, RunRecords runs)
{
    std::vector<std::optional<double>> values;
    for (const RunRecord& run : runs) {
        const auto found = run.lastMetrics.find(name);
        values.push_back(found == run.lastMetrics.end() ? std::nullopt : std::optional(found->second));
    }
    const auto best = bestOf(values, direction(parsed(name).quantity));
    std::vector<Cell> row{{name}};
    for (const auto& value : values)
        row.push_back({value ? shortNumber(*value) : "–", best && value && *value == *best});
    return row;
}

/// The metrics of all runs with more than one point, by quantity, then run, then name.
using CurveNames = std::map<std::string, std::vector<std::pair<std::size_t, std::string>>>;

CurveNames curveNames(const store::Workspace& workspace, RunRecords runs)
{
    CurveNames names;
    for (std::size_t i = 0; i < runs.size(); ++i)
        for (const store::MetricInfo& info : workspace.metricInfos(runs[i].id))
            if (info.points > 1)
                names[parsed(info.name).quantity].emplace_back(i, info.name);
    return names;
}

Series seriesFrom(const store::MetricSeries& metric)
{
    Series series;
    const bool hasBand = !metric.exact;
    for (const store::MetricBucket& bucket : metric.buckets) {
        series.x.push_back((double(bucket.firstStep) + double(bucket.lastStep)) / 2);
        series.y.push_back(bucket.nans == bucket.points ? std::numeric_limits<double>::quiet_NaN() : bucket.mean);
        if (hasBand) {
            series.low.push_back(bucket.minimum);
            series.high.push_back(bucket.maximum);
        }
    }
    return series;
}

bool spansDecades(const CurvePlot& plot)
{
    double low = std::numeric_limits<double>::infinity(), high = 0;
    for (const Series& series : plot.series)
        for (const double value : series.y) {
            if (!std::isfinite(value))
                continue;
            low = std::min(low, value);
            high = std::max(high, value);
        }
    return low > 0 && high / low > 100;
}

Picture curvePicture(const CurvePlot& plot, const std::string& quantity)
{
    std::string description = fmt::format("Curves of {} over training steps:", quantity);
    for (const Series& series : plot.series)
        if (!series.y.empty())
            description += fmt::format(" {} from {} to {} at step {};", series.name, shortNumber(series.y.front()), shortNumber(series.y.back()),
                                       shortNumber(series.x.back()));
    description.back() = '.';
    const bool hasBand = std::ranges::any_of(plot.series, [](const Series& series) { return !series.low.empty(); });
    return {drawCurves(plot), quantity + (hasBand ? " (line: mean of neighbouring steps, band: their minimum and maximum)" : ""), description};
}

}  // namespace

Section metricSection(RunRecords runs)
{
    Section section{"Metrics", {}};
    std::set<std::string> names;
    for (const RunRecord& run : runs)
        for (const auto& [name, value] : run.lastMetrics)
            names.insert(name);
    if (names.empty())
        return section;
    Table table{runs.size() > 1 ? "Last value of every metric; the best of a row is in bold where it is known which is better."
                                : "Last value of every metric.",
                {{"Metric"}},
                {}};
    for (const RunRecord& run : runs)
        table.columns.push_back({runTitle(run), Align::Right});
    for (const std::string& name : names)
        table.rows.push_back(metricRow(name, runs));
    section.blocks.emplace_back(std::move(table));
    return section;
}

Section curveSection(const store::Workspace& workspace, RunRecords runs, const RunReportOptions& options)
{
    Section section{"Curves", {}};
    for (const auto& [quantity, members] : curveNames(workspace, runs)) {
        CurvePlot plot;
        plot.x.title = "step";
        plot.y.title = quantity;
        for (const auto& [index, name] : members) {
            const std::string split = parsed(name).split;
            Series series = seriesFrom(workspace.metricSeries(runs[index].id, name, std::numeric_limits<std::int64_t>::min(),
                                                              std::numeric_limits<std::int64_t>::max(), options.curvePoints));
            // With one run the colours tell splits apart; with several they tell runs apart, and training curves are dashed.
            series.name = runs.size() == 1 ? name : fmt::format("{}{}{}", runTitle(runs[index]), split.empty() ? "" : ", ", split);
            series.colour = seriesColour(runs.size() == 1 ? plot.series.size() : index);
            series.dashed = runs.size() > 1 && split == "train";
            plot.series.push_back(std::move(series));
        }
        plot.y.log = quantity.find("loss") != std::string::npos && spansDecades(plot);
        section.blocks.emplace_back(curvePicture(plot, quantity));
    }
    return section;
}

}  // namespace orrery::report
