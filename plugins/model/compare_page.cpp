#include "compare_page.h"

#include <QCheckBox>
#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QSignalBlocker>
#include <QSplitter>
#include <QTabWidget>
#include <QTableView>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include <core/base/text.h>
#include <core/store/workspace.h>
#include <core/train/runs.h>
#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/model_source.h>
#include <widgets/plot_view.h>

namespace orrery::plugins {
namespace {

using compare::Change;

const char* const kSequence = "checkpoints";

QString whatItDoes()
{
    return ComparePage::tr(
        "Nodes and weights of a second model are compared with those of the opened one. \"checkpoints\" shows how far the weights of "
        "a run went from one checkpoint to the next.");
}

QString named(const std::string& first, const std::string& second)
{
    return QString::fromStdString(first.empty() ? second : first);
}

compare::CheckpointSequence sequenceOf(const OpenedModel& opened, const std::shared_ptr<store::Workspace>& workspace,
                                       widgets::BackgroundContext& context)
{
    const auto run = widgets::runOfArgument(opened.argument);
    if (!run || !workspace)
        throw core::InputError("expected a run of the workspace: a file has no checkpoints");
    const auto steps = train::checkpointSteps(*workspace, *run);
    if (steps.empty())
        throw core::InputError("run " + std::to_string(*run) + " has no checkpoints: train it with train.checkpoint.every and train.checkpoint.keep");
    return compare::followCheckpoints(
        steps, [&](std::int64_t step) { return train::modelOfRun(*workspace, *run, step).weights; },
        [&](std::size_t done) { context.progress(double(done), double(steps.size()), "checkpoints"); }, context.stopToken());
}

ComparisonPtr computeComparison(const OpenedModelPtr& opened, const QString& second, const std::shared_ptr<store::Workspace>& workspace,
                                widgets::BackgroundContext& context)
{
    auto comparison = std::make_shared<Comparison>();
    comparison->first = opened->argument;
    if (second == QLatin1String(kSequence)) {
        comparison->sequence = sequenceOf(*opened, workspace, context);
        return comparison;
    }
    comparison->second = second;
    const auto other = widgets::openModelArgument(second, workspace);
    context.throwIfStopped();
    comparison->graph = compare::compareGraphs(*opened->model->graph, *other.graph);
    comparison->joined = std::make_shared<const compare::UnionItems>(compare::unionItems(*opened->model->graph, *other.graph, comparison->graph));
    comparison->tensors = compare::compareWeights(opened->model->weights, other.weights, comparison->graph.parameters, {}, context.stopToken());
    return comparison;
}

}  // namespace

ComparePage::ComparePage(widgets::Session& session)
    : JobPage(session, tr("&Compare"), tr("Progress of the comparison")), m_second(new QComboBox), m_inGraph(new QCheckBox(tr("In the graph"))),
      m_summary(new QLabel)
{
    m_second->setEditable(true);
    m_second->setCompleter(nullptr);  // "run:2" is not to become "run:2@400"
    m_second->setObjectName(QStringLiteral("second"));
    m_second->setAccessibleName(tr("Second model"));
    m_second->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_second->setMinimumContentsLength(10);
    m_second->setInsertPolicy(QComboBox::NoInsert);
    m_second->lineEdit()->setPlaceholderText(tr("Second model: run:2, zoo:NAME, a file"));
    m_second->setToolTip(
        tr("What the opened model is compared with: run:ID, run:ID@STEP, zoo:NAME?key=value, a file, or the checkpoints of its run"));
    connect(m_second, &QComboBox::currentTextChanged, this, [this] {
        Q_EMIT failed({});  // what was wrong with another model is not wrong with this one
        updateButton();
    });
    connect(this, &JobPage::failed, this, [this](const QString& text) {
        if (!text.isEmpty())
            showNothing(tr("The comparison failed: %1").arg(text));  // the one before it would be taken for its result
    });
    connect(m_second->lineEdit(), &QLineEdit::returnPressed, this, [this] {
        if (whyNot().isEmpty() && !isRunning())
            run();
    });
    m_inGraph->setChecked(true);
    m_inGraph->setToolTip(tr("Show the nodes of both models in one picture: what is added, removed and changed has a colour"));
    connect(m_inGraph, &QCheckBox::toggled, this, &ComparePage::tellGraph);
    m_summary->setWordWrap(true);
    m_summary->setAlignment(Qt::AlignTop | Qt::AlignLeft);  // without results it has the whole page
    m_summary->setObjectName(QStringLiteral("difference"));
    m_summary->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_summary->setMinimumSize(1, 1);
    buttonRow()->addWidget(m_inGraph);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->setSpacing(4);
    layout->addWidget(m_second);
    layout->addLayout(buttonRow());
    layout->addWidget(m_summary);
    layout->addWidget(makeResults(), 1);
    showNothing(whatItDoes());
    updateButton();
}

QWidget* ComparePage::makeResults()
{
    m_nodes.setColumns({{QStringLiteral("change"), tr("Change"), {}},
                        {QStringLiteral("node"), tr("Node"), {}},
                        {QStringLiteral("op"), tr("Operator"), {}},
                        {QStringLiteral("what"), tr("What"), {}}});
    m_tensors.setColumns({{QStringLiteral("tensor"), tr("Tensor"), {}},
                          {QStringLiteral("change"), tr("Change"), {}},
                          {QStringLiteral("relative"), tr("Relative"), tr("||a - b|| / ||a||"), true},
                          {QStringLiteral("largest"), tr("Largest"), tr("largest |a - b|"), true},
                          {QStringLiteral("cosine"), tr("Cosine"), tr("between the two tensors as vectors"), true},
                          {QStringLiteral("differing"), tr("Differing"), tr("elements that differ"), true},
                          {QStringLiteral("elements"), tr("Elements"), {}, true},
                          {QStringLiteral("shape"), tr("Shape"), {}}});
    m_nodeView = new widgets::TableView;
    m_nodeView->setModel(&m_nodes);
    m_tensorView = new widgets::TableView;
    m_tensorView->setModel(&m_tensors);
    m_tensorView->setObjectName(QStringLiteral("tensors"));
    m_histogram = new widgets::PlotView;
    m_histogram->setLegendVisible(false);
    m_histogram->setAxisTitle(widgets::PlotAxis::X, tr("difference"));
    m_histogram->setAxisTitle(widgets::PlotAxis::Y, tr("elements"));
    m_histogram->setWhole(widgets::PlotAxis::Y);
    connect(m_nodeView, &widgets::TableView::selectionChanged, this, [this](const QList<qint64>& ids) {
        if (ids.size() == 1 && m_comparison && !m_comparison->graph.nodes[std::size_t(ids[0])].first.empty())
            Q_EMIT pathChosen(QString::fromStdString(m_comparison->graph.nodes[std::size_t(ids[0])].first));
    });
    connect(m_tensorView, &widgets::TableView::selectionChanged, this, [this](const QList<qint64>& ids) {
        if (ids.size() != 1 || !m_comparison)
            return;
        showHistogram(ids[0]);
        if (const auto& tensor = m_comparison->tensors[std::size_t(ids[0])]; !tensor.first.empty())
            Q_EMIT pathChosen(QString::fromStdString(tensor.first));
    });
    auto* weights = new QSplitter(Qt::Vertical);
    weights->addWidget(m_tensorView);
    weights->addWidget(m_histogram);
    weights->setSizes({300, 180});
    weights->setChildrenCollapsible(false);
    m_tabs = new QTabWidget;
    m_tabs->setDocumentMode(true);
    m_tabs->addTab(weights, tr("&Weights"));
    m_tabs->addTab(m_nodeView, tr("&Nodes"));
    m_tabs->addTab(makeSequence(), tr("&Checkpoints"));
    for (auto* view : {m_nodeView, m_tensorView})
        view->table()->horizontalHeader()->setStretchLastSection(true);
    return m_tabs;
}

/// The norm over the distances, each on an axis of its own: a training goes a small part of the norm.
QWidget* ComparePage::makeSequence()
{
    m_curveOf = widgets::narrowBox(tr("Weights"), tr("Whose way is on show: all floating weights together, or one tensor"), 16);
    m_curveOf->setObjectName(QStringLiteral("curveOf"));
    connect(m_curveOf, &QComboBox::currentIndexChanged, this, &ComparePage::showCurves);
    auto* plots = new QSplitter(Qt::Vertical);
    plots->setChildrenCollapsible(false);
    for (auto** plot : {&m_distances, &m_norm}) {
        *plot = new widgets::PlotView;
        (*plot)->setAxisTitle(widgets::PlotAxis::X, tr("step"));
        (*plot)->setWhole(widgets::PlotAxis::X);
        plots->addWidget(*plot);
    }
    m_distances->setAxisTitle(widgets::PlotAxis::Y, tr("distance"));
    m_distances->setObjectName(QStringLiteral("distances"));
    m_norm->setAxisTitle(widgets::PlotAxis::Y, tr("norm"));
    m_norm->setLegendVisible(false);
    widgets::PlotView::link({m_distances, m_norm});
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->addWidget(m_curveOf, 0, Qt::AlignLeft);
    layout->addWidget(plots, 1);
    return page;
}

void ComparePage::setOpened(const OpenedModelPtr& opened)
{
    const bool same = m_opened && opened && m_opened->argument == opened->argument;
    m_opened = opened;
    if (!same)
        showNothing(whatItDoes());
    offerModels();
}

void ComparePage::offerModels()
{
    const QString text = m_second->currentText();
    {
        const QSignalBlocker blocker(m_second);
        m_second->clear();
        const QString own = m_opened ? m_opened->argument : QString();
        for (const auto& argument : widgets::modelArguments(session().selection()))
            if (argument != own)
                m_second->addItem(argument);
        const auto run = widgets::runOfArgument(own);
        if (run && session().hasWorkspace()) {
            m_second->addItem(QString::fromLatin1(kSequence));
            for (const auto step : train::checkpointSteps(*session().workspace(), *run))
                m_second->addItem(QStringLiteral("run:%1@%2").arg(*run).arg(step));
        }
        m_second->setCurrentText(text);
    }
    updateButton();
}

QString ComparePage::second() const
{
    return m_second->currentText().trimmed();
}

bool ComparePage::wantsSequence() const
{
    return second() == QLatin1String(kSequence);
}

QString ComparePage::whyNot() const
{
    if (!m_opened)
        return tr("Open a model first");
    return second().isEmpty() ? tr("Say with which model it is to be compared") : QString();
}

void ComparePage::run()
{
    const auto document = core::Json{{"first", m_opened->argument.toStdString()}, {"second", second().toStdString()}};
    start([opened = m_opened, other = second(),
           workspace = session().workspace()](widgets::BackgroundContext& context) { return computeComparison(opened, other, workspace, context); },
          [this, wanted = m_opened](const ComparisonPtr& comparison) {
              if (m_opened == wanted)
                  show(comparison);
          },
          tr("Compare %1 with %2").arg(m_opened->argument, second()), "compare", document);
}

void ComparePage::showNothing(const QString& why)
{
    clearShownCommand();
    show(nullptr);
    m_summary->setText(why);
}

void ComparePage::show(const ComparisonPtr& comparison)
{
    m_comparison = comparison;
    m_tabs->setVisible(comparison != nullptr);
    const bool isSequence = comparison && comparison->second.isEmpty();
    m_inGraph->setVisible(comparison && !isSequence);
    for (const int tab : {0, 1})
        m_tabs->setTabVisible(tab, !isSequence);
    m_tabs->setTabVisible(2, isSequence);
    if (isSequence)
        showSequence();
    else if (comparison) {
        showNodes();
        showTensors();
    }
    tellGraph();
}

void ComparePage::tellGraph()
{
    Q_EMIT comparisonChanged(m_comparison && !m_comparison->second.isEmpty() && m_inGraph->isChecked() ? m_comparison : nullptr);
}

void ComparePage::showNodes()
{
    const auto& graph = m_comparison->graph;
    std::vector<widgets::RowModel::Row> rows;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
        const auto& node = graph.nodes[i];
        if (node.change == Change::Same && !node.isRenamed())
            continue;
        QStringList what;
        for (const auto& sentence : node.what)
            what << QString::fromStdString(sentence);
        if (node.isRenamed())
            what << tr("now %1").arg(QString::fromStdString(node.second));
        const QString change = node.change == Change::Same ? tr("renamed") : QString::fromLatin1(compare::changeName(node.change));
        rows.push_back({qint64(i),
                        {change, named(node.first, node.second), QString::fromStdString(node.op), what.join(QStringLiteral("; "))},
                        what.join(QLatin1Char('\n'))});
    }
    m_nodeView->setEmptyText(tr("All %L1 nodes are the same.").arg(graph.nodes.size()));
    m_nodes.setRows(std::move(rows));
    m_nodeView->table()->resizeColumnsToContents();
    const auto& tensors = m_comparison->tensors;
    const auto count = [&](Change change) {
        return std::count_if(tensors.begin(), tensors.end(), [change](const auto& tensor) { return tensor.change == change; });
    };
    m_summary->setText(tr("%1 and %2: %L3 nodes are the same, %L4 changed, %L5 added, %L6 removed; %7.")
                           .arg(m_comparison->first, m_comparison->second)
                           .arg(graph.count(Change::Same))
                           .arg(graph.count(Change::Changed))
                           .arg(graph.count(Change::Added))
                           .arg(graph.count(Change::Removed))
                           .arg(tr("%L1 tensors are the same, %L2 changed, %L3 added, %L4 removed")
                                    .arg(count(Change::Same))
                                    .arg(count(Change::Changed))
                                    .arg(count(Change::Added))
                                    .arg(count(Change::Removed))));
}

