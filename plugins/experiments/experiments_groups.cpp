// The query line and the groups of the Experiments panel, and what it gives to a report.
#include <QAbstractItemView>
#include <QComboBox>
#include <QHeaderView>
#include <QLineEdit>
#include <QSignalBlocker>
#include <QTabWidget>
#include <QTableView>
#include <algorithm>

#include <core/store/workspace.h>
#include <widgets/session.h>

#include "experiments_panel.h"
#include "leaderboard_page.h"
#include "parallel_page.h"
#include "query_edit.h"

namespace orrery::plugins {
namespace {

constexpr int kFewGroups = 7;  ///< up to so many have a colour of their own
constexpr std::size_t kFewRunsOfGroups = 500;

}  // namespace

// The query takes the place of the table's own filter: it knows settings and metrics that are no columns.
void ExperimentsPanel::buildQuery()
{
    m_table->filterEdit()->hide();
    m_query = new QueryEdit(m_table);
    m_table->addToolWidget(m_query);
    m_group = new QComboBox(m_table);
    m_group->setObjectName("group");
    m_group->setAccessibleName(tr("Group runs by"));
    m_group->setToolTip(tr("Runs that share a value become one row with mean and standard deviation; their curves become a mean with a band"));
    m_group->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_group->setMinimumContentsLength(12);
    fillGroupBox();
    m_table->addToolWidget(m_group);
}

void ExperimentsPanel::fillGroupBox()
{
    if (m_group->view()->isVisible())
        return;  // somebody is choosing
    const auto wanted = m_model.grouping();
    const QSignalBlocker blocker(m_group);
    m_group->clear();
    m_group->addItem(tr("No groups"), QString());
    for (const char* field : {"seed", "name", "status", "tags", "parent"})
        m_group->addItem(tr("by %1").arg(field), QString(field));
    for (const auto& field : m_model.fields())
        if (const auto name = QString::fromStdString(field.name); field.kind == store::RunField::Kind::Document && field.values.size() > 1 &&
                                                                  m_group->findData(name) < 0 && !name.startsWith(QLatin1String("tags.")))
            m_group->addItem(tr("by %1").arg(QString::fromStdString(field.name)), QString::fromStdString(field.name));
    if (!wanted.isEmpty() && m_group->findData(wanted) < 0)
        m_group->addItem(tr("by %1").arg(wanted), wanted);
    m_group->setCurrentIndex(std::max(0, m_group->findData(wanted)));
}

void ExperimentsPanel::group(const QString& field)
{
    m_model.setGrouping(field);
    m_table->table()->setEditTriggers(field.isEmpty() ? kEditRuns : QAbstractItemView::NoEditTriggers);
    m_isGroupingNew = !field.isEmpty();
    shownChanged();
}

// Spreads stand beside the means that are in view.
void ExperimentsPanel::showSpreads()
{
    // What a group does not have takes no room.
    const bool isGrouped = !m_model.grouping().isEmpty();
    for (const QString column : {"status", "tags", "notes"}) {
        if (isGrouped && m_table->isColumnShown(column)) {
            m_hiddenForGroups << column;
            m_table->setColumnShown(column, false);
        } else if (!isGrouped && m_hiddenForGroups.removeOne(column))
            m_table->setColumnShown(column, true);
    }
    const auto columns = m_model.rows().columns();
    auto* header = m_table->table()->horizontalHeader();
    for (const auto& column : columns) {
        if (!column.id.startsWith("spread."))
            continue;
        const QString mean = "metrics." + column.id.mid(7);
        m_table->setColumnShown(column.id, isGrouped && m_table->isColumnShown(mean));
        const int from = header->visualIndex(m_model.rows().columnIndex(column.id)), to = header->visualIndex(m_model.rows().columnIndex(mean));
        header->moveSection(from, from > to ? to + 1 : to);
    }
}

// A few groups are all shown at first, unless some of them are chosen already.
void ExperimentsPanel::chooseGroups()
{
    const auto rows = m_model.rows().rowCount();
    if (m_model.isLoading() || rows == 0 || !std::exchange(m_isGroupingNew, false) || rows > kFewGroups ||
        m_model.shownRuns().size() > kFewRunsOfGroups || !m_model.rowsOf(chosen()).isEmpty())
        return;
    const auto& runs = m_model.shownRuns();
    session().chooseRuns(QList<qint64>(runs.begin(), runs.end()));
}

// Inside a group: the query for its runs, without groups.
void ExperimentsPanel::openGroup(qint64 row)
{
    const auto* group = m_model.groupOf(row);
    if (!group)
        return;
    const auto field = m_model.grouping() == "tags" ? QString("tag") : m_model.grouping();
    const auto value = group->value == "none" ? QString("null") : QString::fromStdString(store::quotedForFilter(group->value));
    const auto condition = QString("%1 = %2").arg(field, value);
    const auto before = m_query->text().trimmed();
    m_query->setText(before.isEmpty() ? condition : QString("(%1) and %2").arg(before, condition));
    m_group->setCurrentIndex(0);
    this->group({});
}

void ExperimentsPanel::shownChanged()
{
    m_query->setFields(m_model.fields());
    if (!m_query->isWaiting())
        m_query->setError(m_model.queryError());
    fillGroupBox();
    // Columns come with the runs: the first time they are there they are put in place.
    const auto columns = m_model.rows().columns().size();
    if (std::exchange(m_knownColumns, columns) != columns || m_isGroupingNew || m_model.grouping().isEmpty() != m_hasNoSpreads) {
        m_hasNoSpreads = m_model.grouping().isEmpty();
        showSpreads();
    }
    m_table->setSelectedIds(m_model.rowsOf(chosen()));
    selectionChanged();
    chooseGroups();
    Q_EMIT idleChanged();
}

std::optional<widgets::ReportItem> ExperimentsPanel::reportItem() const
{
    const auto runs = chosen();
    if (m_tabs->currentWidget() == m_parallel && m_model.count() > 0)
        return widgets::reportPicture(id(), tr("Parallel coordinates of %1 runs").arg(m_model.shownRuns().size()),
                                      widgets::lightPicture(*m_parallel->view()), commandLine());
    if (m_tabs->currentWidget() == m_leaderboard && m_leaderboard->rows().rowCount() > 0) {
        const auto metric = m_leaderboard->metric();
        return widgets::ReportItem{tr("Leaderboard by %1").arg(metric), [name = metric.toStdString()](store::Workspace& workspace) {
                                       return report::leaderboardItem(workspace, name, train::isLowerBetter(name) ? "minimize" : "maximize");
                                   }};
    }
    if (runs.isEmpty())
        return std::nullopt;
    const auto* first = m_model.find(runs.front());
    const auto title = runs.size() > 1 ? tr("%1 runs").arg(runs.size())
                       : first         ? tr("Run %1: %2").arg(runs.front()).arg(QString::fromStdString(first->name))
                                       : QString();
    return widgets::reportRuns(title, runs);
}

}  // namespace orrery::plugins
