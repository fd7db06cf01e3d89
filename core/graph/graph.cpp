#include "graph.h"

#include <core/base/error.h>
#include <core/base/hash.h>
#include <core/base/plural.h>
#include <core/base/stop.h>
#include <core/base/text.h>

#include "literal_text.h"

namespace orrery::graph {
namespace {

// A module's own path is a prefix of its nodes' module paths.
bool isInside(std::string_view module, std::string_view path)
{
    return path.empty() || module == path || (module.size() > path.size() && module.substr(0, path.size()) == path && module[path.size()] == '.');
}

void visitBlocks(const Block& block, const std::function<void(const Node&)>& visit)
{
    for (const auto& node : block.nodes) {
        visit(node);
        for (const auto& inner : node.blocks)
            visitBlocks(inner, visit);
    }
}

/// Checks that every value is defined once, before its use, and that ids are in range.
class Validator {
public:
    explicit Validator(const GraphData& data) : m_data(data), m_defined(data.values.size(), false), m_visible(data.values.size(), false) {}
    void check();

private:
    void define(ValueId id, const std::string& where);
    void use(const Operand& operand, const std::string& where) const;
    void checkBlock(const Block& block, const std::string& where);
    void checkNames() const;
    const GraphData& m_data;
    std::vector<bool> m_defined;  // somewhere: must not be defined again
    std::vector<bool> m_visible;  // in the block being checked or around it
};

void Validator::define(ValueId id, const std::string& where)
{
    if (id < 0 || std::size_t(id) >= m_data.values.size())
        throw core::FormatError(fmt::format("{}: value {} is out of range (expected 0..{})", where, id, std::int64_t(m_data.values.size()) - 1));
    if (m_defined[std::size_t(id)])
        throw core::FormatError(fmt::format("{}: value \"{}\" is defined twice", where, m_data.values[std::size_t(id)].name));
    m_defined[std::size_t(id)] = m_visible[std::size_t(id)] = true;
}

void Validator::use(const Operand& operand, const std::string& where) const
{
    if (operand.isConstant())
        return;
    if (std::size_t(operand.value) >= m_data.values.size())
        throw core::FormatError(
            fmt::format("{}: value {} is out of range (expected 0..{})", where, operand.value, std::int64_t(m_data.values.size()) - 1));
    if (!m_visible[std::size_t(operand.value)])
        throw core::FormatError(fmt::format("{}: value \"{}\" is used before it is defined", where, m_data.values[std::size_t(operand.value)].name));
}

void Validator::checkBlock(const Block& block, const std::string& where)
{
    for (const auto input : block.inputs)
        define(input, where);
    for (const auto& node : block.nodes) {
        core::throwIfStopped();
        const auto place = "node " + node.name;
        for (const auto& input : node.inputs)
            use(input, place);
        for (const auto& inner : node.blocks) {
            const auto outside = m_visible;
            checkBlock(inner, place);
            m_visible = outside;  // what is made inside is out of sight afterwards
        }
        for (const auto output : node.outputs)
            define(output, place);
        if ((node.op == "prim::If" && node.blocks.size() != 2) || (node.op == "prim::Loop" && node.blocks.size() != 1))
            throw core::FormatError(fmt::format("{}: {} has {}", place, node.op, core::counted(std::int64_t(node.blocks.size()), "block")));
        if (node.op == "prim::Loop" && (node.inputs.size() < 2 || node.blocks[0].inputs.size() + 1 != node.inputs.size() ||
                                        node.blocks[0].outputs.size() + 1 != node.inputs.size() || node.outputs.size() + 2 != node.inputs.size()))
            throw core::FormatError(fmt::format("{}: a loop's carried values differ in number", place));
        for (const auto& inner : node.blocks)
            if (node.op == "prim::If" && inner.outputs.size() != node.outputs.size())
                throw core::FormatError(
                    fmt::format("{}: expected {} outputs of each branch, got {}", place, node.outputs.size(), inner.outputs.size()));
    }
    for (const auto& output : block.outputs)
        use(output, where + " outputs");
}

void Validator::checkNames() const
{
    std::unordered_set<std::string> values, nodes;
    for (const auto& value : m_data.values) {
        if (value.name.empty())
            throw core::FormatError("a value has no name");
        if (!values.insert(value.name).second)
            throw core::FormatError(fmt::format("two values are named \"{}\"", value.name));
    }
    visitBlocks(m_data.body, [&](const Node& node) {
        if (node.name.empty())
            throw core::FormatError(fmt::format("a {} node has no name", node.op));
        if (!nodes.insert(node.name).second)
            throw core::FormatError(fmt::format("two nodes are named \"{}\"", node.name));
    });
}

void Validator::check()
{
    for (const auto& input : m_data.inputs)
        define(input.value, "input " + input.name);
    if (m_data.training)
        define(*m_data.training, "training");
    for (const auto& parameter : m_data.parameters)
        define(parameter.value, "parameter " + parameter.name);
    checkNames();
    checkBlock(m_data.body, "graph");
    if (m_data.outputNames.size() != m_data.body.outputs.size())
        throw core::FormatError(fmt::format("expected {} output names, got {}", m_data.body.outputs.size(), m_data.outputNames.size()));
    for (const auto& update : m_data.bufferUpdates)
        use(Operand::of(update.value), "update of buffer " + update.buffer);
    for (const auto& [alias, target] : m_data.aliases)
        if (std::none_of(m_data.parameters.begin(), m_data.parameters.end(),
                         [&, name = target](const auto& parameter) { return parameter.name == name; }))
            throw core::FormatError(fmt::format("alias {} names no parameter: \"{}\"", alias, target));
}

std::string operandText(const GraphData& data, const Operand& operand)
{
    if (!operand.isConstant())
        return "%" + data.values[std::size_t(operand.value)].name;
    return constantToJson(operand.constant).dump();
}

/// The same for people: lists, tuples, devices and types as they are written, not as documents hold them.
std::string shownOperand(const GraphData& data, const Operand& operand)
{
    return operand.isConstant() && constantToJson(operand.constant).is_object() ? literalText(operand.constant) : operandText(data, operand);
}

void printBlock(const GraphData& data, const Block& block, int indent, std::string& out)
{
    const std::string pad(std::size_t(indent), ' ');
    for (const auto& node : block.nodes) {
        core::throwIfStopped();
        std::vector<std::string> outputs, inputs;
        for (const auto id : node.outputs)
            outputs.push_back("%" + data.values[std::size_t(id)].name);
        for (const auto& input : node.inputs)
            inputs.push_back(shownOperand(data, input));
        out += fmt::format("{}{} = {}({})\n", pad, outputs.empty() ? "[" + node.name + "]" : core::join(outputs, ", "), node.qualifiedOp(),
                           core::join(inputs, ", "));
        for (std::size_t i = 0; i < node.blocks.size(); ++i) {
            std::vector<std::string> names, results;
            for (const auto id : node.blocks[i].inputs)
                names.push_back("%" + data.values[std::size_t(id)].name);
            out += fmt::format("{}  block{}({}):\n", pad, i, core::join(names, ", "));
            printBlock(data, node.blocks[i], indent + 4, out);
            for (const auto& result : node.blocks[i].outputs)
                results.push_back(shownOperand(data, result));
            out += fmt::format("{}    -> {}\n", pad, core::join(results, ", "));
        }
    }
}

}  // namespace

Graph::Graph(GraphData data) : m_data(std::move(data))
{
    Validator(m_data).check();
    m_producers.assign(m_data.values.size(), nullptr);
    m_users.resize(m_data.values.size());
    m_parameterOf.assign(m_data.values.size(), -1);
    for (std::size_t i = 0; i < m_data.values.size(); ++i)
        m_byName.emplace(m_data.values[i].name, ValueId(i));
    for (std::size_t i = 0; i < m_data.parameters.size(); ++i)
        m_parameterOf[std::size_t(m_data.parameters[i].value)] = std::int32_t(i);
    index(m_data.body);
    m_hash = core::hashHex(toJson(*this).dump());
}

void Graph::index(const Block& block)
{
    for (const auto& node : block.nodes) {
        m_allNodes.push_back(&node);
        for (const auto& input : node.inputs) {
            if (input.isConstant())
                continue;
            auto& users = m_users[std::size_t(input.value)];
            if (users.empty() || users.back() != &node)
                users.push_back(&node);
        }
        for (const auto output : node.outputs)
            m_producers[std::size_t(output)] = &node;
        for (const auto& inner : node.blocks) {
            index(inner);
            for (const auto& output : inner.outputs)
                if (!output.isConstant())
                    m_users[std::size_t(output.value)].push_back(&node);
        }
    }
}

std::optional<ValueId> Graph::findValue(std::string_view name) const
{
    if (const auto it = m_byName.find(std::string(name)); it != m_byName.end())
        return it->second;
    if (const auto alias = m_data.aliases.find(std::string(name)); alias != m_data.aliases.end())
        return findValue(alias->second);
    return std::nullopt;
}

const Parameter* Graph::findParameter(std::string_view name) const
{
    const auto id = findValue(name);
    return id ? parameterOf(*id) : nullptr;
}

const Parameter* Graph::parameterOf(ValueId id) const
{
    const auto index = m_parameterOf.at(std::size_t(id));
    return index < 0 ? nullptr : &m_data.parameters[std::size_t(index)];
}

const Node* Graph::producer(ValueId id) const
{
    return m_producers.at(std::size_t(id));
}
const std::vector<const Node*>& Graph::users(ValueId id) const
{
    return m_users.at(std::size_t(id));
}

std::vector<ValueId> Graph::moduleOutputs(std::string_view path) const
{
    std::vector<ValueId> outputs;
    std::set<ValueId> graphOutputs;
    for (const auto& output : m_data.body.outputs)
        if (!output.isConstant())
            graphOutputs.insert(output.value);
    for (const auto* node : m_allNodes) {
        if (!isInside(node->module, path))
            continue;
        for (const auto output : node->outputs) {
            const auto& readers = users(output);
            const bool leaves = graphOutputs.count(output) ||
                                std::any_of(readers.begin(), readers.end(), [&](const Node* reader) { return !isInside(reader->module, path); });
            // Sizes and other numbers that leave a module are not what it computes.
            if (leaves && m_data.values[std::size_t(output)].type.find("Tensor") != std::string::npos)
                outputs.push_back(output);
        }
    }
    return outputs;
}

std::vector<ValueId> Graph::resolve(std::string_view pattern) const
{
    if (pattern.empty())
        throw core::InputError("an empty pattern names no value");
    if (pattern.rfind("op:", 0) == 0) {
        std::vector<ValueId> found;
        std::set<std::string> operators;
        const auto wanted = pattern.substr(3);
        for (const auto* node : m_allNodes) {
            const auto shortName = node->op.substr(node->op.find("::") + 2);
            operators.insert(shortName);
            if (wanted == node->op || wanted == node->qualifiedOp() || wanted == shortName)
                found.insert(found.end(), node->outputs.begin(), node->outputs.end());
        }
        const std::vector<std::string> known(operators.begin(), operators.end());
        if (found.empty())
            throw core::InputError(fmt::format("no node runs operator \"{}\"{}", wanted, core::didYouMean(wanted, known)));
        return found;
    }
    if (const auto id = findValue(pattern))
        return {*id};
    if (auto outputs = moduleOutputs(pattern); !outputs.empty())
        return outputs;
    std::vector<ValueId> found;
    if (core::isGlob(pattern)) {
        for (std::size_t i = 0; i < m_data.values.size(); ++i)
            if (core::matchesGlob(pattern, m_data.values[i].name))
                found.push_back(ValueId(i));
        for (const auto& module : m_data.modules)
            if (found.empty() && !module.path.empty() && core::matchesGlob(pattern, module.path))
                for (const auto& other : m_data.modules)
                    if (core::matchesGlob(pattern, other.path))
                        for (const auto id : moduleOutputs(other.path))
                            found.push_back(id);
    }
    if (!found.empty())
        return found;
    std::vector<std::string> names;
    for (const auto& value : m_data.values)
        names.push_back(value.name);
    for (const auto& module : m_data.modules)
        names.push_back(module.path);
    throw core::InputError(fmt::format("no value fits \"{}\"{}", pattern, core::didYouMean(pattern, names)));
}

std::string Graph::print() const
{
    std::vector<std::string> inputs, outputs;
    for (const auto& input : m_data.inputs)
        inputs.push_back("%" + m_data.values[std::size_t(input.value)].name);
    std::string text = fmt::format("graph {}({}):\n", m_data.name, core::join(inputs, ", "));
    for (const auto& parameter : m_data.parameters) {
        const char* kind = parameter.kind == Parameter::Kind::Parameter ? "parameter"
                           : parameter.kind == Parameter::Kind::Buffer  ? "buffer"
                                                                        : "constant";
        text += fmt::format("  {} %{}: {} {}\n", kind, parameter.name, dtypeName(parameter.dtype), core::formatShape(parameter.shape));
    }
    printBlock(m_data, m_data.body, 2, text);
    for (std::size_t i = 0; i < m_data.body.outputs.size(); ++i)
        outputs.push_back(m_data.outputNames[i] + "=" + shownOperand(m_data, m_data.body.outputs[i]));
    return text + "  return " + core::join(outputs, ", ") + "\n";
}

std::pair<std::string_view, std::string_view> splitStep(std::string_view name)
{
    // Trailing groups of [digits] or [*]; a bracket in the middle belongs to the name.
    std::size_t end = name.size();
    while (end > 2 && name[end - 1] == ']') {
        const auto open = name.rfind('[', end - 1);
        if (open == std::string_view::npos || open == 0)
            break;
        const auto inner = name.substr(open + 1, end - open - 2);
        const bool isStep = inner == "*" || (!inner.empty() && inner.find_first_not_of("0123456789") == std::string_view::npos);
        if (!isStep)
            break;
        end = open;
    }
    return {name.substr(0, end), name.substr(end)};
}

std::vector<std::string> structuralDifferences(const Graph& a, const Graph& b, std::size_t limit)
{
    std::vector<std::string> differences;
    const auto say = [&](std::string text) {
        if (differences.size() < limit)
            differences.push_back(std::move(text));
    };
    std::map<std::string, const Node*> inA, inB;
    for (const auto* node : a.allNodes())
        inA[node->name] = node;
    for (const auto* node : b.allNodes())
        inB[node->name] = node;
    for (const auto* node : a.allNodes()) {
        const auto other = inB.find(node->name);
        if (other == inB.end()) {
            say(fmt::format("node {} ({}) is only in the first", node->name, node->qualifiedOp()));
            continue;
        }
        if (node->qualifiedOp() != other->second->qualifiedOp())
            say(fmt::format("node {}: {} became {}", node->name, node->qualifiedOp(), other->second->qualifiedOp()));
        for (std::size_t i = 0; i < std::max(node->inputs.size(), other->second->inputs.size()); ++i) {
            const auto mine = i < node->inputs.size() ? operandText(a.data(), node->inputs[i]) : "nothing";
            const auto theirs = i < other->second->inputs.size() ? operandText(b.data(), other->second->inputs[i]) : "nothing";
            if (mine != theirs)
                say(fmt::format("node {}: input {} {} became {}", node->name, i, mine, theirs));
        }
    }
    for (const auto* node : b.allNodes())
        if (!inA.count(node->name))
            say(fmt::format("node {} ({}) is only in the second", node->name, node->qualifiedOp()));
    for (const auto& parameter : a.data().parameters) {
        const auto* other = b.findParameter(parameter.name);
        if (!other)
            say(fmt::format("parameter {} {} is only in the first", parameter.name, core::formatShape(parameter.shape)));
        else if (other->shape != parameter.shape)
            say(fmt::format("parameter {}: {} became {}", parameter.name, core::formatShape(parameter.shape), core::formatShape(other->shape)));
    }
    for (const auto& parameter : b.data().parameters)
        if (!a.findParameter(parameter.name))
            say(fmt::format("parameter {} {} is only in the second", parameter.name, core::formatShape(parameter.shape)));
    const auto outputsOf = [](const Graph& graph) {
        std::vector<std::string> parts;
        for (const auto& output : graph.data().body.outputs)
            parts.push_back(operandText(graph.data(), output));
        return core::join(parts, ", ");
    };
    if (outputsOf(a) != outputsOf(b))
        say(fmt::format("outputs: {} became {}", outputsOf(a), outputsOf(b)));
    return differences;
}

}  // namespace orrery::graph
