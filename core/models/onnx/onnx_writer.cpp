#include "onnx_writer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/graph/executor.h>
#include <core/graph/inspect.h>
#include <core/io/tensors.h>

namespace orrery::models::onnx {
namespace {

using graph::Node;
using graph::Operand;

std::int64_t irVersionFor(std::int64_t opset)
{
    return opset >= 21 ? 10 : opset >= 19 ? 9 : 8;
}

std::string slashed(const std::string& path)
{
    std::string text = "/";
    for (const char c : path)
        text += c == '.' ? '/' : c;
    return text;
}

bool isNumber(const std::string& text)
{
    return !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

io::OnnxAttribute attributeOf(const std::string& name, std::int64_t value)
{
    io::OnnxAttribute attribute;
    attribute.name = name;
    attribute.integer = value;
    return attribute;
}

io::OnnxAttribute attributeOf(const std::string& name, double value)
{
    io::OnnxAttribute attribute;
    attribute.name = name;
    attribute.real = float(value);
    return attribute;
}

io::OnnxAttribute attributeOf(const std::string& name, const std::string& value)
{
    io::OnnxAttribute attribute;
    attribute.name = name;
    attribute.text = value;
    return attribute;
}

io::OnnxAttribute attributeOf(const std::string& name, std::vector<std::int64_t> value)
{
    io::OnnxAttribute attribute;
    attribute.name = name;
    attribute.integers = std::move(value);
    return attribute;
}

OnnxWriter::OnnxWriter(const graph::Model& model, std::int64_t opset) : m_model(model), m_opset(opset)
{
    m_out.irVersion = irVersionFor(opset);
    m_out.producer = "Orrery";
    m_out.opsets[""] = opset;
    m_out.graph.name = graph().data().name;
}

io::OnnxModel OnnxWriter::write()
{
    runExample();
    addInputs();
    addWeights();
    const auto& data = graph().data();
    for (std::size_t i = 0; i < data.body.outputs.size(); ++i)
        if (!data.body.outputs[i].isConstant() && graph().producer(data.body.outputs[i].value) && !m_names.count(data.body.outputs[i].value))
            m_names[data.body.outputs[i].value] = fresh(data.outputNames[i]);
    for (const auto& node : data.body.nodes)
        writeNode(node);
    addOutputs();
    m_out.metadata.emplace_back("orrery.card", m_model.card.toJson().dump());
    return std::move(m_out);
}

// Dimensions and types are what one run on the card's example shows; sizes are not looked at.
void OnnxWriter::runExample()
{
    const auto inputs = graph::exampleInputs(m_model.card);
    if (inputs.size() != graph().data().inputs.size() || inputs.empty())
        return;
    graph::RunRequest request;
    request.inputs = inputs;
    request.probes.push_back(graph::Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
        const auto id = graph().findValue(name);
        if (id && value.isTensor() && value.toTensor().defined())
            m_seen[*id] = {value.toTensor().dim(), value.toTensor().scalar_type()};
    }));
    try {
        graph::Executor(m_model.graph).run(m_model.weights, request);
    } catch (const core::Error&) {
        m_seen.clear();  // an example of the wrong size: what needs to know dimensions says so
        return;
    }
    for (std::size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i].isTensor())
            m_seen[graph().data().inputs[i].value] = {inputs[i].toTensor().dim(), inputs[i].toTensor().scalar_type()};
}

void OnnxWriter::addInputs()
{
    for (const auto& input : graph().data().inputs) {
        io::OnnxValueInfo info;
        info.name = fresh(input.name);
        info.kind = io::OnnxValueInfo::Kind::Tensor;
        info.elementType = 1;
        for (const auto& described : m_model.card.inputs) {
            if (described.name != input.name)
                continue;
            info.elementType = io::onnxDataType(io::toElementType(graph::dtypeFromName(described.dtype)));
            if (described.shape.empty())
                continue;
            info.shape.emplace();
            for (const auto& size : described.shape)
                info.shape->push_back(isNumber(size) ? io::OnnxValueInfo::Dimension{std::stoll(size), ""} : io::OnnxValueInfo::Dimension{{}, size});
        }
        m_names[input.value] = info.name;
        m_out.graph.inputs.push_back(std::move(info));
    }
}

