#include "c_program.h"

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/executor.h>
#include <core/graph/fold_norms.h>

#include "c_kernels.h"

namespace orrery::models {
namespace {

using graph::Node;
using graph::ValueId;

std::int64_t product(const std::vector<std::int64_t>& sizes, std::size_t from, std::size_t to)
{
    std::int64_t result = 1;
    for (std::size_t i = from; i < std::min(to, sizes.size()); ++i)
        result *= sizes[i];
    return result;
}

std::int64_t countOf(const std::vector<std::int64_t>& sizes)
{
    return product(sizes, 0, sizes.size());
}

std::string number(double value)
{
    auto text = core::formatNumber(double(float(value)));
    return text + (text.find_first_of(".e") == std::string::npos ? ".0f" : "f");
}

std::string text(std::int64_t value)
{
    return std::to_string(value);
}

std::vector<std::int64_t> pairOf(const c10::IValue& value)
{
    auto list = value.isInt() ? std::vector<std::int64_t>{value.toInt()} : value.toIntVector();
    if (list.size() == 1)
        list.push_back(list[0]);
    return list;
}

std::size_t axisOf(std::int64_t dim, std::size_t rank)
{
    return std::size_t(dim < 0 ? dim + std::int64_t(rank) : dim);
}

// Inputs of the sizes that the card says; numbers that no model divides by zero with.
std::vector<c10::IValue> sampleInputs(const graph::Model& model, std::int64_t batch, std::int64_t length)
{
    std::vector<c10::IValue> inputs;
    for (const auto& input : model.card.inputs) {
        std::vector<std::int64_t> shape;
        for (const auto& axis : input.shape) {
            const bool isNumber = !axis.empty() && axis.find_first_not_of("0123456789") == std::string::npos && axis.size() < 10;
            if (!isNumber && axis != "batch" && length == 0)
                throw core::InputError(
                    fmt::format("input {}: expected sizes that are known, found {}; a C file has fixed sizes: give its length (--set length=N)",
                                input.name, axis));
            shape.push_back(isNumber ? std::stoll(axis) : axis == "batch" ? batch : length);
        }
        if (shape.empty() || (input.dtype != "float32" && input.dtype != "int64"))
            throw core::InputError(fmt::format("input {}: expected float32, or int64 for tokens, of known sizes, found {} [{}]", input.name,
                                               input.dtype, core::join(input.shape, ", ")));
        inputs.emplace_back(input.dtype == "int64" ? at::zeros(shape, at::kLong) : at::full(shape, 0.5f));
    }
    return inputs;
}

}  // namespace

CProgram::CProgram(const graph::Model& model, std::int64_t batch, std::int64_t length) : m_model(model)
{
    auto folded = graph::foldNorms(model.graph, model.weights);
    m_model.graph = folded.graph;
    m_model.weights = folded.weights;
    run(batch, length);
    for (const auto& node : m_model.graph->nodes())
        addNode(node);
    for (const auto& output : m_model.graph->data().body.outputs) {
        if (output.isConstant() || !m_sizes.count(output.value))
            throw core::InputError("expected outputs that are tensors of float32");
        m_outputs.push_back(output.value);
    }
    planBuffers();
}

void CProgram::run(std::int64_t batch, std::int64_t length)
{
    std::map<ValueId, at::Tensor> values;
    graph::RunRequest request;
    request.inputs = sampleInputs(m_model, batch, length);
    request.profile = true;
    request.probes.push_back(graph::Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
        const auto id = m_model.graph->findValue(name);
        if (!id)
            return;
        if (!value.isTensor()) {
            m_numbers[*id] = value;
            return;
        }
        values[*id] = value.toTensor();
        if (value.toTensor().scalar_type() == at::kFloat || value.toTensor().scalar_type() == at::kLong)
            m_sizes[*id] = value.toTensor().sizes().vec();
    }));
    const auto& data = m_model.graph->data();
    for (std::size_t i = 0; i < data.inputs.size(); ++i)
        m_sizes[data.inputs[i].value] = request.inputs.at(i).toTensor().sizes().vec();
    for (const auto& parameter : data.parameters)
        if (parameter.dtype == at::kFloat)
            m_sizes[parameter.value] = parameter.shape;
    const auto result = [&] {
        try {
            return graph::Executor(m_model.graph).run(m_model.weights, request);
        } catch (const core::Error& error) {
            throw core::InputError(fmt::format("the model does not run with batch={}, length={}: {}", batch, length, error.what()));
        }
    }();
    for (const auto& profile : result.profile)
        m_flops[profile.node] += profile.flops;
    findConstants(values);
}

