#include "profile_page.h"

#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QTabWidget>
#include <QTableView>
#include <QVBoxLayout>

#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/debug/cost_model.h>
#include <core/debug/flame.h>
#include <widgets/commands.h>
#include <widgets/controls.h>
#include <widgets/plot_view.h>
#include <widgets/table_view.h>

#include "flame_view.h"

namespace orrery::plugins {
namespace {

using widgets::RowModel;

QList<widgets::Column> costColumns()
{
    return {{"name", ProfilePage::tr("name"), {}},
            {"kind", ProfilePage::tr("kind"), ProfilePage::tr("Operator, module type, or number of nodes")},
            {"ms", ProfilePage::tr("ms"), ProfilePage::tr("Median over the runs"), true, 4},
            {"spread", ProfilePage::tr("spread %"), ProfilePage::tr("Interquartile range over the runs, as a share of the median"), true, 2},
            {"call", ProfilePage::tr("ms a call"), ProfilePage::tr("Of a node in a loop: median over its calls, of that the median over the runs"),
             true, 4, false},
            {"predicted", ProfilePage::tr("predicted ms"),
             ProfilePage::tr("By this machine's cost model, where one was fitted: orrery-cli profile --cost-model fit"), true, 4},
            {"share", ProfilePage::tr("%"), ProfilePage::tr("Of the time of all nodes"), true, 3},
            {"flops", ProfilePage::tr("MFLOP"), ProfilePage::tr("Multiply-add counts as two"), true, 4},
            {"bytes", ProfilePage::tr("KiB"), ProfilePage::tr("Read and written"), true, 4},
            {"intensity", ProfilePage::tr("FLOP/B"), ProfilePage::tr("Arithmetic intensity"), true, 3},
            {"speed", ProfilePage::tr("GFLOP/s"), {}, true, 3},
            {"bound", ProfilePage::tr("bound by"), ProfilePage::tr("What limits at best, by this machine's measured peaks")}};
}

RowModel::Row costRow(const debug::Profile& profile, qint64 id, const QString& name, const QString& kind, double seconds, double spread,
                      double perCall, double predicted, double whole, std::int64_t flops, std::int64_t bytes)
{
    const double intensity = bytes > 0 ? double(flops) / double(bytes) : 0;
    const QVariant none;
    return {id,
            {name, kind, seconds * 1e3, profile.runs > 1 ? QVariant(100 * spread) : none, perCall > 0 ? QVariant(perCall * 1e3) : none,
             predicted > 0 ? QVariant(predicted * 1e3) : none, whole > 0 ? 100 * seconds / whole : 0, double(flops) * 1e-6, double(bytes) / 1024,
             bytes > 0 ? QVariant(intensity) : none, flops > 0 && seconds > 0 ? QVariant(double(flops) / seconds * 1e-9) : none,
             !profile.peaks || bytes == 0 ? none
                                          : QVariant(profile.isMemoryBound(intensity) ? ProfilePage::tr("memory") : ProfilePage::tr("arithmetic"))},
            name};
}

/// The cost model of this machine; one that cannot be read counts as none.
std::optional<debug::StoredCostModel> storedCostModel()
{
    try {
        return debug::loadCostModel(debug::costModelFile());
    } catch (const core::Error&) {
        return std::nullopt;
    }
}

debug::PeaksOptions measuringIn(widgets::BackgroundContext& context)
{
    debug::PeaksOptions options;
    options.progress = [&context](double done, double total) { context.progress(done, total, "rounds of this machine's peaks"); };
    return options;
}

/// Nodes inside loops are moved to the right, with how often they ran.
QString titleOf(const debug::NodeCost& node)
{
    const QString name = QString(2 * node.depth, QLatin1Char(' ')) + QString::fromStdString(node.name);
    return node.calls == 1 ? name : QStringLiteral("%1 \u00d7 %2").arg(name).arg(node.calls, 0, 'f', 0);
}

}  // namespace

ProfilePage::ProfilePage(widgets::Session& session)
    : JobPage(session, tr("Pro&file"), tr("Progress of the profile")), m_runs(new QSpinBox),
      m_by(widgets::narrowBox(tr("Rows"), tr("What a row stands for"))), m_loop(widgets::narrowBox(tr("Loop"), tr("Whose steps are on show"), 16)),
      m_summary(new QLabel), m_steps(new QLabel), m_tabs(new QTabWidget), m_rows(new RowModel(this)), m_fusionRows(new RowModel(this)),
      m_table(new widgets::TableView), m_fusion(new widgets::TableView), m_flame(new FlameView), m_roofline(new widgets::PlotView),
      m_stepCurve(new widgets::PlotView), m_peaks(new QLabel), m_measure(new QPushButton)
{
    m_runs->setRange(1, 1000);
    m_runs->setValue(10);
    m_runs->setObjectName(QStringLiteral("runs"));
    m_runs->setAccessibleName(tr("Runs"));
    m_runs->setToolTip(tr("Runs that the medians are taken of"));
    m_by->addItem(tr("Modules"), QStringLiteral("module"));
    m_by->addItem(tr("Nodes"), QStringLiteral("node"));
    m_by->addItem(tr("Operators"), QStringLiteral("operator"));
    m_by->addItem(tr("Module types"), QStringLiteral("type"));
    m_by->setObjectName(QStringLiteral("by"));
    connect(m_by, &QComboBox::currentIndexChanged, this, &ProfilePage::fillTable);
    m_summary->setObjectName(QStringLiteral("profileSummary"));
    m_summary->setWordWrap(true);
    m_summary->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_rows->setColumns(costColumns());
    m_table->setModel(m_rows);
    m_table->setObjectName(QStringLiteral("costs"));
    m_table->setPlaceholder(tr("filter: attn, ms>0.1, bound:memory"));
    connect(m_table, &widgets::TableView::selectionChanged, this, [this](const QList<qint64>& ids) {
        if (m_profile && !ids.isEmpty() && m_by->currentData().toString() == QLatin1String("node"))
            Q_EMIT valueChosen(QString::fromStdString(m_profile->nodes.at(std::size_t(ids.front())).name));
    });
    m_fusionRows->setColumns({{"pattern", tr("pattern"), {}},
                              {"saved", tr("KiB saved"), tr("Bytes that would not be written and read again"), true, 4},
                              {"bytes", tr("KiB moved now"), {}, true, 4},
                              {"ms", tr("ms at best"), tr("At the measured memory bandwidth"), true, 3},
                              {"nodes", tr("nodes"), {}}});
    m_fusion->setModel(m_fusionRows);
    m_fusion->setObjectName(QStringLiteral("fusion"));
    m_roofline->setObjectName(QStringLiteral("roofline"));
    m_roofline->setAxisTitle(widgets::PlotAxis::X, tr("FLOPs a byte"));
    m_roofline->setAxisTitle(widgets::PlotAxis::Y, tr("GFLOP/s"));
    m_roofline->setLog(widgets::PlotAxis::X, true);
    m_roofline->setLog(widgets::PlotAxis::Y, true);
    connect(m_flame, &FlameView::barChosen, this, [this](const QString& name, bool isNode) {
        if (isNode)
            Q_EMIT valueChosen(name);
    });
    m_tabs->addTab(m_table, tr("&Table"));
    m_tabs->addTab(m_flame, tr("F&lame"));
    m_tabs->addTab(makeRooflinePage(), tr("&Roofline"));
    m_tabs->addTab(m_fusion, tr("F&usion"));
    m_tabs->addTab(makeStepsPage(), tr("St&eps"));
    m_tabs->setObjectName(QStringLiteral("profileTabs"));
    m_tabs->setMinimumHeight(160);
    m_table->table()->setColumnWidth(0, 220);
    m_table->table()->setColumnWidth(1, 140);
    m_fusion->table()->setColumnWidth(0, 220);
    m_fusion->table()->horizontalHeader()->setStretchLastSection(true);
    m_tabs->setDocumentMode(true);
    auto* runsLabel = new QLabel(tr("ru&ns"));
    runsLabel->setBuddy(m_runs);
    auto* row = new QHBoxLayout;
    row->addLayout(buttonRow(), 1);
    row->addWidget(m_runs);
    row->addWidget(runsLabel);
    row->addWidget(m_by);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    layout->addLayout(row);
    layout->addWidget(m_summary);
    layout->addWidget(m_tabs, 1);
    fillPeaks();
    fillLoops();
    updateButton();
}

QWidget* ProfilePage::makeRooflinePage()
{
    m_peaks->setObjectName(QStringLiteral("peaks"));
    m_peaks->setWordWrap(true);
    m_peaks->setMinimumSize(1, 1);
    m_peaks->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_measure->setObjectName(QStringLiteral("measurePeaks"));
    m_measure->setText(tr("Measure a&gain"));
    m_measure->setToolTip(
        tr("Measures what this machine does at best: three seconds, best while nothing else runs. It is kept for the next profile."));
    connect(m_measure, &QPushButton::clicked, this, &ProfilePage::measurePeaks);
    auto* row = new QHBoxLayout;
    row->addWidget(m_peaks, 1);
    row->addWidget(m_measure, 0, Qt::AlignTop);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->setSpacing(4);
    layout->addLayout(row);
    layout->addWidget(m_roofline, 1);
    return page;
}

QWidget* ProfilePage::makeStepsPage()
{
    m_loop->setObjectName(QStringLiteral("loop"));
    connect(m_loop, &QComboBox::currentIndexChanged, this, &ProfilePage::showSteps);
    m_steps->setObjectName(QStringLiteral("steps"));
    m_steps->setWordWrap(true);
    m_steps->setMinimumSize(1, 1);
    m_steps->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_stepCurve->setObjectName(QStringLiteral("stepCurve"));
    m_stepCurve->setAxisTitle(widgets::PlotAxis::X, tr("step"));
    m_stepCurve->setAxisTitle(widgets::PlotAxis::Y, tr("\u00b5s"));
    m_stepCurve->setWhole(widgets::PlotAxis::X);
    m_stepCurve->setLegendVisible(false);
    auto* page = new QWidget;
    auto* layout = new QVBoxLayout(page);
    layout->setContentsMargins(0, 4, 0, 0);
    layout->setSpacing(4);
    layout->addWidget(m_loop, 0, Qt::AlignLeft);
    layout->addWidget(m_steps);
    layout->addWidget(m_stepCurve, 1);
    return page;
}

void ProfilePage::setModel(const DebugModelPtr& model)
{
    findChild<widgets::JobBar*>()->cancel();  // its result would be shown as the new model's
    m_model = model;
    m_profile.reset();
    m_rows->setRows({});
    m_fusionRows->setRows({});
    m_flame->clear();
    m_roofline->clear();
    fillPeaks();
    fillLoops();
    m_summary->setText(tr("Times are medians over several runs; bytes and FLOPs are counted."));
    updateButton();
}

QString ProfilePage::whyNot() const
{
    return m_model ? QString() : tr("Choose a model first");
}

void ProfilePage::run()
{
    debug::ProfileOptions options;
    options.runs = m_runs->value();
    options.training = m_model->subject.training;
    const core::Json document{{"model", m_model->subject.model.toStdString()}, {"runs", options.runs}};
    start(
        [model = m_model, options](widgets::BackgroundContext& context) mutable {
            options.peaks = debug::machinePeaks(false, measuringIn(context), context.stopToken());
            options.progress = [&](double done, double total) { context.progress(done, total, "runs"); };
            auto profile = debug::profileModel(*model->executor, model->model->weights, model->inputs, options, context.stopToken());
            if (const auto stored = storedCostModel())
                debug::predictCosts(profile, stored->model);
            return profile;
        },
        [this](const debug::Profile& profile) { take(profile); }, tr("Profile of %1").arg(shortName(m_model->subject.model)), "profile", document, 0);
}

void ProfilePage::measurePeaks()
{
    if (isRunning())
        return;
    start([](widgets::BackgroundContext& context) { return debug::machinePeaks(true, measuringIn(context), context.stopToken()); },
          [this](const debug::MachinePeaks& peaks) {
              if (!m_profile)
                  return;
              auto profile = *m_profile;
              profile.peaks = peaks;
              profile.fusion = debug::fusionCandidates(*m_model->executor->graph(), profile.nodes, profile.peaks);
              take(profile);
          },
          tr("Peaks of this machine"), "peaks", core::Json::object(), 0);
}

void ProfilePage::take(const debug::Profile& profile)
{
    m_profile = profile;
    QString text =
        tr("%1 ms a run (median of %2, %3); measuring %4. %L5 MFLOP, %L6 KiB moved.")
            .arg(profile.plainSeconds * 1e3, 0, 'g', 4)
            .arg(profile.runs)
            .arg(QString::fromStdString(core::counted(profile.threads, "thread")))
            .arg(profile.overhead() > 0 ? tr("adds %1 %").arg(100 * profile.overhead(), 0, 'f', 1) : tr("adds nothing that can be told from noise"))
            .arg(double(profile.flops()) * 1e-6, 0, 'f', 1)
            .arg(double(profile.bytes()) / 1024, 0, 'f', 0);
    m_summary->setText(profile.note.empty() ? text : text + QLatin1Char(' ') + QString::fromStdString(profile.note));
    fillTable();
    fillPeaks();
    fillRoofline();
    fillFusion();
    fillLoops();
    m_flame->setProfile(profile, m_model->subject.model);
}

void ProfilePage::fillTable()
{
    if (!m_profile)
        return;
    const QString by = m_by->currentData().toString();
    const double whole = by == QLatin1String("node") ? m_profile->nodeSeconds() : m_profile->groupSeconds();
    std::vector<RowModel::Row> rows;
    if (by == QLatin1String("node"))
        for (const auto& node : m_profile->nodes)
            rows.push_back(costRow(*m_profile, qint64(rows.size()), titleOf(node), QString::fromStdString(node.op), node.seconds, node.spread(),
                                   node.calls > 1 ? node.perCall : 0, node.predicted, whole, node.flops, node.bytes()));
    else
        for (const auto& group : by == QLatin1String("module")     ? m_profile->modules
                                 : by == QLatin1String("operator") ? m_profile->operators
                                                                   : m_profile->types)
            rows.push_back(costRow(*m_profile, qint64(rows.size()), group.name.empty() ? tr("(whole model)") : QString::fromStdString(group.name),
                                   group.type.empty() ? tr("%1 nodes").arg(group.nodes) : QString::fromStdString(group.type), group.seconds,
                                   group.spread(), 0, group.predicted, whole, group.flops, group.bytes));
    m_rows->setRows(std::move(rows));
}

void ProfilePage::fillPeaks()
{
    QString text;
    if (const auto& peaks = m_profile ? m_profile->peaks : std::nullopt)
        text = tr("This machine: %1 GFLOP/s, %2 GB/s (measured %4); below %3 FLOPs a byte the memory limits.")
                   .arg(peaks->gigaflops, 0, 'f', 0)
                   .arg(peaks->bandwidth, 0, 'f', 1)
                   .arg(peaks->ridge(), 0, 'g', 3)
                   .arg(QString::fromStdString(debug::peaksAge(*peaks, core::isoTimeNow())));
    if (const std::string note = m_profile ? m_profile->peaksNote() : std::string(); !note.empty())
        text += QLatin1Char(' ') + QString::fromStdString(note) + QLatin1Char('.');
    m_peaks->setText(text);
    m_measure->setEnabled(m_profile && m_profile->peaks);
}

void ProfilePage::fillRoofline()
{
    m_roofline->clear();
    if (!m_profile->peaks || m_profile->peaks->ridge() <= 0)
        return;
    const auto& peaks = *m_profile->peaks;
    const auto groups = debug::rooflineGroups(*m_profile);
    double low = peaks.ridge() / 10, high = peaks.ridge() * 10;
    for (const auto& group : groups)
        for (const double intensity : group.intensity) {
            low = std::min(low, intensity / 1.5);
            high = std::max(high, intensity * 1.5);
        }
    widgets::PlotSeries roof;
    roof.title = tr("roofline");
    for (const double x : {low, peaks.ridge(), high}) {
        roof.data.x.push_back(x);
        roof.data.y.push_back(m_profile->attainable(x));
    }
    m_roofline->setSeries(QStringLiteral("roof"), roof);
    for (const auto& group : groups) {
        widgets::PlotSeries series;
        series.title = group.name.empty() ? tr("other operators") : QString::fromStdString(group.name);
        series.style = widgets::LineStyle::Points;
        series.data.x = group.intensity;
        series.data.y = group.gigaflops;
        m_roofline->setSeries(series.title, series);
    }
    m_roofline->showAll();
}

void ProfilePage::fillFusion()
{
    std::vector<RowModel::Row> rows;
    for (const auto& candidate : m_profile->fusion) {
        QStringList nodes;
        for (const auto& node : candidate.nodes)
            nodes << QString::fromStdString(node);
        rows.push_back({qint64(rows.size()),
                        {QString::fromStdString(candidate.pattern), double(candidate.savedBytes) / 1024, double(candidate.bytes) / 1024,
                         candidate.savedSeconds > 0 ? QVariant(candidate.savedSeconds * 1e3) : QVariant(), nodes.join(QStringLiteral(", "))},
                        nodes.join(QLatin1Char('\n'))});
    }
    m_fusionRows->setRows(std::move(rows));
}

/// The tab of steps is there where a loop ran, and the column that is only of nodes in loops.
void ProfilePage::fillLoops()
{
    const bool any = m_profile && !m_profile->loops.empty();
    {
        const QSignalBlocker blocker(m_loop);
        const QString chosen = m_loop->currentText();
        m_loop->clear();
        for (const auto& loop : any ? m_profile->loops : std::vector<debug::LoopCost>())
            m_loop->addItem(QString::fromStdString(loop.name));
        m_loop->setCurrentIndex(std::max(0, m_loop->findText(chosen)));
    }
    m_tabs->setTabVisible(m_tabs->count() - 1, any);
    if (any)
        m_table->setColumnShown(QStringLiteral("call"), true);
    showSteps();
}

void ProfilePage::showSteps()
{
    m_stepCurve->clear();
    m_steps->clear();
    if (!m_profile || m_loop->currentIndex() < 0 || std::size_t(m_loop->currentIndex()) >= m_profile->loops.size())
        return;
    const auto& loop = m_profile->loops[std::size_t(m_loop->currentIndex())];
    widgets::PlotSeries series;
    series.title = QString::fromStdString(loop.name);
    series.smoothed = false;
    series.style = loop.steps() <= 200 ? widgets::LineStyle::LineAndPoints : widgets::LineStyle::Line;
    for (std::size_t step = 0; step < loop.steps(); ++step) {
        series.data.x.push_back(double(step));
        series.data.y.push_back(loop.seconds[step] * 1e6);
    }
    const QString calls =
        loop.calls.size() == 1 ? tr("%L1 steps").arg(loop.steps()) : tr("%L1 steps in %L2 calls").arg(loop.steps()).arg(loop.calls.size());
    m_steps->setText(tr("%1: median %2 \u00b5s a step, quickest %3, slowest %4 (step %5); all steps together %6 ms, %7 % of the loop's time")
                         .arg(calls)
                         .arg(loop.median * 1e6, 0, 'g', 4)
                         .arg(loop.quickest * 1e6, 0, 'g', 4)
                         .arg(loop.slowest * 1e6, 0, 'g', 4)
                         .arg(loop.slowestStep)
                         .arg(loop.total * 1e3, 0, 'g', 4)
                         .arg(100 * loop.total / std::max(m_profile->nodes[loop.node].inclusive, 1e-12), 0, 'f', 0));
    m_stepCurve->setSeries(QStringLiteral("steps"), std::move(series));
    m_stepCurve->showAll();
}

QWidget* ProfilePage::picture() const
{
    return m_tabs->currentWidget();
}

/// What a row of the table stands for is no setting of the result.
QString ProfilePage::shownAs() const
{
    const QString marker = QStringLiteral(" --by ");
    const QString now = command(), shown = shownCommand();
    return shown.contains(marker) && now.contains(marker) ? shown.left(shown.lastIndexOf(marker)) + now.mid(now.lastIndexOf(marker)) : shown;
}

QString ProfilePage::command() const
{
    if (!m_model)
        return {};
    QStringList words = {QStringLiteral("profile"), m_model->subject.model};
    words << m_model->inputWords << QStringLiteral("--runs") << QString::number(m_runs->value());
    words = withWorkspace(words, {m_model->subject.model}, session().workspaceFolder());
    return widgets::cliCommand(words << QStringLiteral("--by") << m_by->currentData().toString());
}

core::Json ProfilePage::saveState() const
{
    return {{"runs", m_runs->value()}, {"by", m_by->currentIndex()}, {"tab", m_tabs->currentIndex()}};
}

void ProfilePage::restoreState(const core::Json& state)
{
    m_runs->setValue(widgets::stateInteger(state, "runs", 10));
    m_by->setCurrentIndex(std::clamp(widgets::stateInteger(state, "by", 0), 0, m_by->count() - 1));
    if (const int tab = std::clamp(widgets::stateInteger(state, "tab", 0), 0, m_tabs->count() - 1); m_tabs->isTabVisible(tab))
        m_tabs->setCurrentIndex(tab);
}

}  // namespace orrery::plugins
