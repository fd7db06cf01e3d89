#include "onnx_writer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>
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

}  // namespace

bool isNumber(const std::string& text)
{
    return !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos;
}

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

io::OnnxAttribute attributeOf(const std::string& name, const std::vector<double>& value)
{
    io::OnnxAttribute attribute;
    attribute.name = name;
    attribute.reals.assign(value.begin(), value.end());
    return attribute;
}

io::OnnxAttribute attributeOf(const std::string& name, const at::Tensor& value)
{
    const auto flat = value.detach().cpu().contiguous();
    auto tensor = std::make_shared<io::OnnxTensor>();
    tensor->name = name;
    tensor->type = io::toElementType(flat.scalar_type());
    tensor->shape = flat.sizes().vec();
    tensor->decoded.assign(static_cast<const char*>(flat.data_ptr()), std::size_t(flat.nbytes()));
    io::OnnxAttribute attribute;
    attribute.name = name;
    attribute.tensor = std::move(tensor);
    return attribute;
}

OnnxWriter::OnnxWriter(const graph::Model& model, std::int64_t opset, std::vector<c10::IValue> example)
    : m_model(model), m_opset(opset), m_example(std::move(example))
{
    m_out.irVersion = irVersionFor(opset);
    m_out.producer = "Orrery";
    m_out.opsets[""] = opset;
    m_out.graph.name = graph().data().name;
}

io::OnnxModel OnnxWriter::write()
{
    runExamples();
    addInputs();
    addWeights();
    const auto& data = graph().data();
    for (std::size_t i = 0; i < data.body.outputs.size(); ++i)
        if (!data.body.outputs[i].isConstant() && graph().producer(data.body.outputs[i].value) && !m_names.count(data.body.outputs[i].value) &&
            !m_fixed.count(data.body.outputs[i].value))
            m_names[data.body.outputs[i].value] = fresh(data.outputNames[i]);
    for (const auto& output : data.body.outputs)
        need(output);
    for (const auto& node : data.body.nodes)
        writeNode(node);
    addOutputs();
    m_out.metadata.emplace_back("orrery.card", m_model.card.toJson().dump());
    return std::move(m_out);
}

void OnnxWriter::addInputs()
{
    for (const auto& input : graph().data().inputs) {
        io::OnnxValueInfo info;
        info.name = fresh(input.name);
        if (graph().value(input.value).type == "List[Tensor]") {
            m_out.graph.inputs.push_back(described(info.name, input.value));
            m_names[input.value] = sequences[input.value] = info.name;
            continue;
        }
        info.kind = io::OnnxValueInfo::Kind::Tensor;
        info.elementType = 1;
        const auto number = numberType(input.value);
        if (number) {  // a vector of one
            info.elementType = io::onnxDataType(io::toElementType(*number));
            info.shape.emplace().push_back({1, ""});
        }
        for (const auto& described : m_model.card.inputs) {
            if (described.name != input.name || number)
                continue;
            info.elementType = io::onnxDataType(io::toElementType(graph::dtypeFromName(described.dtype)));
            if (described.shape.empty())
                continue;
            info.shape.emplace();
            for (const auto& size : described.shape)
                info.shape->push_back(isNumber(size) ? io::OnnxValueInfo::Dimension{std::stoll(size), ""} : io::OnnxValueInfo::Dimension{{}, size});
        }
        if (const auto& shown = seen(Operand::of(input.value)); shown.rank >= 0 && !number)  // a card may not know
            info.elementType = io::onnxDataType(io::toElementType(shown.dtype));
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
        const auto& users = graph().users(parameter.value);
        const auto unpacks = [](const Node* user) { return user->op == "orrery::unpack_blocks"; };
        if (!users.empty() && std::all_of(users.begin(), users.end(), unpacks))
            continue;  // its numbers are written unpacked
        const auto& tensor = m_model.weights.at(parameter.name);
        m_names[parameter.value] = initialiser(fresh(parameter.name), tensor);
        m_seen[parameter.value] = {tensor.dim(), tensor.scalar_type()};
    }
}

void OnnxWriter::writeNode(const Node& node)
{
    m_node = node.name;
    if (std::all_of(node.outputs.begin(), node.outputs.end(), [&](const auto id) { return m_fixed.count(id) > 0 || !m_needed.count(id); }))
        return;  // what is known is written where it is used
    if (node.op == "prim::If")
        return writeBranches(node);
    if (node.op == "prim::Loop")
        return writeLoop(node);
    if (m_growing.count(&node))
        return;
    const auto* writer = findOperatorWriter(node.qualifiedOp());  // lists are joined by an overload of an addition
    if (!writer)
        writer = findOperatorWriter(node.op);
    if (!writer)
        refuse(node, m_hasRun ? "it has no form in ONNX here"
                              : "it has no form in ONNX here without an example input or the shapes of the inputs in the model card, which show "
                                "dimensions and types");
    (*writer)(*this, node);
}