void CProgram::refuse(const Node& node, const std::string& reason) const
{
    throw core::InputError(fmt::format(
        "node {}: {} {}; a C file holds products, convolution, pooling, sums, normalisation, softmax, look-ups, pointwise and shape operators",
        node.name, node.qualifiedOp(), reason));
}

const CProgram::Sizes& CProgram::sizes(ValueId id) const
{
    return m_sizes.at(id);
}

const CProgram::Sizes& CProgram::sizes(const Node& node, std::size_t input) const
{
    const auto& operand = node.inputs.at(input);
    if (operand.isConstant() || !m_sizes.count(operand.value))
        refuse(node, fmt::format("expected a tensor of float32 as argument {}", input));
    return m_sizes.at(operand.value);
}

c10::IValue CProgram::constant(const Node& node, std::size_t input) const
{
    const auto& operand = node.inputs.at(input);
    if (operand.isConstant())
        return operand.constant;
    const auto found = m_numbers.find(operand.value);
    if (found == m_numbers.end())
        refuse(node, fmt::format("expected a number as argument {}", input));
    return found->second;
}

std::variant<ValueId, std::string> CProgram::optionalPointer(const Node& node, std::size_t input) const
{
    const auto& operand = node.inputs.at(input);
    if (operand.isConstant())
        return std::string("0");
    sizes(node, input);
    return operand.value;
}

void CProgram::call(const Node& node, const std::string& kernel, std::vector<ValueId> reads,
                    std::vector<std::variant<ValueId, std::string>> arguments, bool canWriteOverInput)
{
    if (node.outputs.size() != 1)
        refuse(node, "expected one output of float32");
    callFor(node, node.outputs[0], kernel, std::move(reads), std::move(arguments), canWriteOverInput);
}

void CProgram::callFor(const Node& node, ValueId output, const std::string& kernel, std::vector<ValueId> reads,
                       std::vector<std::variant<ValueId, std::string>> arguments, bool canWriteOverInput)
{
    if (!m_sizes.count(output))
        refuse(node, "expected an output of float32");
    CCall made{kernel, node.name, node.op, std::move(arguments), std::move(reads), output, canWriteOverInput, 0};
    if (const auto flops = m_flops.find(node.name); flops != m_flops.end())
        made.flops = flops->second;
    m_calls.push_back(std::move(made));
}

void CProgram::addNode(const Node& node)
{
    const bool givesTensor = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return m_sizes.count(id) > 0; });
    if (!node.blocks.empty())
        refuse(node, "has branches");
    if (std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return m_constants.count(id) > 0; }))
        return;
    if (!givesTensor) {
        const bool isList = std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return m_numbers.count(id) > 0; });
        if (!isList)
            refuse(node, "gives no float32");
        return;  // sizes, and lists of tensors, are taken where they are used
    }
    if (!m_sizes.count(node.outputs.at(0)))
        refuse(node, "gives something other than float32 as its first output");
    if (!addAlias(node) && !addLayer(node) && !addPooling(node) && !addElementwise(node) && !addArithmetic(node) && !addBroadcast(node) &&
        !addMove(node) && !addProduct(node) && !addPermutation(node) && !addFlip(node) && !addReduction(node) && !addLookUp(node) &&
        !addParts(node) && !addFunction(node))
        refuse(node, "is not supported");
}

bool CProgram::addAlias(const Node& node)
{
    static const std::set<std::string> kAliases = {"aten::flatten",  "aten::reshape",   "aten::view",           "aten::contiguous",
                                                   "aten::detach",   "aten::squeeze",   "aten::dropout",        "aten::unsqueeze",
                                                   "aten::dropout_", "aten::alias",     "aten::flatten",        "aten::_unsafe_view",
                                                   "aten::clone",    "aten::unflatten", "aten::feature_dropout"};
    if (!kAliases.count(node.op))
        return false;
    sizes(node, 0);
    m_alias[node.outputs.at(0)] = node.inputs[0].value;
    return true;
}

