#include "profile.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <tuple>

#include <core/base/text.h>

#include "loop_steps.h"
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

/// The sizes of all values, from one run that keeps them alive so that no memory is used twice.
std::vector<ValueSize> measureSizes(const graph::Executor& executor, const graph::Weights& weights, const graph::RunRequest& base)
{
    const graph::Graph& graph = *executor.graph();
    std::vector<ValueSize> sizes(graph.data().values.size());
    std::vector<c10::IValue> alive;
    graph::RunRequest request = base;
    const auto observe = [&](const std::string& name, const c10::IValue& value) {
        if (graph::splitStep(name).second.empty())  // the steps of a loop could be many; a node's own inputs live while it runs anyway
            alive.push_back(value);
        sizes[std::size_t(*graph.findValue(graph::splitStep(name).first))] = sizeOf(value);  // of a loop: those of the last step
    };
    for (std::size_t i = 0; i < graph.data().inputs.size(); ++i)
        sizes[std::size_t(graph.data().inputs[i].value)] = sizeOf(base.inputs[i]);
    for (const auto& parameter : graph.data().parameters)
        if (const at::Tensor* tensor = weights.find(parameter.name))
            sizes[std::size_t(parameter.value)] = sizeOf(*tensor);
    const auto watch = [&](graph::ValueId value) { request.probes.push_back(graph::Probe::onValue(graph.value(value).name, observe)); };
    for (const auto* node : graph.allNodes()) {
        for (const auto output : node->outputs)
            watch(output);
        for (const auto& block : node->blocks)
            for (const auto input : block.inputs)
                watch(input);
    }
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
    if (line.node->op.starts_with("prim::"))
        return;  // lists and tuples hold what is there; the nodes of loops and branches are counted themselves
    const bool writesInPlace = line.node->op.ends_with('_');
    std::int64_t written = 0;
    for (const auto output : outputs) {
        const ValueSize& made = sizeOfId(output);
        const bool shares =
            std::any_of(line.reads.begin(), line.reads.end(), [&](auto read) { return made.memory && sizeOfId(read).memory == made.memory; });
        if (!(shares || isView(line.node->op)) || writesInPlace)
            written += made.bytes;
    }
    const bool moves = written > 0 || outputs.empty();
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

/// Times of a set of nodes: their sum in each run.
std::vector<double> sumsOf(const std::vector<std::vector<double>>& times, const std::vector<std::size_t>& members)
{
    std::vector<double> sums;
    for (const auto& run : times) {
        double sum = 0;
        for (const auto member : members)
            sum += run[member];
        sums.push_back(sum);
    }
    return sums;
}

double summed(const std::vector<std::vector<double>>& times, const std::vector<std::size_t>& members)
{
    return medianOf(sumsOf(times, members));
}

GroupCost groupOf(const Profile& profile, const std::vector<std::vector<double>>& times, const std::vector<std::size_t>& members)
{
    GroupCost group;
    group.nodes = int(members.size());
    group.seconds = summed(times, members);
    std::tie(group.low, group.high) = quartilesOf(sumsOf(times, members));
    for (const auto member : members) {
        group.flops += profile.nodes[member].flops;
        group.bytes += profile.nodes[member].bytes();
        group.parameterBytes += profile.nodes[member].parameterBytes;
    }
    return group;
}

/// Modules of one type together: a node inside two of them, one within the other, counts once.
void addTypes(Profile& profile, const graph::Graph& graph, const std::vector<std::vector<double>>& times)
{
    std::map<std::string, std::vector<std::string>> paths;
    for (const auto& module : graph.data().modules)
        if (!module.path.empty() && !module.type.empty())
            paths[module.type].push_back(module.path);
    for (const auto& [type, all] : paths) {
        std::vector<std::size_t> members;
        for (std::size_t i = 0; i < profile.nodes.size(); ++i)
            if (std::any_of(all.begin(), all.end(), [&](const auto& path) { return isWithinModule(profile.nodes[i].module, path); }))
                members.push_back(i);
        GroupCost group = groupOf(profile, times, members);
        group.name = type;
        group.type = fmt::format("{} module{}", all.size(), all.size() == 1 ? "" : "s");
        profile.types.push_back(std::move(group));
    }
    std::stable_sort(profile.types.begin(), profile.types.end(), [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
}

void addGroups(Profile& profile, const graph::Graph& graph, const std::vector<std::vector<double>>& times)
{
    for (const auto& module : graph.data().modules) {
        std::vector<std::size_t> members;
        for (std::size_t i = 0; i < profile.nodes.size(); ++i)
            if (isWithinModule(profile.nodes[i].module, module.path))
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
    std::vector<std::vector<double>> times;      // [run][node], without the nodes inside
    std::vector<std::vector<double>> inclusive;  // with them
    std::vector<std::vector<double>> perCall;    // the median over the calls of each node
    LoopSteps steps;
};

/// One measured run put beside the nodes: sums over the steps of loops.
void takeProfile(const std::vector<graph::NodeProfile>& profile, const std::map<std::string, std::size_t>& places, std::vector<NodeCost>& nodes,
                 Measured& measured)
{
    for (auto& node : nodes)
        node.flops = node.allocatedBytes = 0, node.calls = 0;
    std::vector<double> inclusive(nodes.size(), 0.0);
    std::vector<std::vector<double>> calls(nodes.size());
    measured.steps.beginRun();
    for (const auto& cost : profile) {
        const std::size_t place = places.at(cost.node);
        measured.steps.add(place, cost);
        calls[place].push_back(cost.seconds);
        inclusive[place] += cost.seconds;
        nodes[place].flops += cost.flops;
        nodes[place].allocatedBytes += cost.allocatedBytes;
        nodes[place].calls += 1;
    }
    std::vector<double> own = inclusive;
    std::vector<std::size_t> around;  // the loops and branches a node is in
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        around.resize(std::min(around.size(), std::size_t(nodes[i].depth)));
        if (!around.empty())
            own[around.back()] -= inclusive[i];
        around.push_back(i);
    }
    for (auto& each : own)
        each = std::max(each, 0.0);
    measured.times.push_back(std::move(own));
    measured.inclusive.push_back(std::move(inclusive));
    measured.perCall.emplace_back();
    for (auto& times : calls)
        measured.perCall.back().push_back(medianOf(std::move(times)));
}

Measured measureRuns(const graph::Executor& executor, const graph::Weights& weights, const graph::RunRequest& base, const ProfileOptions& options,
                     std::vector<NodeCost>& nodes)
{
    std::map<std::string, std::size_t> places;
    for (std::size_t i = 0; i < nodes.size(); ++i)
        places[nodes[i].name] = i;
    Measured measured{{}, {}, {}, {}, {}, LoopSteps(nodes)};
    graph::RunRequest request = base;
    const auto seconds = [&](bool profiles) {
        request.profile = profiles;
        const auto start = Clock::now();
        const graph::RunResult result = executor.run(weights, request);
        const std::chrono::duration<double> took = Clock::now() - start;
        if (profiles)
            takeProfile(result.profile, places, nodes, measured);
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

/// The nodes of a line in order of execution, those inside loops and branches behind what holds them.
void addNodes(const Line& line, int index, int depth, const ProgramLines& lines, const std::vector<ValueSize>& sizes, std::vector<NodeCost>& nodes)
{
    NodeCost cost;
    cost.line = index;
    cost.depth = depth;
    cost.name = line.node->name;
    cost.op = line.node->qualifiedOp();
    cost.module = line.node->module;
    cost.levels = line.levels;
    countBytes(cost, line, *lines.graph(), sizes);
    nodes.push_back(std::move(cost));
    for (const auto& block : line.node->blocks)
        for (const auto& inner : block.nodes) {
            Line within{&inner, lines.levelsOf(inner), {}};
            for (const auto& input : inner.inputs)
                if (!input.isConstant() && std::find(within.reads.begin(), within.reads.end(), input.value) == within.reads.end())
                    within.reads.push_back(input.value);
            addNodes(within, index, depth + 1, lines, sizes, nodes);
        }
}

/// The nodes that a run needs, with their shapes and bytes.
std::vector<NodeCost> plannedNodes(const graph::Executor& executor, const graph::Weights& weights, const graph::RunRequest& request)
{
    const ProgramLines lines(executor.graph());
    const std::vector<ValueSize> sizes = measureSizes(executor, weights, request);
    std::vector<NodeCost> nodes;
    for (int i = 0; i < lines.count(); ++i)
        addNodes(lines.line(i), i, 0, lines, sizes, nodes);
    dropUnneeded(executor, weights, request, nodes);
    return nodes;
}

/// Bytes of the nodes in loops are those of one step.
void countSteps(std::vector<NodeCost>& nodes)
{
    for (auto& node : nodes) {
        node.bytesRead = std::int64_t(double(node.bytesRead) * node.calls);
        node.bytesWritten = std::int64_t(double(node.bytesWritten) * node.calls);
    }
}

}  // namespace

bool isWithinModule(const std::string& module, const std::string& path)
{
    return path.empty() || module == path || (module.starts_with(path) && module[path.size()] == '.');
}

double medianOf(std::vector<double> values)
{
    if (values.empty())
        return 0;
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::pair<double, double> quartilesOf(std::vector<double> values)
{
    if (values.empty())
        return {0, 0};
    std::sort(values.begin(), values.end());
    const auto at = [&](double part) {
        const double place = part * double(values.size() - 1);
        const auto below = std::size_t(place);
        const double above = values[std::min(below + 1, values.size() - 1)];
        return values[below] + (place - double(below)) * (above - values[below]);
    };
    return {at(0.25), at(0.75)};
}

std::vector<NodeCost> countedNodes(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs,
                                   std::stop_token stop)
{
    graph::RunRequest request;
    request.inputs = inputs;
    request.stop = stop;
    std::vector<NodeCost> nodes = plannedNodes(executor, weights, request);
    ProfileOptions once;
    once.runs = 1;
    once.warmUp = 0;
    const Measured measured = measureRuns(executor, weights, request, once, nodes);
    countSteps(nodes);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        nodes[i].seconds = nodes[i].quickest = measured.times.front()[i];
        nodes[i].inclusive = measured.inclusive.front()[i];
    }
    return nodes;
}

Profile profileModel(const graph::Executor& executor, const graph::Weights& weights, const std::vector<c10::IValue>& inputs,
                     const ProfileOptions& options, std::stop_token stop)
{
    if (options.runs < 1 || options.warmUp < 0)
        throw core::InputError(fmt::format("profile: expected at least one run, got {} after {} to warm up", options.runs, options.warmUp));
    graph::RunRequest request;
    request.inputs = inputs;
    request.training = options.training;
    request.seed = options.seed;
    request.stop = stop;
    Profile profile;
    profile.runs = options.runs;
    profile.threads = at::get_num_threads();
    profile.nodes = plannedNodes(executor, weights, request);
    const Measured measured = measureRuns(executor, weights, request, options, profile.nodes);
    countSteps(profile.nodes);
    for (std::size_t i = 0; i < profile.nodes.size(); ++i) {
        profile.nodes[i].seconds = summed(measured.times, {i});
        std::tie(profile.nodes[i].low, profile.nodes[i].high) = quartilesOf(sumsOf(measured.times, {i}));
        profile.nodes[i].inclusive = summed(measured.inclusive, {i});
        profile.nodes[i].perCall = summed(measured.perCall, {i});
        profile.nodes[i].quickest = INFINITY;
        for (const auto& run : measured.times)
            profile.nodes[i].quickest = std::min(profile.nodes[i].quickest, run[i]);
    }
    profile.loops = measured.steps.loops();
    profile.plainSeconds = medianOf(measured.plain);
    profile.profiledSeconds = medianOf(measured.profiled);
    addGroups(profile, *executor.graph(), measured.times);
    addTypes(profile, *executor.graph(), measured.times);
    const bool onDevice = std::any_of(inputs.begin(), inputs.end(), [](const auto& input) { return input.isTensor() && !input.toTensor().is_cpu(); });
    if (onDevice)
        profile.note = "the device works on while the next node is started: times are those of starting, peaks those of the processor";
    if (!onDevice)
        profile.peaks = options.peaks;
    profile.fusion = fusionCandidates(*executor.graph(), profile.nodes, profile.peaks);
    return profile;
}

}  // namespace orrery::debug
