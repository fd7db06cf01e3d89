#include "similarity_page.h"

#include <ATen/ATen.h>
#include <QComboBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QVBoxLayout>
#include <cmath>

#include <widgets/heat_map_view.h>
#include <widgets/model_source.h>
#include <widgets/numbers.h>

#include "method_form.h"

namespace orrery::plugins {
namespace {

constexpr const char* kCheckpoints = "checkpoints";

QStringList labelsOf(const std::vector<std::string>& names)
{
    QStringList out;
    for (const auto& name : names)
        out << QString::fromStdString(name);
    return out;
}

}  // namespace

SimilarityPage::SimilarityPage(widgets::Session& session)
    : Page(session, tr("&Compare"), tr("Progress of the comparison")), m_map(new widgets::HeatMapView), m_cell(new QLabel), m_status(new QLabel)
{
    m_metric =
        new MethodForm(intervene::similarityRegistry().components(),
                       {tr("Measure"), tr("Measure of similarity"), tr("Show the parameters of the measure"), tr("Parameters of the measure")}, this);
    connect(m_metric, &MethodForm::changed, this, &SimilarityPage::updateButton);
    m_map->setObjectName(QStringLiteral("similarity"));
    m_map->setColorRange(0, 1);
    connect(m_map, &widgets::HeatMapView::cellClicked, this, &SimilarityPage::chooseCell);
    connect(m_map, &widgets::HeatMapView::currentCellChanged, this, &SimilarityPage::showCell);
    m_cell->setObjectName(QStringLiteral("cell"));
    m_status->setObjectName(QStringLiteral("similarityStatus"));
    for (auto* label : {m_cell, m_status}) {
        label->setWordWrap(true);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    }
    m_status->setText(tr("Press Compare: how alike the layers are on the same samples, 1 for equal up to rotation and scale."));
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->setSpacing(4);
    layout->addLayout(makeSettings());
    layout->addWidget(m_metric->form());
    layout->addLayout(buttonRow());
    layout->addWidget(m_map, 1);
    layout->addWidget(m_cell);
    layout->addWidget(m_status);
    updateButton();
    fillOthers();
}

QLayout* SimilarityPage::makeSettings()
{
    m_other = widgets::narrowBox(tr("Compare with"), tr("The columns: the model itself, another model, or the checkpoints of the run"));
    m_other->setObjectName(QStringLiteral("other"));
    connect(m_other, &QComboBox::activated, this, [this] {
        m_wantedOther = m_other->currentData().toString();
        m_otherPlaces->setEnabled(m_wantedOther != QLatin1String(kCheckpoints));
        updateButton();
    });
    m_places = new QLineEdit;
    m_places->setObjectName(QStringLiteral("rowPlaces"));
    m_places->setToolTip(
        tr("Values of the rows, separated by spaces; empty: the layers of the model. One value and checkpoints: every step against every other."));
    m_otherPlaces = new QLineEdit;
    m_otherPlaces->setToolTip(tr("Values of the columns; empty: the same as the rows"));
    m_otherPlaces->setPlaceholderText(tr("as the rows"));
    auto* measures = new QHBoxLayout;
    measures->addWidget(m_metric->box(), 1);
    measures->addWidget(m_metric->more());
    auto* form = new QFormLayout;
    form->setContentsMargins(0, 0, 0, 0);
    form->setVerticalSpacing(4);
    form->addRow(tr("Compare &with"), m_other);
    auto* label = new QLabel(tr("M&easure"));
    label->setBuddy(m_metric->box());
    form->addRow(label, measures);
    form->addRow(tr("&Rows"), m_places);
    form->addRow(tr("Co&lumns"), m_otherPlaces);
    return form;
}

void SimilarityPage::fillOthers()
{
    const QSignalBlocker blocker(m_other);
    m_other->clear();
    m_other->addItem(tr("Itself"), QString());
    if (subject() && widgets::runOfArgument(subject()->subject.model))
        m_other->addItem(tr("Its checkpoints"), QString::fromLatin1(kCheckpoints));
    const QString own = subject() ? subject()->subject.model : QString();
    for (const QString& argument : widgets::modelArguments(session().selection()))
        if (argument != own)
            m_other->addItem(argument.startsWith(QLatin1String("run:")) ? tr("Run %1").arg(argument.mid(4)) : argument, argument);
    for (const qint64 run : session().selection().runs)
        if (const QString argument = QStringLiteral("run:%1").arg(run); argument != own && m_other->findData(argument) < 0)
            m_other->addItem(tr("Run %1").arg(run), argument);
    if (!m_wantedOther.isEmpty() && m_wantedOther != QLatin1String(kCheckpoints) && m_wantedOther != own && m_other->findData(m_wantedOther) < 0)
        m_other->addItem(m_wantedOther, m_wantedOther);
    m_other->setCurrentIndex(std::max(0, m_other->findData(m_wantedOther)));
    m_otherPlaces->setEnabled(m_other->currentData().toString() != QLatin1String(kCheckpoints));
}

void SimilarityPage::subjectChanged()
{
    fillOthers();
    if (!subject())
        return;
    QStringList layers;
    for (const auto& place : intervene::layerPlaces(*subject()->model))
        layers << QString::fromStdString(place);
    m_places->setPlaceholderText(layers.join(QLatin1Char(' ')));
}

QString SimilarityPage::whyNot() const
{
    if (const QString why = Page::whyNot(); !why.isEmpty())
        return why;
    return m_metric->isValid() ? QString() : tr("Correct the parameters first");
}

ComparisonChoice SimilarityPage::wanted() const
{
    ComparisonChoice out;
    const QString other = m_other->currentData().toString();
    out.checkpoints = other == QLatin1String(kCheckpoints);
    out.other = out.checkpoints ? QString() : other;
    out.places = placesOf(m_places->text());
    out.otherPlaces = out.checkpoints ? QStringList() : placesOf(m_otherPlaces->text());
    out.metric = m_metric->id().toStdString();
    out.parameters = m_metric->document();
    return out;
}

void SimilarityPage::run()
{
    if (isRunning() || !whyNot().isEmpty())
        return;
    const QPointer<SimilarityPage> self = this;
    const auto chosen = wanted();
    m_byCheckpoint = chosen.checkpoints;
    auto work = [subject = subject(), choice = choice(), chosen, workspace = session().workspace(), self](widgets::BackgroundContext& context) {
        // A large matrix comes row by row, perhaps thousands a second.
        auto last = std::chrono::steady_clock::time_point();
        return runComparison(subject, choice, chosen, workspace, controlOf(context), [&](const intervene::Comparison& partial) {
            if (std::chrono::steady_clock::now() - last < std::chrono::milliseconds(100))
                return;
            last = std::chrono::steady_clock::now();
            context.post([self, partial] {
                if (self)
                    self->show(partial);
            });
        });
    };
    start(std::move(work), [this](const ComparisonOutcome& outcome) { takeOutcome(outcome); }, tr("Similarity of %1").arg(subject()->subject.model),
          "compare_representations", {{"model", subject()->subject.model.toStdString()}, {"metric", chosen.metric}});
}

void SimilarityPage::show(const intervene::Comparison& comparison)
{
    m_comparison = comparison;
    const at::Tensor plain = comparison.matrix.contiguous();
    const double* numbers = plain.data_ptr<double>();
    m_map->setMatrix(std::vector<double>(numbers, numbers + plain.numel()), int(plain.size(0)), int(plain.size(1)));
    m_map->setLabels(labelsOf(comparison.rows), labelsOf(comparison.columns));
    m_map->setValueTitle(tr("similarity"));
    const bool steps = m_byCheckpoint;
    m_map->setAxisTitles(steps && comparison.rows == comparison.columns ? tr("Step") : tr("Value"), steps ? tr("Step") : tr("Value"));
}

void SimilarityPage::takeOutcome(const ComparisonOutcome& outcome)
{
    show(outcome.comparison);
    QString text = tr("%1 on %L2 rows").arg(m_metric->title()).arg(outcome.comparison.samples);
    setResult(outcome.analysis);
    if (outcome.analysis)
        text += tr("; stored as analysis %1").arg(*outcome.analysis);
    m_status->setText(text);
    if (!outcome.whyNotStored.isEmpty())
        Q_EMIT failed(tr("The matrix is shown, but could not be stored: %1").arg(outcome.whyNotStored));
}

void SimilarityPage::showCell(int row, int column)
{
    if (row < 0 || column < 0 || row >= int(m_comparison.rows.size()) || column >= int(m_comparison.columns.size()))
        return m_cell->clear();
    const double value = m_map->value(row, column);
    m_cell->setText(tr("%1 and %2: %3")
                        .arg(QString::fromStdString(m_comparison.rows[std::size_t(row)]),
                             QString::fromStdString(m_comparison.columns[std::size_t(column)]),
                             std::isfinite(value) ? widgets::shownNumber(value) : tr("no similarity is defined (a value does not vary)")));
}

void SimilarityPage::chooseCell(int row, int column)
{
    showCell(row, column);
    if (row < 0 || row >= int(m_comparison.rows.size()))
        return;
    // Checkpoints: the weights of that step, where there is one; values: the row's.
    const QString name = QString::fromStdString(m_comparison.rows[std::size_t(row)]);
    const QString step = QString::fromStdString(m_comparison.columns.at(std::size_t(column)));
    const auto run = subject() ? widgets::runOfArgument(subject()->subject.model) : std::nullopt;
    session().changeSelection([&](widgets::Selection& s) {
        if (m_byCheckpoint && m_comparison.rows == m_comparison.columns) {
            bool isStep = false;
            const qint64 number = step.toLongLong(&isStep);
            s.weightsRun = run;
            s.checkpointStep = isStep ? std::optional(number) : std::nullopt;
            return;
        }
        s.valuePath = name;
        s.valueIndex.clear();
    });
}

QString SimilarityPage::command() const
{
    return subject() ? comparisonCommand(*subject(), choice(), wanted(), session().workspaceFolder()) : QString();
}

core::Json SimilarityPage::saveState() const
{
    core::Json state{
        {"other", m_wantedOther.toStdString()}, {"rows", m_places->text().toStdString()}, {"columns", m_otherPlaces->text().toStdString()}};
    m_metric->addState(state, "metric");
    return state;
}

void SimilarityPage::restoreState(const core::Json& state)
{
    m_metric->restoreState(state, "metric");
    m_wantedOther = widgets::stateText(state, "other");
    m_places->setText(widgets::stateText(state, "rows"));
    m_otherPlaces->setText(widgets::stateText(state, "columns"));
    fillOthers();
}

}  // namespace orrery::plugins
