#pragma once
#include <QElapsedTimer>
#include <QObject>
#include <QSet>
#include <QStringList>
#include <QTimer>
#include <map>
#include <set>
#include <vector>

#include <core/store/run_filter.h>
#include <core/store/types.h>
#include <core/train/run_groups.h>
#include <widgets/table_view.h>

namespace orrery::widgets {
class Session;
}
namespace orrery::store {
class Workspace;
}

namespace orrery::plugins {

/// What the table needs of a workspace, read in one go on another thread.
struct RunTable {
    std::vector<store::RunSummary> runs;  ///< newest first
    std::vector<std::string> metrics;     ///< names of all their metrics, sorted
    std::vector<store::RunField> fields;  ///< what a query may name
    std::set<store::RunId> matching;      ///< runs that the query finds
    QString queryError;                   ///< why the query finds nothing
};
/// @param documentColumns  Dotted paths into the runs' documents. @throws as the workspace. Any thread.
RunTable readRunTable(const store::Workspace& workspace, const std::vector<std::string>& documentColumns, const std::string& query = {});

/// The runs of the open workspace as table rows, kept up to date: a change of some runs reads only these. UI thread; reading happens in the background.
/// Columns are only ever added, at the end, so that a view's choice of columns stays. A query leaves rows out; grouped, a row stands for all runs that share a
/// value, its metrics are means, and columns `spread.METRIC` hold standard deviations.
class RunsModel : public QObject {
    Q_OBJECT
public:
    explicit RunsModel(widgets::Session& session, QObject* parent = nullptr);

    widgets::RowModel& rows() { return m_rows; }
    const store::RunSummary* find(qint64 run) const;
    int count() const { return int(m_runs.size()); }
    /// Documents' values shown as columns `document.PATH`.
    const QStringList& documentColumns() const { return m_documentColumns; }
    /// @param shown  Whether the columns are in view by themselves.
    void addDocumentColumns(const QStringList& paths, bool shown = true);
    bool isLoading() const { return m_loading || m_isAsking || m_queryTimer.isActive(); }

    /// Shows the runs that a query finds (store/run_filter.h); empty: all.
    void setQuery(const QString& query);
    const QString& query() const { return m_query; }
    const QString& queryError() const { return m_queryError; }
    const std::vector<store::RunField>& fields() const { return m_fields; }
    /// Runs that the query finds, newest first.
    const std::vector<qint64>& shownRuns() const { return m_shown; }

    /// Groups by a field: a property, a metric, or a path into the documents; empty: a row is a run.
    void setGrouping(const QString& field);
    const QString& grouping() const { return m_grouping; }
    /// The runs behind rows: of a group all of its runs.
    QList<qint64> runsOf(const QList<qint64>& rows) const;
    /// The rows that stand for runs: the run, or every group of which all runs are among them.
    QList<qint64> rowsOf(const QList<qint64>& runs) const;
    /// The group behind a row; null for a run.
    const train::RunGroup* groupOf(qint64 row) const;
    /// "seed = 3 (4 runs)".
    QString groupTitle(const train::RunGroup& group) const;
    /// True once the open workspace has been read.
    bool isLoaded() const { return m_loaded; }

    /// While held, nothing is changed on screen (a cell is being edited); released, what was missed is read.
    void setHeld(bool held);
    /// Stores an edited name, notes or tags (separated by commas).
    void edit(qint64 run, const QString& column, const QVariant& value);
    static QString tagText(const std::vector<std::string>& tags);
    static std::vector<std::string> tagsFrom(const QString& text);

Q_SIGNALS:
    /// Runs came, went or changed, or another workspace was opened.
    void changed();
    void failed(const QString& text);
    /// Other rows are shown, or other fields may be named.
    void shownChanged();

private:
    void reload();
    void refresh(const QList<qint64>& runs);
    void readSome();
    void take(RunTable table, const QString& query);
    void takeSome(const std::vector<store::RunSummary>& runs);
    void addMetricColumns(const std::vector<std::string>& metrics);
    void addSpreadColumns();
    widgets::RowModel::Row rowOf(const store::RunSummary& run) const;
    widgets::RowModel::Row rowOf(qint64 id, const train::RunGroup& group) const;
    void askQuery();
    void takeMatching(std::set<store::RunId> matching, const QString& error);
    void showRows();
    bool isPlain() const { return m_query.isEmpty() && m_grouping.isEmpty(); }
    void finishReading();

    widgets::Session& m_session;
    widgets::RowModel m_rows;
    std::map<qint64, store::RunSummary> m_runs;
    QStringList m_documentColumns;
    QString m_query, m_queryError, m_grouping;
    std::set<store::RunId> m_matching;  ///< by the query, or by the last one that could be answered
    bool m_isAsking = false;            ///< a query is being answered
    bool m_isFiltered = false;          ///< rows are those of m_matching
    std::vector<qint64> m_shown;
    std::vector<store::RunField> m_fields;
    std::vector<train::RunGroup> m_groups;
    QElapsedTimer m_sinceReload;  ///< from the start of the last reading of all runs, which took m_reloadTime ms
    qint64 m_reloadTime = 0;
    QTimer m_reloadTimer;    ///< another process goes on changing runs: all are read again, but not all the time
    QTimer m_queryTimer;     ///< runs have changed: the query may find others
    QSet<qint64> m_waiting;  ///< runs to be read again
    bool m_reloadWaiting = false, m_loading = false, m_loaded = false, m_held = false;
    quint64 m_asked = 0;       ///< queries asked: late answers to earlier ones are dropped
    quint64 m_generation = 0;  ///< grows with each workspace: late answers about the one before are dropped
};

}  // namespace orrery::plugins