bool CProgram::addLayer(const Node& node)
{
    const auto& out = m_sizes.at(node.outputs.at(0));
    if (node.op == "aten::linear") {
        const auto &x = sizes(node, 0), &w = sizes(node, 1);
        call(node, "linear", {node.inputs[0].value},
             {node.inputs[0].value, node.inputs[1].value, optionalPointer(node, 2), node.outputs[0], text(countOf(x) / x.back()), text(w.at(1)),
              text(w.at(0))});
        return true;
    }
    const bool isConv1d = node.op == "aten::conv1d";
    if ((isConv1d || node.op == "aten::conv2d") && node.overload.empty()) {
        auto x = sizes(node, 0), w = sizes(node, 1), out = m_sizes.at(node.outputs[0]);
        auto stride = pairOf(constant(node, 3)), padding = pairOf(constant(node, 4)), dilation = pairOf(constant(node, 5));
        if (x.size() != (isConv1d ? 3 : 4))
            refuse(node, isConv1d ? "expected a batch of sequences" : "expected a batch of images");
        if (isConv1d) {  // pictures of one row
            for (auto* shape : {&x, &w, &out})
                shape->insert(shape->begin() + 2, 1);
            stride[0] = dilation[0] = 1;
            padding[0] = 0;
        }
        std::vector<std::variant<ValueId, std::string>> arguments = {node.inputs[0].value, node.inputs[1].value, optionalPointer(node, 2),
                                                                     node.outputs[0]};
        for (const auto size : {x[0], x[1], x[2], x[3], out.at(1), out.at(2), out.at(3), w.at(2), w.at(3), stride[0], stride[1], padding[0],
                                padding[1], dilation[0], dilation[1], constant(node, 6).toInt()})
            arguments.emplace_back(text(size));
        call(node, "conv2d", {node.inputs[0].value}, arguments);
        return true;
    }
    if (node.op == "aten::batch_norm") {
        const auto& x = sizes(node, 0);
        call(node, "batch_norm", {node.inputs[0].value},
             {node.inputs[0].value, optionalPointer(node, 1), optionalPointer(node, 2), node.inputs.at(3).value, node.inputs.at(4).value,
              node.outputs[0], text(x.at(0)), text(x.at(1)), text(product(x, 2, x.size())), number(constant(node, 7).toDouble())},
             true);
        return true;
    }
    if (node.op == "aten::layer_norm") {
        const auto size = countOf(constant(node, 1).toIntVector());
        call(node, "layer_norm", {node.inputs[0].value},
             {node.inputs[0].value, optionalPointer(node, 2), optionalPointer(node, 3), node.outputs[0], text(countOf(out) / size), text(size),
              number(constant(node, 4).toDouble())});
        return true;
    }
    if (node.op != "aten::softmax" && node.op != "aten::log_softmax")
        return false;
    const auto axis = axisOf(constant(node, 1).toInt(), out.size());
    call(node, "softmax", {node.inputs[0].value},
         {node.inputs[0].value, node.outputs[0], text(product(out, 0, axis)), text(out.at(axis)), text(product(out, axis + 1, out.size())),
          node.op == "aten::softmax" ? "0" : "1"});
    return true;
}

bool CProgram::addPooling(const Node& node)
{
    const auto& out = m_sizes.at(node.outputs.at(0));
    if (node.op == "aten::mean" && node.overload == "dim") {
        const auto& x = sizes(node, 0);
        auto dims = constant(node, 1).toIntVector();
        for (auto& dim : dims)
            dim = std::int64_t(axisOf(dim, x.size()));
        std::sort(dims.begin(), dims.end());
        for (std::size_t i = 0; i < dims.size(); ++i)
            if (dims[i] != std::int64_t(x.size() - dims.size() + i))
                return false;  // see addReduction
        call(node, "mean_inner", {node.inputs[0].value},
             {node.inputs[0].value, node.outputs[0], text(countOf(out)), text(countOf(x) / std::max<std::int64_t>(countOf(out), 1))});
        return true;
    }
    const bool isMax = node.op == "aten::max_pool2d", isAverage = node.op == "aten::avg_pool2d", isAdaptive = node.op == "aten::adaptive_avg_pool2d";
    if (!isMax && !isAverage && !isAdaptive)
        return false;
    const auto& x = sizes(node, 0);
    const auto rank = x.size();
    std::vector<std::variant<ValueId, std::string>> arguments = {node.inputs[0].value, node.outputs[0]};
    for (const auto size : {countOf(x) / (x.at(rank - 2) * x.at(rank - 1)), x[rank - 2], x[rank - 1], out.at(out.size() - 2), out.back()})
        arguments.emplace_back(text(size));
    if (!isAdaptive) {
        const auto kernel = pairOf(constant(node, 1));
        const auto given = constant(node, 2);
        const auto stride = given.isNone() || (given.isList() && given.toListRef().empty()) ? kernel : pairOf(given);
        const auto padding = pairOf(constant(node, 3));
        for (const auto size : {kernel[0], kernel[1], stride[0], stride[1]})
            arguments.emplace_back(text(size));
        if (isAverage && (padding[0] || padding[1] || constant(node, 4).toBool()))
            refuse(node, "with padding or rounding up is not supported");
        const auto dilation = isMax ? pairOf(constant(node, 4)) : padding;
        for (const auto size : {padding[0], padding[1], dilation[0], dilation[1]})
            if (isMax)
                arguments.emplace_back(text(size));
    }
    call(node, node.op.substr(6), {node.inputs[0].value}, arguments);
    return true;
}

