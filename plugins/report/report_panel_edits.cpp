// What changes a report, each an entry of the undo stack, and what writes it to a file.
#include <QAction>
#include <QComboBox>
#include <QFileInfo>
#include <QLineEdit>
#include <QListView>
#include <QPlainTextEdit>
#include <QPointer>
#include <QUndoStack>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/report/html.h>
#include <core/report/report_document.h>
#include <widgets/export.h>
#include <widgets/job_bar.h>
#include <widgets/report_pdf.h>
#include <widgets/session.h>

#include "report_panel.h"

namespace orrery::plugins {

void ReportPanel::edit(const QString& text, std::function<void(store::Reports&)> redo, std::function<void(store::Reports&)> undo)
{
    showError({});
    widgets::ReportEdits::of(session()).push({text, std::move(redo), std::move(undo), {}});
}

void ReportPanel::choose(std::int64_t item)
{
    m_wanted = item;
}

void ReportPanel::moveTo(qint64 item, int place)
{
    const int from = m_model.rowOf(item);
    if (from < 0 || place < 0 || place >= m_model.rowCount() || place == from)
        return;
    commitText();
    choose(item);
    edit(
        tr("Move in report"), [item, place](store::Reports& reports) { reports.moveItem(item, std::size_t(place)); },
        [item, from](store::Reports& reports) { reports.moveItem(item, std::size_t(from)); });
}

void ReportPanel::moveBy(int step)
{
    if (const auto* listed = chosen())
        moveTo(listed->item.id, m_list->currentIndex().row() + step);
}

void ReportPanel::removeChosen()
{
    const auto* listed = chosen();
    if (!listed)
        return;
    commitText();
    edit(
        tr("Remove from report"), [id = listed->item.id](store::Reports& reports) { reports.removeItem(id); },
        [item = listed->item, place = std::size_t(m_list->currentIndex().row())](store::Reports& reports) { reports.restoreItem(item, place); });
}

void ReportPanel::rename(qint64 item, const QString& title)
{
    const int row = m_model.rowOf(item);
    if (row < 0)
        return;
    const store::ReportItem before = m_model.items()[std::size_t(row)].item;
    edit(
        tr("Rename in report"),
        [before, title = title.toStdString()](store::Reports& reports) { reports.changeItem(before.id, title, before.annotation); },
        [before](store::Reports& reports) { reports.changeItem(before.id, before.title, before.annotation); });
}

void ReportPanel::commitText()
{
    m_typing.stop();
    const int row = m_model.rowOf(m_shown);
    if (row < 0 || m_isShowing) {
        Q_EMIT idleChanged();
        return;
    }
    const store::ReportItem before = m_model.items()[std::size_t(row)].item;
    const std::string title = m_title->text().simplified().toStdString(), text = m_text->toPlainText().toStdString();
    if (title == before.title && text == before.annotation) {
        Q_EMIT idleChanged();
        return;
    }
    // Also here at once: a second call before the store has answered must not push the same change again.
    m_model.setTexts(m_shown, title, text);
    m_unsaved = m_shown;
    showError({});
    widgets::ReportEdits::of(session()).push({tr("Annotate report"),
                                              [before, title, text](store::Reports& reports) { reports.changeItem(before.id, title, text); },
                                              [before](store::Reports& reports) { reports.changeItem(before.id, before.title, before.annotation); },
                                              [panel = QPointer(this)] {
                                                  if (panel)
                                                      panel->m_unsaved.reset();
                                              }});
}

void ReportPanel::addNote()
{
    commitText();
    widgets::addToReport(session(), {{}, [](store::Workspace&) { return report::noteItem("# Note\nWrite here."); }});
}

void ReportPanel::addPicture()
{
    const QString file = widgets::askOpenFile()(this, tr("Add a picture to the report"), tr("Pictures (*.png *.jpg *.jpeg *.webp)"));
    if (!file.isEmpty())
        widgets::addToReport(session(),
                             {{}, [path = file.toStdString()](store::Workspace& workspace) { return report::pictureItem(workspace, path); }});
}

void ReportPanel::addRuns()
{
    if (const auto& runs = session().selection().runs; !runs.isEmpty())
        widgets::addToReport(session(), widgets::reportRuns({}, runs));
}

void ReportPanel::newDocument()
{
    const QString name = askName(tr("New report"), tr("Report %1").arg(m_shelf.documents.size() + 1)).simplified();
    if (name.isEmpty())
        return;
    commitText();
    auto id = std::make_shared<store::ReportId>(0);
    edit(
        tr("New report"), [id, text = name.toStdString()](store::Reports& reports) { *id = reports.create(text); },
        [id](store::Reports& reports) { reports.remove(*id); });
}

void ReportPanel::renameDocument()
{
    const auto shown = document();
    const QString name = shown ? askName(tr("Rename report"), QString::fromStdString(shown->name)).simplified() : QString();
    if (name.isEmpty() || name.toStdString() == shown->name)
        return;
    edit(
        tr("Rename report"), [id = shown->id, text = name.toStdString()](store::Reports& reports) { reports.rename(id, text); },
        [id = shown->id, text = shown->name](store::Reports& reports) { reports.rename(id, text); });
}

void ReportPanel::removeDocument()
{
    const auto shown = document();
    if (!shown)
        return;
    commitText();
    auto items = std::make_shared<std::vector<store::ReportItem>>();
    edit(
        tr("Remove report"),
        [items, id = shown->id](store::Reports& reports) {
            *items = reports.items(id);
            reports.remove(id);
        },
        [items, document = *shown](store::Reports& reports) { reports.restore(document, *items); });
}

void ReportPanel::exportHtml()
{
    if (const QString file = widgets::askSaveFile()(this, QStringLiteral("report.html"), tr("HTML (*.html *.htm)")); !file.isEmpty())
        exportTo(QFileInfo(file).suffix().isEmpty() ? file + ".html" : file, false);
}

void ReportPanel::exportPdf()
{
    if (const QString file = widgets::askSaveFile()(this, QStringLiteral("report.pdf"), tr("PDF (*.pdf)")); !file.isEmpty())
        exportTo(QFileInfo(file).suffix().isEmpty() ? file + ".pdf" : file, true);
}

void ReportPanel::exportTo(const QString& file, bool isPdf)
{
    const auto shown = document();
    const auto workspace = session().workspace();
    if (!shown || !workspace || m_bar->isRunning())
        return;
    commitText();
    // What was written a moment ago belongs into the file.
    if (auto& edits = widgets::ReportEdits::of(session()); edits.isBusy()) {
        connect(
            &edits, &widgets::ReportEdits::busyChanged, this, [this, file, isPdf] { exportTo(file, isPdf); }, Qt::SingleShotConnection);
        return;
    }
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Export of the report \"%1\"").arg(QString::fromStdString(shown->name));
    options.kind = QStringLiteral("report");
    addBusy(1);
    m_bar->follow(session().runInBackground(
        this,
        [workspace, id = shown->id, file, isPdf](widgets::BackgroundContext& context) {
            const store::Reports reports(workspace);
            const auto progress = [&context](double done, double total) { context.progress(done, total, "items"); };
            const auto made =
                report::buildDocument(*workspace, reports.report(id), reports.items(id), {core::isoTimeNow(), context.stopToken(), progress});
            context.throwIfStopped();
            if (isPdf)
                return widgets::writePdf(made, file, context.stopToken());
            const std::string html = report::toHtml(made);
            core::writeFileAtomically(file.toStdString(), [&](const std::function<void(std::string_view)>& append) {
                append(html);
                context.throwIfStopped();  // what is cancelled while it is written leaves the old file
            });
        },
        [this, file] { session().report(tr("Written: %1").arg(file)); }, [this](const QString& text) { showError(text); }, options));
    updateButtons();
}

}  // namespace orrery::plugins
