#include "variable_table.h"

#include <QHeaderView>
#include <QSignalBlocker>

namespace orrery::plugins {

VariableTable::VariableTable(QWidget* parent) : QTableWidget(0, 3, parent)
{
    setHorizontalHeaderLabels({tr("Variable"), tr("Value"), tr("Derivative")});
    horizontalHeader()->setSectionResizeMode(1, QHeaderView::Stretch);
    horizontalHeader()->setSectionResizeMode(0, QHeaderView::ResizeToContents);
    horizontalHeader()->setSectionResizeMode(2, QHeaderView::ResizeToContents);
    verticalHeader()->hide();
    setAccessibleName(tr("Variables"));
    setToolTip(tr("1.5, [[1, 2], [3, 4]], randn[2, 3] or linspace(-1, 1, 5)"));
    connect(this, &QTableWidget::cellChanged, this, &VariableTable::take);
}

void VariableTable::setVariables(const std::vector<std::string>& names)
{
    if (names == m_names)
        return;
    m_names = names;
    fill();
}

void VariableTable::fill()
{
    const QSignalBlocker quiet(this);
    setRowCount(int(m_names.size()));
    for (int row = 0; row < rowCount(); ++row) {
        const std::string& name = m_names[std::size_t(row)];
        auto* title = new QTableWidgetItem(QString::fromStdString(name));
        title->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable);
        auto* by = new QTableWidgetItem;
        by->setFlags(Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemIsUserCheckable);
        by->setCheckState(m_notBy.contains(name) ? Qt::Unchecked : Qt::Checked);
        setItem(row, 0, title);
        setItem(row, 1, new QTableWidgetItem(QString::fromStdString(m_values.try_emplace(name, "1").first->second)));
        setItem(row, 2, by);
    }
}

void VariableTable::take(int row, int column)
{
    const std::string& name = m_names.at(std::size_t(row));
    if (column == 1)
        m_values[name] = item(row, 1)->text().toStdString();
    else if (column == 2 && item(row, 2)->checkState() == Qt::Checked)
        m_notBy.erase(name);
    else if (column == 2)
        m_notBy.insert(name);
    Q_EMIT edited();
}

std::map<std::string, std::string> VariableTable::values() const
{
    std::map<std::string, std::string> values;
    for (const auto& name : m_names)
        values[name] = m_values.at(name);
    return values;
}

std::vector<std::string> VariableTable::by() const
{
    std::vector<std::string> names;
    for (const auto& name : m_names)
        if (!m_notBy.contains(name))
            names.push_back(name);
    return names;
}

void VariableTable::setValue(const std::string& name, const std::string& text)
{
    m_values[name] = text;
    fill();
}

void VariableTable::setBy(const std::string& name, bool by)
{
    by ? void(m_notBy.erase(name)) : void(m_notBy.insert(name));
    fill();
}

}  // namespace orrery::plugins
