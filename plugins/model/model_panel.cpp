#include "model_panel.h"

#include <QAction>
#include <QFileDialog>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QTabWidget>
#include <QToolButton>
#include <QTreeView>
#include <QVBoxLayout>

#include <core/store/workspace.h>
#include <core/train/samples.h>
#include <widgets/commands.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/session.h>
#include <widgets/theme.h>

#include "tensor_detail.h"
#include "tree_filter.h"

namespace orrery::plugins {
namespace {

using widgets::SelectionPart;
using Kind = ModelTree::ItemKind;

/// What a value is computed on: the chosen sample, else the card's example.
struct ValueRequest {
    OpenedModelPtr opened;
    QString path;
    core::Json data;
    std::optional<qint64> run;
    QString split;
    std::vector<std::int64_t> samples;
    std::shared_ptr<store::Workspace> workspace;
};

data::DataSetPtr dataOf(const ValueRequest& request)
{
    const bool runs = request.run && request.workspace;
    if (runs && (request.data.is_null() || request.workspace->run(*request.run).document.value("data", core::Json()) == request.data))
        return train::dataOfRun(*request.workspace, *request.run);
    return request.data.is_null() ? nullptr : data::openData(request.data);
}

std::pair<std::vector<c10::IValue>, QString> inputsOf(const ValueRequest& request)
{
    if (!request.samples.empty())
        if (const auto data = dataOf(request)) {
            const auto part = data::splitFromName(request.split.isEmpty() ? "test" : request.split.toStdString());
            const auto indices = train::samplesOfPart(*data, part, request.samples);
            return {train::sampleInputs(*request.opened->model, *data, indices),
                    QObject::tr("sample %1 of %2").arg(request.samples.front()).arg(QString::fromUtf8(data::splitName(part).data()))};
        }
    auto inputs = graph::exampleInputs(request.opened->model->card);
    if (inputs.empty())
        throw core::InputError("the model's card does not say what its inputs look like: choose a sample in Data");
    return {std::move(inputs), QObject::tr("the card's example input (zeros)")};
}

ShownTensor computeValue(const ValueRequest& request, std::stop_token stop)
{
    auto [inputs, where] = inputsOf(request);
    graph::RunRequest run;
    run.inputs = std::move(inputs);
    run.targets = {request.path.toStdString()};
    run.stop = stop;
    const auto result = request.opened->executor->run(request.opened->model->weights, run);
    if (!result.outputs.at(0).isTensor())
        throw core::InputError(request.path.toStdString() + " is no tensor: " + result.outputs[0].tagKind());
    return readTensor(QObject::tr("%1 on %2").arg(request.path, where), result.outputs[0].toTensor());
}

}  // namespace

ModelPanel::ModelPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("model"), tr("Model"), session, parent), m_tree(new ModelTree(this))
{
    m_copyCommand = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    m_showRuns = new QAction(tr("Show the runs"), this);
    connect(m_showRuns, &QAction::triggered, this, [this] { this->session().requestPanel(QStringLiteral("experiments")); });
    m_openFile = new QAction(tr("Open a model file…"), this);
    connect(m_openFile, &QAction::triggered, this, [this] {
        const QString file =
            QFileDialog::getOpenFileName(this, tr("Open a model file"), {}, tr("Models (*.pt *.pth *.ts *.safetensors *.npz);;All files (*)"));
        if (!file.isEmpty())
            this->session().openModel(file);
    });
    addActions({m_openFile, m_copyCommand});
    setContent(makeContent());
    connect(&session, &widgets::Session::selectionChanged, this, &ModelPanel::followSelection);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        m_argument.clear();
        openSelected();
    });
    openSelected();
}

ModelPanel::~ModelPanel()
{
    m_openTask.cancel();
    m_statisticsTask.cancel();
    m_valueTask.cancel();
}

void ModelPanel::openSelected()
{
    const QString argument = widgets::modelArgument(session().selection());
    if (argument.isEmpty()) {
        m_openTask.cancel();
        if (m_opening)
            addBusy(-1);
        m_opening = false;
        m_argument.clear();
        m_tree->setOpened(nullptr);
        return updateEmptyState();
    }
    if (argument != m_argument)
        open(argument);
}

