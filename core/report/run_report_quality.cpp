// How good a stored attribution is: its metrics as numbers, deletion and insertion as curves.
#include <fmt/format.h>

#include <core/base/error.h>

#include "document_diff.h"
#include "plot.h"
#include "run_report_parts.h"

namespace orrery::report {

using core::Json;

namespace {

std::string valueText(const Json& metric)
{
    const Json& value = metric.at("value");
    std::string text = value.is_number() ? shortNumber(value.get<double>()) : plainText(value);
    if (metric.contains("reference"))
        text +=
            fmt::format(" ({}: {})", metric["reference"].at("name").get<std::string>(), shortNumber(metric["reference"].at("value").get<double>()));
    return text;
}

void addCurve(CurvePlot& plot, const std::string& name, const Json& metric)
{
    Series series{name, metric.at("curve").at("x").get<std::vector<double>>(), metric["curve"].at("y").get<std::vector<double>>(), {}, {}, {}};
    series.colour = seriesColour(name == "deletion" ? 0 : 1);
    plot.y.title = metric["curve"].at("y_name").get<std::string>();
    plot.series.push_back(series);
    if (!metric.contains("reference"))
        return;
    series.name += ", " + metric["reference"].at("name").get<std::string>();
    series.y = metric["reference"].at("y").get<std::vector<double>>();
    series.dashed = true;
    plot.series.push_back(std::move(series));
}

}  // namespace

void addQuality(Section& section, const std::string& title, const Json& metrics)
{
    if (!metrics.is_object())
        throw core::FormatError("metrics: expected a JSON object");
    KeyValues numbers;
    CurvePlot plot;
    plot.x.title = "fraction deleted or inserted";
    try {
        for (const auto& [id, metric] : metrics.items()) {
            numbers.entries.emplace_back(id, valueText(metric));
            if ((id == "deletion" || id == "insertion") && metric.contains("curve"))
                addCurve(plot, id, metric);
        }
    } catch (const Json::exception& error) {
        throw core::FormatError(fmt::format("metrics: expected a value and lists of numbers for each: {}", error.what()));
    }
    if (!numbers.entries.empty())
        section.blocks.emplace_back(std::move(numbers));
    if (!plot.series.empty())
        section.blocks.emplace_back(Picture{drawCurves(plot), title + ": deletion and insertion",
                                            "The output while the most important parts are taken away, or put back; dashed: parts in random order."});
}

}  // namespace orrery::report
