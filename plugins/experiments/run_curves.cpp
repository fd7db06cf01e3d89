#include "run_curves.h"

#include <QCheckBox>
#include <QEvent>
#include <QGridLayout>
#include <QLabel>
#include <QMenu>
#include <QPointer>
#include <QPushButton>
#include <QScrollArea>
#include <QSlider>
#include <QVBoxLayout>
#include <algorithm>
#include <array>
#include <cmath>

#include <core/store/workspace.h>
#include <widgets/session.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr int kRefreshInterval = 250;    ///< ms between two readings of running runs
constexpr std::size_t kMostRuns = 40;    ///< more curves cannot be told apart
constexpr qsizetype kMostInLegend = 12;  ///< more would cover the curves
constexpr int kMostMembers = 100;        ///< of a group; more change little
constexpr int kPlotHeight = 150, kPlotWidth = 260;

std::int64_t toStep(double x, std::int64_t otherwise)
{
    return std::isfinite(x) && std::abs(x) < 9e18 ? std::int64_t(x) : otherwise;
}

QString part(const QString& metric)
{
    return metric.section('/', 0, 0);
}

widgets::PlotData readLine(const store::Workspace& workspace, const QList<qint64>& runs, const QString& metric, const widgets::PlotRequest& request)
{
    using Limits = std::numeric_limits<std::int64_t>;
    // A little more than asked for, so that lines go on to the edge.
    const double margin = std::isfinite(request.to - request.from) ? std::max(1.0, (request.to - request.from) * 0.05) : 0;
    const auto from = toStep(std::floor(request.from - margin), Limits::min()), to = toStep(std::ceil(request.to + margin), Limits::max());
    std::vector<store::MetricSeries> read;
    for (const auto run : runs)
        read.push_back(workspace.metricSeries(run, metric.toStdString(), from, to, std::size_t(std::max(request.buckets, 10))));
    return read.size() == 1 ? plotData(read.front()) : plotData(train::meanCurve(read));
}

QList<qint64> runsBehind(const RunCurves::Line& line)
{
    return line.members.isEmpty() ? QList<qint64>{line.id} : line.members.mid(0, kMostMembers);
}

}  // namespace

QString metricGroup(const QString& metric)
{
    const auto slash = metric.indexOf('/');
    return slash < 0 ? metric : metric.mid(slash + 1);
}

widgets::PlotData plotData(const store::MetricSeries& series)
{
    widgets::PlotData data;
    for (const auto& bucket : series.buckets) {
        data.x.push_back((double(bucket.firstStep) + double(bucket.lastStep)) / 2);
        data.y.push_back(bucket.nans == bucket.points ? std::nan("") : bucket.mean);
        if (series.exact)
            continue;
        data.low.push_back(bucket.minimum);
        data.high.push_back(bucket.maximum);
    }
    return data;
}

widgets::PlotData plotData(const train::MeanCurve& curve)
{
    widgets::PlotData data;
    data.x = curve.steps;
    data.y = curve.mean;
    for (std::size_t i = 0; i < curve.mean.size(); ++i) {
        data.low.push_back(curve.mean[i] - curve.deviation[i]);
        data.high.push_back(curve.mean[i] + curve.deviation[i]);
    }
    return data;
}

RunCurves::RunCurves(widgets::Session& session, QWidget* parent) : QWidget(parent), m_session(session)
{
    build();
    m_refreshTimer.setSingleShot(true);
    m_refreshTimer.setInterval(kRefreshInterval);
    connect(&m_refreshTimer, &QTimer::timeout, this, &RunCurves::readNames);
}

