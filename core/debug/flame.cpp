#include "flame.h"

#include <algorithm>
#include <map>

#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/report/plot.h>

#include "program_lines.h"

namespace orrery::debug {
namespace {

constexpr double kBarHeight = 18, kMargin = 8, kHeader = 24;

std::string durationText(double seconds)
{
    return seconds >= 1      ? fmt::format("{:.3g} s", seconds)
           : seconds >= 1e-3 ? fmt::format("{:.3g} ms", seconds * 1e3)
                             : fmt::format("{:.3g} us", seconds * 1e6);
}

std::string lastPart(const std::string& path)
{
    const auto dot = path.rfind('.');
    return dot == std::string::npos ? path : path.substr(dot + 1);
}

}  // namespace

std::vector<FlameBar> flameBars(const Profile& profile, const std::string& title)
{
    std::vector<FlameBar> bars = {{title, {}, 0, 0, 0, -1}};
    std::vector<std::size_t> open = {0};  // the bars that are going on, outermost first: module calls, and loops and branches
    const auto isHolder = [&](std::size_t bar) { return bars[bar].node >= 0; };
    double now = 0;
    for (std::size_t i = 0; i < profile.nodes.size(); ++i) {
        const NodeCost& node = profile.nodes[i];
        const auto ended = std::find_if(open.begin(), open.end(), [&](std::size_t bar) {
            return isHolder(bar) && profile.nodes[std::size_t(bars[bar].node)].depth >= node.depth;
        });
        open.erase(ended, open.end());
        std::vector<std::string> levels;
        for (const auto bar : open)
            if (bar > 0 && !isHolder(bar))
                levels.push_back(bars[bar].name);
        std::size_t known = levels.size();
        // A loop goes on, whatever modules its nodes are of.
        for (const auto common = commonLevels(levels, node.levels); known > common && !isHolder(open.back()); --known)
            open.pop_back();
        for (; known < node.levels.size(); ++known) {
            bars.push_back({node.levels[known], {}, int(open.size()), now, 0, -1});
            open.push_back(bars.size() - 1);
        }
        bars.push_back({node.name, node.op, int(open.size()), now, node.seconds, int(i)});
        for (const auto bar : open)
            bars[bar].seconds += node.seconds;
        if (i + 1 < profile.nodes.size() && profile.nodes[i + 1].depth > node.depth)
            open.push_back(bars.size() - 1);
        now += node.seconds;
    }
    return bars;
}

std::vector<std::size_t> flameGroups(const std::vector<FlameBar>& bars, const Profile& profile)
{
    std::map<std::string, std::size_t> place;
    for (std::size_t i = 0; i < profile.operators.size(); ++i)
        place[profile.operators[i].name] = i;
    std::vector<std::size_t> groups(bars.size(), 0);
    std::vector<std::size_t> open;
    std::vector<std::map<std::size_t, double>> times(bars.size());
    for (std::size_t i = 0; i < bars.size(); ++i) {
        open.resize(std::size_t(bars[i].depth));
        if (bars[i].node < 0) {
            open.push_back(i);
            continue;
        }
        groups[i] = place.at(bars[i].type);
        for (const auto parent : open)
            times[parent][groups[i]] += profile.nodes[std::size_t(bars[i].node)].seconds;  // without the nodes inside
        open.push_back(i);
    }
    for (std::size_t i = 0; i < bars.size(); ++i)
        if (!times[i].empty() && bars[i].node < 0)
            groups[i] = std::max_element(times[i].begin(), times[i].end(), [](const auto& a, const auto& b) { return a.second < b.second; })->first;
    return groups;
}

report::Drawing drawFlame(const Profile& profile, const std::string& title, double width)
{
    const auto bars = flameBars(profile, title);
    const auto groups = flameGroups(bars, profile);
    int deepest = 0;
    for (const auto& bar : bars)
        deepest = std::max(deepest, bar.depth);
    const std::size_t named = std::min<std::size_t>(profile.operators.size(), 7);
    report::Drawing drawing;
    drawing.width = width;
    drawing.height = kHeader + double(deepest + 1) * kBarHeight + 2 * kMargin + 16;
    drawing.text({{kMargin, 15},
                  fmt::format("{}: {} a run, median of {}, {}", title, durationText(profile.plainSeconds), profile.runs,
                              core::counted(profile.threads, "thread")),
                  10,
                  report::Anchor::Start,
                  report::Ink::Foreground,
                  0,
                  true});
    const double scale = bars[0].seconds > 0 ? (width - 2 * kMargin) / bars[0].seconds : 0;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        const FlameBar& bar = bars[i];
        const double wide = bar.seconds * scale;
        if (wide < 0.25)
            continue;
        const report::Rect rect{kMargin + bar.start * scale, kHeader + bar.depth * kBarHeight, wide, kBarHeight - 1};
        const report::Colour fill =
            bar.depth == 0 ? report::Colour(report::Ink::Grid) : report::Colour(report::seriesColour(groups[i]), bar.node < 0 ? 0.35 : 0.7);
        drawing.rect(rect, groups[i] < named || bar.depth == 0 ? fill : report::Colour(report::Ink::Muted, 0.4));
        const std::string text = bar.node < 0 ? lastPart(bar.name) : lastPart(bar.name) + " " + durationText(bar.seconds);
        const auto letters = std::size_t(std::max(0.0, (wide - 4) / (0.55 * 8)));
        if (letters >= 3)
            drawing.text({{rect.x + 2, rect.y + 12}, report::shortened(text, letters), 8, report::Anchor::Start, report::Ink::Foreground, 0, false});
    }
    double x = kMargin;
    const double y = drawing.height - 8;
    for (std::size_t i = 0; i < named; ++i) {
        const std::string text =
            fmt::format("{} {:.0f} %", profile.operators[i].name, 100 * profile.operators[i].seconds / std::max(bars[0].seconds, 1e-12));
        if (x + 14 + report::estimatedTextWidth(text, 8) > width)
            break;
        drawing.rect({x, y - 8, 9, 9}, report::Colour(report::seriesColour(i), 0.7));
        drawing.text({{x + 12, y}, text, 8, report::Anchor::Start, report::Ink::Foreground, 0, false});
        x += 26 + report::estimatedTextWidth(text, 8);
    }
    return drawing;
}

}  // namespace orrery::debug
