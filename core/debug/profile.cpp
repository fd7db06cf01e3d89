#include "profile.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include <core/base/text.h>

#include "program_lines.h"

namespace orrery::debug {
namespace {

using Clock = std::chrono::steady_clock;

/// What one value takes, seen in one run.
struct ValueSize {
    std::int64_t bytes = 0;
    const void* memory = nullptr;  // its storage, to tell views from copies
    std::vector<std::int64_t> shape;
    bool isTensor = false;
};

std::string plainOp(const std::string& op)
{
    return op.substr(op.find("::") == std::string::npos ? 0 : op.find("::") + 2);
}

bool isLookUp(const std::string& op)
{
    static const std::set<std::string> kLookUps = {"embedding", "gather", "index_select", "index", "take", "select", "slice"};
    return kLookUps.count(plainOp(op)) > 0;
}

bool isView(const std::string& op)
{
    static const std::set<std::string> kViews = {"view",    "transpose", "permute", "t",        "expand",           "expand_as", "unflatten",
                                                 "squeeze", "unsqueeze", "split",   "chunk",    "unbind",           "narrow",    "detach",
                                                 "alias",   "view_as",   "movedim", "swapaxes", "split_with_sizes", "slice",     "select"};
    return kViews.count(plainOp(op)) > 0;
}

ValueSize sizeOf(const c10::IValue& value)
{
    ValueSize size;
    if (value.isTensorList()) {
        for (const c10::IValue& item : value.toListRef())
            size.bytes += sizeOf(item).bytes;
        return size;
    }
    if (!value.isTensor() || !value.toTensor().defined())
        return size;
    const at::Tensor& tensor = value.toTensor();
    size.isTensor = true;
    size.shape = tensor.sizes().vec();
    size.bytes = std::int64_t(tensor.nbytes());
    if (tensor.has_storage()) {
        // An expanded tensor has fewer bytes than elements.
        size.bytes = std::min(size.bytes, std::int64_t(tensor.storage().nbytes()));
        size.memory = tensor.storage().unsafeGetStorageImpl();
    }
    return size;
}

/// The sizes of all top-level values, from one run that keeps them alive so that no memory is used twice.
std::vector<ValueSize> measureSizes(const graph::Executor& executor, const graph::Weights& weights, const ProgramLines& lines,
                                    const graph::RunRequest& base)
{
    const graph::Graph& graph = *executor.graph();
    std::vector<ValueSize> sizes(graph.data().values.size());
    std::vector<c10::IValue> alive;
    graph::RunRequest request = base;
    const auto observe = [&](const std::string& name, const c10::IValue& value) {
        alive.push_back(value);
        sizes[std::size_t(*graph.findValue(name))] = sizeOf(value);
    };
    for (std::size_t i = 0; i < graph.data().inputs.size(); ++i)
        sizes[std::size_t(graph.data().inputs[i].value)] = sizeOf(base.inputs[i]);
    for (const auto& parameter : graph.data().parameters)
        if (const at::Tensor* tensor = weights.find(parameter.name))
            sizes[std::size_t(parameter.value)] = sizeOf(*tensor);
    for (int i = 0; i < lines.count(); ++i)
        for (const auto output : lines.line(i).node->outputs)
            request.probes.push_back(graph::Probe::onValue(graph.value(output).name, observe));
    executor.run(weights, request);
    return sizes;
}

void countBytes(NodeCost& cost, const Line& line, const graph::Graph& graph, const std::vector<ValueSize>& sizes)
{
    const auto sizeOfId = [&](graph::ValueId id) -> const ValueSize& { return sizes[std::size_t(id)]; };
    const auto& outputs = line.node->outputs;
    for (const auto output : outputs)
        if (sizeOfId(output).isTensor && cost.shape.empty())
            cost.shape = sizeOfId(output).shape;
    for (const auto read : line.reads)
        if (graph.parameterOf(read))
            cost.parameterBytes += sizeOfId(read).bytes;
    if (line.node->op.starts_with("prim::") && line.node->blocks.empty())
        return;  // lists and tuples hold what is there
    const bool writesInPlace = line.node->op.ends_with('_');
    std::int64_t written = 0;
    for (const auto output : outputs) {
        const ValueSize& made = sizeOfId(output);
        const bool shares =
            std::any_of(line.reads.begin(), line.reads.end(), [&](auto read) { return made.memory && sizeOfId(read).memory == made.memory; });
        if (!(shares || isView(line.node->op)) || writesInPlace)
            written += made.bytes;
    }
    const bool moves = written > 0 || outputs.empty() || !line.node->blocks.empty();
    if (!moves)
        return;
    cost.bytesWritten = written;
    for (const auto read : line.reads)
        cost.bytesRead += sizeOfId(read).bytes;
    if (isLookUp(line.node->op)) {
        // Reads what it takes and the indices: every input but the table, and as much of the table as comes out.
        const auto table = line.node->inputs.empty() || line.node->inputs[0].isConstant() ? -1 : line.node->inputs[0].value;
        if (table >= 0)
            cost.bytesRead += std::min(written, sizeOfId(table).bytes) - sizeOfId(table).bytes;
    }
}

bool isWithin(const std::string& module, const std::string& path)
{
    return path.empty() || module == path || (module.starts_with(path) && module[path.size()] == '.');
}

/// Times of a set of nodes: median over the runs of their sum.
double summed(const std::vector<std::vector<double>>& times, const std::vector<std::size_t>& members)
{
    std::vector<double> sums;
    for (const auto& run : times) {
        double sum = 0;
        for (const auto member : members)
            sum += run[member];
        sums.push_back(sum);
    }
    return medianOf(std::move(sums));
}

GroupCost groupOf(const Profile& profile, const std::vector<std::vector<double>>& times, const std::vector<std::size_t>& members)
{
    GroupCost group;
    group.nodes = int(members.size());
    group.seconds = summed(times, members);
    for (const auto member : members) {
        group.flops += profile.nodes[member].flops;
        group.bytes += profile.nodes[member].bytes();
        group.parameterBytes += profile.nodes[member].parameterBytes;
    }
    return group;
}

void addGroups(Profile& profile, const graph::Graph& graph, const std::vector<std::vector<double>>& times)
{
    for (const auto& module : graph.data().modules) {
        std::vector<std::size_t> members;
        for (std::size_t i = 0; i < profile.nodes.size(); ++i)
            if (isWithin(profile.nodes[i].module, module.path))
                members.push_back(i);
        GroupCost group = groupOf(profile, times, members);
        group.name = module.path;
        group.type = module.type;
        profile.modules.push_back(std::move(group));
    }
    std::map<std::string, std::vector<std::size_t>> byOperator;
    for (std::size_t i = 0; i < profile.nodes.size(); ++i)
        byOperator[profile.nodes[i].op].push_back(i);
    for (const auto& [op, members] : byOperator) {
        GroupCost group = groupOf(profile, times, members);
        group.name = op;
        profile.operators.push_back(std::move(group));
    }
    std::stable_sort(profile.operators.begin(), profile.operators.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
}

/// Leaves the nodes that a run needs for its outputs.
void dropUnneeded(const graph::Executor& executor, const graph::Weights& weights, graph::RunRequest request, std::vector<NodeCost>& nodes)
{
    request.profile = true;
    std::set<std::string> ran;
    for (const auto& cost : executor.run(weights, request).profile)
        ran.insert(cost.node);
    std::erase_if(nodes, [&](const NodeCost& node) { return !ran.count(node.name); });
}

/// Runs in turn without and with measuring, so that both see the same machine.
struct Measured {
    std::vector<double> plain, profiled;
    std::vector<std::vector<double>> times;  // [run][node]
};

Measured measureRuns(const graph::Executor& executor, const graph::Weights& weights, const graph::RunRequest& base, const ProfileOptions& options,
                     std::vector<NodeCost>& nodes)
{
    std::map<std::string, std::size_t> places;
    for (std::size_t i = 0; i < nodes.size(); ++i)
        places[nodes[i].name] = i;
    Measured measured;
    graph::RunRequest request = base;
    const auto seconds = [&](bool profiles) {
        request.profile = profiles;
        const auto start = Clock::now();
        const graph::RunResult result = executor.run(weights, request);
        const std::chrono::duration<double> took = Clock::now() - start;
        if (profiles) {
            measured.times.emplace_back(nodes.size(), 0.0);
            for (const auto& cost : result.profile) {
                const std::size_t place = places.at(cost.node);
                measured.times.back()[place] = cost.seconds;
                nodes[place].flops = cost.flops;
                nodes[place].allocatedBytes = cost.allocatedBytes;
            }
        }
        return took.count();
    };
    for (int i = 0; i < options.warmUp; ++i)
        seconds(false);
    for (int i = 0; i < options.runs; ++i) {
        measured.plain.push_back(seconds(false));
        measured.profiled.push_back(seconds(true));
        if (options.progress)
            options.progress(i + 1, options.runs);
    }
    return measured;
}

}  // namespace

double medianOf(std::vector<double> values)
{
    if (values.empty())
        return 0;
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Profile profileModel(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs,
                     const ProfileOptions& options, std::stop_token stop)
{
    if (options.runs < 1 || options.warmUp < 0)
        throw core::InputError(fmt::format("profile: expected at least one run, got {} after {} to warm up", options.runs, options.warmUp));
    const ProgramLines lines(executor.graph());
    graph::RunRequest request;
    request.inputs = inputs;
    request.training = options.training;
    request.seed = options.seed;
    request.stop = stop;
    Profile profile;
    profile.runs = options.runs;
    profile.threads = at::get_num_threads();
    const std::vector<ValueSize> sizes = measureSizes(executor, weights, lines, request);
    for (int i = 0; i < lines.count(); ++i) {
        const graph::Node& node = *lines.line(i).node;
        NodeCost cost;
        cost.line = i;
        cost.name = node.name;
        cost.op = node.qualifiedOp();
        cost.module = node.module;
        cost.levels = lines.line(i).levels;
        countBytes(cost, lines.line(i), *executor.graph(), sizes);
        profile.nodes.push_back(std::move(cost));
    }
    dropUnneeded(executor, weights, request, profile.nodes);
    const Measured measured = measureRuns(executor, weights, request, options, profile.nodes);
    for (std::size_t i = 0; i < profile.nodes.size(); ++i) {
        profile.nodes[i].seconds = summed(measured.times, {i});
        profile.nodes[i].quickest = INFINITY;
        for (const auto& run : measured.times)
            profile.nodes[i].quickest = std::min(profile.nodes[i].quickest, run[i]);
    }
    profile.plainSeconds = medianOf(measured.plain);
    profile.profiledSeconds = medianOf(measured.profiled);
    addGroups(profile, *executor.graph(), measured.times);
    const bool onDevice = std::any_of(inputs.begin(), inputs.end(), [](const auto& input) { return input.isTensor() && !input.toTensor().is_cpu(); });
    if (onDevice)
        profile.note = "the device works on while the next node is started: times are those of starting, peaks those of the processor";
    if (options.measurePeaks && !onDevice)
        profile.peaks = measurePeaks();
    profile.fusion = fusionCandidates(*executor.graph(), profile.nodes, profile.peaks);
    return profile;
}

}  // namespace orrery::debug
