#include "node_text.h"

#include <ATen/core/function_schema.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <QObject>
#include <algorithm>

#include <core/base/text.h>
#include <core/graph/literal_text.h>
#include <core/graph/operators.h>

namespace orrery::plugins {
namespace {

constexpr qsizetype kMostReaders = 8;

/// Names of the operator's arguments; empty where libtorch does not know it.
QStringList argumentNames(const graph::Node& node)
{
    QStringList names;
    if (graph::ownOperator(node.op) != graph::OwnOperator::None)
        return names;
    if (const auto found = graph::findOperator(node.op, node.overload))
        for (const auto& argument : found->schema().arguments())
            names << QString::fromStdString(argument.name());
    return names;
}

const graph::Node* nodeNamed(const graph::Graph& graph, const std::string& name)
{
    for (const auto* node : graph.allNodes())
        if (node->name == name)
            return node;
    return nullptr;
}

QString shapeOfValue(const OpenedModel& opened, graph::ValueId value)
{
    const auto& graph = *opened.model->graph;
    if (const auto* parameter = graph.parameterOf(value))
        return shapeText(parameter->shape);
    for (std::size_t i = 0; i < std::min(opened.inputShapes.size(), graph.data().inputs.size()); ++i)
        if (graph.data().inputs[i].value == value)
            return shapeText(opened.inputShapes[i]);
    const auto* maker = graph.producer(value);
    if (!maker)
        return {};
    // Shapes are those of its tensors, in order: one that gives other things, too, says nothing of which is which.
    const auto place = std::size_t(std::find(maker->outputs.begin(), maker->outputs.end(), value) - maker->outputs.begin());
    for (const auto& info : opened.inspection.nodes)
        if (info.name == maker->name && place < info.shapes.size() && info.shapes.size() == maker->outputs.size())
            return shapeText(info.shapes[place]);
    return {};
}

/// The nodes that read any of the values, the first eight by name.
QString readersOf(const graph::Graph& graph, const std::vector<graph::ValueId>& values)
{
    QStringList readers;
    for (const auto value : values)
        for (const auto* reader : graph.users(value))
            readers << QString::fromStdString(reader->name);
    const auto more = readers.size() - kMostReaders;
    QString text = readers.mid(0, kMostReaders).join(QStringLiteral(", "));
    return more > 0 ? QObject::tr("%1 and %2 more").arg(text).arg(more) : text;
}

}  // namespace

QString costText(const graph::NodeInfo& info, const QString& bytes)
{
    if (info.calls == 0)
        return QObject::tr("not run on the example: in a branch that was not taken, or no output needs it");
    const QString cost =
        QObject::tr("%1 FLOPs, %2 %3, %4 \u00b5s").arg(shortCount(info.flops), shortCount(info.bytes), bytes).arg(info.seconds * 1e6, 0, 'f', 1);
    return info.calls == 1 ? cost : QObject::tr("%1 in %L2 calls").arg(cost).arg(info.calls);
}

std::vector<std::pair<QString, QString>> describedNode(const OpenedModel& opened, const graph::NodeInfo& info)
{
    std::vector<std::pair<QString, QString>> rows{{QObject::tr("Operator"), QString::fromStdString(info.op)}};
    const auto& graph = *opened.model->graph;
    const auto* node = nodeNamed(graph, info.name);
    if (!info.module.empty())
        rows.emplace_back(QObject::tr("Module"), QString::fromStdString(info.type.empty() ? info.module : info.module + " (" + info.type + ")"));
    QStringList inputs, attributes;
    const QStringList names = node ? argumentNames(*node) : QStringList();
    for (std::size_t i = 0; node && i < node->inputs.size(); ++i) {
        const auto& operand = node->inputs[i];
        const QString name = names.value(qsizetype(i));
        const QString prefix = name.isEmpty() ? QString() : name + QStringLiteral(" = ");
        if (operand.isConstant())
            attributes << prefix + QString::fromStdString(graph::literalText(operand.constant));
        else
            inputs << (prefix + QString::fromStdString(graph.value(operand.value).name) + QStringLiteral(" ") + shapeOfValue(opened, operand.value))
                          .trimmed();
    }
    rows.emplace_back(QObject::tr("Inputs"), inputs.join(QStringLiteral(", ")));
    rows.emplace_back(QObject::tr("Attributes"), attributes.join(QStringLiteral(", ")));
    QStringList outputs;
    for (std::size_t i = 0; i < info.shapes.size(); ++i)
        outputs << (shapeText(info.shapes[i]) + QStringLiteral(" ") + QString::fromStdString(info.dtypes[i])).trimmed();
    rows.emplace_back(QObject::tr("Output"), outputs.join(QStringLiteral(", ")));
    rows.emplace_back(QObject::tr("Read by"), readersOf(graph, node ? node->outputs : std::vector<graph::ValueId>()));
    if (info.parameters)
        rows.emplace_back(QObject::tr("Parameters"), shortCount(info.parameters));
    if (opened.inspection.wasRun)
        rows.emplace_back(QObject::tr("Cost"), costText(info, QObject::tr("bytes out")));
    if (const auto predicted = opened.predicted.find(info.name); predicted != opened.predicted.end() && predicted->second > 0)
        rows.emplace_back(QObject::tr("Predicted"), QObject::tr("%1 \u00b5s by this machine's cost model").arg(predicted->second * 1e6, 0, 'f', 1));
    if (node && !node->source.empty())
        rows.emplace_back(QObject::tr("Source"), QString::fromStdString(node->source).left(300));
    return rows;
}

std::vector<std::pair<QString, QString>> describedInput(const OpenedModel& opened, std::size_t number)
{
    const auto& graph = *opened.model->graph;
    const auto& input = graph.data().inputs.at(number);
    const auto& cards = opened.model->card.inputs;
    std::vector<std::pair<QString, QString>> rows{{QObject::tr("Kind"), QObject::tr("input")},
                                                  {QObject::tr("Type"), QString::fromStdString(graph.value(input.value).type)}};
    const auto card = std::find_if(cards.begin(), cards.end(), [&](const auto& each) { return each.name == input.name; });
    if (card != cards.end()) {
        rows.emplace_back(QObject::tr("Holds"), QString::fromStdString(card->kind + ", " + card->dtype));
        rows.emplace_back(QObject::tr("Shape"), QString::fromStdString("[" + core::join(card->shape, ", ") + "]"));
        if (!card->preprocessing.is_null())
            rows.emplace_back(QObject::tr("Preparation"), QString::fromStdString(card->preprocessing.dump()).left(300));
    }
    if (number < opened.inputShapes.size())
        rows.emplace_back(QObject::tr("In the example"), shapeText(opened.inputShapes[number]));
    rows.emplace_back(QObject::tr("Read by"), readersOf(graph, {input.value}));
    return rows;
}

}  // namespace orrery::plugins
