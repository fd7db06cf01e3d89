#pragma once
#include <QObject>
#include <QSet>
#include <QStringList>
#include <map>
#include <vector>

#include <core/store/types.h>
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
};
/// @param documentColumns  Dotted paths into the runs' documents. @throws as the workspace. Any thread.
RunTable readRunTable(const store::Workspace& workspace, const std::vector<std::string>& documentColumns);

/// The runs of the open workspace as table rows, kept up to date: a change of some runs reads only these. UI thread; reading happens in the background.
/// Columns are only ever added, at the end, so that a view's choice of columns stays.
class RunsModel : public QObject {
    Q_OBJECT
public:
    explicit RunsModel(widgets::Session& session, QObject* parent = nullptr);

    widgets::RowModel& rows() { return m_rows; }
    const store::RunSummary* find(qint64 run) const;
    int count() const { return int(m_runs.size()); }
    /// Documents' values shown as columns `document.PATH`.
    const QStringList& documentColumns() const { return m_documentColumns; }
    void addDocumentColumns(const QStringList& paths);
    bool isLoading() const { return m_loading; }
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

private:
    void reload();
    void refresh(const QList<qint64>& runs);
    void readSome();
    void take(RunTable table);
    void takeSome(const std::vector<store::RunSummary>& runs);
    void addMetricColumns(const std::vector<std::string>& metrics);
    widgets::RowModel::Row rowOf(const store::RunSummary& run) const;
    void finishReading();

    widgets::Session& m_session;
    widgets::RowModel m_rows;
    std::map<qint64, store::RunSummary> m_runs;
    QStringList m_documentColumns;
    QSet<qint64> m_waiting;  ///< runs to be read again
    bool m_reloadWaiting = false, m_loading = false, m_loaded = false, m_held = false;
    quint64 m_generation = 0;  ///< grows with each workspace: late answers about the one before are dropped
};

}  // namespace orrery::plugins
