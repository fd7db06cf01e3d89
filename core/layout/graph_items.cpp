#include "graph_items.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <span>
#include <unordered_map>

namespace orrery::layout {
namespace {

using graph::GraphData;
using graph::Node;
using graph::ValueId;

/// How far back a module's second call is searched for a way from its first; beyond that it is taken to be another call.
constexpr std::size_t kSearchAtMost = 4000;

std::string shortOperator(const std::string& op)
{
    const auto at = op.find("::");
    return at == std::string::npos ? op : op.substr(at + 2);
}

bool makesTensors(const GraphData& data, const Node& node)
{
    return node.outputs.empty() || !node.blocks.empty() || std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
               return data.values[std::size_t(id)].type.find("Tensor") != std::string::npos;
           });
}

/// Does a node read sizes and kinds of its tensors alone, not what is in them?
bool readsShapes(const Node& node)
{
    static const std::set<std::string> kShapes{"aten::size",     "aten::dim",    "aten::len",   "aten::numel",  "aten::sym_size",
                                               "aten::stride",   "prim::device", "prim::dtype", "prim::layout", "aten::is_floating_point",
                                               "aten::sym_numel"};
    return kShapes.count(node.op) > 0;
}

class Maker {
public:
    Maker(const graph::Graph& graph, const ItemOptions& options) : m_graph(graph), m_data(graph.data()), m_options(options)
    {
        for (std::size_t i = 0; i < m_data.modules.size(); ++i)
            m_modules.emplace(m_data.modules[i].path, int(i));
        for (std::size_t i = 0; i < graph.allNodes().size(); ++i)
            m_numbers.emplace(graph.allNodes()[i], int(i));
        m_makers.resize(m_data.values.size());
        m_readers.resize(m_data.values.size());
        m_items.push_back({});
        m_items[0].title = m_data.name.empty() ? "model" : m_data.name;
        if (!m_data.modules.empty() && m_data.modules[0].path.empty())
            m_items[0].type = m_data.modules[0].type;
    }
    ItemTreePtr make()
    {
        if (m_graph.allNodes().empty())
            addParameters();
        else
            addGraph();
        return std::make_shared<const ItemTree>(std::move(m_items), std::move(m_edges));
    }

private:
    int add(Item::Kind kind, int number, int parent, std::string path, std::string title, std::string type)
    {
        Item item;
        item.kind = kind;
        item.number = number;
        item.parent = parent;
        item.path = std::move(path);
        item.title = std::move(title);
        item.type = std::move(type);
        m_items.push_back(std::move(item));
        m_items[std::size_t(parent)].children.push_back(int(m_items.size()) - 1);
        return int(m_items.size()) - 1;
    }
    std::string titleWithin(int parent, const std::string& path) const
    {
        while (parent > 0 && m_items[std::size_t(parent)].kind != Item::Kind::Module)
            parent = m_items[std::size_t(parent)].parent;
        const auto& above = m_items[std::size_t(parent)].path;
        return !above.empty() && path.size() > above.size() + 1 && path.compare(0, above.size(), above) == 0 && path[above.size()] == '.'
                   ? path.substr(above.size() + 1)
                   : path;
    }

