#include "program_lines.h"

#include <algorithm>

#include <core/base/text.h>

namespace orrery::debug {
namespace {

bool isContainer(const std::string& type)
{
    return type == "ModuleList" || type == "ModuleDict" || type == "ParameterList" || type == "ParameterDict";
}

}  // namespace

ProgramLines::ProgramLines(graph::GraphPtr graph) : m_graph(std::move(graph))
{
    const graph::GraphData& data = m_graph->data();
    for (const auto& module : data.modules)
        m_moduleTypes[module.path] = module.type;
    m_lineOf.assign(data.values.size(), -1);
    m_depth.assign(data.values.size(), -1);
    m_lastUse.assign(data.values.size(), -1);
    for (const auto& node : data.body.nodes) {
        const int index = int(m_lines.size());
        Line line{&node, levelsOf(node), {}};
        for (const auto& input : node.inputs)
            if (!input.isConstant())
                line.reads.push_back(input.value);
        for (const auto output : node.outputs)
            m_lineOf[std::size_t(output)] = index;
        for (const auto& block : node.blocks)
            indexBlock(block, index, node.op == "prim::Loop" ? 1 : 0, line.reads);
        std::sort(line.reads.begin(), line.reads.end());
        line.reads.erase(std::unique(line.reads.begin(), line.reads.end()), line.reads.end());
        for (const auto read : line.reads)
            m_lastUse[std::size_t(read)] = index;
        m_lines.push_back(std::move(line));
    }
    for (const auto& output : data.body.outputs)
        if (!output.isConstant())
            m_lastUse[std::size_t(output.value)] = count();
}

void ProgramLines::indexBlock(const graph::Block& block, int line, int loops, std::vector<graph::ValueId>& reads)
{
    const auto define = [&](graph::ValueId id) {
        m_lineOf[std::size_t(id)] = line;
        m_depth[std::size_t(id)] = loops;
    };
    const auto read = [&](const graph::Operand& operand) {
        if (!operand.isConstant() && !isNested(operand.value))
            reads.push_back(operand.value);
    };
    for (const auto input : block.inputs)
        define(input);
    for (const auto& node : block.nodes) {
        for (const auto& input : node.inputs)
            read(input);
        for (const auto& inner : node.blocks)
            indexBlock(inner, line, loops + (node.op == "prim::Loop" ? 1 : 0), reads);
        for (const auto output : node.outputs)
            define(output);
    }
    for (const auto& output : block.outputs)
        read(output);
}

std::vector<int> ProgramLines::dependents(graph::ValueId id) const
{
    std::vector<bool> dirty(m_lineOf.size(), false);
    dirty[std::size_t(id)] = true;
    std::vector<int> lines;
    for (int i = 0; i < count(); ++i) {
        const Line& line = m_lines[std::size_t(i)];
        const bool inside = isNested(id) && lineOf(id) == i;
        if (!inside && std::none_of(line.reads.begin(), line.reads.end(), [&](auto read) { return dirty[std::size_t(read)]; }))
            continue;
        lines.push_back(i);
        for (const auto output : line.node->outputs)
            dirty[std::size_t(output)] = true;
    }
    return lines;
}

std::vector<std::string> ProgramLines::levelsOf(const graph::Node& node) const
{
    std::vector<std::string> levels;
    std::string path;
    for (const auto& part : core::split(node.module, '.')) {
        if (part.empty())
            continue;
        path += (path.empty() ? "" : ".") + part;
        const auto type = m_moduleTypes.find(path);
        const bool isCall = type != m_moduleTypes.end() ? !isContainer(type->second) : path == node.module;
        if (isCall)
            levels.push_back(path);
    }
    return levels;
}

std::vector<int> ProgramLines::entries(std::string_view modulePattern) const
{
    std::vector<int> found;
    std::vector<std::string> before;
    for (int i = 0; i < count(); ++i) {
        const auto& levels = m_lines[std::size_t(i)].levels;
        for (std::size_t k = commonLevels(before, levels); k < levels.size(); ++k)
            if (levels[k] == modulePattern || (core::isGlob(modulePattern) && core::matchesGlob(modulePattern, levels[k]))) {
                found.push_back(i);
                break;
            }
        before = levels;
    }
    return found;
}

std::size_t commonLevels(const std::vector<std::string>& a, const std::vector<std::string>& b)
{
    const auto [end, other] = std::mismatch(a.begin(), a.begin() + std::ptrdiff_t(std::min(a.size(), b.size())), b.begin());
    return std::size_t(end - a.begin());
}

}  // namespace orrery::debug
