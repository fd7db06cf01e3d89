#include "ablation_view.h"

#include <QDoubleSpinBox>
#include <QHeaderView>
#include <QLabel>
#include <QPushButton>
#include <QSpinBox>
#include <QSplitter>
#include <QStackedWidget>
#include <QTableWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <numeric>

#include <widgets/numbers.h>
#include <widgets/token_view.h>

#include "bars.h"
#include "brush_view.h"

namespace orrery::plugins {
namespace {

constexpr std::size_t kMostRows = 12;  ///< classes on show: those that were or became most probable

/// The classes worth showing, by their probability before or after, the larger one.
std::vector<std::size_t> topClasses(const std::vector<double>& before, const std::vector<double>& after)
{
    std::vector<std::size_t> order(before.size());
    std::iota(order.begin(), order.end(), 0);
    const auto most = [&](std::size_t i) { return std::max(before[i], i < after.size() ? after[i] : 0.0); };
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return most(a) > most(b); });
    order.resize(std::min(order.size(), kMostRows));
    return order;
}

}  // namespace

AblationView::AblationView(Ablation& ablation, QWidget* parent)
    : QWidget(parent), m_ablation(ablation), m_size(new QSpinBox), m_baseline(new QDoubleSpinBox), m_clear(new QPushButton(tr("Bring all back"))),
      m_hint(new QLabel), m_state(new QLabel), m_inputs(new QStackedWidget), m_picture(new BrushView), m_tokens(new widgets::TokenView),
      m_features(makeTable(tr("Features to leave out"))), m_answer(makeTable(tr("Answer before and after")))
{
    makeInputs();
    m_answer->setObjectName(QStringLiteral("answer"));
    m_answer->setItemDelegateForColumn(4, new BarDelegate(m_answer));
    m_answer->setColumnCount(5);
    m_answer->horizontalHeader()->setStretchLastSection(true);
    m_state->setObjectName(QStringLiteral("left_out"));
    m_hint->setWordWrap(true);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_inputs);
    splitter->addWidget(m_answer);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 2);
    splitter->setChildrenCollapsible(false);
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addWidget(m_hint);
    layout->addLayout(makeTools());
    layout->addWidget(splitter, 1);
    layout->addWidget(m_state);
    connect(&ablation, &Ablation::leftOutChanged, this, &AblationView::showLeftOut);
    connect(&ablation, &Ablation::answerChanged, this, &AblationView::showAnswer);
    showLeftOut();
    showAnswer();
}

void AblationView::makeInputs()
{
    m_picture->setAccessibleName(tr("Picture to paint on"));
    m_picture->setObjectName(QStringLiteral("brush"));
    m_tokens->setAccessibleName(tr("Tokens to leave out"));
    m_tokens->setObjectName(QStringLiteral("brush_tokens"));
    m_features->setObjectName(QStringLiteral("brush_features"));
    m_features->setColumnCount(2);
    m_features->setHorizontalHeaderLabels({tr("Feature"), tr("Value")});
    m_features->horizontalHeader()->setStretchLastSection(true);
    for (QWidget* view : std::initializer_list<QWidget*>{m_picture, m_tokens, m_features})
        m_inputs->addWidget(view);
    connect(m_picture, &BrushView::painted, this, [this](const std::set<std::int64_t>& pixels) {
        m_ablation.preview({pixels, m_ablation.leftOut().baseline});
    });
    connect(m_picture, &BrushView::strokeEnded, this, [this] { m_ablation.commit(tr("Brush over the picture")); });
    connect(m_tokens, &widgets::TokenView::tokenActivated, this, [this](int token) { toggle(token); });
    connect(m_features, &QTableWidget::itemChanged, this, [this](QTableWidgetItem* item) {
        if (item->column() == 0 && (item->checkState() == Qt::Unchecked) != m_ablation.leftOut().elements.contains(item->row()))
            toggle(item->row());
    });
}

QLayout* AblationView::makeTools()
{
    m_size->setRange(1, 64);
    m_size->setSuffix(tr(" px"));
    m_size->setAccessibleName(tr("Size of the brush"));
    m_size->setToolTip(tr("Side of the brush in pixels of the picture"));
    m_baseline->setRange(-1e6, 1e6);
    m_baseline->setDecimals(4);
    m_baseline->setSingleStep(0.1);
    m_baseline->setKeyboardTracking(false);
    m_baseline->setAccessibleName(tr("Baseline"));
    m_baseline->setToolTip(tr("What the elements are set to, in the numbers the model sees (0 is the mean where inputs are standardised)"));
    m_clear->setObjectName(QStringLiteral("bring_back"));
    connect(m_size, &QSpinBox::valueChanged, m_picture, &BrushView::setBrushSize);
    connect(m_baseline, &QDoubleSpinBox::valueChanged, this, [this](double value) {
        m_ablation.change({m_ablation.leftOut().elements, value}, tr("Change the baseline"));
    });
    connect(m_clear, &QPushButton::clicked, this, [this] { m_ablation.change({{}, m_ablation.leftOut().baseline}, tr("Bring all back")); });
    auto* label = new QLabel(tr("&Set to"));
    label->setBuddy(m_baseline);
    auto* row = new QHBoxLayout;
    row->addWidget(m_size);
    row->addWidget(label);
    row->addWidget(m_baseline, 1);
    row->addWidget(m_clear);
    return row;
}