void ComparePage::showTensors()
{
    std::vector<widgets::RowModel::Row> rows;
    qint64 most = -1;
    const auto& tensors = m_comparison->tensors;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const auto& tensor = tensors[i];
        const bool compared = !tensor.first.empty() && !tensor.second.empty() && tensor.sameShape();
        QString shape = QString::fromStdString(core::formatShape(tensor.first.empty() ? tensor.secondShape : tensor.firstShape));
        if (!tensor.first.empty() && !tensor.second.empty() && !tensor.sameShape())
            shape += QStringLiteral(" \u2192 ") + QString::fromStdString(core::formatShape(tensor.secondShape));
        const auto number = [compared](double value) { return compared && !std::isnan(value) ? QVariant(value) : QVariant(); };
        QString change = QString::fromLatin1(compare::changeName(tensor.change));
        if (tensor.notFinite > 0)
            change += tr(", %L1 not finite").arg(tensor.notFinite);
        rows.push_back(
            {qint64(i),
             {named(tensor.first, tensor.second), change, number(tensor.relative), number(tensor.largest), number(tensor.cosine),
              compared ? QVariant(qlonglong(tensor.differing)) : QVariant(), compared ? QVariant(qlonglong(tensor.count)) : QVariant(), shape},
             {}});
        if (compared && (most < 0 || tensor.relative > tensors[std::size_t(most)].relative))
            most = qint64(i);
    }
    m_tensors.setRows(std::move(rows));
    m_tensorView->table()->resizeColumnsToContents();
    m_tensors.sort(m_tensors.columnIndex(QStringLiteral("relative")), Qt::DescendingOrder);
    if (most >= 0)
        m_tensorView->setSelectedIds({most});
    showHistogram(most);
}