void RunCurves::build()
{
    m_metrics = new QPushButton(this);
    m_metrics->setText(tr("Metrics"));
    m_metrics->setToolTip(tr("Choose the metrics shown, one plot each"));
    m_menu = new QMenu(m_metrics);
    m_metrics->setMenu(m_menu);
    connect(m_menu, &QMenu::aboutToShow, this, &RunCurves::buildMenu);
    m_smoothing = new QSlider(Qt::Horizontal, this);
    m_smoothing->setRange(0, 99);
    m_smoothing->setMinimumWidth(60);
    m_smoothing->setMaximumWidth(160);
    m_smoothing->setAccessibleName(tr("Smoothing"));
    m_smoothing->setToolTip(tr("Moving average: weight of the past. The raw line stays behind."));
    m_smoothingText = new QLabel("0.00", this);
    auto* label = new QLabel(tr("S&moothing"), this);
    label->setBuddy(m_smoothing);
    m_logX = new QCheckBox(tr("Log &x"), this);
    m_logX->setToolTip(tr("Logarithmic axis of steps"));
    m_logY = new QCheckBox(tr("Log &y"), this);
    m_logY->setToolTip(tr("Logarithmic axis of values"));
    m_legend = new QCheckBox(tr("&Legend"), this);
    m_legend->setChecked(true);
    m_legend->setToolTip(tr("Shown in plots of up to %1 curves").arg(kMostInLegend));
    connect(m_smoothing, &QSlider::valueChanged, this, &RunCurves::applyOptions);
    for (auto* box : {m_logX, m_logY, m_legend})
        connect(box, &QCheckBox::toggled, this, &RunCurves::applyOptions);
    auto* row = new QHBoxLayout;
    row->setContentsMargins(6, 4, 6, 4);
    row->addWidget(m_metrics);
    row->addSpacing(6);
    row->addWidget(label);
    row->addWidget(m_smoothing, 1);
    row->addWidget(m_smoothingText);
    row->addStretch(1);
    for (auto* box : {m_logX, m_logY, m_legend})
        row->addWidget(box);
    m_area = new QWidget(this);
    m_grid = new QGridLayout(m_area);
    m_grid->setContentsMargins(2, 2, 2, 2);
    m_grid->setSpacing(4);
    auto* scroll = new QScrollArea(this);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setWidget(m_area);
    m_hint = new QLabel(tr("Select runs in the table to see their curves."), this);
    m_hint->setAlignment(Qt::AlignCenter);
    m_hint->setWordWrap(true);
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(0);
    column->addLayout(row);
    column->addWidget(m_hint, 1);
    column->addWidget(scroll, 1);
    m_area->parentWidget()->parentWidget()->hide();
}

QStringList RunCurves::available() const
{
    QSet<QString> found;
    for (const auto& [run, names] : m_names)
        for (const auto& name : names)
            found.insert(metricGroup(name));
    QStringList list(found.begin(), found.end());
    list.sort();
    for (const QString first : {"accuracy", "loss"})
        if (list.removeOne(first))
            list.prepend(first);
    return list;
}

// A choice that no run has any more (another task) gives way to what there is.
QStringList RunCurves::effective() const
{
    const auto all = available();
    QStringList shown;
    for (const auto& group : all)
        if (m_chosen.contains(group))
            shown << group;
    return shown.isEmpty() ? all.mid(0, 2) : shown;
}

void RunCurves::buildMenu()
{
    m_menu->clear();
    const auto shown = effective();
    for (const auto& group : available()) {
        auto* action = m_menu->addAction(group);
        action->setCheckable(true);
        action->setChecked(shown.contains(group));
        connect(action, &QAction::toggled, this, [this, group, shown](bool on) {
            m_chosen = shown;
            if (on)
                m_chosen << group;
            else
                m_chosen.removeAll(group);
            showPlots();
        });
    }
    if (m_menu->isEmpty())
        m_menu->addAction(tr("The selected runs have no metrics yet"))->setEnabled(false);
}

void RunCurves::setLines(std::vector<Line> lines)
{
    if (lines.size() > kMostRuns)
        lines.resize(kMostRuns);
    if (lines == m_lines)
        return;
    m_lines = std::move(lines);
    readNames();
}

