#include <ATen/ATen.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>

#include <core/base/text.h>

#include "bias_gelu.h"
#include "divergence.h"
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

}  // namespace

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
                                    const std::function<void(double, double)>& progress, std::stop_token stop)
{
    RandomGraphReport report;
    for (int i = 0; i < count; ++i) {
        if (stop.stop_requested())
            throw core::Cancelled();
        const std::uint64_t own = seed + std::uint64_t(i);
        RandomGraph graph = randomGraph(own, 4 + int(own % 20));
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
        for (auto& found : checkGraph(graph, own, rewrites))
            report.disagreements.push_back(std::move(found));
        if (progress)
            progress(i + 1, count);
    }
    return report;
}

core::Json RandomGraphReport::toJson() const
{
    core::Json json = {{"graphs", graphs}, {"nodes", nodes}, {"searched", searched}, {"not_finite", unsearchable}, {"operators", operators}};
    json["disagreements"] = core::Json::array();
    for (const auto& each : disagreements)
        json["disagreements"].push_back(
            {{"seed", each.seed}, {"check", each.check}, {"text", each.text}, {"nodes", each.shrunk.graph->nodes().size()}});
    return json;
}

}  // namespace orrery::debug
