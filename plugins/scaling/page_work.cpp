#include "page_work.h"

#include <QHeaderView>

namespace orrery::plugins {

ScalingPage::ScalingPage(widgets::Session& session, const QString& buttonText, const QString& progressName)
    : m_session(session), m_run(new QPushButton(buttonText)), m_bar(new widgets::JobBar(session, progressName)), m_row(new QHBoxLayout)
{
    m_run->setObjectName(QStringLiteral("run"));
    m_run->setSizePolicy(QSizePolicy::Maximum, QSizePolicy::Fixed);
    connect(m_run, &QPushButton::clicked, this, &ScalingPage::run);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        updateButton();
        Q_EMIT busyChanged(-1);
    });
    m_row->setContentsMargins(0, 0, 0, 0);
    m_row->addWidget(m_run);
    m_row->addWidget(m_bar, 1);
    m_row->addStretch(0);
    setFocusProxy(m_run);
}

void ScalingPage::updateButton()
{
    const QString why = whyNot();
    m_run->setEnabled(why.isEmpty() && !isRunning());
    m_run->setToolTip(why.isEmpty() ? tr("Compute as a job") : why);
}

QComboBox* narrowBox(const QString& name, const QString& tooltip)
{
    auto* box = new QComboBox;
    box->setAccessibleName(name);
    box->setToolTip(tooltip);
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(6);
    return box;
}

QTableWidget* readingTable(const QString& name, const QStringList& columns)
{
    auto* table = new QTableWidget;
    table->setAccessibleName(name);
    table->setColumnCount(int(columns.size()));
    table->setHorizontalHeaderLabels(columns);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setTabKeyNavigation(false);
    table->setMinimumSize(120, 60);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 6);
    table->horizontalHeader()->setSectionResizeMode(QHeaderView::Stretch);
    table->horizontalHeader()->setMinimumSectionSize(52);
    return table;
}

void fillTable(QTableWidget& table, const QList<QStringList>& rows)
{
    table.setRowCount(int(rows.size()));
    for (int row = 0; row < int(rows.size()); ++row)
        for (int column = 0; column < table.columnCount(); ++column) {
            auto* item = new QTableWidgetItem(rows[row].value(column));
            item->setTextAlignment((column ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
            item->setToolTip(item->text());
            table.setItem(row, column, item);
        }
}

QLabel* textLine(const QString& name)
{
    auto* label = new QLabel;
    label->setObjectName(name);
    label->setWordWrap(true);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    return label;
}

QString stateText(const core::Json& state, const char* key, const QString& standard)
{
    return state.is_object() && state.contains(key) && state[key].is_string() ? QString::fromStdString(state[key].get<std::string>()) : standard;
}

double stateNumber(const core::Json& state, const char* key, double standard)
{
    return state.is_object() && state.contains(key) && state[key].is_number() ? state[key].get<double>() : standard;
}

}  // namespace orrery::plugins
