// What values are while a graph is written as ONNX: seen on an example, known, or computed; and the branches that depend on them.
#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include <core/base/error.h>
#include <core/graph/autocast.h>
#include <core/graph/executor.h>
#include <core/graph/inspect.h>
#include <core/io/tensors.h>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;
using graph::Operand;

/// Larger tables are computed in the file, too.
constexpr std::int64_t kLargestTable = 1 << 20;

/// What these say of a tensor does not depend on its numbers and stays when sizes change.
bool asksForKind(const Node& node)
{
    static const std::set<std::string> kAsking = {
        "aten::__is__",
        "aten::__isnot__",
        "aten::dim",
        "aten::is_autocast_enabled",
        "aten::is_floating_point",
        "aten::is_grad_enabled",
        "aten::requires_grad",
        "prim::device",
        "prim::dtype",
        "prim::is_cuda",
        "prim::is_nested",
        "prim::layout",
        "prim::requires_grad",
        "prim::type",
    };
    return kAsking.count(node.op) > 0 || (node.op == "aten::len" && node.overload != "Tensor");
}

/// Lists of numbers and texts, not of tensors.
bool isPlainList(const c10::IValue& value)
{
    if (!value.isList())
        return false;
    const auto kind = value.toList().elementType()->kind();
    return kind == c10::TypeKind::IntType || kind == c10::TypeKind::FloatType || kind == c10::TypeKind::BoolType || kind == c10::TypeKind::StringType;
}

bool isRandom(const std::string& op)
{
    static const char* const kDraws[] = {"aten::rand", "aten::bernoulli", "aten::normal", "aten::multinomial", "aten::poisson", "aten::dropout"};
    return std::any_of(std::begin(kDraws), std::end(kDraws), [&](const char* start) { return op.rfind(start, 0) == 0; });
}

}  // namespace

const c10::IValue* OnnxWriter::known(const Operand& operand) const
{
    if (operand.isConstant())
        return &operand.constant;
    const auto found = m_fixed.find(operand.value);
    return found == m_fixed.end() ? nullptr : &found->second;
}

const at::Tensor* OnnxWriter::weightOf(const Operand& operand) const
{
    if (operand.isConstant())
        return nullptr;
    if (const auto* parameter = graph().parameterOf(operand.value))
        return &m_model.weights.at(parameter->name);
    const auto found = m_ofWeights.find(operand.value);
    return found == m_ofWeights.end() || !found->second.isTensor() ? nullptr : &found->second.toTensor();
}

/// Everything that a block reads from outside of it is known, and nothing in it is drawn.
bool OnnxWriter::readsKnownOnly(const graph::Block& block, std::set<graph::ValueId> inside) const
{
    inside.insert(block.inputs.begin(), block.inputs.end());
    const auto isKnown = [&](const Operand& operand) { return operand.isConstant() || inside.count(operand.value) > 0 || known(operand) != nullptr; };
    for (const auto& node : block.nodes) {
        if (isRandom(node.op) || !std::all_of(node.inputs.begin(), node.inputs.end(), isKnown))
            return false;
        for (const auto& inner : node.blocks)
            if (!readsKnownOnly(inner, inside))
                return false;
        inside.insert(node.outputs.begin(), node.outputs.end());
    }
    return std::all_of(block.outputs.begin(), block.outputs.end(), isKnown);
}

// A node whose outputs are known: nothing random, and all it depends on is known.
bool OnnxWriter::isFixed(const Node& node) const
{
    if (asksForKind(node))
        return node.op != "aten::len" || !mayGrow(node.inputs.at(0));
    if (node.op == "aten::size" && weightOf(node.inputs.at(0)))
        return true;
    const auto isKnown = [&](const Operand& operand) { return known(operand) != nullptr; };
    if (node.op == "prim::Loop")
        return std::all_of(node.inputs.begin(), node.inputs.end(), isKnown) && readsKnownOnly(node.blocks.at(0));
    if (node.op == "prim::If") {
        const auto* condition = known(node.inputs.at(0));
        if (!condition || !condition->isBool())
            return false;
        const auto& taken = node.blocks.at(condition->toBool() ? 0 : 1);
        return std::all_of(taken.outputs.begin(), taken.outputs.end(), isKnown);
    }
    return node.blocks.empty() && !isRandom(node.op) && std::all_of(node.inputs.begin(), node.inputs.end(), isKnown);
}

