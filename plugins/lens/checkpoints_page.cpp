#include "checkpoints_page.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QSplitter>
#include <QVBoxLayout>
#include <cmath>
#include <limits>

#include <widgets/plot_view.h>

namespace orrery::plugins {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

widgets::PlotView* makePlot(const QString& title)
{
    auto* plot = new widgets::PlotView;
    plot->setAxisTitle(widgets::PlotAxis::X, CheckpointsPage::tr("Step"));
    plot->setWhole(widgets::PlotAxis::X);
    plot->setAxisTitle(widgets::PlotAxis::Y, title);
    return plot;
}

}  // namespace

CheckpointsPage::CheckpointsPage(QWidget* parent)
    : QWidget(parent), m_loss(makePlot(tr("Loss (nats)"))), m_score(makePlot(tr("Score, share right"))), m_summary(new QLabel),
      m_measure(new QPushButton(tr("&Measure every checkpoint")))
{
    m_loss->setObjectName(QStringLiteral("checkpointLoss"));
    m_score->setObjectName(QStringLiteral("checkpointScore"));
    widgets::PlotView::link({m_loss, m_score});
    for (auto* plot : {m_loss, m_score})
        connect(plot, &widgets::PlotView::pointClicked, this,
                [this](const QString&, double x, double) { Q_EMIT stepChosen(qint64(std::llround(x))); });
    m_measure->setObjectName(QStringLiteral("measure"));
    m_measure->setToolTip(tr("Validation loss, induction scores and memorisation at each checkpoint, as a job"));
    connect(m_measure, &QPushButton::clicked, this, &CheckpointsPage::measureAsked);
    m_summary->setWordWrap(true);
    m_summary->setObjectName(QStringLiteral("checkpointSummary"));
    m_summary->setTextInteractionFlags(Qt::TextSelectableByMouse);
    auto* row = new QHBoxLayout;
    row->addWidget(m_measure);
    row->addStretch(1);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_loss);
    splitter->addWidget(m_score);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addLayout(row);
    layout->addWidget(splitter, 1);
    layout->addWidget(m_summary);
    clear(0);
}

void CheckpointsPage::clear(int steps)
{
    m_steps = steps;
    m_points.clear();
    for (const auto& [plot, id, title, style] :
         {std::tuple{m_loss, QStringLiteral("logged"), tr("val/loss, logged"), widgets::LineStyle::Line},
          {m_loss, QStringLiteral("computed"), tr("val/loss, from the checkpoint"), widgets::LineStyle::Points},
          {m_loss, QStringLiteral("second"), tr("repeated half"), widgets::LineStyle::Dashed},
          {m_score, QStringLiteral("induction"), tr("best induction score"), widgets::LineStyle::LineAndPoints},
          {m_score, QStringLiteral("accuracy"), tr("right in the repeated half"), widgets::LineStyle::Dashed},
          {m_score, QStringLiteral("memorised"), tr("training sequences by heart"), widgets::LineStyle::LineAndPoints}}) {
        widgets::PlotSeries series;
        series.title = title;
        series.style = style;
        plot->setSeries(id, series);
    }
    showSummary();
}

void CheckpointsPage::add(const intervene::CheckpointPoint& point)
{
    m_points.push_back(point);
    const double step = double(point.step);
    const auto append = [step](widgets::PlotView* plot, const char* id, double value) {
        if (!std::isnan(value))
            plot->append(QLatin1String(id), {&step, 1}, {&value, 1});
    };
    append(m_loss, "logged", point.loss.logged);
    append(m_loss, "computed", point.loss.computed);
    append(m_loss, "second", point.induction.secondLoss);
    append(m_score, "induction", point.bestScore);
    append(m_score, "accuracy", point.induction.secondAccuracy);
    if (point.memorised)
        append(m_score, "memorised", point.memorised->share());
    showSummary();
}

void CheckpointsPage::showSummary()
{
    if (m_steps == 0)
        return m_summary->setText(tr("This model has no checkpoints. Train a run with train.checkpoint.every and keep, and select it."));
    if (m_points.empty())
        return m_summary->setText((m_steps == 1 ? tr("1 checkpoint.") : tr("%1 checkpoints.").arg(m_steps)) + QLatin1Char(' ') +
                                  tr("The slider above moves every tab through the training; measuring draws the curves."));
    double worst = 0;
    const intervene::CheckpointPoint* first = nullptr;
    for (const auto& point : m_points) {
        const double difference = std::abs(point.loss.logged - point.loss.computed);
        worst = std::max(worst, std::isnan(difference) ? 0 : difference);
        if (!first && point.bestScore >= intervene::kInductionThreshold)
            first = &point;
    }
    QString text = tr("%1 of %2 checkpoints. Losses computed from the checkpoints differ from the logged ones by at most %3.")
                       .arg(m_points.size())
                       .arg(m_steps)
                       .arg(worst, 0, 'g', 2);
    if (first)
        text += tr(" First induction head: %1 at step %2.").arg(QString::fromStdString(first->bestHead.text())).arg(first->step);
    if (const auto& memorised = m_points.back().memorised)
        text += tr(" At step %1 %2 of %3 training sequences are written on by heart (%4 tokens behind %5).")
                    .arg(m_points.back().step)
                    .arg(memorised->extractable())
                    .arg(memorised->sequences())
                    .arg(memorised->continuation)
                    .arg(memorised->prompt);
    m_summary->setText(text);
}

void CheckpointsPage::setMeasuring(bool measuring)
{
    m_measure->setEnabled(!measuring && m_steps > 0);
}

void CheckpointsPage::setStep(std::optional<qint64> step)
{
    for (auto* plot : {m_loss, m_score})
        plot->setGuide(widgets::PlotAxis::X, step ? double(*step) : kNan);
}

}  // namespace orrery::plugins