std::string OnnxWriter::initialiser(const std::string& name, const at::Tensor& tensor)
{
    m_kept.push_back(tensor.detach().cpu().contiguous());
    const auto& flat = m_kept.back();
    io::OnnxTensor out;
    out.name = name;
    out.type = io::toElementType(flat.scalar_type());
    out.shape = flat.sizes().vec();
    out.raw = {static_cast<const char*>(flat.numel() ? flat.data_ptr() : nullptr), std::size_t(flat.nbytes())};
    m_out.graph.initialisers.push_back(std::move(out));
    return name;
}

void OnnxWriter::addWeights()
{
    for (const auto& parameter : graph().data().parameters) {
        const auto& tensor = m_model.weights.at(parameter.name);
        m_names[parameter.value] = initialiser(fresh(parameter.name), tensor);
        m_seen[parameter.value] = {tensor.dim(), tensor.scalar_type()};
    }
}

void OnnxWriter::writeNode(const Node& node)
{
    m_node = node.name;
    if (!node.blocks.empty())
        refuse(node, "control flow is not written");
    const auto* writer = findOperatorWriter(node.op);
    if (!writer)
        refuse(node, "it has no form in ONNX here");
    (*writer)(*this, node);
}

void OnnxWriter::addOutputs()
{
    const auto& data = graph().data();
    for (std::size_t i = 0; i < data.body.outputs.size(); ++i) {
        m_node = data.outputNames[i];
        auto name = use(data.body.outputs[i]);
        const bool isTaken =
            std::any_of(m_out.graph.outputs.begin(), m_out.graph.outputs.end(), [&](const auto& other) { return other.name == name; });
        const bool isOwn = !data.body.outputs[i].isConstant() && graph().producer(data.body.outputs[i].value);
        if (name != data.outputNames[i] && (isTaken || !isOwn)) {  // an input, a weight, or one value given twice
            io::OnnxNode copy;
            copy.op = "Identity";
            copy.inputs = {name};
            copy.outputs = {name = fresh(data.outputNames[i])};
            m_out.graph.nodes.push_back(std::move(copy));
        }
        const auto& known = seen(data.body.outputs[i]);
        io::OnnxValueInfo info;
        info.name = name;
        info.kind = io::OnnxValueInfo::Kind::Tensor;
        info.elementType = io::onnxDataType(io::toElementType(known.dtype));
        if (known.rank >= 0) {
            info.shape.emplace();
            for (std::int64_t k = 0; k < known.rank; ++k)
                info.shape->push_back({{}, fmt::format("{}_{}", data.outputNames[i], k)});
        }
        m_out.graph.outputs.push_back(std::move(info));
    }
}

std::string OnnxWriter::fresh(const std::string& base)
{
    const int count = ++m_counts[base];
    return count == 1 ? base : fmt::format("{}_{}", base, count);
}

void OnnxWriter::refuse(const Node& node, const std::string& reason) const
{
    throw core::InputError(fmt::format("node {}: {} cannot be written as ONNX: {}", node.name, node.qualifiedOp(), reason));
}

const SeenValue& OnnxWriter::seen(const Operand& operand) const
{
    static const SeenValue kNothing;
    const auto found = operand.isConstant() ? m_seen.end() : m_seen.find(operand.value);
    return found == m_seen.end() ? kNothing : found->second;
}

std::int64_t OnnxWriter::rankOf(const Node& node, std::size_t input) const
{
    const auto rank = seen(node.inputs.at(input)).rank;
    if (rank < 0)
        refuse(node, "the number of dimensions is not known; give the shapes of the inputs in the model card");
    return rank;
}

std::int64_t OnnxWriter::axis(const Node& node, std::size_t axisInput, std::size_t tensorInput) const
{
    const auto given = literalInt(node, axisInput);
    return given >= 0 ? given : given + rankOf(node, tensorInput);
}

