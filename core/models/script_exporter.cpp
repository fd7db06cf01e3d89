// Our graph as a TorchScript file.
#include <torch/csrc/jit/frontend/script_type_parser.h>
#include <torch/csrc/jit/serialization/export.h>

#include <exception>
#include <set>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/graph/runnable.h>

#include "exporter.h"
#include "script_program.h"
#include "torch_reason.h"

namespace orrery::models {
namespace {

using graph::Block;
using graph::Node;
using graph::Operand;
using graph::ValueId;

/// Walks a graph once and writes its nodes down as a TorchScript program.
class ScriptWriter {
public:
    ScriptWriter(const graph::Model& model, const ExportOptions& options)
        : m_model(model), m_data(model.graph->data()), m_options(options), m_program(m_data.name.empty() ? "Model" : m_data.name)
    {
    }
    ts::Module write();

private:
    void declare();
    void readLeaves();
    void writeBlock(const Block& block);
    void writeNode(const Node& node);
    void writeControl(const Node& node);
    void writeTuple(const Node& node);
    void writeDict(const Node& node);
    void checkOverload(const Node& node, const ts::Node& made);
    void commitBuffers();
    std::vector<ts::Value*> outputs();
    ts::Value* value(const Operand& operand);
    ts::Value* result(const Operand& operand, const c10::TypePtr& type);
    c10::TypePtr typeOf(ValueId id) const;
    void bind(const Node& node, ts::Node& made);
    void note(const std::string& text) const
    {
        if (m_options.note)
            m_options.note(text);
    }

