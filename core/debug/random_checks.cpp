#include <ATen/ATen.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>

#include <core/base/text.h>

#include "bias_gelu.h"
#include "divergence.h"
#include "profile.h"
#include "random_graphs.h"

namespace orrery::debug {
namespace {

/// Results of two orders of the same arithmetic; larger than rounding, smaller than any mistake.
const Tolerance kSame{1e-4, 1e-5, true};

class GraphChecks {
public:
    GraphChecks(const RandomGraph& graph, std::uint64_t seed)
        : m_graph(graph), m_seed(seed), m_executor(std::make_shared<graph::Executor>(graph.model.graph))
    {
    }
    void shapes()
    {
        graph::RunRequest request = plain();
        request.keep = {"**"};
        const auto values = m_executor->run(m_graph.model.weights, request).values;
        for (const auto& [name, shape] : m_graph.shapes) {
            const auto found = values.find(name);
            if (found != values.end() && found->second.toTensor().sizes() != at::IntArrayRef(shape))
                return report(
                    "shapes", name,
                    fmt::format("{}: predicted {}, got {}", name, core::formatShape(shape), core::formatShape(found->second.toTensor().sizes())));
        }
    }
    void traced()
    {
        torch::jit::Stack inputs(m_graph.inputs.begin(), m_graph.inputs.end());
        const auto run = [this](torch::jit::Stack stack) {
            graph::RunRequest request;
            request.inputs = std::move(stack);
            return torch::jit::Stack(m_executor->run(m_graph.model.weights, request).outputs);
        };
        const auto [state, outputs] = torch::jit::tracer::trace(inputs, run, [](const at::Tensor&) { return std::string(); });
        torch::jit::GraphExecutor interpreter(state->graph, "random");
        torch::jit::Stack stack = inputs;
        interpreter.run(stack);
        compareOutputs("traced", stack);
    }
    void document()
    {
        const graph::GraphPtr again = graph::fromJson(core::Json::parse(graph::toJson(*m_graph.model.graph).dump()), "random");
        if (again->hash() != m_graph.model.graph->hash())
            report("document", {}, "the graph that was read has another hash");
        compareGraph("document", again);
    }
    void stepped()
    {
        StepperOptions options;
        options.inputs = m_graph.inputs;
        options.keepBytes = 0;
        Stepper stepper(m_executor, m_graph.model.weights, options);
        while (!stepper.atEnd())
            if (stepper.stepNode().reason == StopReason::Failed)
                return report("stepped", stepper.placeName(), stepper.lastStop().text);
        std::vector<c10::IValue> outputs;
        for (const auto& output : m_graph.model.graph->data().body.outputs)
            outputs.push_back(stepper.value(m_graph.model.graph->value(output.value).name));
        compareOutputs("stepped", outputs);
    }
    void compareGraph(const std::string& check, const graph::GraphPtr& other)
    {
        if (other == m_graph.model.graph)
            return;
        const RunSide a{m_executor, m_graph.model.weights, m_graph.inputs, 0, 0};
        const RunSide b{std::make_shared<graph::Executor>(other), m_graph.model.weights, m_graph.inputs, 0, 0};
        DivergenceOptions options;
        options.tolerance = kSame;
        const Divergence result = compareRuns(a, b, options);
        if (!result.failureB.empty())
            return report(check, {}, result.failureB);
        if (result.first)
            report(check, result.values[*result.first].a, describe(result.values[*result.first]));
    }
    std::vector<Disagreement> take() { return std::move(m_found); }

private:
    graph::RunRequest plain() const
    {
        graph::RunRequest request;
        request.inputs = m_graph.inputs;
        return request;
    }
    static std::string describe(const ValueDifference& value)
    {
        return value.problem.empty()
                   ? fmt::format("{}: {:.6g} against {:.6g} at {}", value.a, value.valueA, value.valueB, core::formatShape(value.worst))
                   : fmt::format("{}: {}", value.a, value.problem);
    }
    void compareOutputs(const std::string& check, const std::vector<c10::IValue>& others)
    {
        const auto outputs = m_executor->run(m_graph.model.weights, plain()).outputs;
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            ValueDifference difference = compareValues(outputs[i], others.at(i), kSame);
            difference.a = m_graph.model.graph->value(m_graph.model.graph->data().body.outputs[i].value).name;
            if (!difference.isWithin())
                return report(check, difference.a, describe(difference));
        }
    }
    void report(const std::string& check, const std::string& value, std::string text)
    {
        const bool cuts = !value.empty() && m_graph.model.graph->findValue(value);
        m_found.push_back({m_seed, check, std::move(text), cuts ? cutTo(m_graph.model, value) : m_graph.model, m_graph.inputs});
    }
    const RandomGraph& m_graph;
    std::uint64_t m_seed;
    std::shared_ptr<const graph::Executor> m_executor;
    std::vector<Disagreement> m_found;
};

/// A folder for files that goes with its owner.
class ScratchFolder {
public:
    ScratchFolder()
    {
        std::string name = (std::filesystem::temp_directory_path() / "orrery-graphs-XXXXXX").string();
        if (!::mkdtemp(name.data()))
            throw core::StorageError(name + ": a folder for files cannot be made");
        m_path = name;
    }
    ~ScratchFolder()
    {
        std::error_code error;
        std::filesystem::remove_all(m_path, error);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    const std::filesystem::path& path() const { return m_path; }

private:
    std::filesystem::path m_path;
};

/// Nodes behind those of an operator that multiply what they give.
class BugPlanter {
public:
    BugPlanter(const graph::Graph& source, std::string op) : m_data(source.data()), m_op(std::move(op)) {}
    graph::GraphPtr planted()
    {
        std::vector<graph::Node> nodes;
        for (graph::Node node : std::exchange(m_data.body.nodes, {})) {
            for (auto& input : node.inputs)
                redirect(input);
            const bool breaks = node.op == m_op && node.outputs.size() == 1 && m_data.values[std::size_t(node.outputs[0])].type == "Tensor";
            const auto made = node.outputs.empty() ? -1 : node.outputs[0];
            nodes.push_back(std::move(node));
            if (breaks)
                nodes.push_back(larger(made));
        }
        m_data.body.nodes = std::move(nodes);
        for (auto& output : m_data.body.outputs)
            redirect(output);
        return std::make_shared<const graph::Graph>(std::move(m_data));
    }

private:
    void redirect(graph::Operand& operand) const
    {
        if (const auto found = m_instead.find(operand.value); !operand.isConstant() && found != m_instead.end())
            operand.value = found->second;
    }
    graph::Node larger(graph::ValueId made)
    {
        graph::Value value = m_data.values[std::size_t(made)];
        const auto id = graph::ValueId(m_data.values.size());
        graph::Node node;
        node.name = value.name + "_broken";
        value.name = node.name;
        node.op = "aten::mul";
        node.overload = "Scalar";
        node.inputs = {graph::Operand::of(made), graph::Operand::literal(1.01)};
        node.outputs = {id};
        m_data.values.push_back(std::move(value));
        m_instead[made] = id;
        return node;
    }
    graph::GraphData m_data;
    std::string m_op;
    std::map<graph::ValueId, graph::ValueId> m_instead;
};

/// Moves the inputs until all is finite, and counts. @return False if they cannot be moved so.
bool countGraph(RandomGraph& graph, RandomGraphReport& report)
{
    const auto before = graph.inputs;
    const bool finite = searchFiniteInputs(graph);
    const bool moved = !std::equal(before.begin(), before.end(), graph.inputs.begin(),
                                   [](const auto& a, const auto& b) { return a.toTensor().is_same(b.toTensor()); });
    report.searched += finite && moved;
    report.unsearchable += !finite;
    for (const auto& node : graph.model.graph->nodes())
        ++report.operators[node.qualifiedOp()];
    report.nodes += int(graph.model.graph->nodes().size());
    ++report.graphs;
    return finite;
}

}  // namespace

CheckedRewrite brokenOperator(const std::string& op)
{
    if (op.find("::") == std::string::npos)
        throw core::InputError("expected an operator such as aten::tanh, got \"" + op + "\"");
    return {"broken " + op, [op](const graph::GraphPtr& graph) { return BugPlanter(*graph, op).planted(); }};
}

std::vector<Disagreement> checkGraph(const RandomGraph& graph, std::uint64_t seed, const std::vector<CheckedRewrite>& rewrites)
{
    const at::NoGradGuard noGrad;
    GraphChecks checks(graph, seed);
    checks.shapes();
    checks.traced();
    checks.document();
    checks.stepped();
    checks.compareGraph("fused", fuseBiasGelu(graph.model.graph).graph);
    for (const auto& rewrite : rewrites)
        checks.compareGraph(rewrite.name, rewrite.apply(graph.model.graph));
    return checks.take();
}

RandomGraphReport checkRandomGraphs(int count, std::uint64_t seed, const std::vector<CheckedRewrite>& rewrites,
                                    const std::function<void(double, double)>& progress, std::stop_token stop, const std::vector<GraphPath>& paths,
                                    const GraphMaker& make)
{
    const ScratchFolder folder;
    RandomGraphReport report;
    const auto take = [&](std::vector<Disagreement> found) { std::move(found.begin(), found.end(), std::back_inserter(report.disagreements)); };
    for (int i = 0; i < count; ++i) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const std::uint64_t own = seed + std::uint64_t(i);
        if (auto graph = make ? make(own) : randomGraph(own, 4 + int(own % 20))) {
            const bool finite = countGraph(*graph, report);
            take(checkGraph(*graph, own, rewrites));
            for (const auto& path : paths)
                if (finite && i % path.every == 0)  // what has no number differs in nothing
                    take(checkPath(*graph, own, path, folder.path(), report.paths[path.name]));
        }
        if (progress)
            progress(i + 1, count);
    }
    return report;
}

core::Json RandomGraphReport::toJson() const
{
    core::Json json = {{"graphs", graphs}, {"nodes", nodes}, {"searched", searched}, {"not_finite", unsearchable}, {"operators", operators}};
    json["paths"] = core::Json::object();
    for (const auto& [name, count] : paths) {
        json["paths"][name] = {{"taken", count.taken}, {"refused", count.refused}, {"reasons", count.reasons}};
        if (!count.changes.empty())
            json["paths"][name]["change"] = {{"median", medianOf(count.changes)},
                                             {"largest", *std::max_element(count.changes.begin(), count.changes.end())}};
        if (!count.bounds.empty())
            json["paths"][name]["bound"] = {{"graphs", count.bounds.size()},
                                            {"median", medianOf(count.bounds)},
                                            {"median_change", medianOf(count.bounded)},
                                            {"largest", *std::max_element(count.bounds.begin(), count.bounds.end())}};
    }
    json["disagreements"] = core::Json::array();
    for (const auto& each : disagreements)
        json["disagreements"].push_back(
            {{"seed", each.seed}, {"check", each.check}, {"text", each.text}, {"nodes", each.shrunk.graph->nodes().size()}});
    return json;
}

}  // namespace orrery::debug