/// A list that a loop gives, or that is inside of one: how long it is depends on the steps.
bool OnnxWriter::mayGrow(const Operand& list) const
{
    if (list.isConstant() || graph().parameterOf(list.value))
        return false;
    const auto* node = graph().producer(list.value);
    if (!node || node->op == "prim::Loop")
        return true;
    return node->op != "prim::ListConstruct" && std::any_of(node->inputs.begin(), node->inputs.end(), [&](const Operand& input) {
               return !input.isConstant() && graph().value(input.value).type.starts_with("List") && mayGrow(input);
           });
}

void OnnxWriter::see(bool isFirstRun, graph::ValueId id, const c10::IValue& value)
{
    const bool isTensor = value.isTensor() && value.toTensor().defined();
    if (value.isTensorList() && value.toTensorList().size() > 0)
        m_seen[id].dtype = value.toTensorVector()[0].scalar_type();
    if (isTensor && isFirstRun)
        if (const auto [first, isNew] = m_sizes.try_emplace(id, value.toTensor().sizes().vec()); !isNew && first->second != value.toTensor().sizes())
            m_varying.insert(id);
    const bool isStandIn = isTensor && m_halvesAreStoodIn && value.toTensor().scalar_type() == at::kBFloat16;
    if (isTensor) {
        const auto dtype = isStandIn ? at::kHalf : value.toTensor().scalar_type();
        const auto [seen, isNew] = m_seen.try_emplace(id, SeenValue{value.toTensor().dim(), dtype});
        if (!isNew && isFirstRun && seen->second.rank != value.toTensor().dim())
            seen->second.rank = -1;  // another step of a loop
    }
    const auto* node = isFirstRun ? graph().producer(id) : nullptr;
    if (!node || isStandIn || m_unsteady.count(id))  // rounded numbers are no table
        return;
    if (const auto fixed = m_fixed.find(id); fixed != m_fixed.end() && asksForKind(*node) && value.isScalar() && fixed->second.isScalar() &&
                                             fixed->second.toScalar().toDouble() != value.toScalar().toDouble()) {
        m_fixed.erase(fixed);
        m_unsteady.insert(id);
        return;
    }
    const bool isPlain =
        isTensor ? value.toTensor().numel() <= kLargestTable : isPlainList(value) || (!value.isList() && !value.isTuple() && !value.isGenericDict());
    if (isPlain && isFixed(*node))
        m_fixed.try_emplace(id, isTensor ? c10::IValue(value.toTensor().detach()) : value);
    const auto isOfWeights = [&](const Operand& operand) { return known(operand) || weightOf(operand) || m_ofWeights.count(operand.value) > 0; };
    if (!m_fixed.count(id) && node->blocks.empty() && !isRandom(node->op) && std::all_of(node->inputs.begin(), node->inputs.end(), isOfWeights))
        m_ofWeights.try_emplace(id, isTensor ? c10::IValue(value.toTensor().detach()) : value);
}

bool OnnxWriter::runAs(const graph::GraphPtr& graph, std::map<std::string, at::Tensor> weights, const std::vector<c10::IValue>& inputs,
                       const std::vector<graph::Probe>& probes) const
{
    graph::RunRequest request;
    request.inputs = inputs;
    request.probes = probes;
    // Layers of libtorch take fused paths of their own where no weight wants a gradient.
    request.gradients = graph::Gradients::Parameters;
    for (const auto& parameter : graph->data().parameters)
        if (auto& tensor = weights.at(parameter.name); parameter.kind == graph::Parameter::Kind::Parameter && tensor.is_floating_point())
            tensor = tensor.detach().set_requires_grad(true);
    try {
        graph::Executor(graph).run(graph::Weights(std::move(weights)), request);
    } catch (const core::Error&) {
        return false;  // an example of the wrong size: what needs to know dimensions says so
    }
    return true;
}