void ComparePage::showHistogram(qint64 index)
{
    m_histogram->clear();
    if (index < 0)
        return m_histogram->setTitle({});
    const auto& tensor = m_comparison->tensors[std::size_t(index)];
    widgets::PlotSeries series;
    series.title = named(tensor.first, tensor.second);
    series.style = widgets::LineStyle::Bars;
    series.smoothed = false;
    const std::size_t bins = tensor.histogram.size();
    for (std::size_t i = 0; i < bins && tensor.high > tensor.low; ++i) {
        series.data.x.push_back(tensor.low + (double(i) + 0.5) * (tensor.high - tensor.low) / double(bins));
        series.data.y.push_back(double(tensor.histogram[i]));
    }
    if (series.data.x.empty() && tensor.count) {
        series.data.x = {tensor.low};
        series.data.y = {double(tensor.count - tensor.notFinite)};
    }
    const bool compared = !tensor.first.empty() && !tensor.second.empty() && tensor.sameShape();
    m_histogram->setTitle(compared ? series.title
                                   : tr("%1: only in one model, or of another shape: there are no differences to count").arg(series.title));
    if (compared)
        m_histogram->setSeries(QStringLiteral("difference"), std::move(series));
    m_histogram->showAll();
}

void ComparePage::showSequence()
{
    const auto& points = m_comparison->sequence.total.points;
    if (points.size() == 1)
        m_summary->setText(tr("%1 kept one checkpoint, at step %L2: there is no way to follow.").arg(m_comparison->first).arg(points.front().step));
    else
        m_summary->setText(tr("%1 checkpoints of %2, steps %3 to %4: Euclidean norms of all floating weights.")
                               .arg(points.size())
                               .arg(m_comparison->first)
                               .arg(points.front().step)
                               .arg(points.back().step));
    {
        const QSignalBlocker blocker(m_curveOf);
        m_curveOf->clear();
        m_curveOf->addItem(tr("all weights"));
        for (const auto& tensor : m_comparison->sequence.tensors)
            m_curveOf->addItem(QString::fromStdString(tensor.name));
    }
    showCurves();
    m_tabs->setCurrentIndex(2);
}

