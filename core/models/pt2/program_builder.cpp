#include "program_builder.h"

#include <core/base/error.h>
#include <core/base/stop.h>

namespace orrery::models {
namespace {

using io::ExportedArgument;
using io::ExportedInput;
using io::ExportedOutput;

std::string shortClass(const std::string& type)
{
    return type.substr(type.rfind('.') + 1);
}

std::string rootClass(const io::ExportedProgram& program)
{
    for (const auto& node : program.graph.nodes)
        for (const auto& [path, type] : node.modules)
            if (path.empty())
                return shortClass(type);
    return "Module";
}

graph::Parameter::Kind kindOf(ExportedInput::Kind kind)
{
    return kind == ExportedInput::Kind::Parameter ? graph::Parameter::Kind::Parameter : graph::Parameter::Kind::Buffer;
}

}  // namespace

ProgramBuilder::ProgramBuilder(const io::ExportedProgram& program, const graph::Weights& tensors)
    : m_program(program), m_tensors(tensors), m_script(rootClass(program))
{
}

ts::Module ProgramBuilder::build()
{
    declareModules(m_program.graph);
    declareTensors();
    // PyTorch's fused attention gives its result in the order batch, position, head, feature.
    m_ownLayout = std::any_of(m_program.graph.nodes.begin(), m_program.graph.nodes.end(),
                              [](const io::ExportedNode& node) { return node.target.find("scaled_dot_product") != std::string::npos; });
    Values values;
    bindInputs(values);
    addNodes(m_program.graph, values);
    std::vector<ts::Value*> outputs;
    finishOutputs(values, outputs);
    if (outputs.empty())
        throw core::FormatError("the program gives no tensor or number");
    return m_script.finish(outputs);
}

void ProgramBuilder::declareModules(const io::ExportedGraph& graph)
{
    for (const auto& node : graph.nodes) {
        for (const auto& [path, type] : node.modules)
            m_moduleTypes.emplace(path, shortClass(type));
        for (const auto& input : node.inputs)
            if (input.value.graph)
                declareModules(*input.value.graph);
    }
}

// Modules first: a tensor's name makes the modules that were not named with a class.
void ProgramBuilder::declareTensors()
{
    for (const auto& [path, type] : m_moduleTypes)
        m_script.addModule(path, type);
    std::set<std::string> declared;
    for (const auto& input : m_program.inputs) {
        const bool isTensor =
            input.kind == ExportedInput::Kind::Parameter || input.kind == ExportedInput::Kind::Buffer || input.kind == ExportedInput::Kind::Constant;
        if (!isTensor || !declared.insert(input.target).second)
            continue;
        const auto* tensor = m_tensors.find(input.target);
        if (!tensor)
            throw core::FormatError(fmt::format("expected a tensor {} in the archive, found none", input.target));
        m_script.addTensor(input.target, *tensor, kindOf(input.kind));
    }
}

void ProgramBuilder::bindInputs(Values& values)
{
    std::size_t user = 0;
    const auto users = std::size_t(std::count_if(m_program.inputs.begin(), m_program.inputs.end(), [](const ExportedInput& input) {
        return input.kind == ExportedInput::Kind::User || input.kind == ExportedInput::Kind::Literal;
    }));
    for (std::size_t i = 0; i < m_program.inputs.size(); ++i) {
        const auto& input = m_program.inputs[i];
        const auto& name = m_program.graph.inputs[i].text;
        switch (input.kind) {
        case ExportedInput::Kind::Parameter:
        case ExportedInput::Kind::Buffer:
        case ExportedInput::Kind::Constant:
            values[name] = m_script.tensor(input.target);
            m_weightOf[values[name]] = input.target;
            break;
        case ExportedInput::Kind::User: {
            const auto label = m_program.inputNames.size() == users ? m_program.inputNames[user] : name;
            ++user;
            if (!m_program.graph.inputs[i].isValue())
                break;
            values[name] = m_script.addInput(label, typeOf(m_program.graph.inputs[i]));
            m_inputNames.push_back(label);
            break;
        }
        case ExportedInput::Kind::Literal:
            ++user;
            if (m_program.graph.inputs[i].isValue())
                values[name] = plain(input.value, values);
            m_notes.insert(fmt::format("input {} is bound to what it was when the program was exported", input.target));
            break;
        case ExportedInput::Kind::Object: throw core::FormatError(fmt::format("input {}: objects of own classes are not supported", input.target));
        case ExportedInput::Kind::Token: break;
        }
    }
}

void ProgramBuilder::finishOutputs(const Values& values, std::vector<ts::Value*>& outputs)
{
    const auto users = std::size_t(std::count_if(m_program.outputs.begin(), m_program.outputs.end(),
                                                 [](const ExportedOutput& output) { return output.kind == ExportedOutput::Kind::User; }));
    std::size_t user = 0;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < m_program.outputs.size(); ++i) {
        const auto& output = m_program.outputs[i];
        const auto& argument = m_program.graph.outputs[i];
        if (output.kind == ExportedOutput::Kind::BufferMutation || output.kind == ExportedOutput::Kind::ParameterMutation)
            m_script.setTensor(output.target, value(argument, values));
        if (output.kind == ExportedOutput::Kind::InputMutation)
            m_notes.insert(fmt::format("the program writes into its input {}: that is left out", output.target));
        if (output.kind != ExportedOutput::Kind::User && output.kind != ExportedOutput::Kind::Loss)
            continue;
        const auto name = m_program.outputNames.size() == users && user < users ? m_program.outputNames[user] : std::to_string(user);
        ++user;
        if (argument.kind == ExportedArgument::Kind::None)
            continue;
        outputs.push_back(value(argument, values));
        names.push_back(name);
    }
    for (const auto& name : names) {
        const bool isNumber = !name.empty() && std::isdigit(static_cast<unsigned char>(name[0]));
        m_outputNames.push_back(name.empty() || names.size() == 1 ? (name.empty() || isNumber ? "output" : name)
                                : isNumber                        ? "output." + name
                                                                  : name);
    }
}

