#include "model_tree.h"

#include <QLocale>
#include <map>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/debug/cost_model.h>
#include <core/graph/operators.h>

namespace orrery::plugins {

QString shortCount(std::int64_t count)
{
    if (count < 1'000'000)
        return QLocale(QLocale::English).toString(qlonglong(count));
    static constexpr std::pair<double, const char*> kUnits[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}};
    for (const auto& [unit, name] : kUnits)
        if (double(count) >= unit)
            return QStringLiteral("%1 %2").arg(double(count) / unit, 0, 'f', 2).arg(QLatin1String(name));
    return QString::number(count);
}

QString shapeText(const std::vector<std::int64_t>& shape)
{
    return QString::fromStdString(core::formatShape(shape));
}

namespace {

/// Larger models are run when somebody asks for a value, not on opening.
constexpr std::int64_t kRunAtMostBytes = std::int64_t(2) << 30;

void findUnknown(OpenedModel& opened)
{
    const auto& nodes = opened.model->graph->allNodes();
    for (std::size_t i = 0; i < nodes.size(); ++i)
        if (graph::ownOperator(nodes[i]->op) == graph::OwnOperator::None && !graph::findOperator(nodes[i]->op, nodes[i]->overload))
            opened.unknown.push_back(i);
}

/// "operator onnx::Tanq is not known (node_tanh and 2 more)": each operator once.
QString unknownText(const OpenedModel& opened)
{
    std::map<QString, QStringList> byOperator;
    for (const auto number : opened.unknown) {
        const auto& node = *opened.model->graph->allNodes()[number];
        byOperator[QString::fromStdString(node.qualifiedOp())] << QString::fromStdString(node.name);
    }
    QStringList sentences;
    for (const auto& [op, names] : byOperator)
        sentences << QObject::tr("operator %1 is not known (%2)")
                         .arg(op, names.size() == 1 ? names.front() : QObject::tr("%1 and %2 more").arg(names.front()).arg(names.size() - 1));
    return sentences.join(QStringLiteral(", "));
}

/// Makes the executor and runs the example; fills `whyNotRun` where that is not possible.
void runExample(OpenedModel& opened, std::stop_token stop)
{
    const auto& model = *opened.model;
    if (model.graph->allNodes().empty()) {
        opened.whyNotRun = QObject::tr("These are weights alone: there is no program to run.");
        return;
    }
    try {
        opened.executor = std::make_shared<const graph::Executor>(model.graph);
    } catch (const core::Error& error) {
        findUnknown(opened);
        opened.whyNotRun = QObject::tr("Structure only: %1").arg(opened.unknown.empty() ? QString::fromUtf8(error.what()) : unknownText(opened));
        return;
    }
    const auto inputs = graph::exampleInputs(model);
    if (inputs.empty()) {
        opened.whyNotRun = QObject::tr("The model's card does not say what its inputs look like, so shapes and FLOPs are not known.");
        return;
    }
    if (model.weights.bytes() > kRunAtMostBytes) {
        opened.whyNotRun = QObject::tr("The weights take %1 bytes, so the model was not run: shapes and FLOPs are not known.")
                               .arg(shortCount(model.weights.bytes()));
        return;
    }
    try {
        opened.inspection = graph::inspect(*opened.executor, model.weights, inputs, stop);
        for (const auto& input : inputs)
            opened.inputShapes.push_back(input.isTensor() ? input.toTensor().sizes().vec() : std::vector<std::int64_t>());
    } catch (const core::Error& error) {
        opened.whyNotRun =
            QObject::tr("The model could not be run on an example input, so shapes and FLOPs are not known: %1").arg(QString::fromUtf8(error.what()));
    }
}

/// What this machine's cost model says of the nodes. It is a service: a model that cannot be read says nothing.
void predictTimes(OpenedModel& opened, std::stop_token stop)
{
    if (!opened.inspection.wasRun)
        return;
    try {
        const auto stored = debug::loadCostModel(debug::costModelFile());
        if (!stored)
            return;
        debug::Profile profile;
        profile.nodes = debug::countedNodes(*opened.executor, opened.model->weights, graph::exampleInputs(*opened.model), stop);
        debug::predictCosts(profile, stored->model);
        for (const auto& node : profile.nodes)
            opened.predicted[node.name] = node.predicted;
    } catch (const core::Cancelled&) {
        throw;
    } catch (const core::Error&) {
        opened.predicted.clear();
    }
}

/// The whole model gives what the graph gives, whichever module computes it last.
void nameWholeOutput(OpenedModel& opened)
{
    auto& inspection = opened.inspection;
    const auto& outputs = opened.model->graph->data().body.outputs;
    if (inspection.modules.empty() || outputs.empty() || outputs[0].isConstant())
        return;
    for (const auto& node : inspection.nodes)
        if (node.name == opened.model->graph->value(outputs[0].value).name && !node.shapes.empty())
            inspection.modules.front().outputShape = node.shapes.front();
}

}  // namespace