void RunCurves::refresh(const QList<qint64>& runs)
{
    m_allStale |= runs.isEmpty();
    for (const Line& line : m_lines) {
        const auto behind = runsBehind(line);
        if (std::any_of(runs.begin(), runs.end(), [&](qint64 run) { return behind.contains(run); }))
            m_stale.insert(line.id);
    }
    if ((m_allStale || !m_stale.isEmpty()) && !m_lines.empty() && !m_refreshTimer.isActive())
        m_refreshTimer.start();
}

// Which metrics the runs have is read first; the plots then ask for the points they need.
void RunCurves::readNames()
{
    const auto workspace = m_session.workspace();
    if (!workspace || m_lines.empty()) {
        m_names.clear();
        return showPlots();
    }
    if (m_reading) {
        m_readAgain = true;
        return;
    }
    m_reading = true;
    const auto read = [workspace, lines = m_lines](widgets::BackgroundContext&) {
        MetricNames names;
        for (const Line& line : lines) {
            const auto behind = runsBehind(line);
            for (const auto& name : workspace->metricNames(std::vector<store::RunId>(behind.begin(), behind.end())))
                names[line.id] << QString::fromStdString(name);
        }
        return names;
    };
    const auto finish = [this] {
        m_reading = false;
        if (std::exchange(m_readAgain, false))
            readNames();
        Q_EMIT idleChanged();
    };
    m_session.runInBackground(
        this, read,
        [this, finish](MetricNames names) {
            m_names = std::move(names);
            showPlots();
            finish();
        },
        [this, finish](const QString& text) {
            m_session.report(text);
            finish();
        });
}

void RunCurves::showPlots()
{
    const auto groups = m_lines.empty() ? QStringList() : effective();
    const bool areRetitled = std::exchange(m_isAlone, m_lines.size() == 1) != m_isAlone;
    bool changed = false;
    for (const auto& group : m_plots.keys())
        if (!groups.contains(group)) {
            delete m_plots.take(group);
            changed = true;
        }
    for (const auto& group : groups) {
        if (m_plots.contains(group))
            continue;
        auto* plot = new widgets::PlotView(m_area);
        plot->setObjectName("plot." + group);
        plot->setAccessibleName(tr("Curves of %1").arg(group));
        plot->setTitle(group);
        plot->setAxisTitle(widgets::PlotAxis::X, tr("step"));
        plot->setWhole(widgets::PlotAxis::X);
        plot->setMinimumHeight(kPlotHeight);
        connect(plot, &widgets::PlotView::idleChanged, this, &RunCurves::idleChanged);
        m_plots.insert(group, plot);
        changed = true;
    }
    for (auto plot = m_plots.begin(); plot != m_plots.end(); ++plot)
        showSeries(*plot.value(), plot.key(), areRetitled);
    m_stale.clear();
    m_allStale = false;
    m_hint->setText(m_lines.empty() ? tr("Select runs in the table to see their curves.") : tr("The selected runs have no metrics yet."));
    m_hint->setVisible(m_plots.isEmpty());
    m_area->parentWidget()->parentWidget()->setVisible(!m_plots.isEmpty());
    if (!changed)
        return;
    widgets::PlotView::link(m_plots.values());
    applyOptions();
    arrange();
}

// Series that are there already keep their place and are only asked again if their run changed: no flicker.
void RunCurves::showSeries(widgets::PlotView& plot, const QString& group, bool areRetitled)
{
    QSet<QString> wanted;
    const auto known = plot.seriesIds();
    for (std::size_t position = 0; position < m_lines.size(); ++position) {
        const Line& line = m_lines[position];
        for (const auto& metric : m_names[line.id]) {
            if (metricGroup(metric) != group)
                continue;
            const auto id = QString("%1:%2").arg(line.id).arg(metric);
            auto made = series(line, int(position), metric);
            wanted.insert(id);
            if (areRetitled || !known.contains(id) || plot.seriesColor(id) != made.color)
                plot.setSeries(id, std::move(made));
            else if (m_allStale || m_stale.contains(line.id))
                plot.refresh(id);
        }
    }
    for (const auto& id : known)
        if (!wanted.contains(id))
            plot.removeSeries(id);
    showLegend(plot);
}

