// Which rows the table of runs shows: those that a query finds, or groups of them.
#include <algorithm>
#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/store/workspace.h>
#include <widgets/session.h>

#include "runs_model.h"

namespace orrery::plugins {
namespace {

constexpr qint64 kFirstGroupRow = qint64(1) << 60;  ///< row ids of groups go up from here, above those of all runs
const QString kSpread = "spread.", kMetrics = "metrics.", kDocument = "document.";

QVariant numberCell(double value)
{
    return std::isnan(value) ? QVariant() : QVariant(value);
}

bool isProperty(const QString& field)
{
    return QStringList{"name", "status", "seed", "parent", "tags"}.contains(field);
}

}  // namespace

void RunsModel::setQuery(const QString& query)
{
    if (query == m_query)
        return;
    m_query = query;
    askQuery();
}

// The answer of an older question may come later than that of a newer one.
void RunsModel::askQuery()
{
    const auto workspace = m_session.workspace();
    const auto asked = ++m_asked;
    if (!workspace || !m_loaded)
        return;
    m_isAsking = false;
    if (m_query.isEmpty())
        return takeMatching({}, {});
    m_isAsking = true;
    m_session.runInBackground(
        this,
        [workspace, text = m_query.toStdString()](widgets::BackgroundContext&) {
            std::pair<std::set<store::RunId>, QString> found;
            try {
                store::RunQuery query;
                query.where = text;
                for (const auto& run : workspace->runs(query).runs)
                    found.first.insert(run.id);
            } catch (const core::InputError& error) {
                found.second = QString::fromUtf8(error.what());
            }
            return found;
        },
        [this, asked](const std::pair<std::set<store::RunId>, QString>& found) {
            if (asked != m_asked)
                return;
            m_isAsking = false;
            takeMatching(found.first, found.second);
        },
        [this, asked](const QString& text) {
            if (asked == m_asked)
                m_isAsking = false;
            Q_EMIT failed(text);
        });
}

// A query that cannot be answered leaves the rows as they are.
void RunsModel::takeMatching(std::set<store::RunId> matching, const QString& error)
{
    m_queryError = error;
    if (error.isEmpty()) {
        m_matching = std::move(matching);
        m_isFiltered = !m_query.isEmpty();
    }
    showRows();
}

void RunsModel::setGrouping(const QString& field)
{
    if (field == m_grouping)
        return;
    m_grouping = field;
    if (!field.isEmpty() && !isProperty(field) && m_rows.columnIndex(kMetrics + field) < 0)
        addDocumentColumns({field});  // read, then shown
    showRows();
}

void RunsModel::showRows()
{
    if (m_held) {
        m_reloadWaiting = true;
        return;
    }
    m_shown.clear();
    std::vector<store::RunSummary> runs;
    for (auto run = m_runs.rbegin(); run != m_runs.rend(); ++run)
        if (!m_isFiltered || m_matching.contains(run->first)) {
            m_shown.push_back(run->first);
            if (!m_grouping.isEmpty())
                runs.push_back(run->second);
        }
    m_groups = m_grouping.isEmpty() ? std::vector<train::RunGroup>() : train::groupRuns(runs, m_grouping.toStdString());
    if (!m_groups.empty())
        addSpreadColumns();
    std::vector<widgets::RowModel::Row> rows;
    if (m_grouping.isEmpty())
        for (const auto id : m_shown)
            rows.push_back(rowOf(m_runs.at(id)));
    for (std::size_t i = 0; i < m_groups.size(); ++i)
        rows.push_back(rowOf(kFirstGroupRow + qint64(i), m_groups[i]));
    m_rows.setRows(std::move(rows));
    Q_EMIT shownChanged();
}

void RunsModel::addSpreadColumns()
{
    auto columns = m_rows.columns();
    const auto known = columns;
    for (const auto& column : known)
        if (column.id.startsWith(kMetrics) && m_rows.columnIndex(kSpread + column.id.mid(kMetrics.size())) < 0)
            columns << widgets::Column{.id = kSpread + column.id.mid(kMetrics.size()),
                                       .title = "± " + column.title,
                                       .tooltip = tr("Standard deviation of %1 over the runs of a group").arg(column.title),
                                       .numeric = true,
                                       .digits = 2,
                                       .shown = false};
    if (columns.size() > known.size())
        m_rows.setColumns(columns);
}

QString RunsModel::groupTitle(const train::RunGroup& group) const
{
    const auto runs = group.runs.size() == 1 ? tr("1 run") : tr("%1 runs").arg(group.runs.size());
    // An entry of a list is known by the list's name, too: hidden.0.
    bool isNumber = false;
    m_grouping.section('.', -1).toInt(&isNumber);
    return QString("%1 = %2 (%3)").arg(m_grouping.section('.', isNumber ? -2 : -1), QString::fromStdString(group.value), runs);
}

widgets::RowModel::Row RunsModel::rowOf(qint64 id, const train::RunGroup& group) const
{
    widgets::RowModel::Row row{id, {}, groupTitle(group)};
    for (const auto& column : m_rows.columns()) {
        QVariant cell;
        const auto metric = [&](const QString& prefix) { return group.metrics.find(column.id.mid(prefix.size()).toStdString()); };
        if (column.id == "id")
            cell = qint64(group.runs.size());
        else if (column.id == "name")
            cell = groupTitle(group);
        else if (column.id.startsWith(kMetrics)) {
            if (const auto found = metric(kMetrics); found != group.metrics.end())
                cell = numberCell(found->second.mean);
        } else if (column.id.startsWith(kSpread)) {
            if (const auto found = metric(kSpread); found != group.metrics.end())
                cell = numberCell(found->second.deviation);
        } else if (column.id == kDocument + m_grouping || column.id == m_grouping)
            cell = QString::fromStdString(group.value);
        row.cells << cell;
    }
    return row;
}

const train::RunGroup* RunsModel::groupOf(qint64 row) const
{
    const qint64 index = row - kFirstGroupRow;
    return index >= 0 && index < qint64(m_groups.size()) ? &m_groups[std::size_t(index)] : nullptr;
}

QList<qint64> RunsModel::runsOf(const QList<qint64>& rows) const
{
    QList<qint64> runs;
    for (const auto row : rows) {
        if (const auto* group = groupOf(row))
            for (const auto run : group->runs)
                runs << run;
        else
            runs << row;
    }
    return runs;
}

QList<qint64> RunsModel::rowsOf(const QList<qint64>& runs) const
{
    if (m_groups.empty())
        return runs;
    const QSet<qint64> chosen(runs.begin(), runs.end());
    QList<qint64> rows;
    for (std::size_t i = 0; i < m_groups.size(); ++i)
        if (std::all_of(m_groups[i].runs.begin(), m_groups[i].runs.end(), [&](store::RunId run) { return chosen.contains(run); }))
            rows << kFirstGroupRow + qint64(i);
    return rows;
}

}  // namespace orrery::plugins