void ComparePage::showCurves()
{
    m_norm->clear();
    m_distances->clear();
    if (!m_comparison || m_curveOf->currentIndex() < 0)
        return;
    const auto& sequence = m_comparison->sequence;
    const auto number = std::size_t(m_curveOf->currentIndex());
    const auto& points = number == 0 ? sequence.total.points : sequence.tensors.at(number - 1).points;
    const auto add = [&](widgets::PlotView* plot, const char* id, const QString& title, widgets::LineStyle style,
                         double compare::SequencePoint::*member) {
        widgets::PlotSeries series;
        series.title = title;
        series.style = style;
        for (const auto& point : points) {
            series.data.x.push_back(double(point.step));
            series.data.y.push_back(point.*member);
        }
        plot->setSeries(QString::fromLatin1(id), std::move(series));
        plot->showAll();
    };
    add(m_norm, "norm", tr("norm"), widgets::LineStyle::LineAndPoints, &compare::SequencePoint::norm);
    add(m_distances, "first", tr("from the first"), widgets::LineStyle::LineAndPoints, &compare::SequencePoint::fromFirst);
    add(m_distances, "previous", tr("from the one before"), widgets::LineStyle::Dashed, &compare::SequencePoint::fromPrevious);
}

QString ComparePage::command() const
{
    if (!m_opened || second().isEmpty())
        return {};
    QStringList words{QStringLiteral("diff"), m_opened->argument};
    wantsSequence() ? words << QStringLiteral("--checkpoints") : words << second() << QStringLiteral("--weights");
    if (m_opened->argument.startsWith(QLatin1String("run:")) || second().startsWith(QLatin1String("run:")))
        words << QStringLiteral("--workspace") << session().workspaceFolder();
    return widgets::cliCommand(words);
}

core::Json ComparePage::saveState() const
{
    return {{"second", m_second->currentText().toStdString()}, {"tab", m_tabs->currentIndex()}, {"in_graph", m_inGraph->isChecked()}};
}

void ComparePage::restoreState(const core::Json& state)
{
    m_second->setCurrentText(widgets::stateText(state, "second"));
    m_tabs->setCurrentIndex(std::clamp(widgets::stateInteger(state, "tab", 0), 0, 2));
    if (state.is_object() && state.contains("in_graph") && state["in_graph"].is_boolean())
        m_inGraph->setChecked(state["in_graph"].get<bool>());
    updateButton();
}

}  // namespace orrery::plugins
