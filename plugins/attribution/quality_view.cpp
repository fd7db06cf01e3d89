#include "quality_view.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QScrollArea>
#include <QSplitter>
#include <QToolButton>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>
#include <iterator>

#include <core/explain/metrics/metric.h>
#include <widgets/numbers.h>
#include <widgets/plot_view.h>

#include "method_table.h"
#include "metric_form.h"

namespace orrery::plugins {
namespace {

constexpr int kSideBySide = 620;  ///< width from which plots stand beside each other

QString withArea(const QString& name, double area)
{
    return QualityView::tr("%1: %2").arg(name).arg(widgets::fixedNumber(area, 3));
}

widgets::PlotSeries lineOf(const QString& title, const std::vector<double>& x, const std::vector<double>& y)
{
    widgets::PlotSeries line;
    line.title = title;
    line.smoothed = false;
    line.data = {x, y, {}, {}};
    return line;
}

}  // namespace

QualityView::QualityView(Cards& cards, QWidget* parent)
    : QWidget(parent), m_cards(cards), m_form(new MetricForm), m_hint(new QLabel), m_plots(new QWidget),
      m_plotLayout(new QBoxLayout(QBoxLayout::TopToBottom, m_plots)), m_table(new MethodTable(cards, MethodTable::Columns::Metrics))
{
    m_hint->setWordWrap(true);
    m_hint->setText(tr("How good are these explanations? Explain by one or more methods, then press Measure: curves and numbers come one by one."));
    m_plotLayout->setContentsMargins(0, 0, 0, 0);
    m_form->hide();
    m_table->setObjectName(QStringLiteral("quality"));
    m_table->setAccessibleName(tr("Metrics of the chosen methods"));
    auto* scroll = new QScrollArea;
    scroll->setWidget(m_plots);
    scroll->setWidgetResizable(true);
    scroll->setFrameShape(QFrame::NoFrame);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(scroll);
    splitter->addWidget(m_table);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 1);
    splitter->setChildrenCollapsible(false);
    splitter->setSizes({700, 160});
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addLayout(makeTools());
    layout->addWidget(m_form, 1);
    layout->addWidget(m_hint);
    layout->addWidget(splitter, 2);
    connect(&cards, &Cards::listChanged, this, &QualityView::showCurves);
    connect(&cards, &Cards::cardChanged, this, &QualityView::showCurves);
    connect(m_form, &MetricForm::changed, this, &QualityView::updateButtons);
    connect(m_table, &MethodTable::cardChosen, this, &QualityView::cardChosen);
    showCurves();
}

QLayout* QualityView::makeTools()
{
    m_measure = new QToolButton;
    m_measure->setText(tr("&Measure"));
    m_measure->setObjectName(QStringLiteral("measure_quality"));
    connect(m_measure, &QToolButton::clicked, this, &QualityView::measureAsked);
    m_settings = new QToolButton;
    m_settings->setText(tr("Se&ttings"));
    m_settings->setToolTip(tr("Which metrics are measured, and with what parameters"));
    m_settings->setObjectName(QStringLiteral("metric_settings"));
    m_settings->setCheckable(true);
    connect(m_settings, &QToolButton::toggled, m_form, &QWidget::setVisible);
    auto* row = new QHBoxLayout;
    row->addWidget(m_measure);
    row->addWidget(m_settings);
    row->addStretch(1);
    return row;
}

void QualityView::setRunning(bool running)
{
    m_running = running;
    updateButtons();
}

void QualityView::updateButtons()
{
    const auto& list = m_cards.list();
    const bool hasResult = std::any_of(list.begin(), list.end(), [](const Card& card) { return card.result && !card.result->partial; });
    m_measure->setEnabled(!m_running && hasResult && m_form->isValid() && !m_form->requests().empty());
    m_measure->setToolTip(!hasResult                   ? tr("Explain by a method first")
                          : !m_form->isValid()         ? tr("Correct the parameters of the metrics first")
                          : m_form->requests().empty() ? tr("Choose a metric in the settings first")
                                                       : tr("Compute the metrics of the results on show as a job"));
}

widgets::PlotView* QualityView::plotOf(const std::string& metric)
{
    widgets::PlotView*& plot = m_plotOf[metric];
    if (!plot) {
        plot = new widgets::PlotView;
        plot->setObjectName(QStringLiteral("plot_") + QString::fromStdString(metric));
        const QString title = QString::fromStdString(explain::attributionMetricRegistry().at(metric).title);
        plot->setTitle(title);
        plot->setAccessibleName(title);
        plot->setMinimumHeight(220);
        m_plotLayout->addWidget(plot, 1);
    }
    return plot;
}

/// A line for each method; behind them what they are to be compared with, once where it is the same for all of them.
void QualityView::showCurve(widgets::PlotView& plot, const std::string& metric)
{
    std::vector<std::pair<QString, widgets::PlotSeries>> lines, references;
    for (const Card& card : m_cards.list()) {
        const auto found = card.metrics.find(metric);
        if (found == card.metrics.end() || found->second.x.empty())
            continue;
        const CardMetric& measured = found->second;
        plot.setAxisTitle(widgets::PlotAxis::X, measured.xName);
        plot.setWhole(widgets::PlotAxis::X, std::all_of(measured.x.begin(), measured.x.end(), [](double x) { return x == std::floor(x); }));
        plot.setAxisTitle(widgets::PlotAxis::Y, measured.yName);
        lines.emplace_back(QString::number(card.id), lineOf(withArea(titleOf(card.settings), measured.value), measured.x, measured.y));
        const auto isKnown = [&](const auto& other) { return other.second.data.y == measured.referenceY; };
        if (measured.referenceY.empty() || std::any_of(references.begin(), references.end(), isKnown))
            continue;
        auto reference = lineOf(withArea(measured.referenceName, measured.referenceValue), measured.x, measured.referenceY);
        reference.style = widgets::LineStyle::Dashed;
        references.emplace_back(QStringLiteral("reference %1").arg(references.size() + 1), std::move(reference));
    }
    lines.insert(lines.end(), std::make_move_iterator(references.begin()), std::make_move_iterator(references.end()));
    QStringList ids;
    for (const auto& line : lines)
        ids << line.first;
    // A method has the same colour in every plot: colours go by the order of adding.
    if (plot.seriesIds() != ids)
        plot.clear();
    for (auto& [id, series] : lines)
        plot.setSeries(id, std::move(series));
}

void QualityView::showCurves()
{
    bool any = false;
    for (const auto& metric : explain::attributionMetricRegistry().components()) {
        const auto hasCurve = [&](const Card& card) {
            const auto found = card.metrics.find(metric.id);
            return found != card.metrics.end() && !found->second.x.empty();
        };
        const auto& list = m_cards.list();
        const bool isShown = std::any_of(list.begin(), list.end(), hasCurve);
        if (isShown || m_plotOf.contains(metric.id)) {
            showCurve(*plotOf(metric.id), metric.id);
            plotOf(metric.id)->setVisible(isShown);
        }
        any = any || isShown;
    }
    m_hint->setVisible(!any);
    updateButtons();
}

void QualityView::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    m_plotLayout->setDirection(width() >= kSideBySide ? QBoxLayout::LeftToRight : QBoxLayout::TopToBottom);
}

}  // namespace orrery::plugins
