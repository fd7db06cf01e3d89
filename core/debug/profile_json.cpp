#include <algorithm>

#include <core/base/plural.h>
#include <core/base/text.h>

#include "profile.h"

namespace orrery::debug {

double Profile::nodeSeconds() const
{
    double seconds = 0;
    for (const auto& node : nodes)
        seconds += node.seconds;
    return seconds;
}

std::int64_t Profile::flops() const
{
    std::int64_t sum = 0;
    for (const auto& node : nodes)
        sum += node.flops;
    return sum;
}

std::int64_t Profile::bytes() const
{
    std::int64_t sum = 0;
    for (const auto& node : nodes)
        sum += node.bytes();
    return sum;
}

double Profile::attainable(double intensity) const
{
    return peaks ? std::min(peaks->gigaflops, intensity * peaks->bandwidth) : 0;
}

namespace {

/// Nodes that run faster than this by less are as fast as the peak.
constexpr double kMeasuringError = 1.05;

core::Json groupJson(const GroupCost& group, const char* key)
{
    core::Json json = {{key, group.name}};
    if (!group.type.empty())
        json["type"] = group.type;
    json.update({{"nodes", group.nodes},
                 {"seconds", group.seconds},
                 {"quartiles", {group.low, group.high}},
                 {"flops", group.flops},
                 {"bytes", group.bytes},
                 {"parameter_bytes", group.parameterBytes},
                 {"intensity", group.intensity()}});
    if (group.predicted > 0)
        json["predicted_seconds"] = group.predicted;
    return json;
}

core::Json nodeJson(const Profile& profile, const NodeCost& node)
{
    core::Json json = {{"name", node.name},
                       {"op", node.op},
                       {"module", node.module},
                       {"shape", node.shape},
                       {"seconds", node.seconds},
                       {"quickest", node.quickest},
                       {"quartiles", {node.low, node.high}},
                       {"flops", node.flops},
                       {"bytes_read", node.bytesRead},
                       {"bytes_written", node.bytesWritten},
                       {"parameter_bytes", node.parameterBytes},
                       {"allocated_bytes", node.allocatedBytes},
                       {"intensity", node.intensity()}};
    if (node.depth > 0 || node.inclusive > node.seconds)
        json.update({{"depth", node.depth}, {"calls", node.calls}, {"inclusive_seconds", node.inclusive}, {"seconds_per_call", node.perCall}});
    if (node.predicted > 0)
        json["predicted_seconds"] = node.predicted;
    if (profile.peaks && node.bytes() > 0) {
        json["memory_bound"] = profile.isMemoryBound(node.intensity());
        const double attainable = profile.attainable(node.intensity());
        json["efficiency"] = attainable > 0 && node.flops > 0 ? core::Json(node.gigaflops() / attainable) : core::Json();
    }
    return json;
}

core::Json loopJson(const LoopCost& loop)
{
    const auto listed = std::ptrdiff_t(std::min(loop.steps(), kMostListedSteps));
    core::Json json = {
        {"name", loop.name},
        {"calls", loop.calls.size()},
        {"steps", loop.steps()},
        {"steps_of_calls", std::vector(loop.calls.begin(), loop.calls.begin() + std::ptrdiff_t(std::min(loop.calls.size(), kMostListedSteps)))},
        {"median_step_seconds", loop.median},
        {"quickest_step_seconds", loop.quickest},
        {"slowest_step_seconds", loop.slowest},
        {"slowest_step", loop.slowestStep},
        {"steps_seconds", loop.total},
        {"seconds_of_steps", std::vector(loop.seconds.begin(), loop.seconds.begin() + listed)},
        {"flops_of_steps", std::vector(loop.flops.begin(), loop.flops.begin() + listed)}};
    return json;
}

}  // namespace

int Profile::nodesAbovePeak() const
{
    return int(std::count_if(nodes.begin(), nodes.end(), [&](const NodeCost& node) {
        return peaks && node.quickest > 0 && double(node.flops) / node.quickest * 1e-9 > kMeasuringError * peaks->gigaflops;
    }));
}

std::string Profile::peaksNote() const
{
    const int count = nodesAbovePeak();
    return count == 0 ? std::string()
                      : fmt::format("{} ran faster than the measured peak: it was measured on a busier machine, measure it again",
                                    core::counted(count, "node"));
}

core::Json Profile::toJson() const
{
    core::Json json = {{"runs", runs},           {"threads", threads}, {"seconds", plainSeconds}, {"profiled_seconds", profiledSeconds},
                       {"overhead", overhead()}, {"flops", flops()},   {"bytes", bytes()}};
    if (peaks)
        json["peaks"] = {{"gflops", peaks->gigaflops},
                         {"gbytes_per_second", peaks->bandwidth},
                         {"ridge", peaks->ridge()},
                         {"date", peaks->date},
                         {"nodes_above", nodesAbovePeak()}};
    if (!note.empty())
        json["note"] = note;
    for (const char* const list : {"nodes", "modules", "operators", "types", "loops", "fusion"})
        json[list] = core::Json::array();
    for (const auto& node : nodes)
        json["nodes"].push_back(nodeJson(*this, node));
    for (const auto& module : modules)
        json["modules"].push_back(groupJson(module, "path"));
    for (const auto& group : operators)
        json["operators"].push_back(groupJson(group, "op"));
    for (const auto& group : types)
        json["types"].push_back(groupJson(group, "name"));
    for (const auto& loop : loops)
        json["loops"].push_back(loopJson(loop));
    for (const auto& candidate : fusion)
        json["fusion"].push_back({{"pattern", candidate.pattern},
                                  {"nodes", candidate.nodes},
                                  {"bytes", candidate.bytes},
                                  {"saved_bytes", candidate.savedBytes},
                                  {"saved_seconds", candidate.savedSeconds}});
    return json;
}

}  // namespace orrery::debug