void ModelPanel::open(const QString& argument)
{
    m_openTask.cancel();
    m_valueTask.cancel();
    showError({});
    m_argument = argument;
    m_failed.clear();
    if (!m_opening)
        addBusy(1);
    m_opening = true;
    m_summary->setText(tr("Opening %1…").arg(argument));
    const auto done = [this](const OpenedModelPtr& opened) {
        m_opening = false;
        take(opened);
        addBusy(-1);
    };
    const auto failed = [this, argument](const QString& text) {
        m_opening = false;
        m_failed = argument;
        m_tree->setOpened(nullptr);
        showError(text);
        updateEmptyState();
        addBusy(-1);
    };
    m_openTask = session().runInBackground(
        this,
        [argument, workspace = session().workspace()](widgets::BackgroundContext& context) {
            return openForPanel(argument, widgets::openModelArgument(argument, workspace), context.stopToken());
        },
        done, failed);
}

void ModelPanel::take(const OpenedModelPtr& opened)
{
    m_tree->setOpened(opened);
    const auto& inspection = opened->inspection;
    QString text = tr("%1: %2 parameters, %L3 nodes").arg(opened->argument, shortCount(inspection.parameters)).arg(inspection.nodes.size());
    if (inspection.wasRun)
        text += tr(", %1 FLOPs for one sample").arg(shortCount(inspection.flops));
    if (!opened->whyNotRun.isEmpty())
        text += QStringLiteral("\n") + opened->whyNotRun;
    m_summary->setText(text);
    m_summary->setToolTip(tr("Weights: %1 bytes. A multiply-add counts as two FLOPs.").arg(shortCount(inspection.weightBytes)));
    m_text->setPlainText(opened->text);
    m_view->expandToDepth(1);
    for (int column = 0; column < ModelTree::ColumnCount; ++column)
        m_view->resizeColumnToContents(column);
    updateEmptyState();
    const QString wanted = m_wantedPath.isEmpty() ? session().selection().valuePath : m_wantedPath;
    m_wantedPath.clear();
    showPath(wanted);
    if (!current().isValid())
        m_view->setCurrentIndex(m_filter->index(0, 0));
    showDetail();
}

void ModelPanel::filter(const QString& text)
{
    static_cast<TreeFilter*>(m_filter)->setText(text);
    text.trimmed().isEmpty() ? m_view->expandToDepth(1) : m_view->expandAll();
    if (current().isValid())
        m_view->scrollTo(m_view->currentIndex());
}

QModelIndex ModelPanel::current() const
{
    return m_filter->mapToSource(m_view->currentIndex());
}

void ModelPanel::showPath(const QString& path)
{
    const QModelIndex index = m_tree->find(path);
    if (!index.isValid() || m_tree->path(current()) == m_tree->path(index))
        return;
    QModelIndex shown = m_filter->mapFromSource(index);
    if (!shown.isValid()) {  // hidden by the filter: what another panel chose is shown all the same
        m_search->clear();
        shown = m_filter->mapFromSource(index);
    }
    m_sending = true;
    m_view->setCurrentIndex(shown);
    m_view->scrollTo(shown);
    m_sending = false;
}

void ModelPanel::chooseInTree()
{
    showDetail();
    if (m_sending || !current().isValid())
        return;
    m_sending = true;
    session().changeSelection([path = m_tree->path(current())](widgets::Selection& s) {
        s.valuePath = path;
        s.valueIndex.clear();
    });
    m_sending = false;
}