bool CProgram::addElementwise(const Node& node)
{
    static const std::map<std::string, std::string> kPlain = {{"aten::relu", "relu"},     {"aten::sigmoid", "sigmoid"}, {"aten::silu", "silu"},
                                                              {"aten::tanh", "tanh_all"}, {"aten::relu_", "relu"},      {"aten::gelu", "gelu"},
                                                              {"aten::relu6", "hardtanh"}};
    const auto plain = kPlain.find(node.op);
    std::string kernel = plain != kPlain.end() ? plain->second : std::string();
    std::vector<std::string> more;
    if (node.op == "aten::gelu" && constant(node, 1).toStringRef() == "tanh")
        kernel = "gelu_tanh";
    if (node.op == "aten::relu6")
        more = {"0.0f", "6.0f"};
    if (node.op == "aten::leaky_relu" || node.op == "aten::elu") {
        kernel = node.op.substr(6);
        more = {number(constant(node, 1).toScalar().toDouble())};
        if (kernel == "elu" && (constant(node, 2).toScalar().toDouble() != 1 || constant(node, 3).toScalar().toDouble() != 1))
            refuse(node, "with scales is not supported");
    }
    if (node.op == "aten::hardtanh") {
        kernel = "hardtanh";
        more = {number(constant(node, 1).toScalar().toDouble()), number(constant(node, 2).toScalar().toDouble())};
    }
    if (kernel.empty())
        return false;
    std::vector<std::variant<ValueId, std::string>> arguments = {node.inputs[0].value, node.outputs[0], text(countOf(sizes(node, 0)))};
    arguments.insert(arguments.end(), more.begin(), more.end());
    call(node, kernel, {node.inputs[0].value}, arguments, true);
    return true;
}

bool CProgram::addArithmetic(const Node& node)
{
    const bool isAdd = node.op == "aten::add" || node.op == "aten::add_" || node.op == "aten::sub", isMul = node.op == "aten::mul",
               isDiv = node.op == "aten::div";
    if (!isAdd && !isMul && !isDiv)
        return false;
    const auto& out = m_sizes.at(node.outputs.at(0));
    const double sign = node.op == "aten::sub" ? -1 : 1;
    const double alpha = isAdd && node.inputs.size() > 2 ? constant(node, 2).toScalar().toDouble() * sign : sign;
    const auto count = text(countOf(out));
    const auto& other = node.inputs.at(1);
    if (!other.isConstant() && m_sizes.count(other.value)) {
        if (sizes(node, 0) != out || sizes(node, 1) != out || isDiv)
            return false;  // see addBroadcast
        std::vector<std::variant<ValueId, std::string>> arguments = {node.inputs[0].value, other.value, node.outputs[0], count};
        if (isAdd)
            arguments.emplace_back(number(alpha));
        call(node, isAdd ? "add" : "mul", {node.inputs[0].value, other.value}, arguments, true);
        return true;
    }
    const double value = constant(node, 1).toScalar().toDouble();
    call(node, "affine", {node.inputs[0].value},
         {node.inputs[0].value, node.outputs[0], count,
          number(isMul   ? value
                 : isDiv ? 1 / value
                         : 1),
          number(isAdd ? alpha * value : 0)},
         true);
    return true;
}

