#include "model_panel.h"

#include <QAction>
#include <QComboBox>
#include <QFileDialog>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QTabWidget>
#include <QTreeView>
#include <utility>

#include <core/store/workspace.h>
#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/graph_view.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/session.h>
#include <widgets/theme.h>

#include "compare_page.h"
#include "export_dialog.h"
#include "graph_page.h"
#include "graph_text.h"
#include "node_text.h"
#include "tensor_detail.h"
#include "token_rows.h"
#include "tree_filter.h"
#include "value_request.h"

namespace orrery::plugins {
namespace {

using widgets::SelectionPart;
using Kind = ModelTree::ItemKind;

constexpr std::size_t kMostPropertyRows = 24;

QString row(const QString& name, const QString& value)
{
    return value.isEmpty() ? QString()
                           : QStringLiteral("<tr><td style=\"white-space:nowrap\">%1&nbsp;&nbsp;</td><td>%2</td></tr>")
                                 .arg(name.toHtmlEscaped(), value.toHtmlEscaped());
}

/// "[1, 3, 8, 8]", "[1, 8] and [1, 8]"
QString shapesText(const std::vector<std::vector<std::int64_t>>& shapes)
{
    QStringList texts;
    for (const auto& shape : shapes)
        texts << shapeText(shape);
    return texts.join(QObject::tr(" and "));
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
        const QString file = QFileDialog::getOpenFileName(
            this, tr("Open a model file"), {}, tr("Models (*.pt *.pth *.ts *.pt2 *.onnx *.safetensors *.gguf *.npz *.bin);;All files (*)"));
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
        take(nullptr);
        return;
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
        take(nullptr);
        showError(text);
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
    m_graph->setOpened(opened);
    m_compare->setOpened(opened);
    if (!opened)
        return updateEmptyState();
    const auto& inspection = opened->inspection;
    QString text = tr("%1: %2 parameters, %L3 nodes").arg(opened->argument, shortCount(inspection.parameters)).arg(inspection.nodes.size());
    if (inspection.wasRun)
        text += tr(", %1 FLOPs on %2").arg(shortCount(inspection.flops), shapesText(opened->inputShapes));
    if (!opened->whyNotRun.isEmpty())
        text += QStringLiteral("\n") + opened->whyNotRun;
    m_summary->setText(text);
    m_summary->setToolTip(tr("Weights: %1 bytes. A multiply-add counts as two FLOPs.").arg(shortCount(inspection.weightBytes)));
    m_text->setGraph(opened->text);
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
    // What is chosen stays chosen, be its row hidden: others may look at it.
    m_filtering = true;
    static_cast<TreeFilter*>(m_filter)->setText(text);
    const QModelIndex shown = m_filter->mapFromSource(m_current);
    shown.isValid() ? m_view->setCurrentIndex(shown) : m_view->selectionModel()->clear();
    m_filtering = false;
    text.trimmed().isEmpty() ? m_view->expandToDepth(1) : m_view->expandAll();
    m_noMatch->setText(tr("No name and no type holds \"%1\".").arg(text.trimmed()));
    m_noMatch->setVisible(m_tree->opened() && m_filter->rowCount() == 0);
    if (shown.isValid())
        m_view->scrollTo(shown);
}

QModelIndex ModelPanel::current() const
{
    return m_current;
}

void ModelPanel::select(const QModelIndex& index)
{
    QModelIndex shown = m_filter->mapFromSource(index);
    if (!shown.isValid()) {  // hidden by the filter: what was chosen elsewhere is shown all the same
        m_search->clear();
        shown = m_filter->mapFromSource(index);
    }
    m_view->setCurrentIndex(shown);
    m_view->scrollTo(shown);
}

/// Chosen in another panel.
void ModelPanel::showPath(const QString& path)
{
    const QModelIndex index = m_tree->find(path);
    if (!index.isValid() || m_tree->path(current()) == m_tree->path(index))
        return;
    m_sending = true;
    select(index);
    m_sending = false;
}

void ModelPanel::chooseInTree()
{
    if (m_filtering)
        return;
    m_current = m_filter->mapToSource(m_view->currentIndex());
    if (std::exchange(m_valueFailed, false))
        showError({});  // it was about another node
    showDetail();
    if (current().isValid()) {
        m_text->setPath(m_tree->path(current()));
        m_graph->setPath(m_tree->path(current()));
    }
    if (m_sending || !current().isValid())
        return;
    m_sending = true;
    session().changeSelection([path = m_tree->path(current())](widgets::Selection& s) {
        s.valuePath = path;
        s.valueIndex.clear();
    });
    m_sending = false;
}

/// Chosen in the picture, in the text or in a table.
void ModelPanel::choosePath(const QString& path)
{
    if (const QModelIndex index = m_tree->find(path); index.isValid())
        return select(index);
    if (!m_tree->opened() || !m_tree->opened()->model->graph->findValue(path.toStdString()))
        return Q_EMIT statusMessage(tr("%1 is only in the second model").arg(path));
    // A value of a loop's body is no row of the tree.
    m_sending = true;
    session().changeSelection([&](widgets::Selection& s) {
        s.valuePath = path;
        s.valueIndex.clear();
    });
    m_sending = false;
}

/// What the file says of itself.
QString ModelPanel::describeFile() const
{
    const auto& properties = m_tree->opened()->properties;
    QString html = QStringLiteral("<b>%1</b><table cellspacing=0 cellpadding=0>").arg(tr("file"));
    for (std::size_t i = 0; i < std::min(properties.size(), kMostPropertyRows); ++i)
        html += row(QString::fromStdString(properties[i].name), QString::fromStdString(properties[i].value));
    html += QStringLiteral("</table>");
    if (properties.size() > kMostPropertyRows)
        html += tr("and %1 more: orrery-cli inspect lists them all").arg(properties.size() - kMostPropertyRows);
    return html;
}

QString ModelPanel::describe(const QModelIndex& index) const
{
    QString html = QStringLiteral("<b>%1</b><table cellspacing=0 cellpadding=0>")
                       .arg((m_tree->path(index).isEmpty() ? tr("whole model") : m_tree->path(index)).toHtmlEscaped());
    if (const auto* node = m_tree->node(index)) {
        for (const auto& [name, value] : describedNode(*m_tree->opened(), *node))
            html += row(name, value);
    } else if (const auto input = m_tree->input(index)) {
        for (const auto& [name, value] : describedInput(*m_tree->opened(), *input))
            html += row(name, value);
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
    m_values->setEnabled(index.isValid() && m_tree->kind(index) != Kind::Parameter && m_tree->opened() && m_tree->opened()->executor);
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
    const auto& model = *m_tree->opened()->model;
    QStringList names;
    if (const auto* parameter = m_tree->parameter(index))
        names << QString::fromStdString(parameter->name);
    if (const auto* node = m_tree->node(index))
        for (const auto& input : node->inputs)
            if (model.graph->findParameter(input))
                names << QString::fromStdString(input);
    // The whole model is what is chosen on opening: nothing is read for it.
    for (int row = 0; !m_tree->node(index) && !m_tree->path(index).isEmpty() && row < m_tree->rowCount(index); ++row)
        if (const auto* parameter = m_tree->parameter(m_tree->index(row, 0, index)))
            names << QString::fromStdString(parameter->name);
    names.removeDuplicates();
    {
        const QSignalBlocker blocker(m_weight);
        m_weight->clear();
        m_weight->addItems(names);
        m_weight->setVisible(names.size() > 1);
    }
    if (names.isEmpty() && m_tree->path(index).isEmpty() && !m_tree->opened()->properties.empty())
        return m_tensor->clear(describeFile());
    if (names.isEmpty())
        return m_tensor->clear(m_tree->opened()->executor ? tr("No weights here. Its value on a sample can be shown.") : tr("No weights here."));
    readWeight();
}

void ModelPanel::readWeight()
{
    const QString name = m_weight->currentText();
    const auto& model = *m_tree->opened()->model;
    const auto* parameter = model.graph->findParameter(name.toStdString());
    const at::Tensor* tensor = parameter ? model.weights.find(parameter->name) : nullptr;
    if (!tensor)
        return m_tensor->clear(tr("No weights here."));
    m_tensor->clear(tr("Reading %1…").arg(name));
    addBusy(1);
    // Not cancellable by its own button: it takes milliseconds; a newer choice drops it, and its end is counted all the same.
    const auto chosen = m_tree->path(current());
    session().runInBackground(
        this,
        [name, tensor = *tensor, opened = m_tree->opened(), parameter](widgets::BackgroundContext&) {
            auto shown = readTensor(name, tensor);
            if (const auto tokens = tokensOfRows(*opened->model, *parameter))
                shown.rowNames = [tokens](std::int64_t row) {
                    return row < tokens->size() ? QString::fromStdString(tokens->tokenText(row)) : QString();
                };
            return shown;
        },
        [this, chosen, name](const ShownTensor& shown) {
            if (m_tree->path(current()) == chosen && m_weight->currentText() == name)
                m_tensor->setTensor(shown);
            addBusy(-1);
        },
        [this](const QString& text) {
            showError(text);
            addBusy(-1);
        });
}

void ModelPanel::showSingularValues()
{
    addBusy(1);
    const QString title = m_tensor->tensor().title;
    const auto isShown = [this, title] { return m_tensor->tensor().title == title; };
    session().runInBackground(
        this, [tensor = m_tensor->tensor()](widgets::BackgroundContext&) { return singularValues(tensor); },
        [this, isShown](const std::vector<double>& values) {
            if (isShown())
                m_tensor->setSingularValues(values, tr("There are none."));
            addBusy(-1);
        },
        [this, isShown](const QString& text) {
            if (isShown())
                m_tensor->setSingularValues({}, text);
            addBusy(-1);
        });
}

ValueRequest ModelPanel::valueRequest(const QString& path) const
{
    const auto& selection = session().selection();
    ValueRequest request{m_tree->opened(),     path,
                         selection.data,       widgets::runOfArgument(m_argument),
                         selection.split,      {selection.samples.begin(), selection.samples.end()},
                         session().workspace()};
    if (request.samples.size() > 1)
        request.samples.resize(1);
    return request;
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
        const auto& ends = graph.data().body.outputs;
        if (!outputs.empty())
            path = QString::fromStdString(graph.value(outputs.back()).name);
        else if (!ends.empty() && !ends.front().isConstant())
            path = QString::fromStdString(graph.value(ends.front().value).name);
        if (path.isEmpty())
            return showError(tr("The model gives nothing back: choose one of its nodes."));
    }
    const auto request = valueRequest(path);
    showError({});
    m_valueFailed = false;
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
            m_valueFailed = true;
            ended();
        });
}

