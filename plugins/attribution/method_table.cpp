#include "method_table.h"

#include <QHeaderView>
#include <QKeyEvent>

#include <core/explain/metrics/metric.h>
#include <widgets/numbers.h>

#include "bars.h"
#include "explain_work.h"

namespace orrery::plugins {
namespace {

constexpr int kFullText = Qt::UserRole + 1;  ///< of a number: all its digits

enum Column { Method, Output, Sum, Completeness, StandardError, Seconds, FirstMetric };

QString stateOf(const Card& card)
{
    if (!card.error.isEmpty())
        return MethodTable::tr("failed");
    switch (card.state) {
    case CardState::Waiting: return MethodTable::tr("waiting");
    case CardState::Running: return MethodTable::tr("running");
    case CardState::Idle: break;
    }
    if (!card.result)
        return MethodTable::tr("not computed");
    return card.result->partial ? MethodTable::tr("partial") : QString::number(card.result->seconds, 'g', 3);
}

}  // namespace

MethodTable::MethodTable(Cards& cards, Columns columns, QWidget* parent) : QTableWidget(parent), m_cards(cards), m_columns(columns)
{
    setAccessibleName(tr("Chosen methods"));
    setObjectName(QStringLiteral("methods"));
    verticalHeader()->hide();
    verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 6);
    setSelectionBehavior(QAbstractItemView::SelectRows);
    setSelectionMode(QAbstractItemView::SingleSelection);
    setEditTriggers(QAbstractItemView::NoEditTriggers);
    setAlternatingRowColors(true);
    setTabKeyNavigation(false);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
    connect(&cards, &Cards::listChanged, this, &MethodTable::rebuild);
    connect(&cards, &Cards::cardChanged, this, [this](int id) {
        for (int row = 0; row < rowCount(); ++row)
            if (const Card* card = m_cards.find(id); card && idOf(row) == id)
                showRow(row, *card);
        if (const Card* card = m_cards.find(id); card && card->state == CardState::Idle)
            fitColumns();
    });
    connect(this, &QTableWidget::currentCellChanged, this, [this](int row, int, int before, int) {
        if (row >= 0 && row != before)
            Q_EMIT cardChosen(idOf(row));
    });
    connect(this, &QTableWidget::cellDoubleClicked, this, [this](int row, int) { Q_EMIT cardActivated(idOf(row)); });
    rebuild();
}

void MethodTable::fitColumns()
{
    resizeColumnsToContents();
    setColumnWidth(Method, std::min(columnWidth(Method), 220));
}

int MethodTable::idOf(int row) const
{
    return item(row, Method) ? item(row, Method)->data(Qt::UserRole).toInt() : -1;
}

int MethodTable::chosen() const
{
    return currentRow() >= 0 ? idOf(currentRow()) : -1;
}

void MethodTable::choose(int id)
{
    for (int row = 0; row < rowCount(); ++row)
        if (idOf(row) == id)
            setCurrentCell(row, Method);
}

void MethodTable::rebuild()
{
    const QSignalBlocker blocker(this);
    const int before = chosen();
    m_metrics.clear();
    QStringList titles{tr("Method"), tr("Output"), tr("Sum"), tr("Completeness error"), tr("Standard error"), tr("Seconds")};
    for (const auto& metric : measurableMetrics()) {
        m_metrics << QString::fromStdString(metric);
        titles << QString::fromStdString(explain::attributionMetricRegistry().at(metric).title);
    }
    setColumnCount(int(titles.size()));
    setHorizontalHeaderLabels(titles);
    for (int i = 0; i < m_metrics.size(); ++i)
        horizontalHeaderItem(FirstMetric + i)
            ->setToolTip(QString::fromStdString(explain::attributionMetricRegistry().at(m_metrics[i].toStdString()).summary));
    for (int column = Output; column < FirstMetric; ++column)
        setColumnHidden(column, m_columns == Columns::Metrics);
    setRowCount(int(m_cards.list().size()));
    for (int row = 0; row < rowCount(); ++row)
        showRow(row, m_cards.list()[std::size_t(row)]);
    fitColumns();
    setCurrentCell(-1, -1);
    choose(before);
}

void MethodTable::showRow(int row, const Card& card)
{
    const auto set = [&](int column, const QString& text) {
        if (QTableWidgetItem* old = item(row, column))
            old->setText(text);
        else
            setItem(row, column, makeItem(text, column != Method));
    };
    const QString settings = summaryOf(card.settings);
    set(Method, settings.isEmpty() ? titleOf(card.settings) : titleOf(card.settings) + QStringLiteral(" (%1)").arg(settings));
    item(row, Method)->setData(Qt::UserRole, card.id);
    item(row, Method)->setToolTip(item(row, Method)->text());
    const bool whole = card.result && !card.result->partial;
    // A dash where the method has none. The tooltip has all digits; copies take them.
    const auto setNumber = [&](int column, bool isKnown, const std::optional<double>& number) {
        set(column, !isKnown ? QString() : number ? widgets::shownNumber(*number) : QStringLiteral("–"));
        item(row, column)->setToolTip(isKnown && number ? fullNumber(*number) : QString());
        item(row, column)->setData(kFullText, item(row, column)->toolTip());
    };
    setNumber(Output, whole, card.result ? std::optional(card.result->output) : std::nullopt);
    setNumber(Sum, card.result != nullptr, card.result ? std::optional(card.result->sum) : std::nullopt);
    setNumber(Completeness, whole, card.result ? card.result->completenessError : std::nullopt);
    setNumber(StandardError, whole, card.result ? card.result->standardError : std::nullopt);
    set(Seconds, stateOf(card));
    item(row, Seconds)->setToolTip(card.error);
    for (int i = 0; i < m_metrics.size(); ++i) {
        const auto found = card.metrics.find(m_metrics[i].toStdString());
        const bool known = found != card.metrics.end();
        setNumber(FirstMetric + i, known, known && found->second.error.isEmpty() ? std::optional(found->second.value) : std::nullopt);
        if (known && !found->second.error.isEmpty())
            item(row, FirstMetric + i)->setToolTip(found->second.error);
    }
}

QString MethodTable::toCsv() const
{
    const auto line = [&](const std::function<QString(int)>& cell) {
        QStringList cells;
        for (int column = 0; column < columnCount(); ++column)
            cells << QLatin1Char('"') + cell(column).replace(QLatin1Char('"'), QStringLiteral("\"\"")) + QLatin1Char('"');
        return cells.join(QLatin1Char(',')) + QLatin1Char('\n');
    };
    QString csv = line([this](int column) { return horizontalHeaderItem(column)->text(); });
    for (int row = 0; row < rowCount(); ++row)
        csv += line([this, row](int column) {
            const QString full = item(row, column)->data(kFullText).toString();
            return full.isEmpty() ? item(row, column)->text() : full;
        });
    return csv;
}

void MethodTable::keyPressEvent(QKeyEvent* event)
{
    const int id = chosen();
    if (id >= 0 && event->key() == Qt::Key_Delete)
        return m_cards.remove(id);
    if (id >= 0 && event->modifiers() == Qt::AltModifier && (event->key() == Qt::Key_Up || event->key() == Qt::Key_Down))
        return m_cards.move(id, event->key() == Qt::Key_Up ? -1 : 1);
    if (id >= 0 && (event->key() == Qt::Key_Return || event->key() == Qt::Key_Enter))
        return Q_EMIT cardActivated(id);
    QTableWidget::keyPressEvent(event);
}

}  // namespace orrery::plugins