QString ModelPanel::describe(const QModelIndex& index) const
{
    const auto row = [](const QString& name, const QString& value) {
        return value.isEmpty()
                   ? QString()
                   : QStringLiteral("<tr><td style=\"white-space:nowrap\">%1&nbsp;&nbsp;</td><td>%2</td></tr>").arg(name, value.toHtmlEscaped());
    };
    QString html = QStringLiteral("<b>%1</b><table cellspacing=0 cellpadding=0>")
                       .arg((m_tree->path(index).isEmpty() ? tr("whole model") : m_tree->path(index)).toHtmlEscaped());
    if (const auto* node = m_tree->node(index)) {
        QStringList values, attributes;
        const auto* graphNode = m_tree->opened()->model->graph->producer(m_tree->opened()->model->graph->findValue(node->name).value_or(-1));
        for (std::size_t i = 0; i < node->inputs.size(); ++i)
            (graphNode && i < graphNode->inputs.size() && graphNode->inputs[i].isConstant() ? attributes : values)
                << QString::fromStdString(node->inputs[i]);
        html += row(tr("Operator"), QString::fromStdString(node->op)) + row(tr("Inputs"), values.join(QStringLiteral(", "))) +
                row(tr("Attributes"), attributes.join(QStringLiteral(", ")));
        for (const auto& shape : node->shapes)
            html += row(tr("Output"), shapeText(shape) + QStringLiteral(" ") + QString::fromStdString(node->dtype));
        if (m_tree->opened()->inspection.wasRun)
            html +=
                row(tr("Cost"),
                    tr("%1 FLOPs, %2 bytes out, %3 µs").arg(shortCount(node->flops), shortCount(node->bytes)).arg(node->seconds * 1e6, 0, 'f', 1));
    } else if (const auto* module = m_tree->module(index)) {
        html += row(tr("Type"), QString::fromStdString(module->type)) + row(tr("Nodes"), QString::number(module->nodes)) +
                row(tr("Parameters"), QLocale().toString(qlonglong(module->parameters)));
        if (!module->outputShape.empty())
            html += row(tr("Output"), shapeText(module->outputShape));
        if (m_tree->opened()->inspection.wasRun)
            html += row(tr("Cost"), tr("%1 FLOPs").arg(shortCount(module->flops)));
    } else if (const auto* parameter = m_tree->parameter(index)) {
        html += row(tr("Kind"), index.siblingAtColumn(ModelTree::KindColumn).data().toString()) + row(tr("Shape"), shapeText(parameter->shape)) +
                row(tr("Type"), QString::fromStdString(graph::dtypeName(parameter->dtype)));
    }
    return html + QStringLiteral("</table>");
}

void ModelPanel::showDetail()
{
    const QModelIndex index = current();
    m_values->setEnabled(index.isValid() && m_tree->kind(index) != Kind::Parameter);
    if (!index.isValid() || !m_tree->opened()) {
        m_node->setText(tr("Choose a module, node or parameter."));
        return m_tensor->clear({});
    }
    m_node->setText(describe(index));
    showTensorOf(index);
}

/// The weights of a parameter, or of the node that reads them; the first parameter of a module.
void ModelPanel::showTensorOf(const QModelIndex& index)
{
    m_statisticsTask.cancel();
    const auto& model = *m_tree->opened()->model;
    std::string name;
    if (const auto* parameter = m_tree->parameter(index))
        name = parameter->name;
    if (const auto* node = m_tree->node(index))
        for (const auto& input : node->inputs)
            if (name.empty() && model.graph->findParameter(input))
                name = input;
    for (int row = 0; name.empty() && row < m_tree->rowCount(index); ++row)
        if (const auto* parameter = m_tree->parameter(m_tree->index(row, 0, index)))
            name = parameter->name;
    const auto* parameter = name.empty() ? nullptr : model.graph->findParameter(name);
    const at::Tensor* tensor = parameter ? model.weights.find(parameter->name) : nullptr;
    if (!tensor)
        return m_tensor->clear(tr("No weights here. Its value on a sample can be shown."));
    m_tensor->clear(tr("Reading %1…").arg(QString::fromStdString(name)));
    addBusy(1);
    // Not cancellable by its own button: it takes milliseconds; a newer choice drops it, and its end is counted all the same.
    const auto chosen = m_tree->path(index);
    session().runInBackground(
        this, [title = QString::fromStdString(name), tensor = *tensor](widgets::BackgroundContext&) { return readTensor(title, tensor); },
        [this, chosen](const ShownTensor& shown) {
            if (m_tree->path(current()) == chosen)
                m_tensor->setTensor(shown);
            addBusy(-1);
        },
        [this](const QString& text) {
            showError(text);
            addBusy(-1);
        });
}