OpenedModelPtr openForPanel(const QString& argument, graph::Model model, std::stop_token stop)
{
    auto opened = std::make_shared<OpenedModel>();
    opened->argument = argument;
    opened->model = std::make_shared<const graph::Model>(std::move(model));
    opened->text = QString::fromStdString(opened->model->graph->print());
    runExample(*opened, stop);
    if (!opened->inspection.wasRun)
        opened->inspection = graph::inspectStructure(*opened->model->graph, opened->model->weights);
    predictTimes(*opened, stop);
    nameWholeOutput(*opened);
    opened->properties = models::fileProperties(argument.toStdString());
    return opened;
}

ModelTree::ModelTree(QObject* parent) : QAbstractItemModel(parent), m_root(std::make_unique<Item>())
{
}
ModelTree::~ModelTree() = default;

void ModelTree::setOpened(OpenedModelPtr opened)
{
    beginResetModel();
    m_opened = std::move(opened);
    m_root = std::make_unique<Item>();
    m_root->kind = ItemKind::Root;
    m_modules.clear();
    m_values.clear();
    if (m_opened)
        build();
    endResetModel();
}

ModelTree::Item* ModelTree::add(Item& parent, ItemKind kind, int number, const QString& name, const QString& path)
{
    auto item = std::make_unique<Item>();
    item->kind = kind;
    item->number = number;
    item->name = name;
    item->path = path;
    item->parent = &parent;
    item->row = int(parent.children.size());
    parent.children.push_back(std::move(item));
    return parent.children.back().get();
}

/// The nearest module above (or at) a path: importers may leave out modules that compute nothing.
ModelTree::Item* ModelTree::moduleItem(const QString& path)
{
    for (QString at = path;; at = at.contains(QLatin1Char('.')) ? at.left(at.lastIndexOf(QLatin1Char('.'))) : QString()) {
        if (const auto found = m_modules.find(at); found != m_modules.end())
            return found->second;
        if (at.isEmpty())
            return m_root.get();
    }
}

void ModelTree::addInputs(Item& parent)
{
    const auto& graph = *m_opened->model->graph;
    const auto& inputs = graph.data().inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const QString path = QString::fromStdString(graph.value(inputs[i].value).name);
        m_values[path] = add(parent, ItemKind::Input, int(i), path, path);
    }
}

void ModelTree::build()
{
    const auto& inspection = m_opened->inspection;
    const auto& data = m_opened->model->graph->data();
    if (inspection.modules.empty() || !inspection.modules.front().path.empty())
        addInputs(*m_root);
    for (std::size_t i = 0; i < inspection.modules.size(); ++i) {
        const QString path = QString::fromStdString(inspection.modules[i].path);
        const int cut = path.lastIndexOf(QLatin1Char('.'));
        Item* parent = path.isEmpty() ? m_root.get() : moduleItem(cut < 0 ? QString() : path.left(cut));
        const QString name = path.isEmpty()           ? QString::fromStdString(data.name.empty() ? "model" : data.name)
                             : parent->path.isEmpty() ? path
                                                      : path.mid(parent->path.size() + 1);
        m_modules[path] = add(*parent, ItemKind::Module, int(i), name, path);
        if (i == 0 && path.isEmpty())
            addInputs(*m_modules[path]);
    }
    for (std::size_t i = 0; i < data.parameters.size(); ++i) {
        const QString path = QString::fromStdString(data.parameters[i].name);
        const int cut = path.lastIndexOf(QLatin1Char('.'));
        Item* parent = moduleItem(cut < 0 ? QString() : path.left(cut));
        m_values[path] = add(*parent, ItemKind::Parameter, int(i), parent->path.isEmpty() ? path : path.mid(parent->path.size() + 1), path);
    }
    const auto& nodes = m_opened->model->graph->allNodes();
    for (std::size_t i = 0; i < inspection.nodes.size(); ++i) {
        const QString path = QString::fromStdString(inspection.nodes[i].name);
        Item* parent = moduleItem(QString::fromStdString(inspection.nodes[i].module));
        const bool inside = !parent->path.isEmpty() && path.startsWith(parent->path + QLatin1Char('.'));
        Item* item = add(*parent, ItemKind::Node, int(i), inside ? path.mid(parent->path.size() + 1) : path, path);
        m_values[path] = item;
        for (const auto output : nodes[i]->outputs)
            m_values[QString::fromStdString(m_opened->model->graph->value(output).name)] = item;
    }
}

ModelTree::Item* ModelTree::itemOf(const QModelIndex& index) const
{
    return index.isValid() ? static_cast<Item*>(index.internalPointer()) : m_root.get();
}

ModelTree::ItemKind ModelTree::kind(const QModelIndex& index) const
{
    return itemOf(index)->kind;
}
QString ModelTree::path(const QModelIndex& index) const
{
    return itemOf(index)->path;
}

const graph::NodeInfo* ModelTree::node(const QModelIndex& index) const
{
    const Item* item = itemOf(index);
    return item->kind == ItemKind::Node ? &m_opened->inspection.nodes[std::size_t(item->number)] : nullptr;
}