    void addGraph()
    {
        for (std::size_t i = 0; i < m_data.inputs.size(); ++i)
            m_makers[std::size_t(m_data.inputs[i].value)] = {
                add(Item::Kind::Input, int(i), 0, m_data.inputs[i].name, m_data.inputs[i].name, "input")};
        addBlock(m_data.body, 0, "");
        for (std::size_t i = 0; i < m_data.body.outputs.size(); ++i) {
            const int item = add(Item::Kind::Output, int(i), 0, m_data.outputNames[i], m_data.outputNames[i], "output");
            connect(m_data.body.outputs[i], item);
        }
    }
    void addBlock(const graph::Block& block, int holder, const std::string& modulePath)
    {
        for (const auto& node : block.nodes)
            if (m_options.arithmetic || makesTensors(m_data, node))
                addNode(node, holder, modulePath);
            else
                bridge(node);
    }
    /// A number that is read out of a tensor (the condition of an If, the limit of a Loop) comes from what makes the tensor, though the node between is no box.
    void bridge(const Node& node)
    {
        if (readsShapes(node))
            return;
        std::set<int> makers;
        for (const auto& input : node.inputs)
            if (!input.isConstant())
                makers.insert(m_makers[std::size_t(input.value)].begin(), m_makers[std::size_t(input.value)].end());
        for (const auto output : node.outputs)
            m_makers[std::size_t(output)].assign(makers.begin(), makers.end());
    }
    void addNode(const Node& node, int holder, const std::string& modulePath)
    {
        std::vector<int> sources;
        for (const auto& input : node.inputs)
            if (!input.isConstant())
                for (const int maker : m_makers[std::size_t(input.value)])
                    sources.push_back(maker);
        const int parent = moduleFor(node.module, holder, modulePath, sources);
        const int item = add(Item::Kind::Node, m_numbers.at(&node), parent, node.name, titleWithin(parent, node.name), shortOperator(node.op));
        for (const auto output : node.outputs)
            m_makers[std::size_t(output)] = {item};
        if (node.op == "prim::Loop" && !node.blocks.empty())
            return addLoop(node, item);
        for (const auto& input : node.inputs)
            connect(input, item);
        for (std::size_t i = 0; i < node.blocks.size(); ++i)
            addBranch(node, i, item);
    }
    void addBranch(const Node& node, std::size_t index, int item)
    {
        const std::string title = node.blocks.size() == 2 ? (index == 0 ? "then" : "else") : fmt::format("block {}", index);
        const int block = add(Item::Kind::Block, int(index), item, node.name, title, "");
        addBlock(node.blocks[index], block, node.module);
        giveOutputs(node, node.blocks[index].outputs, item);
    }
    // What a block gives is what the node gives: its readers are led to the makers inside. What is only passed through comes from the node itself.
    void giveOutputs(const Node& node, std::span<const graph::Operand> outputs, int item)
    {
        for (std::size_t i = 0; i < node.outputs.size() && i < outputs.size(); ++i) {
            auto& makers = m_makers[std::size_t(node.outputs[i])];
            if (outputs[i].isConstant())
                continue;
            for (const int maker : m_makers[std::size_t(outputs[i].value)])
                if (maker != item && insideOf(maker, item)) {
                    std::erase(makers, item);
                    makers.push_back(maker);
                }
        }
    }
    void addLoop(const Node& node, int item)
    {
        const auto& block = node.blocks[0];
        connect(node.inputs[0], item);
        connect(node.inputs[1], item);
        for (std::size_t i = 1; i < block.inputs.size() && i + 1 < node.inputs.size(); ++i)
            if (!node.inputs[i + 1].isConstant())
                m_makers[std::size_t(block.inputs[i])] = m_makers[std::size_t(node.inputs[i + 1].value)];
        addBlock(block, item, node.module);
        giveOutputs(node, std::span(block.outputs).subspan(1), item);
        carryBack(block, item);
    }
    // A carried value goes from the end of a step to the start of the next one.
    void carryBack(const graph::Block& block, int item)
    {
        for (std::size_t i = 1; i < block.inputs.size() && i < block.outputs.size(); ++i) {
            if (block.outputs[i].isConstant())
                continue;
            for (const int maker : m_makers[std::size_t(block.outputs[i].value)])
                for (const int reader : m_readers[std::size_t(block.inputs[i])])
                    if (maker != reader && maker != item && insideOf(maker, item))
                        m_edges.push_back({maker, reader, block.outputs[i].value, true});
        }
    }

    void connect(const graph::Operand& operand, int item)
    {
        if (operand.isConstant())
            return;
        auto& readers = m_readers[std::size_t(operand.value)];
        if (!readers.empty() && readers.back() == item)
            return;  // read twice: one line
        readers.push_back(item);
        for (const int maker : m_makers[std::size_t(operand.value)]) {
            m_edges.push_back({maker, item, operand.value, false});
            m_sources[item].push_back(maker);
        }
    }
    bool insideOf(int item, int group) const
    {
        while (item > group)
            item = m_items[std::size_t(item)].parent;
        return item == group;
    }

