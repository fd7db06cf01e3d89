#include "surrogate.h"

#include "attribution.h"

namespace orrery::explain {
namespace {

bool isOneOf(const graph::Node& node, const std::set<std::string_view>& operators)
{
    std::string_view op = node.op;
    if (op.ends_with('_'))
        op.remove_suffix(1);
    return operators.count(op) > 0;
}

void refuseNested(const graph::Node& holder, const graph::Node& outer, const std::set<std::string_view>& operators, const char* method)
{
    for (const auto& block : outer.blocks)
        for (const auto& node : block.nodes) {
            if (isOneOf(node, operators))
                throw core::InputError(fmt::format("{}: node {} ({}) sits inside the {} {}; expected its kind outside of loops and branches only",
                                                   method, node.name, node.op, holder.op == "prim::Loop" ? "loop" : "branch", holder.name));
            refuseNested(holder, node, operators, method);
        }
}

// Values seen in one run, by name.
using Record = std::map<std::string, c10::IValue>;

NodeCall callOf(const graph::Graph& graph, const graph::Node& node, const Record& record, const at::Tensor& y)
{
    NodeCall call;
    call.node = &node;
    for (const auto& input : node.inputs)
        call.arguments.push_back(input.isConstant() ? input.constant : record.at(graph.value(input.value).name));
    call.x = call.arguments.at(0).toTensor();
    call.y = y;
    return call;
}

std::vector<graph::Probe> recordingProbes(const graph::Graph& graph, const std::vector<const graph::Node*>& nodes,
                                          const std::shared_ptr<Record>& record)
{
    std::set<std::string> names;
    for (const auto* node : nodes)
        for (const auto& input : node->inputs)
            if (!input.isConstant())
                names.insert(graph.value(input.value).name);
    std::vector<graph::Probe> probes;
    for (const auto& name : names)
        probes.push_back(graph::Probe::onValue(name, [record](const std::string& value, const c10::IValue& content) { (*record)[value] = content; }));
    return probes;
}

std::string resultOf(const graph::Graph& graph, const graph::Node& node)
{
    return graph.value(node.outputs.at(0)).name;
}

}  // namespace

std::vector<const graph::Node*> dependentNodes(const graph::Executor& executor, const std::string& from, const std::set<std::string_view>& operators,
                                               const char* method)
{
    const auto& graph = *executor.graph();
    const auto cone = executor.dependencyCone({from});
    const std::set<std::string> dependent(cone.begin(), cone.end());
    std::vector<const graph::Node*> found;
    for (const auto& node : graph.nodes()) {
        if (!dependent.count(node.name))
            continue;
        if (isOneOf(node, operators) && !node.inputs.empty() && !node.inputs[0].isConstant())
            found.push_back(&node);
        refuseNested(node, node, operators, method);
    }
    return found;
}

std::vector<graph::Probe> callProbes(const graph::Graph& graph, const std::vector<const graph::Node*>& nodes,
                                     std::function<void(const NodeCall&)> observe)
{
    const auto record = std::make_shared<Record>();
    auto probes = recordingProbes(graph, nodes, record);
    for (const auto* node : nodes)
        probes.push_back(graph::Probe::onValue(resultOf(graph, *node), [record, node, &graph, observe](const std::string&, const c10::IValue& y) {
            observe(callOf(graph, *node, *record, y.toTensor()));
        }));
    return probes;
}

std::vector<graph::Probe> surrogateProbes(const graph::Graph& graph, const std::vector<const graph::Node*>& nodes,
                                          std::function<at::Tensor(const NodeCall&)> surrogate)
{
    const auto record = std::make_shared<Record>();
    auto probes = recordingProbes(graph, nodes, record);
    for (const auto* node : nodes)
        probes.push_back(graph::Probe::replacing(resultOf(graph, *node),
                                                 [record, node, &graph, surrogate](const std::string&, const c10::IValue& y) -> c10::IValue {
                                                     if (!y.toTensor().requires_grad())
                                                         return y;
                                                     return surrogate(callOf(graph, *node, *record, y.toTensor()));
                                                 }));
    return probes;
}

at::Tensor withDerivativeOf(const at::Tensor& y, const at::Tensor& carrier)
{
    return y.detach() + (carrier - carrier.detach()).to(y.scalar_type());
}

at::Tensor withSlope(const at::Tensor& y, const at::Tensor& x, const at::Tensor& slope)
{
    return withDerivativeOf(y, slope.detach() * x);
}

void clampGradient(const at::Tensor& y)
{
    if (y.requires_grad())
        y.register_hook([](const at::Tensor& gradient) { return gradient.clamp_min(0); });
}

RectifiedGradient rectifiedGradient(const ScalarFunction& function, const std::string& from, const at::Tensor& x, Rectifier rule, const char* method)
{
    const auto nodes = dependentNodes(function.executor(), from, {"aten::relu"}, method);
    PassRequest request;
    request.probes = surrogateProbes(*function.executor().graph(), nodes, [rule](const NodeCall& call) {
        const auto y = rule == Rectifier::Guided ? call.y : withSlope(call.y, call.x, at::ones_like(call.x));
        clampGradient(y);
        return y;
    });
    return {function.pass(from, x, 1, request).gradient, nodes.size()};
}

AttributionMethod rectifierMethod(Rectifier rule, const char* method)
{
    return [rule, method](const ScalarFunction& function, const core::Json&, std::uint64_t, const Control& control) {
        control.report(0, 1, "gradients");
        const auto rectified = rectifiedGradient(function, function.site(), function.value(), rule, method);
        AttributionResult result;
        result.attribution = rectified.gradient;
        result.details = {{"rectifiers", rectified.rectifiers}};
        control.report(1, 1, "gradients");
        return result;
    };
}

}  // namespace orrery::explain
