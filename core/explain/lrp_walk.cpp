#include "lrp_walk.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/text.h>

namespace orrery::explain::lrp {
namespace {

double total(const at::Tensor& tensor)
{
    return tensor.to(at::kDouble).sum().item<double>();
}

bool isFloatingTensor(const c10::IValue& value)
{
    return value.isTensor() && value.toTensor().defined() && at::isFloatingType(value.toTensor().scalar_type());
}

// An operator may write its argument: libtorch refuses that for a leaf, so nodes are run on a copy of it.
at::Tensor writable(const at::Tensor& leaf)
{
    return leaf.clone();
}

}  // namespace

Walk::Walk(const ScalarFunction& function, RuleChoice choice, const RuleSettings& settings, const Control& control)
    : m_function(function), m_graph(*function.executor().graph()), m_choice(choice), m_settings(settings), m_control(control)
{
    m_site = *m_graph.findValue(function.site());
}

at::Tensor Walk::run()
{
    runModel();
    findFirstLayers();
    start();
    const auto& nodes = m_graph.nodes();
    for (std::size_t i = nodes.size(); i-- > 0;) {
        m_control.report(double(nodes.size() - 1 - i), double(nodes.size()), "nodes");
        visit(nodes[i]);
    }
    m_control.report(double(nodes.size()), double(nodes.size()), "nodes");
    const auto found = m_relevance.find(m_site);
    if (found == m_relevance.end())
        throw core::InputError(fmt::format(
            "lrp: no relevance reaches \"{}\"; the output does not depend on it through operators that pass relevance on", m_function.site()));
    return found->second;
}

void Walk::runModel()
{
    PassRequest request;
    request.probes = {graph::Probe::onValue("**", [this](const std::string& name, const c10::IValue& value) { m_values[name] = value; })};
    m_function.forward(m_function.site(), m_function.value(), 1, request);
    findSignals();
}

// What is computed from the site's numbers; sizes read off it carry nothing.
void Walk::findSignals()
{
    m_signals = {m_site};
    std::set<std::string> cone;
    for (auto& name : m_function.executor().dependencyCone({m_function.site()}))
        cone.insert(std::move(name));
    for (const auto& node : m_graph.nodes()) {
        const bool reads =
            !node.blocks.empty() || std::any_of(node.inputs.begin(), node.inputs.end(), [this](const auto& each) { return isSignal(each); });
        for (const auto id : node.outputs) {
            const auto* value = reads && cone.count(node.name) ? content(id) : nullptr;
            if (value && (isFloatingTensor(*value) || value->isTensorList()))
                m_signals.insert(id);
        }
    }
}

/// The other way round than `atPositions`: [rows, class] at the explained positions of zeros like `value`.
at::Tensor placedAt(const std::vector<std::int64_t>& positions, const at::Tensor& rows, const at::Tensor& value)
{
    auto each = at::full({value.size(0)}, positions.empty() ? value.size(1) - 1 : positions[0], at::kLong);
    if (positions.size() > 1)
        each = at::tensor(positions, at::kLong);
    return at::zeros_like(value).scatter(1, each.to(value.device()).reshape({-1, 1, 1}).expand({-1, 1, value.size(2)}), rows.unsqueeze(1));
}

void Walk::start()
{
    const auto& output = m_graph.data().body.outputs.at(m_function.request().output);
    if (!isSignal(output))
        throw core::InputError(fmt::format("lrp: the output does not depend on \"{}\"", m_function.site()));
    const auto value = tensorOf(output);
    const auto explained = m_function.outputs().to(value.scalar_type());
    auto relevance = at::zeros_like(value);
    if (value.dim() == 1) {
        relevance.copy_(explained);
    } else {
        const auto classes = at::tensor(m_function.targets()).to(value.device()).unsqueeze(1);
        const auto rows = at::zeros({value.size(0), value.size(-1)}, value.options()).scatter(1, classes, explained.unsqueeze(1));
        relevance = value.dim() == 3 ? placedAt(m_function.request().positions, rows, value) : rows;
    }
    m_relevance[output.value] = relevance;
}

// A layer with weights is a first one if no other lies between the site and it.
void Walk::findFirstLayers()
{
    std::set<graph::ValueId> behind;
    for (const auto& node : m_graph.nodes()) {
        const auto isBehind = [&](const graph::Operand& operand) { return !operand.isConstant() && behind.count(operand.value) > 0; };
        const bool inherits = std::any_of(node.inputs.begin(), node.inputs.end(), isBehind);
        const bool hasWeights = weightedOperands(node, [this](const auto& operand) { return isSignal(operand); }).has_value();
        if (hasWeights && !inherits)
            m_firstLayers.insert(node.name);
        if (hasWeights || inherits)
            behind.insert(node.outputs.begin(), node.outputs.end());
    }
}

void Walk::visit(const graph::Node& node)
{
    std::vector<graph::ValueId> reached;
    at::Tensor relevance;
    for (const auto id : node.outputs)
        if (id != m_site && m_relevance.count(id)) {
            reached.push_back(id);
            relevance = m_relevance.at(id);
        }
    if (reached.empty())
        return;
    m_current = {node.name, node.qualifiedOp(), "", 0, 0, 0};
    const double before = pending();
    switch (kindOf(node)) {
    case Kind::PassThrough: passThrough(node, relevance); break;
    case Kind::Moves:
    case Kind::Winner: move(node); break;
    case Kind::Linear:
    case Kind::Product:
    case Kind::Division: share(node, relevance); break;
    case Kind::LayerNorm:
    case Kind::GroupNorm: normalised(node, relevance); break;
    case Kind::BatchNorm: batchNorm(node, relevance); break;
    case Kind::Unknown: refuse(node);
    }
    for (const auto id : reached)
        m_relevance.erase(id);
    m_current.relevance = pending();
    m_current.other = before - m_current.relevance - m_current.bias;
    m_crossings.push_back(m_current);
}

void Walk::refuse(const graph::Node& node) const
{
    throw core::InputError(fmt::format("lrp: node \"{}\" ({}) has no relevance rule; expected activations, linear layers, convolutions, pooling, "
                                       "normalisation, attention, sums, products or changes of shape between \"{}\" and the output",
                                       node.name, node.qualifiedOp(), m_function.site()));
}

void Walk::passThrough(const graph::Node& node, const at::Tensor& relevance)
{
    m_current.rule = "pass";
    give(node.inputs[0].value, relevance);
}

// Copies and maxima: the gradient of the copy is where each element came from.
void Walk::move(const graph::Node& node)
{
    m_current.rule = kindOf(node) == Kind::Winner ? "winner" : "move";
    std::set<std::string> fixed;
    const auto leaves = leavesOf(node, fixed);
    at::AutoGradMode enable(true);
    graph::KeptValues given;
    std::vector<at::Tensor> sources;
    std::vector<graph::ValueId> ids;
    for (const auto& name : fixed)
        given[name] = m_values.at(name);
    for (const auto& leaf : leaves) {
        auto source = leaf.value.detach().requires_grad_(leaf.isSignal);
        given[m_graph.value(leaf.id).name] = writable(source);
        if (!leaf.isSignal)
            continue;
        sources.push_back(source);
        ids.push_back(leaf.id);
    }
    if (sources.empty())
        return;
    std::vector<graph::ValueId> reached;
    std::vector<at::Tensor> relevances;
    for (const auto id : node.outputs)
        if (m_relevance.count(id)) {
            reached.push_back(id);
            relevances.push_back(m_relevance.at(id));
        }
    const auto outputs = evaluate(reached, std::move(given));
    const auto gradients = torch::autograd::grad(outputs, sources, relevances, false, false, /*allow_unused=*/true);
    for (std::size_t i = 0; i < ids.size(); ++i)
        if (gradients[i].defined())
            give(ids[i], gradients[i]);
}

// Linear in all its leaves together, or a product: each leaf's share is value * gradient at R / z, halved where two signals meet in a product.
void Walk::share(const graph::Node& node, const at::Tensor& relevance)
{
    const auto operands = weightedOperands(node, [this](const auto& operand) { return isSignal(operand); });
    if (operands) {
        weighted(node, *operands, relevance, nullptr);
        return;
    }
    m_current.rule = "proportional";
    std::set<std::string> fixed;
    auto leaves = leavesOf(node, fixed);
    if (kindOf(node) == Kind::Product)
        halveProducts(node, leaves);
    at::AutoGradMode enable(true);
    graph::KeptValues given;
    std::vector<at::Tensor> sources;
    std::vector<const Leaf*> taking;
    for (const auto& name : fixed)
        given[name] = m_values.at(name);
    for (const auto& leaf : leaves) {
        const bool denominator = kindOf(node) == Kind::Division && !node.inputs[1].isConstant() && leaf.id == node.inputs[1].value;
        const bool takes = leaf.isSignal && !denominator;
        auto source = leaf.value.detach().requires_grad_(takes);
        given[m_graph.value(leaf.id).name] = writable(source);
        if (!takes)
            continue;
        sources.push_back(source);
        taking.push_back(&leaf);
    }
    if (sources.empty())
        return;
    const auto z = evaluate({node.outputs[0]}, std::move(given))[0];
    const auto perUnit = (relevance / stabilised(z.detach(), m_settings.epsilon)).detach();
    const auto gradients = torch::autograd::grad({z}, sources, {perUnit}, false, false, /*allow_unused=*/true);
    for (std::size_t i = 0; i < taking.size(); ++i)
        if (gradients[i].defined())
            give(taking[i]->id, taking[i]->share * sources[i].detach() * gradients[i]);
}

void Walk::weighted(const graph::Node& node, const WeightedOperands& operands, const at::Tensor& relevance, const graph::Node* norm)
{
    const bool isFirst = m_firstLayers.count(node.name) > 0;
    const auto rule = isFirst ? m_choice.first : operands.isConvolution ? m_choice.convolution : m_choice.linear;
    m_current.rule = std::string(nameOf(rule)) + (norm ? ", batch norm merged" : "");
    const auto xId = node.inputs[operands.x].value;
    WeightedLayer layer;
    layer.x = tensorOf(node.inputs[operands.x]);
    layer.weight = tensorOf(node.inputs[operands.weight]);
    if (operands.bias && *operands.bias < node.inputs.size())
        layer.bias = tensorOf(node.inputs[*operands.bias]);
    auto others = othersOf(node);
    if (layer.bias.defined())
        others[m_graph.value(node.inputs[*operands.bias].value).name] = at::zeros_like(layer.bias);
    layer.apply = [this, &node, &others, xName = m_graph.value(xId).name,
                   wName = m_graph.value(node.inputs[operands.weight].value).name](const at::Tensor& x, const at::Tensor& weight) {
        auto given = others;
        given[xName] = x;
        given[wName] = weight;
        return evaluate({node.outputs[0]}, std::move(given))[0];
    };
    if (norm)
        mergeNorm(*norm, operands, layer);
    if (layer.bias.defined() && operands.channelAxis >= 0)
        layer.bias = layer.bias.reshape(alongAxis(relevance.dim(), operands.channelAxis, layer.bias.numel()));
    const auto shares = propagate(layer, relevance, rule, m_settings);
    m_current.bias = shares.bias;
    give(xId, shares.relevance);
}

void Walk::give(graph::ValueId id, const at::Tensor& relevance)
{
    const auto [it, isNew] = m_relevance.try_emplace(id, relevance.detach());
    if (!isNew)
        it->second = it->second + relevance.detach();
}

double Walk::pending() const
{
    double sum = 0;
    for (const auto& [id, relevance] : m_relevance)
        sum += total(relevance);
    return sum;
}

const c10::IValue* Walk::content(graph::ValueId id) const
{
    const auto it = m_values.find(m_graph.value(id).name);
    return it == m_values.end() ? nullptr : &it->second;
}

at::Tensor Walk::tensorOf(const graph::Operand& operand) const
{
    if (operand.isConstant())
        return {};
    const auto* value = content(operand.value);
    return value && value->isTensor() ? value->toTensor().detach() : at::Tensor();
}

bool Walk::isSignal(const graph::Operand& operand) const
{
    return !operand.isConstant() && m_signals.count(operand.value) > 0;
}

// Follows copies and dropout back to what made the value.
bool Walk::isGate(graph::ValueId id) const
{
    for (const auto* node = m_graph.producer(id); node && id != m_site; node = m_graph.producer(id)) {
        if (isGateOperator(*node))
            return true;
        const bool follows = kindOf(*node) == Kind::Moves || plainOperator(node->op) == "dropout";
        if (!follows || node->inputs.empty() || node->inputs[0].isConstant())
            return false;
        id = node->inputs[0].value;
    }
    return false;
}

std::vector<Walk::Leaf> Walk::leavesOf(const graph::Node& node, std::set<std::string>& fixed) const
{
    std::vector<Leaf> leaves;
    collectLeaves(node, leaves, fixed);
    return leaves;
}

// The tensors a node reads; lists of tensors that depend on the site are taken apart into what they were made of.
void Walk::collectLeaves(const graph::Node& node, std::vector<Leaf>& leaves, std::set<std::string>& fixed) const
{
    for (const auto& operand : node.inputs) {
        if (operand.isConstant())
            continue;
        const auto* value = content(operand.value);
        const auto* maker = m_graph.producer(operand.value);
        if (value && isFloatingTensor(*value)) {
            const auto known = std::find_if(leaves.begin(), leaves.end(), [&](const Leaf& leaf) { return leaf.id == operand.value; });
            if (known == leaves.end())
                leaves.push_back({operand.value, value->toTensor().detach(), isSignal(operand)});
            else
                ++known->uses;
        } else if (value && value->isTensorList() && isSignal(operand) && maker) {
            if (kindOf(*maker) == Kind::Unknown && plainOperator(maker->op) != "ListConstruct")
                refuse(*maker);
            collectLeaves(*maker, leaves, fixed);
        } else if (value) {
            fixed.insert(m_graph.value(operand.value).name);
        }
    }
}

void Walk::halveProducts(const graph::Node& node, std::vector<Leaf>& leaves) const
{
    const auto op = plainOperator(node.op);
    const bool addsFirst = op == "baddbmm" || op == "addmm";
    const auto takesPart = [&](const Leaf& leaf) {
        return !(addsFirst && !node.inputs[0].isConstant() && node.inputs[0].value == leaf.id) && leaf.isSignal;
    };
    // A pattern, gate or normaliser says how much of the other factor passes: it is held fixed and the other one takes everything.
    const bool someAreSignals = std::any_of(leaves.begin(), leaves.end(), [&](const Leaf& leaf) { return takesPart(leaf) && !isGate(leaf.id); });
    if (someAreSignals)
        for (auto& leaf : leaves)
            if (takesPart(leaf) && isGate(leaf.id))
                leaf.isSignal = false;
    int factors = 0;
    for (const auto& leaf : leaves)
        factors += takesPart(leaf) ? leaf.uses : 0;
    for (auto& leaf : leaves)
        if (takesPart(leaf))
            leaf.share = 1.0 / factors;
}

// Everything a node reads as it was, so that a run of this node alone computes nothing else.
graph::KeptValues Walk::othersOf(const graph::Node& node) const
{
    graph::KeptValues given;
    for (const auto& operand : node.inputs)
        if (const auto* value = operand.isConstant() ? nullptr : content(operand.value))
            given[m_graph.value(operand.value).name] = *value;
    return given;
}

std::vector<at::Tensor> Walk::evaluate(const std::vector<graph::ValueId>& targets, graph::KeptValues given) const
{
    graph::RunRequest request;
    for (const auto id : targets)
        request.targets.push_back(m_graph.value(id).name);
    request.changed = std::move(given);
    request.inputs = m_function.request().inputs;      // read only where a node that writes in place has to run, too
    request.gradients = graph::Gradients::Parameters;  // records what starts at the leaves given, without making the inputs leaves, too
    request.stop = m_control.stop;
    const auto result = m_function.executor().run(m_function.weights(), request);
    std::vector<at::Tensor> outputs;
    for (std::size_t i = 0; i < targets.size(); ++i)
        outputs.push_back(result.tensor(i));
    return outputs;
}

}  // namespace orrery::explain::lrp