// libtorch 1.13 has no product of halves on a processor: dimensions and types show in bfloat16, too, which then stands for float16.
bool OnnxWriter::run(const std::vector<c10::IValue>& inputs, const std::vector<graph::Probe>& probes)
{
    const auto& weights = m_model.weights.tensors();
    if (!m_halvesAreStoodIn && runAs(m_model.graph, weights, inputs, probes))
        return true;
    const auto isHalf = [](const at::Tensor& tensor) { return tensor.scalar_type() == at::kHalf; };
    bool hasHalves =
        std::any_of(inputs.begin(), inputs.end(), [&](const c10::IValue& input) { return input.isTensor() && isHalf(input.toTensor()); });
    for (const auto& [name, tensor] : weights) {
        hasHalves |= isHalf(tensor);
        if (tensor.scalar_type() == at::kBFloat16)
            return false;  // the two could not be told apart
    }
    if (!hasHalves)
        return false;
    m_halvesAreStoodIn = true;
    const auto stoodIn = [&](const at::Tensor& tensor) { return isHalf(tensor) ? tensor.to(at::kBFloat16) : tensor; };
    std::map<std::string, at::Tensor> others;
    for (const auto& [name, tensor] : weights)
        others[name] = stoodIn(tensor);
    std::vector<c10::IValue> given;
    for (const auto& input : inputs)
        given.push_back(input.isTensor() ? c10::IValue(stoodIn(input.toTensor())) : input);
    return runAs(graph::withDtype(m_model.graph, at::kHalf, at::kBFloat16), std::move(others), given, probes);
}

std::vector<c10::IValue> OnnxWriter::exampleOf(const OpenSizes& sizes) const
{
    std::vector<c10::IValue> others;
    for (std::size_t i = 0; i < m_example.size(); ++i) {
        const auto& described = m_model.card.inputs.at(i);
        if (!m_example[i].isTensor() || std::int64_t(described.shape.size()) != m_example[i].toTensor().dim())
            return {};
        std::vector<std::int64_t> shape;
        for (const auto& size : described.shape)
            shape.push_back(isNumber(size)              ? std::stoll(size)
                            : size == "batch"           ? sizes.batch
                            : described.kind == "image" ? sizes.picture
                                                        : sizes.length);
        others.emplace_back(at::zeros(shape, m_example[i].toTensor().options()));
    }
    return others;
}

void OnnxWriter::findSteadySizes()
{
    // Beside an example of eight positions and 224 pixels: fewer, so that no table is too short; one, and more, which some models refuse: a size that is cut off at a limit shows there.
    constexpr OpenSizes kOthers[] = {{3, 5, 192}, {2, 1, 160}, {4, 13, 256}};
    const auto& nodes = graph().allNodes();
    if (std::none_of(nodes.begin(), nodes.end(), [](const Node* node) { return node->op == "aten::size"; }))
        return;
    const auto sizesOn = [&](const std::vector<c10::IValue>& inputs) {
        std::map<graph::ValueId, std::int64_t> sizes;
        const auto note = [&](const std::string& name, const c10::IValue& value) {
            if (const auto id = graph().findValue(name); id && value.isInt())
                sizes[*id] = value.toInt();
        };
        return !inputs.empty() && run(inputs, {graph::Probe::onValue("op:aten::size", note)}) ? std::optional(sizes) : std::nullopt;
    };
    auto steady = sizesOn(m_example);
    std::size_t compared = 0;
    for (const auto& open : kOthers) {
        const auto other = steady ? sizesOn(exampleOf(open)) : std::nullopt;
        if (!other)
            continue;
        ++compared;
        std::erase_if(*steady, [&](const auto& size) { return !other->count(size.first) || other->at(size.first) != size.second; });
    }
    if (compared > 0)
        m_fixed.insert(steady->begin(), steady->end());
}

// Dimensions and types are what runs on an example show; sizes are not looked at. The last run goes into the branches that the first one did not take.
void OnnxWriter::runExamples()
{
    if (graph().data().training)
        m_fixed[*graph().data().training] = false;
    if (m_example.empty())
        m_example = graph::exampleInputs(m_model);
    if (m_example.size() != graph().data().inputs.size() || m_example.empty())
        return;
    if (m_model.card.inputs.size() == m_example.size())
        findSteadySizes();
    const auto seeing = [&](bool isFirst) {
        return graph::Probe::onValue("**", [this, isFirst](const std::string& name, const c10::IValue& value) {
            if (const auto id = graph().findValue(graph::splitStep(name).first))
                see(isFirst, *id, value);
        });
    };
    if (!run(m_example, {seeing(true)})) {
        m_seen.clear();
        return;
    }
    m_hasRun = true;
    std::vector<graph::Probe> others = {seeing(false)};
    for (const auto* node : graph().allNodes())
        if (node->op == "prim::If" && !known(node->inputs.at(0)))
            others.push_back(graph::Probe::replacing(graph().value(node->inputs[0].value).name,
                                                     [](const std::string&, const c10::IValue& value) { return c10::IValue(!value.toBool()); }));
    if (others.size() > 1)
        run(m_example, std::move(others));
    for (std::size_t i = 0; i < m_example.size(); ++i)
        see(false, graph().data().inputs[i].value, m_example[i]);
}

