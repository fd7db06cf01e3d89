#pragma once
#include <QImage>
#include <QList>
#include <QObject>
#include <QString>
#include <QWidget>
#include <deque>
#include <functional>
#include <memory>

#include <core/report/report_document.h>

namespace orrery::widgets {

class Panel;
class Session;

/// What a panel gives to "Add to report". Holds values only.
struct ReportItem {
    QString title;  ///< one line; empty: from the source
    /// Off the UI thread: stores what is not in the workspace yet and says what the report is to show. @throws core::Error
    std::function<store::NewReportItem(store::Workspace&)> make;
};

/// A stored result.
ReportItem reportAnalysis(const QString& title, qint64 analysis);
/// Runs; `show` names parts of the run report, see report::runsItem.
ReportItem reportRuns(const QString& title, const QList<qint64>& runs, std::vector<std::string> show = {});
/// What is on show and not stored: pictures, tables, the command that does the same.
ReportItem reportSnapshot(report::Snapshot snapshot);
/// One picture of a panel, with its data in `inputs` and its "Copy as command" line.
ReportItem reportPicture(const QString& panel, const QString& title, const QImage& picture, const QString& command, core::Json inputs = {});

/// A picture of a widget in light colours, as reports are, also in a dark window.
QImage lightPicture(QWidget& view);
/// The usual answer of a panel: the stored result, or where there is none a picture of `view` in light colours with the command that does the same.
ReportItem reportShown(const Panel& panel, const QString& title, std::optional<qint64> analysis, QWidget& view);

/// Adds to the current report of the open workspace, as an entry of the undo stack; the session says where it went, or why it did not. UI thread.
void addToReport(Session& session, const ReportItem& item);

/// One change of report documents that can be taken back. Both run off the UI thread, in the order of the calls.
struct ReportEdit {
    QString text;  ///< for the menu
    std::function<void(store::Reports&)> redo, undo;
    std::function<void()> done;  ///< on the UI thread after the first `redo`; may be empty
};

/// Carries out changes of report documents one after the other, off the UI thread. One for each session. UI thread.
class ReportEdits : public QObject {
    Q_OBJECT
public:
    static ReportEdits& of(Session& session);
    /// Puts the change on the session's undo stack and does it.
    void push(ReportEdit edit);
    bool isBusy() const { return m_isRunning; }

Q_SIGNALS:
    /// A change could not be made; the text is that of the command line. The session has reported it.
    void failed(const QString& text);
    void busyChanged();

private:
    friend class ReportEditCommand;
    using Change = std::function<void(store::Reports&)>;
    explicit ReportEdits(Session& session);
    void run(Change change, std::function<void()> done);
    void next();

    Session& m_session;
    /// A change belongs to the workspace that was open when it was asked for.
    struct Waiting {
        std::shared_ptr<store::Workspace> workspace;
        Change change;
        std::function<void()> done;
    };
    std::deque<Waiting> m_waiting;
    bool m_isRunning = false;
};

}  // namespace orrery::widgets