std::string OnnxWriter::ints(const std::vector<std::int64_t>& numbers)
{
    const auto [known, isNew] = m_literals.try_emplace(fmt::format("ints {}", fmt::join(numbers, ",")));
    if (isNew)
        known->second = initialiser(fresh("sizes"), at::tensor(numbers, at::kLong));
    return known->second;
}

std::string OnnxWriter::scalar(double number, at::ScalarType dtype)
{
    const auto [known, isNew] = m_literals.try_emplace(fmt::format("scalar {} {}", number, at::toString(dtype)));
    if (isNew)
        known->second = initialiser(fresh("number"), at::full({}, number, at::TensorOptions(dtype)));
    return known->second;
}

std::string OnnxWriter::use(const Operand& operand, at::ScalarType numbers)
{
    if (!operand.isConstant()) {
        const auto found = m_names.find(operand.value);
        if (found == m_names.end())
            throw core::InputError(fmt::format("node {}: value {} cannot be written as ONNX", m_node, graph().value(operand.value).name));
        return found->second;
    }
    const auto& literal = operand.constant;
    if (literal.isNone())
        return "";
    if (literal.isIntList())
        return ints(literal.toIntVector());
    if (literal.isInt() && numbers == at::kLong)
        return ints({literal.toInt()});
    if (literal.isScalar())
        return scalar(literal.toScalar().toDouble(), numbers);
    throw core::InputError(fmt::format("node {}: expected a number or a list of numbers to write as ONNX, found {}", m_node, literal.tagKind()));
}

std::int64_t OnnxWriter::literalInt(const Node& node, std::size_t input) const
{
    if (!node.inputs.at(input).isConstant() || !node.inputs[input].constant.isInt())
        refuse(node, fmt::format("argument {} is computed while it runs", input));
    return node.inputs[input].constant.toInt();
}

double OnnxWriter::literalReal(const Node& node, std::size_t input) const
{
    if (!node.inputs.at(input).isConstant() || !node.inputs[input].constant.isScalar())
        refuse(node, fmt::format("argument {} is computed while it runs", input));
    return node.inputs[input].constant.toScalar().toDouble();
}

bool OnnxWriter::literalBool(const Node& node, std::size_t input) const
{
    if (!node.inputs.at(input).isConstant() || !node.inputs[input].constant.isBool())
        refuse(node, fmt::format("argument {} is computed while it runs", input));
    return node.inputs[input].constant.toBool();
}

std::vector<std::int64_t> OnnxWriter::literalInts(const Node& node, std::size_t input) const
{
    if (!node.inputs.at(input).isConstant() || !node.inputs[input].constant.isIntList())
        refuse(node, fmt::format("argument {} is computed while it runs", input));
    return node.inputs[input].constant.toIntVector();
}

std::string OnnxWriter::add(const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes)
{
    io::OnnxNode node;
    node.op = op;
    node.inputs = std::move(inputs);
    node.attributes = std::move(attributes);
    node.outputs = {fresh(m_node + "." + op)};
    node.name = slashed(node.outputs[0]);
    m_out.graph.nodes.push_back(node);
    return node.outputs[0];
}

void OnnxWriter::give(const Node& node, const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes,
                      std::size_t output)
{
    const auto id = node.outputs.at(output);
    if (!m_names.count(id))
        m_names[id] = fresh(graph().value(id).name);
    io::OnnxNode made;
    made.op = op;
    made.name = slashed(graph().value(id).name);
    made.inputs = std::move(inputs);
    while (!made.inputs.empty() && made.inputs.back().empty())
        made.inputs.pop_back();
    made.attributes = std::move(attributes);
    made.outputs = {m_names[id]};
    m_out.graph.nodes.push_back(std::move(made));
}

void OnnxWriter::alias(const Node& node, const std::string& value, std::size_t output)
{
    const auto known = m_names.find(node.outputs.at(output));
    if (known != m_names.end() && known->second == value)
        return;
    if (known != m_names.end())  // an output of the model has its name already
        give(node, "Identity", {value}, {}, output);
    else
        m_names[node.outputs[output]] = value;
}

}  // namespace orrery::models::onnx
