#include "graph_content.h"

#include <QFontMetricsF>
#include <QObject>
#include <unordered_map>

#include <core/base/stop.h>
#include <core/base/text.h>
#include <core/graph/literal_text.h>

namespace orrery::widgets {
namespace {

using layout::Item;

constexpr double kWidest = 230, kNarrowest = 64, kSideRoom = 24;

QString shapeOf(const std::vector<std::int64_t>& shape)
{
    return QString::fromStdString(core::formatShape(shape));
}

/// Shapes of all values: of parameters from the graph, of others from the run.
std::vector<QString> valueShapes(const graph::Graph& graph, const graph::Inspection& inspection)
{
    std::vector<QString> shapes(graph.data().values.size());
    for (const auto& parameter : graph.data().parameters)
        shapes[std::size_t(parameter.value)] = shapeOf(parameter.shape);
    const auto& nodes = graph.allNodes();
    for (std::size_t i = 0; i < nodes.size() && i < inspection.nodes.size(); ++i) {
        const auto& known = inspection.nodes[i].shapes;
        for (std::size_t k = 0; k < known.size() && k < nodes[i]->outputs.size(); ++k)
            shapes[std::size_t(nodes[i]->outputs[k])] = shapeOf(known[k]);
    }
    return shapes;
}

/// @param all  Nodes, those that are no boxes (sizes) among them; 0: not known.
QString countText(int leaves, int all, bool areTensors)
{
    if (areTensors)
        return leaves == 1 ? QObject::tr("1 tensor") : QObject::tr("%1 tensors").arg(leaves);
    if (all > leaves)
        return QObject::tr("%1 of %2 nodes").arg(leaves).arg(all);
    return leaves == 1 ? QObject::tr("1 node") : QObject::tr("%1 nodes").arg(leaves);
}

/// Nodes of each module that is one item; of one that is called several times each call is an item, and whose a node is, is not known.
std::map<std::string, int> nodesOfModules(const graph::Inspection& inspection, const layout::ItemTree& tree)
{
    std::map<std::string, int> counts, items;
    for (const auto& item : tree.items())
        items[item.path] += item.kind == Item::Kind::Module;
    for (const auto& module : inspection.modules)
        if (items[module.path] == 1)
            counts[module.path] = module.nodes;
    return counts;
}

QString furtherOf(const graph::Node& node, const graph::Graph& graph)
{
    QStringList parts;
    for (const auto& input : node.inputs) {
        if (const auto* parameter = input.isConstant() ? nullptr : graph.parameterOf(input.value))
            parts << QString::fromStdString(parameter->name);
        const auto& literal = input.constant;
        if (input.isConstant() && !literal.isNone() && !literal.isInt() && !literal.isBool())  // every second node has a 1 or a false
            parts << QString::fromStdString(graph::literalText(input.constant));
    }
    if (node.source.starts_with("ONNX "))  // others are lines of programs, which hold everything
        parts << QString::fromStdString(node.source.substr(0, node.source.find(';')));
    return parts.join(QLatin1Char('\n'));
}

/// @param isOwn  The item stands for something of this graph; else only its own text is known.
/// @param all    Nodes of a module; 0: not known.
GraphBoxText textOf(const Item& item, const graph::Graph& graph, const std::vector<QString>& shapes, bool isOwn, int all)
{
    core::throwIfStopped();
    GraphBoxText text{QString::fromStdString(item.title), QString::fromStdString(item.type), {}, {}};
    const auto& data = graph.data();
    const auto number = std::size_t(item.number);
    switch (item.kind) {
    case Item::Kind::Root: break;
    case Item::Kind::Block:
    case Item::Kind::Module:
        if (item.leaves == 1 && all <= 1 && !text.type.isEmpty())
            break;
        text.type = text.type.isEmpty() ? countText(item.leaves, all, graph.allNodes().empty())
                                        : QStringLiteral("%1, %2").arg(text.type, countText(item.leaves, all, graph.allNodes().empty()));
        break;
    case Item::Kind::Node:
        if (isOwn && !graph.allNodes()[number]->outputs.empty())
            text.shape = shapes[std::size_t(graph.allNodes()[number]->outputs.front())];
        if (isOwn)
            text.further = furtherOf(*graph.allNodes()[number], graph);
        break;
    case Item::Kind::Input:
        if (isOwn)
            text.shape = shapes[std::size_t(data.inputs[number].value)];
        break;
    case Item::Kind::Output: break;
    case Item::Kind::Parameter:
        if (isOwn)
            text.type += QStringLiteral(" ") + shapeOf(data.parameters[number].shape);
        break;
    }
    return text;
}

layout::Size sizeOf(const GraphBoxText& text, bool isGroup, const QFontMetricsF& metrics, const QFontMetricsF& bold)
{
    const double width = std::max({bold.horizontalAdvance(isGroup ? QStringLiteral("+ ") + text.title : text.title),
                                   metrics.horizontalAdvance(text.type), metrics.horizontalAdvance(text.shape)});
    // An open one has its title and type in one line.
    const double frame = isGroup ? bold.horizontalAdvance(QStringLiteral("\u2212 ") + text.title) + metrics.horizontalAdvance(text.type) + 34 : 0;
    return {std::clamp(width + kSideRoom, kNarrowest, kWidest), metrics.height() * (text.type.isEmpty() ? 1 : 2) + 10, std::min(frame, 2 * kWidest)};
}

/// What a module gives is what one of its leaving values is.
void fillModuleShapes(const layout::ItemTree& tree, const std::vector<QString>& shapes, std::vector<GraphBoxText>& texts)
{
    for (std::size_t i = 1; i < texts.size(); ++i)
        if (tree.items()[i].isGroup())
            for (const int edge : tree.leaving(int(i)))
                if (const auto value = std::size_t(tree.edges()[std::size_t(edge)].value); value < shapes.size() && !shapes[value].isEmpty())
                    texts[i].shape = shapes[value];
}

}  // namespace

GraphContentPtr makeGraphContent(const graph::Graph& graph, const graph::Inspection& inspection, const QFont& font, layout::ItemTreePtr tree,
                                 const layout::ItemOptions& options, const std::vector<std::vector<std::int64_t>>& inputShapes)
{
    auto content = std::make_shared<GraphContent>();
    const bool isUnion = tree != nullptr;
    const auto own = layout::itemsOf(graph, tree ? layout::ItemOptions{} : options);
    content->tree = tree ? std::move(tree) : own;
    content->shapes = valueShapes(graph, inspection);
    for (std::size_t i = 0; i < std::min(inputShapes.size(), graph.data().inputs.size()); ++i)
        content->shapes[std::size_t(graph.data().inputs[i].value)] = shapeOf(inputShapes[i]);
    for (const auto& value : graph.data().values)
        content->names.push_back(QString::fromStdString(value.name));
    QFont boldFont = font;
    boldFont.setBold(true);
    const QFontMetricsF metrics(font), bold(boldFont);
    auto sizes = std::make_shared<std::vector<layout::Size>>();
    const auto& items = content->tree->items();
    const auto counts = isUnion ? std::map<std::string, int>() : nodesOfModules(inspection, *content->tree);
    for (std::size_t i = 0; i < items.size(); ++i)
        content->texts.push_back(textOf(items[i], graph, content->shapes, i < own->items().size(),
                                        items[i].kind == Item::Kind::Module && counts.count(items[i].path) ? counts.at(items[i].path) : 0));
    fillModuleShapes(*content->tree, content->shapes, content->texts);
    for (std::size_t i = 0; i < items.size(); ++i)
        sizes->push_back(sizeOf(content->texts[i], items[i].isGroup(), metrics, bold));
    content->sizes = std::move(sizes);
    return content;
}

}  // namespace orrery::widgets
