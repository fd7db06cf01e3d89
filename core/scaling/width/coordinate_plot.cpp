#include "coordinate_plot.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include <core/base/error.h>

namespace orrery::scaling {

report::CurvePlot coordinatePlot(const CoordinateCheck& check, int step, bool change)
{
    if (step < 0 || step > check.steps)
        throw core::InputError(fmt::format("coordinate check: expected a step from 0 to {}, got {}", check.steps, step));
    report::CurvePlot plot;
    plot.x = {"width", true, {}, {}};
    plot.y = {fmt::format("mean |{}| after {} steps", change ? "change" : "activation", step), true, {}, {}};
    for (const std::string& layer : check.layers) {
        report::Series series;
        series.name = layer;
        series.colour = report::seriesColour(plot.series.size());
        for (const std::int64_t width : check.widths) {
            double low = INFINITY, high = -INFINITY;
            for (const CoordinatePoint& point : check.points)
                if (point.layer == layer && point.width == width && point.step == step) {
                    low = std::min(low, change ? point.change : point.activation);
                    high = std::max(high, change ? point.change : point.activation);
                }
            series.x.push_back(double(width));
            series.y.push_back(check.mean(layer, width, step, change));
            series.low.push_back(low);
            series.high.push_back(high);
        }
        plot.series.push_back(std::move(series));
    }
    return plot;
}

report::CurvePlot ratePlot(const RateSweep& sweep)
{
    report::CurvePlot plot;
    plot.x = {"learning rate", true, {}, {}};
    plot.y = {"loss", true, {}, {}};
    for (std::size_t i = 0; i < sweep.widths.size(); ++i) {
        report::Series series;
        series.name = fmt::format("width {}", sweep.widths[i]);
        series.colour = report::seriesColour(i);
        series.x = sweep.rates;
        series.y = sweep.loss[i];
        plot.series.push_back(std::move(series));
    }
    return plot;
}

}  // namespace orrery::scaling
