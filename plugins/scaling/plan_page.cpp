#include "plan_page.h"

#include <QFormLayout>
#include <QGroupBox>
#include <QLineEdit>
#include <QSpinBox>
#include <QSplitter>
#include <QVBoxLayout>

#include <core/base/error.h>
#include <core/scaling/width/equal_compute.h>
#include <widgets/commands.h>

namespace orrery::plugins {

PlanPage::PlanPage(widgets::Session& session)
    : ScalingPage(session, tr("&Plan"), tr("Progress of the plan")), m_budgets(new QLineEdit(QStringLiteral("1e18,1e19,1e20,1e21,1e22"))),
      m_model(new QLineEdit(QStringLiteral("zoo:gpt?vocabulary=256&block_length=64&layers=2&heads=4&width=64"))), m_seconds(new QSpinBox),
      m_batch(new QSpinBox), m_measure(new QPushButton(tr("&Measure"))),
      m_measureBar(new widgets::JobBar(session, tr("Progress of the measurement"))), m_plot(new widgets::PlotView),
      m_rows(readingTable(tr("Plans"), {tr("Compute"), tr("N"), tr("D"), tr("D / N"), tr("Loss")})), m_status(textLine(QStringLiteral("planStatus"))),
      m_throughput(textLine(QStringLiteral("throughput")))
{
    m_budgets->setObjectName(QStringLiteral("planBudgets"));
    m_budgets->setAccessibleName(tr("Budgets in FLOPs"));
    m_budgets->setToolTip(tr("Budgets of compute in FLOPs, parted by commas; compute is 6 N D"));
    m_plot->setObjectName(QStringLiteral("planPlot"));
    for (const auto axis : {widgets::PlotAxis::X, widgets::PlotAxis::Y})
        m_plot->setLog(axis, true);
    m_plot->setAxisTitle(widgets::PlotAxis::X, tr("Compute in FLOPs"));
    m_plot->setAxisTitle(widgets::PlotAxis::Y, tr("N and D"));
    m_rows->setObjectName(QStringLiteral("plans"));
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_plot);
    splitter->addWidget(m_rows);
    splitter->setChildrenCollapsible(false);
    splitter->setStretchFactor(0, 2);
    splitter->setStretchFactor(1, 1);
    auto* form = new QFormLayout;
    form->setContentsMargins(0, 0, 0, 0);
    form->addRow(tr("&Budgets"), m_budgets);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    layout->addLayout(form);
    layout->addLayout(buttonRow());
    layout->addWidget(splitter, 1);
    layout->addWidget(m_status);
    layout->addWidget(makeEqualCompute());
    connect(m_budgets, &QLineEdit::returnPressed, this, &PlanPage::run);
    connect(m_budgets, &QLineEdit::textChanged, this, &PlanPage::updateButton);
    setOutcome(nullptr);
}

QWidget* PlanPage::makeEqualCompute()
{
    auto* box = new QGroupBox(tr("Equal compute"));
    m_model->setObjectName(QStringLiteral("timedModel"));
    m_model->setAccessibleName(tr("Model to measure"));
    m_model->setToolTip(
        tr("An architecture; its training step is measured on this machine, and the steps that fit into the budget become an experiment"));
    m_seconds->setRange(1, 10'000'000);
    m_seconds->setValue(600);
    m_seconds->setSuffix(tr(" s"));
    m_seconds->setObjectName(QStringLiteral("seconds"));
    m_seconds->setAccessibleName(tr("Budget of time"));
    m_batch->setRange(1, 1 << 16);
    m_batch->setValue(16);
    m_batch->setAccessibleName(tr("Samples a batch"));
    m_batch->setToolTip(tr("Samples a batch"));
    m_measure->setObjectName(QStringLiteral("measure"));
    auto* row = new QHBoxLayout;
    row->addWidget(m_batch);
    row->addWidget(m_seconds);
    row->addWidget(m_measure);
    row->addStretch(1);
    m_batch->setPrefix(tr("batch "));
    auto* layout = new QVBoxLayout(box);
    layout->setContentsMargins(6, 4, 6, 4);
    layout->setSpacing(4);
    layout->addWidget(m_model);
    layout->addLayout(row);
    layout->addWidget(m_measureBar);
    layout->addWidget(m_throughput);
    m_throughput->setText(tr("Training steps of a model are measured here; an experiment with as many steps as fit into the time opens in New run."));
    connect(m_measure, &QPushButton::clicked, this, &PlanPage::measure);
    connect(m_measureBar, &widgets::JobBar::ended, this, [this] {
        m_measure->setEnabled(true);
        Q_EMIT busyChanged(-1);
    });
    return box;
}

void PlanPage::setOutcome(const OutcomePtr& outcome)
{
    m_outcome = outcome;
    m_status->setText(whyNot().isEmpty() ? tr("Planned with %1").arg(QString::fromStdString(outcome->law->formula())) : whyNot());
    updateButton();
}

