#include "probe_page.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QSplitter>
#include <QTableWidget>
#include <QToolButton>
#include <QVBoxLayout>
#include <cmath>

#include <core/base/text.h>
#include <widgets/numbers.h>
#include <widgets/plot_view.h>
#include <widgets/schema_form.h>

namespace orrery::plugins {
namespace {

QTableWidgetItem* makeItem(const QString& text, bool number)
{
    auto* item = new QTableWidgetItem(text);
    item->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable);
    if (number)
        item->setTextAlignment(Qt::AlignRight | Qt::AlignVCenter);
    return item;
}

QString shortNumber(const std::optional<double>& value)
{
    return value && std::isfinite(*value) ? widgets::fixedNumber(*value, 4) : QString();
}

}  // namespace

ProbePage::ProbePage(widgets::Session& session)
    : Page(session, tr("&Fit probes"), tr("Progress of the probes")), m_places(new QLineEdit), m_more(new QToolButton),
      m_form(new widgets::SchemaForm), m_plot(new widgets::PlotView), m_table(new QTableWidget), m_status(new QLabel)
{
    m_form->setSchema(intervene::probeSchema());
    m_form->setAccessibleName(tr("Parameters of the probe"));
    m_form->setVisible(false);
    connect(m_form, &widgets::SchemaForm::issuesChanged, this, &ProbePage::updateButton);
    m_plot->setObjectName(QStringLiteral("probeCurves"));
    m_plot->setAxisTitle(widgets::PlotAxis::X, tr("Layer"));
    m_plot->setWhole(widgets::PlotAxis::X);
    connect(m_plot, &widgets::PlotView::pointClicked, this, [this](const QString&, double x, double) { m_table->selectRow(int(std::lround(x))); });
    m_status->setObjectName(QStringLiteral("probeStatus"));
    m_status->setWordWrap(true);
    m_status->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    m_status->setText(tr("Press Fit probes: a linear map is fitted on the training part for each layer and measured on the part chosen above."));
    setUpTable();
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_plot);
    splitter->addWidget(m_table);
    splitter->setChildrenCollapsible(false);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    layout->addLayout(makeSettings());
    layout->addWidget(m_form);
    layout->addLayout(buttonRow());
    layout->addWidget(splitter, 1);
    layout->addWidget(m_status);
    updateButton();
}

QLayout* ProbePage::makeSettings()
{
    m_places->setObjectName(QStringLiteral("places"));
    m_places->setAccessibleName(tr("Values to probe"));
    m_places->setToolTip(tr("Values, modules or globs, separated by spaces: blocks.*.resid_post. Empty: the layers of the model."));
    connect(m_places, &QLineEdit::returnPressed, this, &ProbePage::run);
    m_more->setText(tr("Parameters"));
    m_more->setCheckable(true);
    m_more->setToolTip(tr("Show the parameters of the probe, the control task among them"));
    connect(m_more, &QToolButton::toggled, m_form, &QWidget::setVisible);
    auto* row = new QHBoxLayout;
    auto* label = new QLabel(tr("&Values"));
    label->setBuddy(m_places);
    row->addWidget(label);
    row->addWidget(m_places, 1);
    row->addWidget(m_more);
    return row;
}

void ProbePage::setUpTable()
{
    m_table->setObjectName(QStringLiteral("probeTable"));
    m_table->setAccessibleName(tr("Probes by value"));
    m_table->setColumnCount(6);
    m_table->setHorizontalHeaderLabels({tr("Value"), tr("Features"), tr("Held out"), tr("Interval 95 %"), tr("Control"), tr("Selectivity")});
    m_table->setSelectionBehavior(QAbstractItemView::SelectRows);
    m_table->setTabKeyNavigation(false);
    m_table->horizontalHeader()->setStretchLastSection(true);
    m_table->verticalHeader()->setDefaultSectionSize(m_table->fontMetrics().height() + 6);
    connect(m_table, &QTableWidget::currentCellChanged, this, [this](int row, int, int before, int) {
        if (row != before)
            chooseRow(row);
    });
}

QStringList ProbePage::places() const
{
    return placesOf(m_places->text());
}

void ProbePage::subjectChanged()
{
    if (!subject())
        return;
    QStringList layers;
    for (const auto& place : intervene::layerPlaces(*subject()->model))
        layers << QString::fromStdString(place);
    m_places->setPlaceholderText(layers.join(QLatin1Char(' ')));
}

QString ProbePage::whyNot() const
{
    if (const QString why = Page::whyNot(); !why.isEmpty())
        return why;
    return m_form->isValid() ? QString() : tr("Correct the parameters first");
}

void ProbePage::run()
{
    if (isRunning() || !whyNot().isEmpty())
        return;
    m_results.clear();
    m_table->setRowCount(0);
    showCurves();
    const QPointer<ProbePage> self = this;
    const auto study = probeStudy(choice(), places(), m_form->document());
    auto work = [subject = subject(), study, workspace = session().workspace(), self](widgets::BackgroundContext& context) {
        return runProbes(subject, study, workspace, controlOf(context), [&](const intervene::ProbeResult& result) {
            context.post([self, result] {
                if (self)
                    self->addResult(result);
            });
        });
    };
    m_status->setText(tr("Fitting on the training part…"));
    m_waiting = true;
    start(std::move(work), [this](const ProbeOutcome& outcome) { takeOutcome(outcome); }, tr("Probes of %1").arg(subject()->subject.model), "probe",
          {{"model", subject()->subject.model.toStdString()}, {"at", study.places}});
}

