#include "graph_content.h"

#include <QFontMetricsF>
#include <QObject>
#include <unordered_map>

#include <core/base/text.h>

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

QString countText(int leaves, bool areTensors)
{
    if (areTensors)
        return leaves == 1 ? QObject::tr("1 tensor") : QObject::tr("%1 tensors").arg(leaves);
    return leaves == 1 ? QObject::tr("1 node") : QObject::tr("%1 nodes").arg(leaves);
}

/// @param isOwn  The item stands for something of this graph; else only its own text is known.
GraphBoxText textOf(const Item& item, const graph::Graph& graph, const std::vector<QString>& shapes, bool isOwn)
{
    GraphBoxText text{QString::fromStdString(item.title), QString::fromStdString(item.type), {}};
    const auto& data = graph.data();
    const auto number = std::size_t(item.number);
    switch (item.kind) {
    case Item::Kind::Root: break;
    case Item::Kind::Block:
    case Item::Kind::Module:
        if (item.leaves == 1 && !text.type.isEmpty())
            break;
        text.type = text.type.isEmpty() ? countText(item.leaves, graph.allNodes().empty())
                                        : QStringLiteral("%1, %2").arg(text.type, countText(item.leaves, graph.allNodes().empty()));
        break;
    case Item::Kind::Node:
        if (isOwn && !graph.allNodes()[number]->outputs.empty())
            text.shape = shapes[std::size_t(graph.allNodes()[number]->outputs.front())];
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

layout::Size sizeOf(const GraphBoxText& text, const QFontMetricsF& metrics, const QFontMetricsF& bold)
{
    const double width = std::max({bold.horizontalAdvance(text.title), metrics.horizontalAdvance(text.type), metrics.horizontalAdvance(text.shape)});
    return {std::clamp(width + kSideRoom, kNarrowest, kWidest), metrics.height() * (text.type.isEmpty() ? 1 : 2) + 10};
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
    for (std::size_t i = 0; i < items.size(); ++i)
        content->texts.push_back(textOf(items[i], graph, content->shapes, i < own->items().size()));
    fillModuleShapes(*content->tree, content->shapes, content->texts);
    for (const auto& text : content->texts)
        sizes->push_back(sizeOf(text, metrics, bold));
    content->sizes = std::move(sizes);
    return content;
}

}  // namespace orrery::widgets