void OnnxWriter::addOutputs()
{
    const auto& data = graph().data();
    for (std::size_t i = 0; i < data.body.outputs.size(); ++i) {
        m_node = data.outputNames[i];
        const auto number = data.body.outputs[i].isConstant() ? std::nullopt : numberType(data.body.outputs[i].value);
        const bool isList = !data.body.outputs[i].isConstant() && graph().value(data.body.outputs[i].value).type == "List[Tensor]";
        const auto list = isList ? sequence(data.body.outputs[i]) : std::nullopt;
        auto name = list ? *list : use(data.body.outputs[i], number.value_or(at::kFloat));
        const bool isTaken =
            std::any_of(m_out.graph.outputs.begin(), m_out.graph.outputs.end(), [&](const auto& other) { return other.name == name; });
        const bool isOwn = !data.body.outputs[i].isConstant() && graph().producer(data.body.outputs[i].value);
        if (name != data.outputNames[i] && (isTaken || !isOwn)) {  // an input, a weight, or one value given twice
            io::OnnxNode copy;
            copy.op = "Identity";
            copy.inputs = {name};
            copy.outputs = {name = fresh(data.outputNames[i])};
            m_nodes->push_back(std::move(copy));
        }
        const auto& known = seen(data.body.outputs[i]);
        io::OnnxValueInfo info;
        info.name = name;
        info.kind = list ? io::OnnxValueInfo::Kind::Sequence : io::OnnxValueInfo::Kind::Tensor;
        info.elementType = io::onnxDataType(io::toElementType(number.value_or(known.dtype)));
        if (!list && known.rank >= 0) {
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
        refuse(node, "the number of dimensions is not known; give an example input or the shapes of the inputs in the model card");
    return rank;
}

std::optional<std::int64_t> OnnxWriter::sizeOf(const Operand& operand, std::size_t axis) const
{
    if (const auto* weight = weightOf(operand))
        return axis < std::size_t(weight->dim()) ? std::optional(weight->size(std::int64_t(axis))) : std::nullopt;
    const auto found = operand.isConstant() || m_varying.count(operand.value) ? m_sizes.end() : m_sizes.find(operand.value);
    return found == m_sizes.end() || axis >= found->second.size() ? std::nullopt : std::optional(found->second[axis]);
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

std::string OnnxWriter::add(const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes)
{
    io::OnnxNode node;
    node.op = op;
    node.inputs = std::move(inputs);
    node.attributes = std::move(attributes);
    node.outputs = {fresh(m_node + "." + op)};
    node.name = slashed(node.outputs[0]);
    m_own.insert(node.outputs[0]);
    m_nodes->push_back(node);
    return node.outputs[0];
}

std::vector<std::string> OnnxWriter::addAll(const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes,
                                            std::size_t count)
{
    add(op, std::move(inputs), std::move(attributes));
    m_own.erase(m_nodes->back().outputs[0]);
    while (m_nodes->back().outputs.size() < count)
        m_nodes->back().outputs.push_back(fresh(m_node + "." + op));
    return m_nodes->back().outputs;
}

void OnnxWriter::give(const Node& node, const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes,
                      std::size_t output)
{
    const auto id = node.outputs.at(output);
    nameOutput(id);
    io::OnnxNode made;
    made.op = op;
    made.name = slashed(graph().value(id).name);
    made.inputs = std::move(inputs);
    while (!made.inputs.empty() && made.inputs.back().empty())
        made.inputs.pop_back();
    made.attributes = std::move(attributes);
    made.outputs = {m_names[id]};
    m_nodes->push_back(std::move(made));
}

void OnnxWriter::giveAll(const Node& node, const std::string& op, std::vector<std::string> inputs, std::vector<io::OnnxAttribute> attributes,
                         std::size_t count)
{
    give(node, op, std::move(inputs), std::move(attributes));
    for (std::size_t i = 1; i < count; ++i) {
        nameOutput(node.outputs.at(i));
        m_nodes->back().outputs.push_back(m_names[node.outputs[i]]);
    }
}

void OnnxWriter::inDomain(const std::string& domain, std::int64_t version)
{
    m_nodes->back().domain = domain;
    m_out.opsets[domain] = version;
}

void OnnxWriter::nameOutput(graph::ValueId id)
{
    if (!m_names.count(id))
        m_names[id] = fresh(graph().value(id).name);
}

// A value that was just made for this has no other name yet: it takes the graph's.
void OnnxWriter::alias(const Node& node, const std::string& value, std::size_t output)
{
    const auto id = node.outputs.at(output);
    const auto known = m_names.find(id);
    if (known != m_names.end() && known->second == value)
        return;
    if (m_own.count(value) && !m_nodes->empty() && m_nodes->back().outputs == std::vector<std::string>{value}) {
        m_own.erase(value);
        nameOutput(id);
        m_nodes->back().outputs = {m_names[id]};
        m_nodes->back().name = slashed(graph().value(id).name);
    } else if (known != m_names.end()) {  // an output of the model has its name already
        give(node, "Identity", {value}, {}, output);
    } else {
        m_names[id] = value;
    }
}

}  // namespace orrery::models::onnx
