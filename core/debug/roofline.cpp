#include <algorithm>
#include <cmath>
#include <map>

#include <core/base/error.h>
#include <core/report/plot.h>

#include "flame.h"

namespace orrery::debug {

std::vector<RooflineGroup> rooflineGroups(const Profile& profile)
{
    constexpr std::size_t kMostNamed = 12;
    std::map<std::string, RooflineGroup> byOperator;
    for (const auto& node : profile.nodes) {
        if (node.flops <= 0 || node.intensity() <= 0 || node.gigaflops() <= 0)
            continue;
        auto& group = byOperator[node.op];
        group.name = node.op;
        group.intensity.push_back(node.intensity());
        group.gigaflops.push_back(node.gigaflops());
    }
    std::vector<RooflineGroup> groups;
    for (const auto& each : profile.operators) {
        const auto it = byOperator.find(each.name);
        if (it == byOperator.end())
            continue;
        if (groups.size() < kMostNamed) {
            groups.push_back(std::move(it->second));
            continue;
        }
        if (groups.size() == kMostNamed)
            groups.emplace_back();
        auto& others = groups.back();
        others.intensity.insert(others.intensity.end(), it->second.intensity.begin(), it->second.intensity.end());
        others.gigaflops.insert(others.gigaflops.end(), it->second.gigaflops.begin(), it->second.gigaflops.end());
    }
    return groups;
}

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
    const auto groups = rooflineGroups(profile);
    double low = peaks.ridge() / 10, high = peaks.ridge() * 10, slowest = peaks.gigaflops / 1000;
    for (const auto& group : groups) {
        low = std::min(low, *std::min_element(group.intensity.begin(), group.intensity.end()) / 1.5);
        high = std::max(high, *std::max_element(group.intensity.begin(), group.intensity.end()) * 1.5);
        slowest = std::min(slowest, *std::min_element(group.gigaflops.begin(), group.gigaflops.end()) / 1.5);
    }
    report::Series roof;
    roof.name = "roofline";
    roof.x = {low, peaks.ridge(), high};
    roof.y = {low * peaks.bandwidth, peaks.gigaflops, peaks.gigaflops};
    roof.dashed = true;
    plot.series.push_back(std::move(roof));
    for (const auto& group : groups) {
        report::Series series;
        series.name = group.name.empty() ? "other operators" : group.name;
        series.x = group.intensity;
        series.y = group.gigaflops;
        series.marks = true;
        series.colour = group.name.empty() ? report::Rgb{128, 128, 128} : report::seriesColour(plot.series.size() - 1);
        plot.series.push_back(std::move(series));
    }
    plot.y.low = std::min(slowest, low * peaks.bandwidth);
    return report::drawCurves(plot);
}

}  // namespace orrery::debug
