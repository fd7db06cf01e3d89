#include "patch_inputs.h"

#include <QCheckBox>
#include <QEvent>
#include <QHeaderView>
#include <QSignalBlocker>
#include <algorithm>

namespace orrery::plugins {
namespace {

/// Fitting each column to its text is quick up to here; longer inputs get columns of one width.
constexpr qsizetype kFitted = 512;
constexpr int kBetweenBoxes = 10, kBetweenLines = 4;

}  // namespace

TokenPairTable::TokenPairTable(QWidget* parent) : QTableWidget(2, 0, parent)
{
    setAccessibleName(tr("Tokens of both inputs"));
    setVerticalHeaderLabels({tr("clean"), tr("corrupted")});
    setEditTriggers(QAbstractItemView::NoEditTriggers);
    setSelectionMode(QAbstractItemView::SingleSelection);
    setSelectionBehavior(QAbstractItemView::SelectColumns);
    setTabKeyNavigation(false);
    setHorizontalScrollMode(QAbstractItemView::ScrollPerPixel);
    setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    horizontalHeader()->setMinimumSectionSize(20);
    const int row = fontMetrics().height() + 6;
    verticalHeader()->setDefaultSectionSize(row);
    setFixedHeight(3 * row + 26);
    connect(this, &QTableWidget::currentCellChanged, this, [this](int, int column) {
        if (column >= 0)
            Q_EMIT positionChosen(column);
    });
    hide();
}

void TokenPairTable::fill(int row, int column, const QString& token, bool differs)
{
    auto* cell = new QTableWidgetItem(token);
    cell->setTextAlignment(Qt::AlignCenter);
    if (differs) {
        QFont bold = font();
        bold.setBold(true);
        cell->setFont(bold);
        cell->setBackground(palette().highlight());
        cell->setForeground(palette().highlightedText());
        cell->setToolTip(tr("differs"));
    }
    setItem(row, column, cell);
}

void TokenPairTable::setTokens(const QStringList& clean, const QStringList& corrupted)
{
    const QSignalBlocker blocker(this);
    const auto columns = std::max(clean.size(), corrupted.size());
    setVisible(columns > 0);
    setColumnCount(int(columns));
    QStringList numbers;
    for (qsizetype column = 0; column < columns; ++column) {
        numbers << QString::number(column);
        const QString first = clean.value(column), second = corrupted.value(column);
        const bool differs = column >= clean.size() || column >= corrupted.size() || first != second;
        fill(0, int(column), first, differs);
        fill(1, int(column), second, differs);
    }
    setHorizontalHeaderLabels(numbers);
    if (columns <= kFitted)
        resizeColumnsToContents();
}

void TokenPairTable::showPosition(int position)
{
    const QSignalBlocker blocker(this);
    if (position >= 0 && position < columnCount())
        setCurrentCell(0, position);
}

ComponentChoice::ComponentChoice(QWidget* parent) : QWidget(parent)
{
    hide();
}

QSize ComponentChoice::minimumSizeHint() const
{
    int width = 0;
    for (const auto* button : m_buttons)
        width = std::max(width, button->sizeHint().width());
    return {width, height()};
}

QSize ComponentChoice::sizeHint() const
{
    return {4 * minimumSizeHint().width(), height()};
}

void ComponentChoice::resizeEvent(QResizeEvent* event)
{
    QWidget::resizeEvent(event);
    arrange();
}

void ComponentChoice::changeEvent(QEvent* event)
{
    QWidget::changeEvent(event);
    if (event->type() == QEvent::FontChange || event->type() == QEvent::StyleChange)
        arrange();
}

/// Boxes stand under each other in columns, so that the eye finds them again when the panel gets another width.
void ComponentChoice::arrange()
{
    if (m_buttons.empty())
        return;
    const int column = minimumSizeHint().width() + kBetweenBoxes, line = m_buttons.front()->sizeHint().height() + kBetweenLines;
    const int count = int(m_buttons.size()), columns = std::clamp((width() + kBetweenBoxes) / column, 1, count);
    for (int i = 0; i < count; ++i)
        m_buttons[std::size_t(i)]->setGeometry(i % columns * column, i / columns * line, column - kBetweenBoxes, line - kBetweenLines);
    setFixedHeight((count + columns - 1) / columns * line);
}

QCheckBox* ComponentChoice::makeButton(const QString& component)
{
    auto* button = new QCheckBox(this);
    button->setText(component);
    button->setObjectName(QStringLiteral("component_") + component);
    button->setToolTip(tr("Patch %1 of every layer").arg(component));
    button->setChecked(m_remembered.contains(component));
    connect(button, &QCheckBox::toggled, this, [this, component](bool on) {
        m_remembered.removeAll(component);
        if (on)
            m_remembered << component;
        Q_EMIT changed();
    });
    return button;
}

void ComponentChoice::setAvailable(const std::vector<std::string>& components)
{
    for (auto* button : m_buttons) {
        button->hide();
        button->deleteLater();
    }
    m_buttons.clear();
    for (const auto& component : components) {
        m_buttons.push_back(makeButton(QString::fromStdString(component)));
        m_buttons.back()->show();
    }
    arrange();
    setVisible(!m_buttons.empty());
}

QStringList ComponentChoice::chosen() const
{
    QStringList names;
    for (const auto* button : m_buttons)
        if (button->isChecked())
            names << button->text();
    return names;
}

void ComponentChoice::setRemembered(const QStringList& components)
{
    m_remembered = components;
    for (auto* button : m_buttons) {
        const QSignalBlocker blocker(button);
        button->setChecked(m_remembered.contains(button->text()));
    }
    Q_EMIT changed();
}

}  // namespace orrery::plugins
