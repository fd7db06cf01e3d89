#include "script_program.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <set>

#include <core/base/error.h>

namespace orrery::models {
namespace {

std::pair<std::string, std::string> splitLast(const std::string& path)
{
    const auto dot = path.rfind('.');
    return dot == std::string::npos ? std::pair(std::string(), path) : std::pair(path.substr(0, dot), path.substr(dot + 1));
}

c10::QualifiedName className(const std::string& type)
{
    auto name = asIdentifier(type.substr(type.rfind('.') + 1));
    return c10::QualifiedName("__torch__." + (name.empty() ? std::string("Module") : name));
}

}  // namespace

std::string asIdentifier(const std::string& name)
{
    std::string result;
    for (const char c : name)
        result += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return result.empty() || std::isdigit(static_cast<unsigned char>(result[0])) ? "_" + result : result;
}

ScriptProgram::ScriptProgram(const std::string& type)
    : m_root(className(type), std::make_shared<ts::CompilationUnit>(), true), m_graph(std::make_shared<ts::Graph>())
{
    m_root.register_attribute("training", c10::BoolType::get(), false);
    m_self = m_graph->addInput("self");
    m_self->setType(m_root.type());
    m_owners[""] = {m_root, "", m_self};
}

void ScriptProgram::addModule(const std::string& path, const std::string& type)
{
    if (m_owners.count(path))
        return;
    const auto [parent, name] = splitLast(path);
    addModule(parent, "Module");
    Owner& above = owner(parent);
    if (above.module.hasattr(name))
        throw core::FormatError(fmt::format("module {}: its name is also that of a tensor", path));
    ts::Module module(className(type), m_root._ivalue()->compilation_unit(), true);
    module.register_attribute("training", c10::BoolType::get(), false);
    above.module.register_module(name, module);
    m_owners[path] = {module, path, nullptr};
}

ScriptProgram::Owner& ScriptProgram::owner(const std::string& path)
{
    return m_owners.at(path);
}

// A name that is also a module's, or whose module would have a tensor's name, lies at the root under one word.
std::pair<std::string, std::string> ScriptProgram::placeOf(const std::string& name)
{
    auto [path, attribute] = splitLast(name);
    for (std::string above = path; !above.empty(); above = splitLast(above).first) {
        const auto [parent, last] = splitLast(above);
        const auto found = m_owners.find(parent);
        if (!m_owners.count(above) && found != m_owners.end() && found->second.module.hasattr(last)) {
            path.clear();
            attribute = asIdentifier(name);
        }
    }
    if (attribute.empty())
        attribute = "_";
    addModule(path, "Module");
    while (owner(path).module.hasattr(attribute))
        attribute += "_";
    return {path, attribute};
}

void ScriptProgram::addTensor(const std::string& name, const at::Tensor& tensor, graph::Parameter::Kind kind)
{
    if (kind == graph::Parameter::Kind::Constant) {
        m_literals[name] = tensor.detach();
        return;
    }
    const auto place = placeOf(name);
    m_places[name] = place;
    auto& module = owner(place.first).module;
    if (kind == graph::Parameter::Kind::Parameter)
        module.register_parameter(place.second, tensor, false);
    else
        module.register_buffer(place.second, tensor);
}

ts::Value* ScriptProgram::addInput(const std::string& name, const c10::TypePtr& type)
{
    auto* value = m_graph->addInput();
    value->setType(type);
    m_inputs.emplace_back(name, type);
    return value;
}

ts::Value* ScriptProgram::objectOf(const std::string& path)
{
    Owner& at = owner(path);
    if (!at.value) {
        const auto [parent, name] = splitLast(path);
        auto* above = objectOf(parent);
        at.value = m_graph->insertNode(m_graph->createGetAttr(above, name))->output();
    }
    return at.value;
}

ts::Value* ScriptProgram::tensor(const std::string& name)
{
    auto& value = m_read[name];
    if (value)
        return value;
    if (const auto literal = m_literals.find(name); literal != m_literals.end())
        return value = m_graph->insertConstant(literal->second);
    const auto place = m_places.at(name);
    value = m_graph->insertNode(m_graph->createGetAttr(objectOf(place.first), place.second))->output();
    return value;
}

ts::Value* ScriptProgram::training()
{
    if (!m_training)
        m_training = m_graph->insertNode(m_graph->createGetAttr(m_self, "training"))->output();
    return m_training;
}

void ScriptProgram::setTensor(const std::string& name, ts::Value* value)
{
    const auto place = m_places.at(name);
    m_graph->insertNode(m_graph->createSetAttr(objectOf(place.first), place.second, value));
}

ts::Value* ScriptProgram::literal(const c10::IValue& value)
{
    if (!value.isTuple())
        return m_graph->insertConstant(value);
    std::vector<ts::Value*> items;
    for (const auto& item : value.toTupleRef().elements())
        items.push_back(literal(item));
    return m_graph->insertNode(m_graph->createTuple(items))->output();
}

void ScriptProgram::mark(ts::Node& node, const std::string& module, const std::string& type, const std::string& source)
{
    node.s_(kModuleMark, module);
    if (!type.empty())
        node.s_(kTypeMark, type);
    if (!source.empty())
        node.s_(kSourceMark, source);
}

ts::Module ScriptProgram::finish(const std::vector<ts::Value*>& outputs)
{
    m_graph->registerOutput(outputs.size() == 1 ? outputs[0] : m_graph->insertNode(m_graph->createTuple(outputs))->output());
    std::vector<c10::Argument> arguments = {c10::Argument("self", m_root.type())};
    std::set<std::string> names = {"self"};
    for (const auto& [name, type] : m_inputs) {
        auto identifier = asIdentifier(name);
        while (!names.insert(identifier).second)
            identifier += "_";
        arguments.emplace_back(identifier, type);
    }
    const std::vector<c10::Argument> returns = {c10::Argument("", m_graph->outputs()[0]->type())};
    auto* forward = m_root._ivalue()->compilation_unit()->create_function(c10::QualifiedName(*m_root.type()->name(), "forward"), m_graph);
    forward->setSchema(c10::FunctionSchema("forward", "", std::move(arguments), returns));
    m_root.type()->addMethod(forward);
    return m_root;
}

}  // namespace orrery::models