void ProgramBuilder::addNodes(const io::ExportedGraph& graph, Values& values)
{
    for (const auto& node : graph.nodes) {
        core::throwIfStopped();
        const auto* outer = std::exchange(m_node, &node);
        const auto outerModule = m_module, outerType = m_moduleType;
        if (!node.modules.empty()) {
            m_module = node.modules.back().first;
            m_moduleType = shortClass(node.modules.back().second);
        } else if (const auto module = moduleOf(node); !module.empty()) {
            m_module = module;
        }
        addNode(node, values);
        m_module = outerModule;
        m_moduleType = outerType;
        m_node = outer;
    }
}

// Nodes inside branches do not tell their module; the weights they read do.
std::string ProgramBuilder::moduleOf(const io::ExportedNode& node) const
{
    for (const auto& input : node.inputs) {
        const auto dot = input.value.text.rfind('.');
        if (input.value.kind == ExportedArgument::Kind::Tensor && dot != std::string::npos)
            return input.value.text.substr(0, dot);
    }
    return {};
}

void ProgramBuilder::addNode(const io::ExportedNode& node, Values& values)
{
    if (node.target.starts_with("torch.ops.higher_order."))
        addHigherOrder(node, values);
    else if (!addSizeOperator(node, values))
        addOperator(node, values);
}

ts::Node& ProgramBuilder::insert(const std::string& op, std::vector<ts::Value*> inputs, const std::vector<c10::TypePtr>& outputs)
{
    auto& graph = m_script.graph();
    auto& made = *graph.insertNode(graph.create(c10::Symbol::fromQualString(op), inputs, outputs.size()));
    for (std::size_t i = 0; i < outputs.size(); ++i)
        made.outputs()[i]->setType(outputs[i]);
    ScriptProgram::mark(made, m_module, m_moduleType, m_node ? m_node->source : std::string());
    return made;
}

ts::Value* ProgramBuilder::insertOne(const std::string& op, std::vector<ts::Value*> inputs, const c10::TypePtr& output)
{
    return insert(op, std::move(inputs), {output}).output();
}

// One output a value; a list that is taken apart for its items.
void ProgramBuilder::bindOutputs(const io::ExportedNode& node, ts::Node& made, Values& values)
{
    for (std::size_t i = 0; i < node.outputs.size() && i < made.outputs().size(); ++i) {
        const auto& output = node.outputs[i];
        if (output.isValue())
            values[output.text] = made.outputs()[i];
        if (output.kind != ExportedArgument::Kind::List)
            continue;
        auto& unpack = insert("prim::ListUnpack", {made.outputs()[i]}, std::vector<c10::TypePtr>(output.items.size(), c10::TensorType::get()));
        for (std::size_t j = 0; j < output.items.size(); ++j)
            values[output.items[j].text] = unpack.outputs()[j];
    }
}

void ProgramBuilder::fail(const io::ExportedNode& node, const std::string& reason) const
{
    throw core::FormatError(fmt::format("{}{}: {}", node.target, m_module.empty() ? std::string() : " in module " + m_module, reason));
}

}  // namespace orrery::models
