#include "area_curve.h"

#include <algorithm>
#include <cmath>

namespace orrery::plugins {
namespace {

struct Areas {
    std::vector<double> area, output, random;
};

/// From the method's report, sorted by area; empty without one or if it cannot be read.
Areas areasOf(const Explanation& explanation)
{
    Areas areas;
    if (!explanation.details.is_object() || !explanation.details.value("areas", core::Json()).is_array())
        return areas;
    std::vector<core::Json> entries(explanation.details["areas"].begin(), explanation.details["areas"].end());
    const auto row = std::size_t(explanation.row);
    try {
        std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.at("target") < b.at("target"); });
        for (const auto& entry : entries) {
            areas.area.push_back(entry.at("area").at(row).template get<double>());
            areas.output.push_back(entry.at("output").at(row).template get<double>());
            areas.random.push_back(entry.contains("random_output") ? entry["random_output"].at(row).template get<double>() : std::nan(""));
        }
    } catch (const core::Json::exception&) {
        return {};
    }
    return areas;
}

}  // namespace

AreaCurve::AreaCurve(QWidget* parent) : PlotView(parent)
{
    setObjectName(QStringLiteral("area_curve"));
    setAccessibleName(tr("Output against area"));
    setAxisTitle(widgets::PlotAxis::X, tr("area of the mask"));
    setAxisTitle(widgets::PlotAxis::Y, tr("output"));
    setMinimumHeight(150);
    hide();
}

void AreaCurve::showExplanation(const Explanation& explanation)
{
    const Areas areas = areasOf(explanation);
    setVisible(areas.area.size() > 1);
    clear();
    if (areas.area.size() < 2)
        return;
    const bool deletes = explanation.parameters.is_object() && explanation.parameters.value("variant", core::Json()) == core::Json("delete");
    widgets::PlotSeries found;
    found.title = deletes ? tr("without the mask found") : tr("with the mask found alone");
    found.style = widgets::LineStyle::LineAndPoints;
    found.smoothed = false;
    found.data = {areas.area, areas.output, {}, {}};
    setSeries(QStringLiteral("found"), std::move(found));
    if (std::all_of(areas.random.begin(), areas.random.end(), [](double value) { return std::isfinite(value); })) {
        widgets::PlotSeries random;
        random.title = tr("random masks");
        random.style = widgets::LineStyle::Dashed;
        random.smoothed = false;
        random.data = {areas.area, areas.random, {}, {}};
        setSeries(QStringLiteral("random"), std::move(random));
    }
    setGuide(widgets::PlotAxis::Y, explanation.output);
}

}  // namespace orrery::plugins