bool CProgram::addMove(const Node& node)
{
    const auto& out = m_sizes.at(node.outputs.at(0));
    if (node.op == "aten::cat") {
        addConcatenation(node);
        return true;
    }
    if (node.op == "aten::slice" || node.op == "aten::select") {
        const auto& x = sizes(node, 0);
        const auto axis = axisOf(constant(node, 1).toInt(), x.size());
        const auto first = constant(node, 2);
        const auto start = axisOf(first.isNone() ? 0 : first.toInt(), std::size_t(x.at(axis)));
        const bool isSelect = node.op == "aten::select";
        call(node, "stride_copy", {node.inputs[0].value},
             {node.inputs[0].value, node.outputs[0], text(product(x, 0, axis)), text(x[axis]), isSelect ? "1" : text(out.at(axis)),
              text(product(x, axis + 1, x.size())), text(std::int64_t(start)), isSelect ? "1" : text(constant(node, 4).toInt())});
        return true;
    }
    if (node.op != "aten::constant_pad_nd" && node.op != "aten::pad")
        return false;
    const auto& x = sizes(node, 0);
    const auto pad = constant(node, 1).toIntVector();
    const bool isConstant = node.op == "aten::constant_pad_nd" || constant(node, 2).toStringRef() == "constant";
    std::vector<std::size_t> padded;
    for (std::size_t i = 0; i + 1 < pad.size(); i += 2)
        if (pad[i] || pad[i + 1])
            padded.push_back(i / 2);
    if (!isConstant || padded.size() != 1 || pad[2 * padded[0]] < 0 || pad[2 * padded[0] + 1] < 0)
        refuse(node, "is supported along one axis, with a constant");
    const auto axis = x.size() - 1 - padded[0];
    const auto value = constant(node, node.op == "aten::pad" ? 3 : 2);
    call(node, "pad_axis", {node.inputs[0].value},
         {node.inputs[0].value, node.outputs[0], text(product(x, 0, axis)), text(x[axis]), text(out.at(axis)), text(product(x, axis + 1, x.size())),
          text(pad[2 * padded[0]]), number(value.isNone() ? 0 : value.toScalar().toDouble())});
    return true;
}

// One call a part.
void CProgram::addConcatenation(const Node& node)
{
    const auto* list = m_model.graph->producer(node.inputs.at(0).value);
    if (!list || list->op != "prim::ListConstruct")
        refuse(node, "expected a list that is written here");
    const auto& out = m_sizes.at(node.outputs.at(0));
    const auto axis = axisOf(constant(node, 1).toInt(), out.size());
    const auto inner = product(out, axis + 1, out.size());
    std::int64_t at = 0;
    std::vector<ValueId> parts;
    for (const auto& operand : list->inputs) {
        if (operand.isConstant() || !m_sizes.count(operand.value))
            refuse(node, "expected tensors of float32");
        parts.push_back(operand.value);
    }
    for (const auto part : parts) {
        const auto size = sizes(part).at(axis) * inner;
        call(node, "copy_into", parts, {part, node.outputs[0], text(product(out, 0, axis)), text(size), text(out[axis] * inner), text(at)});
        m_calls.back().flops = 0;
        at += size;
    }
}

ValueId CProgram::rootOf(ValueId id) const
{
    for (auto alias = m_alias.find(id); alias != m_alias.end(); alias = m_alias.find(id))
        id = alias->second;
    return id;
}

void CProgram::planBuffers()
{
    std::map<ValueId, int> last;
    for (std::size_t i = 0; i < m_calls.size(); ++i)
        for (const auto read : m_calls[i].reads)
            last[rootOf(read)] = int(i);
    for (const auto output : m_outputs)
        last[rootOf(output)] = int(m_calls.size());
    std::vector<PlannedBuffer> buffers;
    for (std::size_t i = 0; i < m_calls.size(); ++i) {
        const auto& made = m_calls[i];
        const int end = last.count(made.output) ? last[made.output] : int(i);
        if (const auto own = m_bufferOf.find(made.output); own != m_bufferOf.end()) {  // a further part of a concatenation
            buffers[own->second].last = std::max(buffers[own->second].last, end);
            continue;
        }
        const auto input = made.reads.empty() ? ValueId(-1) : rootOf(made.reads[0]);
        const auto buffer = m_bufferOf.find(input);
        const bool isFree = made.canWriteOverInput && buffer != m_bufferOf.end() && buffers[buffer->second].last == int(i) &&
                            buffers[buffer->second].size == countOf(m_sizes.at(made.output));
        if (isFree) {
            m_bufferOf[made.output] = buffer->second;
            buffers[buffer->second].last = std::max(int(i), end);
            continue;
        }
        m_bufferOf[made.output] = buffers.size();
        buffers.push_back({countOf(m_sizes.at(made.output)), int(i), std::max(int(i), end), 0});
    }
    m_plan = planMemory(std::move(buffers));
}

}  // namespace orrery::models
