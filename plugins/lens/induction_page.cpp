#include "induction_page.h"

#include <ATen/ATen.h>
#include <QComboBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QRegularExpression>
#include <QSplitter>
#include <QVBoxLayout>
#include <array>

#include <widgets/heat_map_view.h>
#include <widgets/numbers.h>
#include <widgets/plot_view.h>

namespace orrery::plugins {
namespace {

const at::Tensor& chosenScores(const intervene::HeadScores& scores, int which)
{
    const std::array<const at::Tensor*, 5> all{&scores.induction, &scores.previousToken, &scores.duplicateToken, &scores.firstToken, &scores.entropy};
    return *all[std::size_t(std::clamp(which, 0, 4))];
}

}  // namespace

InductionPage::InductionPage(QWidget* parent)
    : QWidget(parent), m_which(new QComboBox), m_ablate(new QLineEdit), m_map(new widgets::HeatMapView), m_loss(new widgets::PlotView),
      m_summary(new QLabel)
{
    m_which->addItems({tr("Induction"), tr("Previous token"), tr("Duplicate token"), tr("First token"), tr("Entropy")});
    m_which->setAccessibleName(tr("Score"));
    m_which->setObjectName(QStringLiteral("whichScore"));
    connect(m_which, &QComboBox::currentIndexChanged, this, &InductionPage::fill);
    m_ablate->setAccessibleName(tr("Heads set to zero"));
    m_ablate->setObjectName(QStringLiteral("ablate"));
    m_ablate->setPlaceholderText(tr("none; e.g. 1.3 0.2"));
    m_ablate->setToolTip(tr("Heads whose output is set to zero, as LAYER.HEAD with spaces between: what does the model lose?"));
    m_ablate->setClearButtonEnabled(true);
    connect(m_ablate, &QLineEdit::editingFinished, this, [this] {
        if (m_ablate->isModified()) {
            m_ablate->setModified(false);
            Q_EMIT changed();
        }
    });
    m_map->setAxisTitles(tr("Layer"), tr("Head"));
    m_map->setObjectName(QStringLiteral("inductionMap"));
    m_map->setDecimals(2);
    connect(m_map, &widgets::HeatMapView::cellClicked, this, &InductionPage::headChosen);
    m_loss->setAxisTitle(widgets::PlotAxis::X, tr("Position"));
    m_loss->setWhole(widgets::PlotAxis::X);
    m_loss->setAxisTitle(widgets::PlotAxis::Y, tr("Loss of the next token (nats)"));
    m_loss->setLegendVisible(false);
    m_summary->setWordWrap(true);
    m_summary->setObjectName(QStringLiteral("inductionSummary"));
    m_summary->setTextInteractionFlags(Qt::TextSelectableByMouse);
    auto* whichLabel = new QLabel(tr("Sco&re"));
    whichLabel->setBuddy(m_which);
    auto* ablateLabel = new QLabel(tr("Ta&ke out"));
    ablateLabel->setBuddy(m_ablate);
    auto* row = new QHBoxLayout;
    row->addWidget(whichLabel);
    row->addWidget(m_which);
    row->addWidget(ablateLabel);
    row->addWidget(m_ablate, 1);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_map);
    splitter->addWidget(m_loss);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addLayout(row);
    layout->addWidget(splitter, 1);
    layout->addWidget(m_summary);
}

core::Json InductionPage::parameters() const
{
    core::Json heads = core::Json::array();
    for (const QString& word : m_ablate->text().split(QRegularExpression(QStringLiteral("[\\s,]+")), Qt::SkipEmptyParts))
        heads.push_back(word.toStdString());
    return heads.empty() ? core::Json::object() : core::Json{{"ablate", heads}};
}

void InductionPage::show(const LensAnswer& answer)
{
    m_scores = std::get<intervene::InductionScores>(answer.result.value);
    QStringList heads;
    for (const auto& place : m_scores->inductionHeads)
        heads << QString::fromStdString(place.text());
    const auto percent = [](double share) { return QString::number(100 * share, 'f', 1) + QStringLiteral(" %"); };
    m_summary->setText(
        tr("%1 sequences of %2 random tokens, repeated. Induction heads: %3. Right in the second half: %4 (loss %5), in the first: %6 (loss %7). "
           "Dashed: where the tokens repeat.")
            .arg(m_scores->sequences)
            .arg(m_scores->length)
            .arg(heads.isEmpty() ? tr("none (no score reaches %1)").arg(intervene::kInductionThreshold) : heads.join(QStringLiteral(", ")),
                 percent(m_scores->secondAccuracy))
            .arg(widgets::fixedNumber(m_scores->secondLoss, 3))
            .arg(percent(m_scores->firstAccuracy))
            .arg(widgets::fixedNumber(m_scores->firstLoss, 3)));
    fill();
    widgets::PlotSeries series;
    series.title = tr("loss");
    for (std::int64_t i = 0; i < m_scores->loss.size(0); ++i) {
        series.data.x.push_back(double(i));
        series.data.y.push_back(m_scores->loss[i].item<double>());
    }
    m_loss->setSeries(QStringLiteral("loss"), series);
    m_loss->setGuide(widgets::PlotAxis::X, double(m_scores->length));
    m_loss->showAll();
}

void InductionPage::fill()
{
    if (!m_scores)
        return;
    const at::Tensor values = chosenScores(m_scores->scores, m_which->currentIndex()).contiguous();
    m_map->setMatrix({values.data_ptr<double>(), values.data_ptr<double>() + values.numel()}, int(values.size(0)), int(values.size(1)));
    const bool isEntropy = m_which->currentIndex() == 4;
    isEntropy ? m_map->setColorRange({}, {}) : m_map->setColorRange(0, 1);
    m_map->setValueTitle(isEntropy ? tr("entropy (nats)") : tr("%1 score").arg(m_which->currentText()));
}

void InductionPage::clear()
{
    m_scores.reset();
    m_map->setMatrix({}, 0, 0);
    m_loss->clear();
    m_summary->clear();
}

core::Json InductionPage::saveState() const
{
    return {{"score", m_which->currentIndex()}, {"ablate", m_ablate->text().toStdString()}};
}

void InductionPage::restoreState(const core::Json& state)
{
    if (!state.is_object())
        return;
    if (state.contains("score") && state["score"].is_number_integer())
        m_which->setCurrentIndex(std::clamp(state["score"].get<int>(), 0, 4));
    if (state.contains("ablate") && state["ablate"].is_string())
        m_ablate->setText(QString::fromStdString(state["ablate"].get<std::string>()));
}

}  // namespace orrery::plugins