    /// The item of a module within `holder`, made where it is not there yet.
    int moduleFor(const std::string& path, int holder, const std::string& outer, const std::vector<int>& sources)
    {
        int parent = holder;
        const std::size_t start = !outer.empty() && (path == outer || path.compare(0, outer.size() + 1, outer + ".") == 0) ? outer.size() : 0;
        if (start == 0 && !outer.empty())
            return holder;  // a node of another module inside a block: drawn where it runs
        for (std::size_t dot = path.find('.', start + 1);; dot = path.find('.', dot + 1)) {
            const std::string prefix = path.substr(0, dot);
            if (prefix.size() > start)
                if (const auto module = m_modules.find(prefix); module != m_modules.end())
                    parent = call(parent, prefix, module->second, sources);
            if (dot == std::string::npos)
                return parent;
        }
    }
    int call(int parent, const std::string& path, int module, const std::vector<int>& sources)
    {
        auto& calls = m_calls[{parent, path}];
        if (!calls.empty() && mayJoin(calls.back(), sources))
            return calls.back();
        std::string title = titleWithin(parent, path);
        if (!calls.empty())
            title += fmt::format(" ({})", calls.size() + 1);
        const int item = add(Item::Kind::Module, module, parent, path, title, m_data.modules[std::size_t(module)].type);
        m_calls[{parent, path}].push_back(item);
        return item;
    }
    /// Whether nothing that the group gives comes back to it through `sources` from outside.
    bool mayJoin(int group, const std::vector<int>& sources) const
    {
        if (insideOf(int(m_items.size()) - 1, group))
            return true;  // never left since
        std::vector<int> stack;
        std::set<int> seen;
        for (const int source : sources)
            if (!insideOf(source, group) && seen.insert(source).second)
                stack.push_back(source);
        while (!stack.empty()) {
            const int at = stack.back();
            stack.pop_back();
            if (at < group)
                continue;  // made before the group began
            if (insideOf(at, group) || seen.size() > kSearchAtMost)
                return false;
            for (const int source : m_sources.count(at) ? m_sources.at(at) : std::vector<int>())
                if (seen.insert(source).second)
                    stack.push_back(source);
        }
        return true;
    }

    void addParameters()
    {
        for (std::size_t i = 0; i < m_data.parameters.size(); ++i) {
            const auto& parameter = m_data.parameters[i];
            const auto dot = parameter.name.rfind('.');
            const int parent = dot == std::string::npos ? 0 : folderFor(parameter.name.substr(0, dot));
            add(Item::Kind::Parameter, int(i), parent, parameter.name, titleWithin(parent, parameter.name), graph::dtypeName(parameter.dtype));
        }
    }
    // In files of weights the names alone say what the modules are.
    int folderFor(const std::string& path)
    {
        if (const auto found = m_folders.find(path); found != m_folders.end())
            return found->second;
        const auto dot = path.rfind('.');
        const int parent = dot == std::string::npos ? 0 : folderFor(path.substr(0, dot));
        const auto module = m_modules.find(path);
        const int item = add(Item::Kind::Module, module == m_modules.end() ? -1 : module->second, parent, path, titleWithin(parent, path),
                             module == m_modules.end() ? "" : m_data.modules[std::size_t(module->second)].type);
        m_folders.emplace(path, item);
        return item;
    }

    const graph::Graph& m_graph;
    const GraphData& m_data;
    ItemOptions m_options;
    std::vector<Item> m_items;
    std::vector<ItemEdge> m_edges;
    std::map<std::string, int> m_modules, m_folders;
    std::unordered_map<const Node*, int> m_numbers;
    std::vector<std::vector<int>> m_makers;  ///< per value: the items that make it
    std::map<std::pair<int, std::string>, std::vector<int>> m_calls;
    std::unordered_map<int, std::vector<int>> m_sources;  ///< per item: what it reads from
    std::vector<std::vector<int>> m_readers;              ///< per value: the items that read it
};

}  // namespace

ItemTreePtr itemsOf(const graph::Graph& graph, const ItemOptions& options)
{
    return Maker(graph, options).make();
}

}  // namespace orrery::layout
