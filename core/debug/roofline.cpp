#include <algorithm>
#include <cmath>
#include <map>

#include <core/base/error.h>
#include <core/report/plot.h>

#include "flame.h"

namespace orrery::debug {

report::Drawing drawRoofline(const Profile& profile, double width, double height)
{
    if (!profile.peaks || profile.peaks->ridge() <= 0)
        throw core::InputError("a roofline needs the measured peaks of the machine");
    const MachinePeaks& peaks = *profile.peaks;
    report::CurvePlot plot;
    plot.width = width;
    plot.height = height;
    plot.x = {"FLOPs a byte", true, {}, {}};
    plot.y = {"GFLOP/s", true, {}, {}};
    double low = peaks.ridge() / 10, high = peaks.ridge() * 10, slowest = peaks.gigaflops / 1000;
    std::map<std::string, report::Series> byOperator;
    for (const auto& node : profile.nodes) {
        if (node.flops <= 0 || node.intensity() <= 0 || node.gigaflops() <= 0)
            continue;
        low = std::min(low, node.intensity() / 1.5);
        high = std::max(high, node.intensity() * 1.5);
        slowest = std::min(slowest, node.gigaflops() / 1.5);
        auto& series = byOperator[node.op];
        series.x.push_back(node.intensity());
        series.y.push_back(node.gigaflops());
    }
    report::Series roof;
    roof.name = "roofline";
    roof.x = {low, peaks.ridge(), high};
    roof.y = {low * peaks.bandwidth, peaks.gigaflops, peaks.gigaflops};
    roof.dashed = true;
    plot.series.push_back(std::move(roof));
    std::size_t colour = 0;
    for (const auto& group : profile.operators) {  // by falling time: the legend begins with what matters
        const auto it = byOperator.find(group.name);
        if (it == byOperator.end() || plot.series.size() > 7)
            continue;
        it->second.name = group.name;
        it->second.marks = true;
        it->second.colour = report::seriesColour(colour++);
        plot.series.push_back(std::move(it->second));
    }
    plot.y.low = std::min(slowest, low * peaks.bandwidth);
    return report::drawCurves(plot);
}

}  // namespace orrery::debug