std::string OnnxWriter::literal(const c10::IValue& constant, at::ScalarType numbers, const std::string& name)
{
    if (constant.isNone())
        return "";
    if (constant.isTensor())
        return initialiser(fresh(name), constant.toTensor());
    if (constant.isIntList())
        return ints(constant.toIntVector());
    if (constant.isDoubleList()) {  // lists of numbers that are no sizes are float in ONNX
        const auto reals = constant.toDoubleVector();
        return tensor(name, at::tensor(reals, at::kDouble).to(at::kFloat));
    }
    if (constant.isInt() && numbers == at::kLong)
        return ints({constant.toInt()});
    if (constant.isBool() && numbers == at::kBool)
        return tensor(name, at::full({1}, constant.toBool(), at::kBool));
    if (constant.isScalar())
        return scalar(constant.toScalar().toDouble(), numbers);
    throw core::InputError(fmt::format("node {}: expected a number or a list of numbers to write as ONNX, found {}", m_node, constant.tagKind()));
}

std::string OnnxWriter::use(const Operand& operand, at::ScalarType numbers)
{
    if (operand.isConstant())
        return literal(operand.constant, numbers, "constant");
    if (const auto found = m_names.find(operand.value); found != m_names.end())
        return found->second;
    const auto fixed = m_fixed.find(operand.value);
    const auto& name = graph().value(operand.value).name;
    if (fixed == m_fixed.end())
        throw core::InputError(fmt::format("node {}: value {} cannot be written as ONNX", m_node, name));
    if (!fixed->second.isTensor())
        return literal(fixed->second, numbers, name);
    return m_names[operand.value] = literal(fixed->second, numbers, name);
}

std::string OnnxWriter::cast(const std::string& name, at::ScalarType to)
{
    return add("Cast", {name}, {attributeOf("to", std::int64_t(io::onnxDataType(io::toElementType(to))))});
}

std::string OnnxWriter::operand(const Node& node, std::size_t input, at::ScalarType dtype)
{
    const auto& given = node.inputs.at(input);
    const auto* value = known(given);
    if (value && value->isScalar())
        return scalar(value->toScalar().toDouble(), dtype);
    const auto name = use(given, dtype);
    const auto& type = given.isConstant() ? std::string("Tensor") : graph().value(given.value).type;
    if (type == "int" || type == "bool" || type == "float" || type == "Scalar" || type == "number") {  // a computed number is a vector of one
        const auto squeezed = add("Squeeze", {name, ints({0})});
        const bool isSure = type == "int" || type == "bool" || type == "float";
        return isSure && dtype == (type == "bool" ? at::kBool : type == "float" ? at::kDouble : at::kLong) ? squeezed : cast(squeezed, dtype);
    }
    const auto& found = seen(given);
    return found.rank < 0 || found.dtype == dtype ? name : cast(name, dtype);
}

// Assertions, and what only messages depend on, are left out.
void OnnxWriter::need(const Operand& operand)
{
    if (known(operand) || !m_needed.insert(operand.value).second)
        return;
    const auto* node = graph().producer(operand.value);
    if (!node)
        return;
    m_needed.insert(node->outputs.begin(), node->outputs.end());
    for (const auto& input : node->inputs)
        need(input);
    const auto* condition = node->op == "prim::If" ? known(*node, 0) : nullptr;
    for (std::size_t i = 0; i < node->blocks.size(); ++i)
        if (!condition || (i == 0) == condition->toBool())
            for (const auto& output : node->blocks[i].outputs)
                need(output);
}

