#include "report_item.h"

#include <QUndoCommand>
#include <QUndoStack>

#include <core/store/workspace.h>

#include "panel.h"
#include "report_pdf.h"
#include "session.h"
#include "theme.h"

namespace orrery::widgets {

class ReportEditCommand : public QUndoCommand {
public:
    ReportEditCommand(ReportEdits& edits, ReportEdit edit) : QUndoCommand(edit.text), m_edits(edits), m_edit(std::move(edit)) {}
    void redo() override { m_edits.run(m_edit.redo, std::exchange(m_edit.done, nullptr)); }
    void undo() override { m_edits.run(m_edit.undo, {}); }

private:
    ReportEdits& m_edits;
    ReportEdit m_edit;
};

ReportEdits& ReportEdits::of(Session& session)
{
    if (auto* made = session.findChild<ReportEdits*>(QString(), Qt::FindDirectChildrenOnly))
        return *made;
    return *new ReportEdits(session);
}

ReportEdits::ReportEdits(Session& session) : QObject(&session), m_session(session)
{
}

void ReportEdits::push(ReportEdit edit)
{
    m_session.undoStack().push(new ReportEditCommand(*this, std::move(edit)));
}

void ReportEdits::run(Change change, std::function<void()> done)
{
    m_waiting.push_back({m_session.workspace(), std::move(change), std::move(done)});
    if (!m_isRunning)
        next();
}

void ReportEdits::next()
{
    const bool wasRunning = std::exchange(m_isRunning, !m_waiting.empty());
    if (wasRunning != m_isRunning)
        Q_EMIT busyChanged();
    if (!m_isRunning)
        return;
    auto [workspace, change, done] = std::move(m_waiting.front());
    m_waiting.pop_front();
    m_session.runInBackground(
        this,
        [change = std::move(change), workspace = std::move(workspace)](BackgroundContext&) {
            if (!workspace)
                throw core::InputError("expected an open workspace: reports are kept in it");
            store::Reports reports(workspace);
            change(reports);
        },
        [this, done = std::move(done)] {
            if (done)
                done();
            next();
        },
        [this](const QString& text) {
            m_session.report(text);
            Q_EMIT failed(text);
            next();
        });
}

ReportItem reportAnalysis(const QString& title, qint64 analysis)
{
    return {title, [analysis](store::Workspace& workspace) { return report::analysisItem(workspace, analysis); }};
}

ReportItem reportRuns(const QString& title, const QList<qint64>& runs, std::vector<std::string> show)
{
    return {title, [ids = std::vector<store::RunId>(runs.begin(), runs.end()), show = std::move(show)](store::Workspace& workspace) {
                return report::runsItem(workspace, ids, show);
            }};
}

ReportItem reportSnapshot(report::Snapshot snapshot)
{
    return {QString::fromStdString(snapshot.title),
            [snapshot = std::move(snapshot)](store::Workspace& workspace) { return report::snapshotItem(workspace, snapshot); }};
}

ReportItem reportPicture(const QString& panel, const QString& title, const QImage& picture, const QString& command, core::Json inputs)
{
    report::Snapshot snapshot{panel.toStdString(), title.toStdString(), std::move(inputs), command.toStdString(), {}, {}};
    snapshot.pictures.push_back({fromQImage(picture), {}});
    return reportSnapshot(std::move(snapshot));
}

// The widget is painted in light colours for a moment, and gets its own back.
QImage lightPicture(QWidget& view)
{
    if (!isDark(view.palette()))
        return view.grab().toImage();
    const bool hasOwn = view.testAttribute(Qt::WA_SetPalette);
    const QPalette own = view.palette();
    view.setPalette(Theme::palette(false));
    const QImage image = view.grab().toImage();
    view.setPalette(hasOwn ? own : QPalette());
    return image;
}

ReportItem reportShown(const Panel& panel, const QString& title, std::optional<qint64> analysis, QWidget& view)
{
    // The settings may have changed since: what is kept is the command of what is on show.
    const QString shown = panel.shownCommand();
    return analysis ? reportAnalysis({}, *analysis)
                    : reportPicture(panel.id(), title, lightPicture(view), shown.isEmpty() ? panel.commandLine() : shown);
}

void addToReport(Session& session, const ReportItem& item)
{
    const auto workspace = session.workspace();
    if (!workspace) {
        session.report(QObject::tr("Open a workspace first: reports are kept in it."));
        return;
    }
    /// Filled by the first `redo`.
    struct Added {
        std::optional<store::ReportItem> item;
        std::size_t place = 0;
        std::string report;
    };
    auto added = std::make_shared<Added>();
    ReportEdit edit;
    edit.text = QObject::tr("Add to report");
    edit.redo = [added, workspace, make = item.make, title = item.title.simplified().toStdString()](store::Reports& reports) {
        if (added->item)
            return reports.restoreItem(*added->item, added->place);
        store::NewReportItem made = make(*workspace);
        made.title = title.substr(0, store::kMostTitle);
        added->item = reports.add({}, made);
        const store::ReportDocument document = reports.report(added->item->report);
        added->place = document.items - 1;
        added->report = document.name;
    };
    edit.undo = [added](store::Reports& reports) {
        if (added->item)
            reports.removeItem(added->item->id);
    };
    edit.done = [added, &session] { session.report(QObject::tr("Added to the report \"%1\".").arg(QString::fromStdString(added->report))); };
    ReportEdits::of(session).push(std::move(edit));
}

}  // namespace orrery::widgets