void ModelPanel::exportModel()
{
    if (!m_tree->opened())
        return Q_EMIT statusMessage(tr("Open a model first: then it can be exported"));
    auto* dialog = new ExportDialog(session(), valueRequest({}), this);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

void ModelPanel::followSelection(widgets::SelectionParts parts)
{
    if (m_sending)
        return;
    if (parts & (widgets::SelectionParts(SelectionPart::Model) | SelectionPart::Weights | SelectionPart::Runs))
        openSelected();
    if (parts & (widgets::SelectionParts(SelectionPart::Model) | SelectionPart::Runs))
        m_compare->offerModels();
    if (parts & (widgets::SelectionParts(SelectionPart::Data) | SelectionPart::Samples))
        m_graph->forgetRun();
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
    if (m_tabs->currentWidget() == m_compare && !m_compare->command().isEmpty())
        return m_compare->command();
    QStringList words{QStringLiteral("inspect"), m_tree->opened()->argument};
    if (m_argument.startsWith(QLatin1String("run:")))
        words << QStringLiteral("--workspace") << session().workspaceFolder();
    return widgets::cliCommand(words);
}

QString ModelPanel::shownCommand() const
{
    return m_tree->opened() && m_tabs->currentWidget() == m_compare ? m_compare->shownCommand() : QString();
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
            {"page", m_tabs->currentWidget()->objectName().toStdString()},
            {"tensor_tab", m_tensor->tab()},
            {"split", m_split->saveState().toBase64().toStdString()},
            {"detail_split", m_detailSplit->saveState().toBase64().toStdString()},
            {"graph", m_graph->saveState()},
            {"compare", m_compare->saveState()}};
}

void ModelPanel::restoreState(const core::Json& state)
{
    m_tensor->setTab(widgets::stateInteger(state, "tensor_tab", 0));
    m_search->setText(widgets::stateText(state, "filter"));
    for (const auto& [splitter, key] : {std::pair(m_split, "split"), {m_detailSplit, "detail_split"}})
        if (const QString bytes = widgets::stateText(state, key); !bytes.isEmpty())
            splitter->restoreState(QByteArray::fromBase64(bytes.toLatin1()));
    m_graph->restoreState(widgets::stateObject(state, "graph"));
    m_compare->restoreState(widgets::stateObject(state, "compare"));
    for (int tab = 0; tab < m_tabs->count(); ++tab)
        if (m_tabs->widget(tab)->objectName() == widgets::stateText(state, "page"))
            m_tabs->setCurrentIndex(tab);
    m_wantedPath = widgets::stateText(state, "path");
    if (m_tree->opened() && !m_wantedPath.isEmpty()) {
        showPath(m_wantedPath);
        m_wantedPath.clear();
        showDetail();
    }
}

}  // namespace orrery::plugins
