#include "compare_results.h"

#include <QAction>
#include <QClipboard>
#include <QComboBox>
#include <QGridLayout>
#include <QGuiApplication>
#include <QLabel>
#include <QScrollArea>
#include <QSplitter>
#include <QToolButton>

#include "method_table.h"
#include "scale_legend.h"

namespace orrery::plugins {
namespace {

QToolButton* makeCompareTool(const QString& text, const QString& tooltip)
{
    auto* button = new QToolButton;
    button->setText(text);
    button->setToolTip(tooltip);
    button->setAccessibleName(tooltip);
    return button;
}

}  // namespace

CompareResults::CompareResults(Cards& cards, QWidget* parent)
    : QWidget(parent), m_cards(cards), m_legend(new ScaleLegend), m_hint(new QLabel), m_body(new QWidget), m_grid(new QGridLayout(m_body)),
      m_scroll(new QScrollArea), m_table(new MethodTable(cards, MethodTable::Columns::All))
{
    m_hint->setWordWrap(true);
    m_hint->setText(tr("Several methods stand here side by side. Choose a method above and press Add (or Explain), then Explain all."));
    m_grid->setContentsMargins(0, 0, 0, 0);
    m_scroll->setWidget(m_body);
    m_scroll->setWidgetResizable(true);
    m_scroll->setFrameShape(QFrame::NoFrame);
    auto* splitter = new QSplitter(Qt::Vertical);
    splitter->addWidget(m_scroll);
    splitter->addWidget(m_table);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 1);
    splitter->setChildrenCollapsible(false);
    splitter->setSizes({720, 180});
    auto* layout = new QVBoxLayout(this);
    layout->setContentsMargins(4, 4, 4, 4);
    layout->addLayout(makeTools());
    layout->addWidget(m_hint);
    layout->addWidget(m_legend);
    layout->addWidget(splitter, 1);
    connect(&cards, &Cards::listChanged, this, &CompareResults::rebuild);
    connect(&cards, &Cards::cardChanged, this, &CompareResults::showCard);
    connect(m_table, &MethodTable::cardChosen, this, [this](int id) {
        for (const auto& [card, view] : m_views)
            view->setChosen(card == id);
        Q_EMIT cardChosen(id);
    });
    rebuild();
}

QLayout* CompareResults::makeTools()
{
    m_all = makeCompareTool(tr("Explain &all"), tr("Compute every chosen method as one job"));
    m_all->setObjectName(QStringLiteral("explain_all"));
    m_measure = makeCompareTool(tr("&Measure"), tr("Compute the metrics of the results on show"));
    m_measure->setObjectName(QStringLiteral("measure"));
    m_remove = makeCompareTool(QStringLiteral("✕"), tr("Remove the chosen method"));
    m_up = makeCompareTool(QStringLiteral("▲"), tr("Move the chosen method forward"));
    m_down = makeCompareTool(QStringLiteral("▼"), tr("Move the chosen method back"));
    m_scale = new QComboBox;
    m_scale->setAccessibleName(tr("Scale"));
    m_scale->setToolTip(tr("One colour scale for all results, or one for each"));
    m_scale->addItems({tr("Common scale"), tr("Own scales")});
    // As narrow as need be: this row is the widest of the panel, and it stands in a dock.
    m_scale->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_scale->setMinimumContentsLength(5);
    connect(m_all, &QToolButton::clicked, this, &CompareResults::explainAllAsked);
    connect(m_measure, &QToolButton::clicked, this, &CompareResults::measureAsked);
    connect(m_remove, &QToolButton::clicked, this, [this] { m_cards.remove(m_table->chosen()); });
    connect(m_up, &QToolButton::clicked, this, [this] { m_cards.move(m_table->chosen(), -1); });
    connect(m_down, &QToolButton::clicked, this, [this] { m_cards.move(m_table->chosen(), 1); });
    connect(m_scale, &QComboBox::currentIndexChanged, this, [this] { showScale(); });
    auto* copy = new QAction(tr("Copy table (CSV)"), this);
    connect(copy, &QAction::triggered, this, [this] { QGuiApplication::clipboard()->setText(m_table->toCsv()); });
    m_table->addAction(copy);
    m_table->setContextMenuPolicy(Qt::ActionsContextMenu);
    auto* row = new QHBoxLayout;
    row->setSpacing(2);
    for (auto* button : {m_all, m_measure, m_remove, m_up, m_down})
        row->addWidget(button);
    row->addStretch(1);
    row->addWidget(m_scale);
    return row;
}