// A branch that is always taken is written as if there was none.
void OnnxWriter::writeBranches(const Node& node)
{
    const auto* condition = known(node, 0);
    if (condition && condition->isBool()) {
        const auto& taken = node.blocks.at(condition->toBool() ? 0 : 1);
        for (const auto& inner : taken.nodes)
            writeNode(inner);
        m_node = node.name;
        for (std::size_t i = 0; i < node.outputs.size(); ++i) {
            const auto* list = taken.outputs[i].isConstant() || !parts.count(taken.outputs[i].value) ? nullptr : &parts[taken.outputs[i].value];
            if (list)
                parts[node.outputs[i]] = *list;
            else if (!m_fixed.count(node.outputs[i]))
                alias(node, use(taken.outputs[i], at::kLong), i);
        }
        return;
    }
    const auto test = use(node.inputs.at(0), at::kBool);
    auto then = attributeOf("then_branch", std::int64_t(0)), otherwise = attributeOf("else_branch", std::int64_t(0));
    then.integer.reset(), otherwise.integer.reset();
    then.graph = branch(node, 0), otherwise.graph = branch(node, 1);
    m_node = node.name;
    giveAll(node, "If", {test}, {then, otherwise}, node.outputs.size());
    for (const auto output : node.outputs)
        if (graph().value(output).type == "List[Tensor]")
            sequences[output] = m_names[output];
}

std::shared_ptr<const io::OnnxGraph> OnnxWriter::branch(const Node& node, std::size_t number)
{
    const auto& block = node.blocks.at(number);
    auto made = std::make_shared<io::OnnxGraph>();
    made->name = fmt::format("{}.{}", node.name, number == 0 ? "then" : "else");
    auto* const outer = m_nodes;
    m_nodes = &made->nodes;
    for (const auto& inner : block.nodes)
        writeNode(inner);
    m_node = made->name;
    for (std::size_t i = 0; i < block.outputs.size(); ++i) {  // an output has to be made inside
        const auto number = numberType(node.outputs[i]);
        const auto* value = known(block.outputs[i]);
        const bool isUnset = value && value->isNone() && !graph().value(node.outputs[i]).type.starts_with("Optional");
        // What a branch that ends early leaves unset is looked at by nobody.
        const auto dtype = number.value_or(resultType(node, i));
        const auto list = graph().value(node.outputs[i]).type == "List[Tensor]" ? sequence(block.outputs[i]) : std::nullopt;
        const auto given = list ? *list
                           : isUnset
                               ? tensor(made->name + ".unset", at::zeros(number ? std::vector<std::int64_t>{1} : std::vector<std::int64_t>{}, dtype))
                               : use(block.outputs[i], number.value_or(at::kLong));
        const auto name = add("Identity", {given});
        made->outputs.push_back(described(name, node.outputs[i]));
    }
    m_nodes = outer;
    return made;
}

std::optional<at::ScalarType> OnnxWriter::numberType(graph::ValueId id) const
{
    const auto& type = graph().value(id).type;
    if (type == "int" || type == "List[int]")
        return at::kLong;
    return type == "bool" ? std::optional(at::kBool) : type == "float" ? std::optional(at::kDouble) : std::nullopt;
}

io::OnnxValueInfo OnnxWriter::described(const std::string& name, graph::ValueId like) const
{
    io::OnnxValueInfo info;
    info.name = name;
    info.kind = graph().value(like).type == "List[Tensor]" ? io::OnnxValueInfo::Kind::Sequence : io::OnnxValueInfo::Kind::Tensor;
    info.elementType = io::onnxDataType(io::toElementType(numberType(like).value_or(seen(Operand::of(like)).dtype)));
    return info;
}

std::int64_t OnnxWriter::literalInt(const Node& node, std::size_t input) const
{
    const auto* value = known(node, input);
    if (!value || !value->isInt())
        refuse(node, fmt::format("argument {} is computed while it runs", input));
    return value->toInt();
}

double OnnxWriter::literalReal(const Node& node, std::size_t input) const
{
    const auto* value = known(node, input);
    if (!value || !value->isScalar())
        refuse(node, fmt::format("argument {} is computed while it runs", input));
    return value->toScalar().toDouble();
}

bool OnnxWriter::literalBool(const Node& node, std::size_t input) const
{
    const auto* value = known(node, input);
    if (!value || !value->isBool())
        refuse(node, fmt::format("argument {} is computed while it runs", input));
    return value->toBool();
}

std::vector<std::int64_t> OnnxWriter::literalInts(const Node& node, std::size_t input) const
{
    const auto* value = known(node, input);
    if (value && value->isInt())
        return {value->toInt()};
    if (!value || !value->isIntList())
        refuse(node, fmt::format("argument {} is computed while it runs", input));
    return value->toIntVector();
}

}  // namespace orrery::models::onnx