void ProbePage::addResult(const intervene::ProbeResult& result)
{
    const int row = int(m_results.size());
    m_results.push_back(result);
    m_table->setRowCount(row + 1);
    m_table->setVerticalHeaderItem(row, new QTableWidgetItem(QString::number(row)));
    m_table->setItem(row, 0, makeItem(QString::fromStdString(result.probe.value), false));
    m_table->setItem(row, 1, makeItem(QString::number(result.features), true));
    m_table->setItem(row, 2, makeItem(shortNumber(result.test), true));
    m_table->item(row, 2)->setToolTip(QString::fromStdString(core::formatNumber(result.test)));
    m_table->setItem(
        row, 3,
        makeItem(result.interval ? tr("%1 – %2").arg(shortNumber(result.interval->low), shortNumber(result.interval->high)) : QString(), true));
    m_table->setItem(row, 4, makeItem(shortNumber(result.control), true));
    m_table->setItem(row, 5, makeItem(shortNumber(result.selectivity()), true));
    if (!result.probe.converged)
        m_table->item(row, 0)->setToolTip(tr("Not converged: raise max_iterations or l2."));
    showCurves();
}

void ProbePage::showCurves()
{
    const bool numbers = !m_results.empty() && m_results.front().probe.kind == "ridge";
    m_plot->setAxisTitle(widgets::PlotAxis::Y, numbers ? tr("R² on held-out rows") : tr("Accuracy on held-out rows"));
    m_plot->clear();
    if (m_results.empty())
        return;
    widgets::PlotSeries probe, control, baseline;
    probe.title = tr("Probe");
    control.title = tr("Control task");
    baseline.title = tr("Most frequent class");
    probe.style = control.style = widgets::LineStyle::LineAndPoints;
    baseline.style = widgets::LineStyle::Dashed;
    probe.smoothed = control.smoothed = baseline.smoothed = false;
    for (std::size_t i = 0; i < m_results.size(); ++i) {
        const auto& result = m_results[i];
        const auto add = [x = double(i)](widgets::PlotSeries& series, double y, const std::optional<intervene::Interval>& interval) {
            series.data.x.push_back(x);
            series.data.y.push_back(y);
            if (interval) {
                series.data.low.push_back(interval->low);
                series.data.high.push_back(interval->high);
            }
        };
        add(probe, result.test, result.interval);
        if (result.control)
            add(control, *result.control, result.controlInterval);
        if (result.baseline)
            add(baseline, *result.baseline, {});
    }
    m_plot->setSeries(QStringLiteral("probe"), std::move(probe));
    if (!control.data.empty())
        m_plot->setSeries(QStringLiteral("control"), std::move(control));
    if (!baseline.data.empty())
        m_plot->setSeries(QStringLiteral("baseline"), std::move(baseline));
}

void ProbePage::workEnded()
{
    if (m_waiting)
        m_status->setText(tr("Stopped: the probes that were ready are shown (%1).").arg(m_results.size()));
    m_waiting = false;
}

void ProbePage::takeOutcome(const ProbeOutcome& outcome)
{
    m_waiting = false;
    m_table->resizeColumnsToContents();
    const auto& results = outcome.results;
    const auto best = std::max_element(results.begin(), results.end(), [](const auto& a, const auto& b) { return a.test < b.test; });
    if (best == results.end())
        return;
    QString text = tr("Best: %1 with %2, fitted on %L3 rows, measured on %L4")
                       .arg(QString::fromStdString(best->probe.value), widgets::shownNumber(best->test))
                       .arg(best->trainRows)
                       .arg(best->testRows);
    setResult(outcome.analysis);
    if (outcome.analysis)
        text += tr("; stored as analysis %1").arg(*outcome.analysis);
    m_status->setText(text);
    if (!outcome.whyNotStored.isEmpty())
        Q_EMIT failed(tr("The probes are shown, but could not be stored: %1").arg(outcome.whyNotStored));
}

void ProbePage::chooseRow(int row)
{
    if (row < 0 || row >= int(m_results.size()))
        return;
    const QString value = QString::fromStdString(m_results[std::size_t(row)].probe.value);
    session().changeSelection([&](widgets::Selection& s) {
        s.valuePath = value;
        s.valueIndex.clear();
    });
}

QString ProbePage::command() const
{
    return subject() ? probeCommand(*subject(), choice(), places(), m_form->document(), session().workspaceFolder()) : QString();
}

core::Json ProbePage::saveState() const
{
    return {{"places", m_places->text().toStdString()}, {"parameters", m_form->document()}, {"form", m_more->isChecked()}};
}

void ProbePage::restoreState(const core::Json& state)
{
    m_places->setText(widgets::stateText(state, "places"));
    m_form->setDocument(widgets::stateObject(state, "parameters"));
    if (state.is_object() && state.contains("form") && state["form"].is_boolean())
        m_more->setChecked(state["form"].get<bool>());
    updateButton();
}

}  // namespace orrery::plugins