void RunCurves::showLegend(widgets::PlotView& plot) const
{
    plot.setLegendVisible(m_legend->isChecked() && plot.seriesIds().size() <= kMostInLegend);
}

widgets::PlotSeries RunCurves::series(const Line& line, int position, const QString& metric) const
{
    const auto stage = part(metric);
    widgets::PlotSeries made;
    made.title = m_lines.size() == 1 ? stage : line.members.isEmpty() ? tr("%1 %2 %3").arg(line.id).arg(line.title, stage) : line.title + ' ' + stage;
    made.color = widgets::categoryColor(position, widgets::isDark(palette()));
    made.style = stage == "test" ? widgets::LineStyle::Points : stage == "val" ? widgets::LineStyle::Dashed : widgets::LineStyle::Line;
    made.width = stage == "val" ? 2 : 1.5;
    made.smoothed = stage == "train";
    made.provider = [session = QPointer<widgets::Session>(&m_session), view = QPointer<QWidget>(const_cast<RunCurves*>(this)),
                     runs = runsBehind(line), metric](const widgets::PlotRequest& request, widgets::PlotReply reply) {
        const auto workspace = session ? session->workspace() : nullptr;
        if (!workspace || !view)
            return reply({});
        session->runInBackground(
            view.data(), [workspace, runs, metric, request](widgets::BackgroundContext&) { return readLine(*workspace, runs, metric, request); },
            [reply](widgets::PlotData data) { reply(std::move(data)); }, [reply](const QString&) { reply({}); });
    };
    return made;
}

void RunCurves::applyOptions()
{
    const double weight = m_smoothing->value() / 100.0;
    m_smoothingText->setText(QString::number(weight, 'f', 2));
    for (auto* plot : std::as_const(m_plots)) {
        plot->setSmoothing(weight);
        plot->setLog(widgets::PlotAxis::X, m_logX->isChecked());
        plot->setLog(widgets::PlotAxis::Y, m_logY->isChecked());
        showLegend(*plot);
    }
}

// As many columns as leave each plot readable.
void RunCurves::arrange()
{
    auto groups = effective();
    const int columns = std::clamp(width() / kPlotWidth, 1, std::max(1, int(std::ceil(std::sqrt(double(groups.size()) * 2)))));
    for (int i = 0; i < groups.size(); ++i)
        if (auto* plot = m_plots.value(groups[i]))
            m_grid->addWidget(plot, i / columns, i % columns);
}

bool RunCurves::isIdle() const
{
    return !m_reading && std::all_of(m_plots.begin(), m_plots.end(), [](const widgets::PlotView* plot) { return plot->isIdle(); });
}

void RunCurves::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    arrange();
}

void RunCurves::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::PaletteChange)
        for (auto plot = m_plots.begin(); plot != m_plots.end(); ++plot)
            showSeries(*plot.value(), plot.key());
}

core::Json RunCurves::saveState() const
{
    core::Json chosen = core::Json::array();
    for (const auto& group : m_chosen)
        chosen.push_back(group.toStdString());
    return {{"metrics", chosen},
            {"smoothing", m_smoothing->value()},
            {"log_x", m_logX->isChecked()},
            {"log_y", m_logY->isChecked()},
            {"legend", m_legend->isChecked()}};
}

void RunCurves::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    if (const auto metrics = state.find("metrics"); metrics != state.end() && metrics->is_array()) {
        m_chosen.clear();
        for (const auto& metric : *metrics)
            if (metric.is_string())
                m_chosen << QString::fromStdString(metric.get<std::string>());
    }
    if (const auto smoothing = state.find("smoothing"); smoothing != state.end() && smoothing->is_number_integer())
        m_smoothing->setValue(smoothing->get<int>());
    for (const auto& [key, box] : {std::pair("log_x", m_logX), std::pair("log_y", m_logY), std::pair("legend", m_legend)})
        if (const auto on = state.find(key); on != state.end() && on->is_boolean())
            box->setChecked(on->get<bool>());
    if (!m_names.empty())
        showPlots();
}

}  // namespace orrery::plugins