void ModelPanel::readValue()
{
    const QModelIndex index = current();
    if (!index.isValid() || m_reading)
        return;
    const auto& graph = *m_tree->opened()->model->graph;
    QString path = m_tree->path(index);
    if (m_tree->module(index)) {
        const auto outputs = path.isEmpty() ? std::vector<graph::ValueId>() : graph.moduleOutputs(path.toStdString());
        path = !outputs.empty()
                   ? QString::fromStdString(graph.value(outputs.back()).name)
                   : QString::fromStdString(graph.data().body.outputs.at(0).isConstant() ? "" : graph.value(graph.data().body.outputs[0].value).name);
    }
    const auto& selection = session().selection();
    ValueRequest request{m_tree->opened(),     path,
                         selection.data,       widgets::runOfArgument(m_argument),
                         selection.split,      {selection.samples.begin(), selection.samples.end()},
                         session().workspace()};
    if (request.samples.size() > 1)
        request.samples.resize(1);
    showError({});
    m_reading = true;
    m_values->hide();
    m_cancel->show();
    addBusy(1);
    const auto ended = [this] {
        m_reading = false;
        m_cancel->hide();
        m_values->show();
        addBusy(-1);
    };
    m_valueTask = session().runInBackground(
        this, [request](widgets::BackgroundContext& context) { return computeValue(request, context.stopToken()); },
        [this, ended](const ShownTensor& shown) {
            m_tensor->setTensor(shown);
            ended();
        },
        [this, ended](const QString& text) {
            showError(text);
            ended();
        });
}

void ModelPanel::followSelection(widgets::SelectionParts parts)
{
    if (m_sending)
        return;
    if (parts & (widgets::SelectionParts(SelectionPart::Model) | SelectionPart::Weights | SelectionPart::Runs))
        openSelected();
    if (parts.testFlag(SelectionPart::Value))
        showPath(session().selection().valuePath);
}

void ModelPanel::updateEmptyState()
{
    if (m_tree->opened())
        return showContent();
    if (!m_failed.isEmpty() && m_failed == m_argument)
        return showEmptyState(tr("The model could not be opened"),
                              tr("%1: see the message above. Choose another model, or correct the file and open it again.").arg(m_failed),
                              {m_openFile, m_showRuns});
    if (!session().hasWorkspace())
        return showEmptyState(tr("No workspace is open"), tr("Open a workspace from the File menu, or open a model file."), {m_openFile});
    showEmptyState(tr("No model is open"), tr("Select a run in Experiments, drop a model file on the window, or open one."),
                   {m_openFile, m_showRuns});
}

QString ModelPanel::commandLine() const
{
    if (!m_tree->opened())
        return {};
    QStringList words{QStringLiteral("inspect"), m_tree->opened()->argument};
    if (m_argument.startsWith(QLatin1String("run:")))
        words << QStringLiteral("--workspace") << session().workspaceFolder();
    return widgets::cliCommand(words);
}

std::optional<widgets::ReportItem> ModelPanel::reportItem() const
{
    if (!m_tree->opened())
        return std::nullopt;
    const auto index = current();
    const QString title = index.isValid() ? tr("%1: %2").arg(m_argument, m_tree->path(index)) : m_argument;
    return widgets::reportShown(*this, title, std::nullopt, *m_tabs);
}

core::Json ModelPanel::saveState() const
{
    return {{"path", m_tree->path(current()).toStdString()},
            {"filter", m_search->text().toStdString()},
            {"tab", m_tabs->currentIndex()},
            {"tensor_tab", m_tensor->tab()}};
}

void ModelPanel::restoreState(const core::Json& state)
{
    const auto number = [&](const char* key) { return state.contains(key) && state[key].is_number_integer() ? state[key].get<int>() : 0; };
    const auto text = [&](const char* key) {
        return state.contains(key) && state[key].is_string() ? QString::fromStdString(state[key].get<std::string>()) : QString();
    };
    m_tabs->setCurrentIndex(std::clamp(number("tab"), 0, 1));
    m_tensor->setTab(number("tensor_tab"));
    m_search->setText(text("filter"));
    m_wantedPath = text("path");
    if (m_tree->opened() && !m_wantedPath.isEmpty()) {
        showPath(m_wantedPath);
        m_wantedPath.clear();
        showDetail();
    }
}

}  // namespace orrery::plugins