QString PlanPage::whyNot() const
{
    if (!m_outcome)
        return tr("Fit a law of N and D first: the best split of a budget follows from it");
    if (m_outcome->law->inputs() != std::vector<std::string>{"N", "D"})
        return tr("A plan needs a law of N and D, such as chinchilla; the one that is fitted takes %1")
            .arg(QString::fromStdString(m_outcome->law->inputs().front()));
    try {
        return numbersIn(m_budgets->text(), "budgets").empty() ? tr("Give at least one budget") : QString();
    } catch (const core::Error& error) {
        return QString::fromUtf8(error.what());
    }
}

void PlanPage::run()
{
    if (isRunning() || !whyNot().isEmpty())
        return;
    auto work = [outcome = m_outcome, budgets = numbersIn(m_budgets->text(), "budgets")](widgets::BackgroundContext& context) {
        std::vector<scaling::Plan> plans;
        for (const double budget : budgets) {
            context.throwIfStopped();
            plans.push_back(scaling::planCompute(*outcome->law, outcome->fit.parameters, budget));
        }
        return plans;
    };
    start(
        std::move(work), [this](const std::vector<scaling::Plan>& plans) { take(plans); }, tr("Plan of compute"), "plan", core::Json::object());
}

void PlanPage::take(const std::vector<scaling::Plan>& plans)
{
    QList<QStringList> rows;
    widgets::PlotSeries size, data;
    size.title = tr("N");
    data.title = tr("D");
    size.style = data.style = widgets::LineStyle::LineAndPoints;
    size.smoothed = data.smoothed = false;
    for (const scaling::Plan& plan : plans) {
        rows << QStringList{shortText(plan.budget), shortText(plan.N), shortText(plan.D), shortText(plan.D / plan.N), shortText(plan.loss)};
        size.data.x.push_back(plan.budget);
        size.data.y.push_back(plan.N);
        data.data.x.push_back(plan.budget);
        data.data.y.push_back(plan.D);
    }
    m_plot->setSeries(QStringLiteral("N"), size);
    m_plot->setSeries(QStringLiteral("D"), data);
    fillTable(*m_rows, rows);
}

void PlanPage::measure()
{
    if (m_measureBar->isRunning())
        return;
    Q_EMIT failed({});
    widgets::BackgroundOptions options;
    options.title = tr("Training steps of %1").arg(m_model->text().trimmed());
    options.lane = widgets::Lane::Queue;
    options.kind = QStringLiteral("throughput");
    options.threads = 0;
    auto work = [text = m_model->text().trimmed().toStdString(), batch = m_batch->value(),
                 seconds = double(m_seconds->value())](widgets::BackgroundContext& context) {
        const train::Experiment experiment = train::resolveExperiment(equalComputeDocument(text, batch, 1, seconds));
        return scaling::equalCompute(experiment, seconds, 3, context.stopToken());
    };
    m_measureBar->follow(session().runInBackground(
        this, std::move(work),
        [this, text = m_model->text().trimmed(), batch = m_batch->value(), seconds = m_seconds->value()](const scaling::EqualCompute& cut) {
            m_throughput->setText(tr("%1 s a step, %L2 tokens a second: %L3 steps and %L4 tokens in %L5 s. The experiment stands in New run.")
                                      .arg(shortText(cut.throughput.stepSeconds))
                                      .arg(cut.throughput.tokensPerSecond(), 0, 'f', 0)
                                      .arg(cut.steps)
                                      .arg(cut.tokens)
                                      .arg(seconds));
            try {
                session().setDraft(equalComputeDocument(text.toStdString(), batch, cut.steps, seconds));
            } catch (const core::Error& error) {
                Q_EMIT failed(QString::fromUtf8(error.what()));
            }
        },
        [this](const QString& text) { Q_EMIT failed(text); }, options));
    m_measure->setEnabled(false);
    Q_EMIT busyChanged(1);
}

QString PlanPage::command() const
{
    QStringList words{QStringLiteral("scaling"),          QStringLiteral("count"),           m_model->text().trimmed(),
                      QStringLiteral("--batch"),          QString::number(m_batch->value()), QStringLiteral("--budget-seconds"),
                      QString::number(m_seconds->value())};
    return widgets::cliCommand(words);
}

core::Json PlanPage::saveState() const
{
    return {{"budgets", m_budgets->text().toStdString()},
            {"model", m_model->text().toStdString()},
            {"seconds", m_seconds->value()},
            {"batch", m_batch->value()}};
}

void PlanPage::restoreState(const core::Json& state)
{
    m_budgets->setText(widgets::stateText(state, "budgets", m_budgets->text()));
    m_model->setText(widgets::stateText(state, "model", m_model->text()));
    m_seconds->setValue(int(widgets::stateNumber(state, "seconds", m_seconds->value())));
    m_batch->setValue(int(widgets::stateNumber(state, "batch", m_batch->value())));
}

}  // namespace orrery::plugins
