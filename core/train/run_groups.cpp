#include "run_groups.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include <core/base/text.h>

namespace orrery::train {
namespace {

constexpr const char* kNoValue = "none";

std::optional<core::Json> fieldOf(const store::RunSummary& run, const std::string& field)
{
    if (field == "name")
        return run.name;
    if (field == "status")
        return std::string(store::statusName(run.status));
    if (field == "seed")
        return run.seed;
    if (field == "parent")
        return run.parent ? std::optional<core::Json>(*run.parent) : std::nullopt;
    if (field == "tags" || field == "tag")
        return run.tags.empty() ? std::nullopt : std::optional<core::Json>(core::join(run.tags, ", "));
    if (const auto column = run.columns.find(field); column != run.columns.end() && !column->second.is_null())
        return column->second;
    if (const auto metric = run.lastMetrics.find(field); metric != run.lastMetrics.end())
        return metric->second;
    return std::nullopt;
}

std::string textOf(const std::optional<core::Json>& value)
{
    if (!value)
        return kNoValue;
    if (value->is_string())
        return value->get<std::string>();
    return value->is_number_float() ? core::formatNumber(value->get<double>()) : value->dump();
}

/// Numbers, texts, nothing: in this order.
struct GroupKey {
    int kind = 2;
    double number = 0;
    std::string text;
    auto operator<=>(const GroupKey& other) const
    {
        if (kind != other.kind)
            return std::weak_ordering(kind <=> other.kind);
        if (kind == 0 && !std::isnan(number) && !std::isnan(other.number) && number != other.number)
            return number < other.number ? std::weak_ordering::less : std::weak_ordering::greater;
        return std::weak_ordering(text <=> other.text);
    }
};

GroupKey keyOf(const std::optional<core::Json>& value)
{
    if (!value)
        return {};
    GroupKey key{value->is_number() ? 0 : 1, 0, textOf(value)};
    if (value->is_number())
        key.number = value->get<double>();
    // Lists of numbers (the widths of layers) by their first.
    if (value->is_array() && !value->empty() && value->front().is_number())
        return {0, value->front().get<double>(), key.text};
    // 1 and 1.0 are one value.
    if (value->is_number())
        key.text = core::formatNumber(key.number);
    return key;
}

double stepOf(const store::MetricBucket& bucket)
{
    return (double(bucket.firstStep) + double(bucket.lastStep)) / 2;
}

/// Value of a curve at a step between its first and last; `from` is where the search goes on (steps come ascending).
std::optional<double> valueAt(const store::MetricSeries& curve, double step, std::size_t& from)
{
    const auto& buckets = curve.buckets;
    if (buckets.empty() || step < stepOf(buckets.front()) || step > stepOf(buckets.back()))
        return std::nullopt;
    while (from + 1 < buckets.size() && stepOf(buckets[from + 1]) <= step)
        ++from;
    const double x0 = stepOf(buckets[from]), y0 = buckets[from].mean;
    if (x0 == step || from + 1 == buckets.size())
        return std::isnan(y0) ? std::nullopt : std::optional(y0);
    const double x1 = stepOf(buckets[from + 1]), y1 = buckets[from + 1].mean;
    const double y = y0 + (y1 - y0) * (step - x0) / (x1 - x0);
    return std::isnan(y) ? std::nullopt : std::optional(y);
}

}  // namespace

Spread spreadOf(std::span<const double> values)
{
    Spread out;
    const double nan = std::nan("");
    out.mean = out.deviation = out.minimum = out.maximum = nan;
    double sum = 0;
    for (const double value : values) {
        if (std::isnan(value))
            continue;
        out.minimum = out.count == 0 ? value : std::min(out.minimum, value);
        out.maximum = out.count == 0 ? value : std::max(out.maximum, value);
        sum += value;
        ++out.count;
    }
    if (out.count == 0)
        return out;
    out.mean = sum / double(out.count);
    double squares = 0;
    for (const double value : values)
        if (!std::isnan(value))
            squares += (value - out.mean) * (value - out.mean);
    if (out.count > 1)
        out.deviation = std::sqrt(squares / double(out.count - 1));
    return out;
}

std::vector<RunGroup> groupRuns(std::span<const store::RunSummary> runs, const std::string& field)
{
    std::map<GroupKey, std::pair<RunGroup, std::map<std::string, std::vector<double>>>> found;
    for (const store::RunSummary& run : runs) {
        const auto value = fieldOf(run, field);
        auto& [group, values] = found[keyOf(value)];
        if (group.runs.empty())
            group.value = textOf(value);
        group.runs.push_back(run.id);
        for (const auto& [name, last] : run.lastMetrics)
            values[name].push_back(last);
    }
    std::vector<RunGroup> out;
    for (auto& [key, entry] : found) {
        for (const auto& [name, values] : entry.second)
            entry.first.metrics[name] = spreadOf(values);
        out.push_back(std::move(entry.first));
    }
    return out;
}

MeanCurve meanCurve(std::span<const store::MetricSeries> curves)
{
    MeanCurve out;
    const auto longest =
        std::max_element(curves.begin(), curves.end(), [](const auto& a, const auto& b) { return a.buckets.size() < b.buckets.size(); });
    if (longest == curves.end())
        return out;
    std::vector<std::size_t> from(curves.size(), 0);
    std::vector<double> values;
    for (const store::MetricBucket& bucket : longest->buckets) {
        const double step = stepOf(bucket);
        values.clear();
        for (std::size_t i = 0; i < curves.size(); ++i)
            if (const auto value = valueAt(curves[i], step, from[i]))
                values.push_back(*value);
        if (values.empty())
            continue;
        const Spread spread = spreadOf(values);
        out.steps.push_back(step);
        out.mean.push_back(spread.mean);
        out.deviation.push_back(spread.count > 1 ? spread.deviation : 0);
        out.counts.push_back(spread.count);
    }
    return out;
}

}  // namespace orrery::train