bool CompareResults::isScaleCommon() const
{
    return m_scale->currentIndex() == 0;
}

void CompareResults::setScaleCommon(bool common)
{
    m_scale->setCurrentIndex(common ? 0 : 1);
}

void CompareResults::setRunning(bool running)
{
    m_all->setEnabled(!running && m_subject && !m_cards.isEmpty());
    m_measure->setEnabled(!running && shown() > 0);
}

int CompareResults::shown() const
{
    return int(std::count_if(m_cards.list().begin(), m_cards.list().end(), [](const Card& card) { return card.result != nullptr; }));
}

int CompareResults::chosen() const
{
    return m_table->chosen();
}

void CompareResults::choose(int id)
{
    m_table->choose(id);
}

CardLook CompareResults::look() const
{
    CardLook look;
    if (isScaleCommon())
        look.magnitude = m_cards.magnitude();
    look.opacity = m_opacity;
    look.channels = m_channels;
    return look;
}

void CompareResults::setSubject(const PreparedPtr& subject)
{
    m_subject = subject;
    showScale();
}

void CompareResults::setOpacity(double opacity)
{
    m_opacity = opacity;
    showScale();
}

void CompareResults::setChannels(const ChannelChoice& channels)
{
    m_channels = channels;
    showScale();
}

void CompareResults::rebuild()
{
    std::map<int, CardView*> views;
    for (const Card& card : m_cards.list()) {
        const auto known = m_views.find(card.id);
        CardView* view = known != m_views.end() ? known->second : new CardView(m_body);
        if (known == m_views.end())
            connect(view, &CardView::clicked, this, [this, id = card.id] { m_table->choose(id); });
        views[card.id] = view;
    }
    for (const auto& [id, view] : m_views)
        if (!views.contains(id))
            view->deleteLater();
    m_views = std::move(views);
    m_hint->setVisible(m_cards.isEmpty());
    for (auto* button : {m_remove, m_up, m_down})
        button->setEnabled(!m_cards.isEmpty());
    showScale();
    arrange();
}

int CompareResults::columnsThatFit() const
{
    constexpr int kNarrowest = 190;
    return std::max(1, m_scroll->viewport()->width() / kNarrowest);
}

/// Pictures and bars stand beside each other as the width allows; texts take the whole width.
void CompareResults::arrange()
{
    m_columns = columnsThatFit();
    while (m_grid->count() > 0)
        delete m_grid->takeAt(0);
    for (int row = 0; row < m_grid->rowCount(); ++row)
        m_grid->setRowStretch(row, 0);
    int row = 0, column = 0;
    for (const Card& card : m_cards.list()) {
        CardView* view = m_views.at(card.id);
        const int span = view->isWide() ? m_columns : 1;
        if (column + span > m_columns)
            ++row, column = 0;
        m_grid->addWidget(view, row, column, 1, span);
        m_grid->setRowStretch(row, 1);
        view->show();
        column += span;
    }
}

void CompareResults::showCard(int id)
{
    const Card* card = m_cards.find(id);
    const auto view = m_views.find(id);
    if (!card || view == m_views.end())
        return;
    if (isScaleCommon() && m_cards.magnitude() != m_magnitude)
        return showScale();
    const bool wasWide = view->second->isWide();
    view->second->showCard(*card, m_subject, look());
    if (view->second->isWide() != wasWide)
        arrange();
}

void CompareResults::showScale()
{
    m_magnitude = m_cards.magnitude();
    m_legend->setMagnitude(isScaleCommon() ? m_magnitude : 0);
    m_legend->setVisible(isScaleCommon() && m_magnitude > 0);
    bool changed = false;
    for (const Card& card : m_cards.list())
        if (const auto view = m_views.find(card.id); view != m_views.end()) {
            const bool wasWide = view->second->isWide();
            view->second->showCard(card, m_subject, look());
            changed = changed || view->second->isWide() != wasWide;
        }
    if (changed)
        arrange();
}

void CompareResults::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    if (columnsThatFit() != m_columns)
        arrange();
}

}  // namespace orrery::plugins