const graph::ModuleInfo* ModelTree::module(const QModelIndex& index) const
{
    const Item* item = itemOf(index);
    return item->kind == ItemKind::Module ? &m_opened->inspection.modules[std::size_t(item->number)] : nullptr;
}

const graph::Parameter* ModelTree::parameter(const QModelIndex& index) const
{
    const Item* item = itemOf(index);
    return item->kind == ItemKind::Parameter ? &m_opened->model->graph->data().parameters[std::size_t(item->number)] : nullptr;
}

std::optional<std::size_t> ModelTree::input(const QModelIndex& index) const
{
    const Item* item = itemOf(index);
    return item->kind == ItemKind::Input ? std::optional(std::size_t(item->number)) : std::nullopt;
}

QModelIndex ModelTree::find(const QString& path) const
{
    const QString plain = QString::fromStdString(std::string(graph::splitStep(path.toStdString()).first));
    for (const auto& [map, name] : {std::pair(&m_values, path), {&m_values, plain}, {&m_modules, path}})
        if (const auto found = map->find(name); found != map->end() && !name.isEmpty())
            return createIndex(found->second->row, 0, found->second);
    return {};
}

QModelIndex ModelTree::index(int row, int column, const QModelIndex& parent) const
{
    const Item* item = itemOf(parent);
    if (row < 0 || row >= int(item->children.size()) || column < 0 || column >= ColumnCount)
        return {};
    return createIndex(row, column, item->children[std::size_t(row)].get());
}

QModelIndex ModelTree::parent(const QModelIndex& index) const
{
    const Item* parent = index.isValid() ? itemOf(index)->parent : nullptr;
    return parent && parent != m_root.get() ? createIndex(parent->row, 0, parent) : QModelIndex();
}

int ModelTree::rowCount(const QModelIndex& parent) const
{
    return parent.column() > 0 ? 0 : int(itemOf(parent)->children.size());
}
int ModelTree::columnCount(const QModelIndex&) const
{
    return ColumnCount;
}

QString ModelTree::cell(const Item& item, int column) const
{
    if (column == NameColumn)
        return item.name;
    const bool ran = m_opened->inspection.wasRun;
    if (item.kind == ItemKind::Module) {
        const auto& info = m_opened->inspection.modules[std::size_t(item.number)];
        switch (column) {
        case KindColumn: return QString::fromStdString(info.type);
        case ShapeColumn: return info.outputShape.empty() ? QString() : shapeText(info.outputShape);
        case ParametersColumn: return info.parameters ? shortCount(info.parameters) : QString();
        default: return ran && info.flops ? shortCount(info.flops) : QString();
        }
    }
    if (item.kind == ItemKind::Node) {
        const auto& info = m_opened->inspection.nodes[std::size_t(item.number)];
        switch (column) {
        case KindColumn: return QString::fromStdString(info.op);
        case ShapeColumn: return info.shapes.empty() ? QString() : shapeText(info.shapes.front());
        case ParametersColumn: return info.parameters ? shortCount(info.parameters) : QString();
        default: return ran && info.flops ? shortCount(info.flops) : QString();
        }
    }
    if (item.kind == ItemKind::Input) {
        const auto number = std::size_t(item.number);
        const bool isKnown = number < m_opened->inputShapes.size() && column == ShapeColumn;
        return column == KindColumn ? tr("input") : isKnown ? shapeText(m_opened->inputShapes[number]) : QString();
    }
    const auto& parameter = m_opened->model->graph->data().parameters[std::size_t(item.number)];
    std::int64_t count = 1;
    for (const auto size : parameter.shape)
        count *= size;
    using Kind = graph::Parameter::Kind;
    switch (column) {
    case KindColumn: return parameter.kind == Kind::Parameter ? tr("parameter") : parameter.kind == Kind::Buffer ? tr("buffer") : tr("constant");
    case ShapeColumn: return shapeText(parameter.shape);
    case ParametersColumn: return parameter.kind == Kind::Parameter ? shortCount(count) : QString();
    default: return {};
    }
}

QVariant ModelTree::data(const QModelIndex& index, int role) const
{
    if (!index.isValid() || !m_opened)
        return {};
    const Item& item = *itemOf(index);
    if (role == Qt::DisplayRole)
        return cell(item, index.column());
    if (role == Qt::TextAlignmentRole && index.column() >= ParametersColumn)
        return int(Qt::AlignRight | Qt::AlignVCenter);
    if (role == Qt::ToolTipRole)
        return item.path.isEmpty() ? item.name : item.path + QStringLiteral("\n") + cell(item, index.column());
    return {};
}

QVariant ModelTree::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole && section >= ParametersColumn)
        return int(Qt::AlignRight | Qt::AlignVCenter);
    if (role != Qt::DisplayRole)
        return {};
    const QStringList titles{tr("Name"), tr("Type"), tr("Output"), tr("Parameters"), tr("FLOPs")};
    return titles.value(section);
}

}  // namespace orrery::plugins
