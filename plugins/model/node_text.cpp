#include "node_text.h"

#include <ATen/core/function_schema.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <QObject>

#include <core/graph/literal_text.h>
#include <core/graph/operators.h>

namespace orrery::plugins {
namespace {

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
    for (const auto& info : opened.inspection.nodes)
        if (info.name == maker->name && !info.shapes.empty() && !maker->outputs.empty() && maker->outputs.front() == value)
            return shapeText(info.shapes.front());
    return {};
}

}  // namespace

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
        outputs << (shapeText(info.shapes[i]) + QStringLiteral(" ") + (i == 0 ? QString::fromStdString(info.dtype) : QString())).trimmed();
    rows.emplace_back(QObject::tr("Output"), outputs.join(QStringLiteral(", ")));
    QStringList readers;
    for (const auto output : node ? node->outputs : std::vector<graph::ValueId>())
        for (const auto* reader : graph.users(output))
            if (readers.size() < 8)
                readers << QString::fromStdString(reader->name);
    rows.emplace_back(QObject::tr("Read by"), readers.join(QStringLiteral(", ")));
    if (info.parameters)
        rows.emplace_back(QObject::tr("Parameters"), shortCount(info.parameters));
    if (opened.inspection.wasRun)
        rows.emplace_back(
            QObject::tr("Cost"),
            QObject::tr("%1 FLOPs, %2 bytes out, %3 \u00b5s").arg(shortCount(info.flops), shortCount(info.bytes)).arg(info.seconds * 1e6, 0, 'f', 1));
    if (const auto predicted = opened.predicted.find(info.name); predicted != opened.predicted.end() && predicted->second > 0)
        rows.emplace_back(QObject::tr("Predicted"), QObject::tr("%1 \u00b5s by this machine's cost model").arg(predicted->second * 1e6, 0, 'f', 1));
    if (node && !node->source.empty())
        rows.emplace_back(QObject::tr("Source"), QString::fromStdString(node->source).left(300));
    return rows;
}

}  // namespace orrery::plugins
