#include "loop_steps.h"

#include <algorithm>
#include <numeric>

#include <core/base/error.h>
#include <core/report/plot.h>

#include "flame.h"

namespace orrery::debug {

LoopSteps::LoopSteps(const std::vector<NodeCost>& nodes)
{
    std::vector<std::size_t> around;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        around.resize(std::min(around.size(), std::size_t(nodes[i].depth)));
        m_around.push_back(around.empty() ? -1 : int(around.back()));
        around.push_back(i);
        m_names.push_back(nodes[i].name);
        const bool isLoop = nodes[i].op == "prim::Loop";
        m_loopOf.push_back(isLoop ? int(m_loops.size()) : -1);
        if (isLoop)
            m_loops.push_back(i);
    }
}

void LoopSteps::beginRun()
{
    m_runs.emplace_back(m_loops.size());
    m_count.assign(m_names.size(), 0);
}

void LoopSteps::addStep(Steps& steps, std::size_t step, double seconds, std::int64_t flops)
{
    if (steps.seconds.size() <= step) {
        steps.seconds.resize(step + 1, 0.0);
        steps.flops.resize(step + 1, 0);
    }
    steps.seconds[step] += seconds;
    steps.flops[step] += flops;
}

void LoopSteps::add(std::size_t node, const graph::NodeProfile& cost)
{
    auto& loops = m_runs.back();
    // A node inside a branch ends before the branch does: the branch's count is still that of the step that is going on.
    for (int child = int(node), holder = m_around[node]; holder >= 0; child = holder, holder = m_around[std::size_t(holder)])
        if (const int loop = m_loopOf[std::size_t(holder)]; loop >= 0)
            addStep(loops[std::size_t(loop)], m_count[std::size_t(child)], child == int(node) ? cost.seconds : 0, cost.flops);
    if (const int loop = m_loopOf[node]; loop >= 0) {
        auto& steps = loops[std::size_t(loop)];
        steps.calls.push_back(std::int64_t(steps.seconds.size()) - std::accumulate(steps.calls.begin(), steps.calls.end(), std::int64_t(0)));
    }
    ++m_count[node];
}

std::vector<LoopCost> LoopSteps::loops() const
{
    std::vector<LoopCost> found;
    for (std::size_t loop = 0; loop < m_loops.size() && !m_runs.empty(); ++loop) {
        const Steps& last = m_runs.back()[loop];
        if (last.seconds.empty())
            continue;
        LoopCost cost;
        cost.name = m_names[m_loops[loop]];
        cost.node = m_loops[loop];
        cost.calls = last.calls;
        cost.flops = last.flops;
        for (std::size_t step = 0; step < last.seconds.size(); ++step) {
            std::vector<double> times;
            for (const auto& run : m_runs)
                if (step < run[loop].seconds.size())
                    times.push_back(run[loop].seconds[step]);
            cost.seconds.push_back(medianOf(std::move(times)));
        }
        cost.median = medianOf(cost.seconds);
        cost.quickest = *std::min_element(cost.seconds.begin(), cost.seconds.end());
        cost.slowestStep = std::size_t(std::max_element(cost.seconds.begin(), cost.seconds.end()) - cost.seconds.begin());
        cost.slowest = cost.seconds[cost.slowestStep];
        cost.total = std::accumulate(cost.seconds.begin(), cost.seconds.end(), 0.0);
        found.push_back(std::move(cost));
    }
    return found;
}

report::Drawing drawSteps(const Profile& profile, double width, double height)
{
    constexpr std::size_t kMostLoops = 7;
    if (profile.loops.empty())
        throw core::InputError("a curve of steps needs a loop: this model has none that ran");
    std::vector<const LoopCost*> loops;
    for (const auto& loop : profile.loops)
        loops.push_back(&loop);
    std::stable_sort(loops.begin(), loops.end(), [](const auto* a, const auto* b) { return a->total > b->total; });
    loops.resize(std::min(loops.size(), kMostLoops));
    report::CurvePlot plot;
    plot.width = width;
    plot.height = height;
    plot.x.title = "step";
    plot.y.title = "ms";
    plot.y.low = 0;
    for (const auto* loop : loops) {
        report::Series series;
        series.name = loop->name;
        series.colour = report::seriesColour(plot.series.size());
        for (std::size_t step = 0; step < loop->steps(); ++step) {
            series.x.push_back(double(step));
            series.y.push_back(loop->seconds[step] * 1e3);
        }
        plot.series.push_back(std::move(series));
    }
    return report::drawCurves(plot);
}

}  // namespace orrery::debug