int AblationView::brushSize() const
{
    return m_size->value();
}

void AblationView::setBrushSize(int pixels)
{
    m_size->setValue(pixels);
}

void AblationView::toggle(std::int64_t element)
{
    LeftOut wanted = m_ablation.leftOut();
    if (wanted.elements.erase(element) == 0)
        wanted.elements.insert(element);
    m_ablation.change(wanted, tr("Leave out %1").arg(m_subject ? elementName(*m_subject, std::size_t(element)) : QString()));
}

void AblationView::showSubject()
{
    m_subject = m_ablation.subject();
    const QSignalBlocker blocker(m_features);
    m_size->setVisible(m_subject && m_subject->kind == InputKind::Image);
    m_inputs->setEnabled(m_subject && m_subject->elements() > 0);
    if (!m_subject)
        return;
    switch (m_subject->kind) {
    case InputKind::Image:
        m_hint->setText(tr("Paint over the picture to leave pixels out; the right button or Shift brings them back."));
        m_picture->setPixels(m_subject->pixels, m_subject->channels, m_subject->height, m_subject->width, 0.0F, 1.0F);
        return m_inputs->setCurrentWidget(m_picture);
    case InputKind::Tokens:
        m_hint->setText(tr("Click tokens, or press Space on them, to leave them out: their embeddings are set to the baseline."));
        showTokens(*m_tokens, *m_subject);
        return m_inputs->setCurrentWidget(m_tokens);
    case InputKind::Table:
        m_hint->setText(tr("Untick features to leave them out: they are set to the baseline."));
        m_features->setRowCount(int(m_subject->elements()));
        for (int row = 0; row < m_features->rowCount(); ++row) {
            auto* name = makeItem(elementName(*m_subject, std::size_t(row)));
            name->setFlags(name->flags() | Qt::ItemIsUserCheckable);
            name->setCheckState(Qt::Checked);
            m_features->setItem(row, 0, name);
            m_features->setItem(row, 1, makeItem(widgets::shownNumber(m_subject->values.at(std::size_t(row))), true));
        }
        m_features->resizeColumnToContents(0);
        return m_inputs->setCurrentWidget(m_features);
    case InputKind::Other: m_hint->setText(tr("This input has no elements that can be left out by hand."));
    }
}

void AblationView::showLeftOut()
{
    if (m_subject != m_ablation.subject())
        showSubject();
    const LeftOut& leftOut = m_ablation.leftOut();
    m_picture->setLeftOut(leftOut.elements);
    m_tokens->setMarked(QSet<int>(leftOut.elements.begin(), leftOut.elements.end()));
    {
        const QSignalBlocker blocker(m_features), baseline(m_baseline);
        for (int row = 0; row < m_features->rowCount(); ++row)
            m_features->item(row, 0)->setCheckState(leftOut.elements.contains(row) ? Qt::Unchecked : Qt::Checked);
        m_baseline->setValue(leftOut.baseline);
    }
    m_clear->setEnabled(!leftOut.elements.empty());
    m_state->setText(m_subject ? tr("%L1 of %L2 left out").arg(leftOut.elements.size()).arg(m_subject->elements()) : QString());
}

void AblationView::fillAnswerRow(int row, const QString& name, double before, double after)
{
    m_answer->setItem(row, 0, makeItem(name));
    const double numbers[] = {before, after, after - before};
    for (int column = 1; column < 4; ++column) {
        auto* item = makeItem(widgets::shownNumber(numbers[column - 1], 4), true);
        item->setToolTip(fullNumber(numbers[column - 1]));
        m_answer->setItem(row, column, item);
    }
}

void AblationView::showAnswer()
{
    if (!m_subject)
        return m_answer->setRowCount(0);
    const Answer &before = m_subject->answer, &after = m_ablation.answer();
    const bool classes = !before.probabilities.empty();
    const auto& was = classes ? before.probabilities : before.outputs;
    const auto& is = classes ? after.probabilities : after.outputs;
    m_answer->setHorizontalHeaderLabels(
        {classes ? tr("Class") : tr("Output"), classes ? tr("Probability before") : tr("Before"), tr("After"), tr("Change"), QString()});
    const auto shown = topClasses(was, is);
    m_answer->setRowCount(int(shown.size()));
    double most = classes ? 1 : 0;
    for (const std::size_t i : shown)
        most = std::max(most, std::abs(is.at(i) - was[i]));
    for (std::size_t row = 0; row < shown.size(); ++row) {
        const std::size_t i = shown[row];
        fillAnswerRow(int(row), classes ? m_subject->className(std::int64_t(i)) : QString::number(i), was[i], is.at(i));
        setBar(m_answer, int(row), 4, is[i] - was[i], most);
    }
    for (int column = 0; column < 4; ++column)
        m_answer->resizeColumnToContents(column);
    QFont font = m_state->font();
    font.setItalic(m_ablation.isComputing());
    m_state->setFont(font);
}

}  // namespace orrery::plugins