    const graph::Model& m_model;
    const graph::GraphData& m_data;
    const ExportOptions& m_options;
    ScriptProgram m_program;
    std::map<ValueId, ts::Value*> m_values;
    std::map<std::string, std::string> m_moduleTypes;
};

c10::TypePtr ScriptWriter::typeOf(ValueId id) const
{
    const auto& value = m_data.values[std::size_t(id)];
    try {
        return torch::jit::ScriptTypeParser().parseType(value.type);
    } catch (const std::exception&) {
        throw core::InputError(fmt::format("value {}: its type {} cannot be written as TorchScript", value.name, value.type));
    }
}

void ScriptWriter::declare()
{
    for (const auto& module : m_data.modules)
        if (!module.path.empty()) {
            m_program.addModule(module.path, module.type);
            m_moduleTypes[module.path] = module.type;
        }
    for (const auto& parameter : m_data.parameters)
        m_program.addTensor(parameter.name, m_model.weights.at(parameter.name).detach(), parameter.kind);
    for (const auto& [alias, name] : m_data.aliases)
        if (const auto* parameter = m_model.graph->findParameter(name); parameter && parameter->kind != graph::Parameter::Kind::Constant)
            m_program.addTensor(alias, m_model.weights.at(parameter->name).detach(), parameter->kind);
}

// Read at the beginning, outside every branch.
void ScriptWriter::readLeaves()
{
    for (const auto& input : m_data.inputs)
        m_values[input.value] = m_program.addInput(input.name, typeOf(input.value));
    if (m_data.training)
        m_values[*m_data.training] = m_program.training();
    for (const auto& parameter : m_data.parameters)
        m_values[parameter.value] = m_program.tensor(parameter.name);
}

ts::Value* ScriptWriter::value(const Operand& operand)
{
    return operand.isConstant() ? m_program.literal(operand.constant) : m_values.at(operand.value);
}

// A branch that never gives the value has None in its place.
ts::Value* ScriptWriter::result(const Operand& operand, const c10::TypePtr& type)
{
    const bool takesNone =
        type->kind() == c10::TypeKind::NoneType || type->kind() == c10::TypeKind::OptionalType || type->kind() == c10::TypeKind::AnyType;
    if (operand.isConstant() && operand.constant.isNone() && !takesNone)
        return m_program.graph().insertNode(m_program.graph().createUninitialized(type))->output();
    return value(operand);
}

void ScriptWriter::bind(const Node& node, ts::Node& made)
{
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        made.outputs()[i]->setType(typeOf(node.outputs[i]));
        m_values[node.outputs[i]] = made.outputs()[i];
    }
    const auto type = m_moduleTypes.find(node.module);
    ScriptProgram::mark(made, node.module, type == m_moduleTypes.end() ? "" : type->second, node.source);
}

void ScriptWriter::writeBlock(const Block& block)
{
    for (const auto& node : block.nodes)
        writeNode(node);
}

void ScriptWriter::writeControl(const Node& node)
{
    std::vector<ts::Value*> inputs;
    for (const auto& input : node.inputs)
        inputs.push_back(value(input));
    auto& made = *m_program.graph().insertNode(m_program.graph().create(c10::Symbol::fromQualString(node.op), inputs, node.outputs.size()));
    for (const auto& block : node.blocks) {
        auto* inner = made.addBlock();
        const torch::jit::WithInsertPoint guard(inner);
        for (const auto id : block.inputs)
            m_values[id] = inner->addInput()->setType(typeOf(id));
        writeBlock(block);
        const std::size_t own = node.op == "prim::Loop" ? 1 : 0;  // a loop's first result is its next condition
        for (std::size_t i = 0; i < block.outputs.size(); ++i)
            inner->registerOutput(i < own ? value(block.outputs[i]) : result(block.outputs[i], typeOf(node.outputs[i - own])));
    }
    bind(node, made);
}

void ScriptWriter::writeTuple(const Node& node)
{
    auto& graph = m_program.graph();
    std::vector<ts::Value*> inputs;
    for (const auto& input : node.inputs)
        inputs.push_back(value(input));
    if (node.op == "prim::TupleConstruct")
        m_values[node.outputs.at(0)] = graph.insertNode(graph.createTuple(inputs))->output();
    else
        bind(node, *graph.insertNode(graph.create(c10::Symbol::fromQualString(node.op), inputs, node.outputs.size())));
}

void ScriptWriter::writeDict(const Node& node)
{
    std::vector<ts::Value*> keys, values;
    for (std::size_t i = 0; i + 1 < node.inputs.size(); i += 2) {
        keys.push_back(value(node.inputs[i]));
        values.push_back(value(node.inputs[i + 1]));
    }
    const auto type = typeOf(node.outputs.at(0))->cast<c10::DictType>();
    if (!type)
        throw core::InputError(
            fmt::format("node {}: expected a dictionary, its type is {}", node.name, m_data.values[std::size_t(node.outputs[0])].type));
    auto& graph = m_program.graph();
    bind(node, *graph.insertNode(graph.createDict(type->getKeyType(), type->getValueType(), keys, values)));
}

// TorchScript keeps an operator's name alone and finds the overload by the types again.
void ScriptWriter::checkOverload(const Node& node, const ts::Node& made)
{
    const auto* schema = made.maybeSchema();
    if (!schema || schema->overload_name() != node.overload)
        throw core::InputError(
            fmt::format("node {}: TorchScript would take {} for {}{}", node.name, node.qualifiedOp(),
                        schema ? node.op + (schema->overload_name().empty() ? "" : "." + schema->overload_name()) : std::string("no operator"),
                        schema ? "" : " that fits these types"));
}

void ScriptWriter::writeNode(const Node& node)
{
    if (node.op == "prim::If" || node.op == "prim::Loop")
        return writeControl(node);
    if (node.op.rfind("prim::Tuple", 0) == 0)
        return writeTuple(node);
    if (node.op == "prim::DictConstruct")
        return writeDict(node);
    if (node.op.rfind("aten::", 0) != 0 && node.op.rfind("prim::", 0) != 0)
        throw core::InputError(
            fmt::format("node {}: {} is no operator that PyTorch has; a TorchScript file could not be read elsewhere", node.name, node.op));
    static const std::set<std::string> kNewer = {"aten::rms_norm", "aten::scaled_dot_product_attention", "aten::_safe_softmax",
                                                 "aten::_native_batch_norm_legit_no_training"};
    if (kNewer.count(node.op))
        note(fmt::format("node {}: {} is not known to PyTorch before 2", node.name, node.op));
    std::vector<ts::Value*> inputs;
    for (const auto& input : node.inputs)
        inputs.push_back(value(input));
    auto& made = *m_program.graph().insertNode(m_program.graph().create(c10::Symbol::fromQualString(node.op), inputs, node.outputs.size()));
    bind(node, made);
    if (node.op != "prim::ListConstruct" && node.op != "prim::ListUnpack")
        checkOverload(node, made);
}

// Only a training step keeps what buffers become.
void ScriptWriter::commitBuffers()
{
    if (m_data.bufferUpdates.empty())
        return;
    auto& graph = m_program.graph();
    auto& made = *graph.insertNode(graph.create(c10::prim::If, {m_program.training()}, 0));
    const torch::jit::WithInsertPoint guard(made.addBlock());
    for (const auto& update : m_data.bufferUpdates)
        m_program.setTensor(update.buffer, m_values.at(update.value));
    made.addBlock();
}

std::vector<ts::Value*> ScriptWriter::outputs()
{
    std::vector<ts::Value*> outputs;
    for (const auto& output : m_data.body.outputs)
        outputs.push_back(value(output));
    for (std::size_t i = 0; i < m_data.outputNames.size(); ++i)
        if (m_data.outputNames.size() > 1 && m_data.outputNames[i] != fmt::format("output.{}", i)) {
            note("several outputs become a tuple: their names are not kept");
            break;
        }
    return outputs;
}

ts::Module ScriptWriter::write()
{
    declare();
    readLeaves();
    writeBlock(m_data.body);
    commitBuffers();
    for (const auto& input : m_data.inputs)
        if (asIdentifier(input.name) != input.name)
            note(fmt::format("input {} is called {} in the file", input.name, asIdentifier(input.name)));
    return m_program.finish(outputs());
}

void writeTorchScript(const std::filesystem::path& path, const graph::Model& model, const ExportOptions& options)
{
    graph::requireProgram(*model.graph);
    const auto module = ScriptWriter(model, options).write();
    core::writeFileAtomically(path, [&](const std::function<void(std::string_view)>& append) {
        // The writer of the archive ends the program if it is left by an exception: what fails is kept until it is done.
        std::exception_ptr failure;
        const auto take = [&](const void* bytes, std::size_t count) {
            try {
                if (!failure)
                    append({static_cast<const char*>(bytes), count});
            } catch (...) {
                failure = std::current_exception();
            }
            return count;
        };
        try {
            ts::ExportModule(module, take);
        } catch (const std::exception& error) {
            throw core::StorageError(fmt::format("{}: cannot be written: {}", path.string(), torchReason(error)));
        }
        if (failure)
            std::rethrow_exception(failure);
    });
}

}  // namespace

void registerTorchScriptExporter(ExporterRegistry& registry)
{
    registry.add(
        {"torchscript",
         "TorchScript (.pt)",
         "For torch.jit.load in Python or C++, PyTorch 1.13 and later; modules, names and control flow are kept, outputs are equal to the last bit.",
         "PyTorch, torch/csrc/jit/docs/serialization.md",
         withLowRank({}),
         {},
         {}},
        {writeTorchScript, false, ".pt"});
}

}  // namespace orrery::models
