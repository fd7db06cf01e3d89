#pragma once
#include <QElapsedTimer>
#include <QObject>
#include <QString>
#include <QTimer>
#include <optional>
#include <vector>

#include <core/base/schema.h>
#include <widgets/background.h>

namespace orrery::widgets {
class Session;
}

namespace orrery::plugins {

/// The experiment document being written: its text places, what is wrong with it, and how it is started. Every change goes through the session's undo stack.
/// Checked twice: at once against the schema, and shortly after the last change in the background with its data opened. UI thread.
class NewRunModel : public QObject {
    Q_OBJECT
public:
    explicit NewRunModel(widgets::Session& session, QObject* parent = nullptr);

    const core::Json& document() const { return m_document; }
    bool isEmpty() const { return m_document.empty(); }
    /// What relative paths start from: the file's folder, else the workspace.
    QString folder() const;
    /// The file it was read from or saved to; empty if none.
    const QString& file() const { return m_file; }
    /// The schema that the form shows: `model` is a plain text where the document names a file or a run.
    core::Schema formSchema() const;

    /// Replaces the document by an undo step. Steps of the same `path` that follow each other quickly become one.
    void edit(const QString& path, const core::Json& after);
    /// Replaces document and place, as one undo step.
    void load(const core::Json& document, const QString& folder, const QString& file = {});
    /// Remembers that the file holds the document now.
    void markSaved(const QString& file);
    /// Puts back a saved state without an undo step.
    void restore(const core::Json& state);
    core::Json state() const;

    const std::vector<core::Issue>& issues() const { return m_issues; }
    /// One line about a document that is in order: samples, steps. Empty while unknown.
    const QString& summary() const { return m_summary; }
    bool isChecking() const { return m_checking; }
    bool isStarting() const { return m_starting; }

    /// Creates the run and submits its training; `started` or `failed` follows.
    void start(int threads);
    /// `orrery-cli train FILE --set ...`; a document that no file and settings give is written by the command first.
    QString command(const QString& workspaceFolder) const;

Q_SIGNALS:
    void documentChanged();
    /// Issues, summary, isChecking or isStarting may have changed.
    void checked();
    void started(qint64 run);
    void failed(const QString& text);

private:
    class EditCommand;
    struct Place {
        QString folder, file;
        core::Json saved;  ///< what the file holds
    };
    struct State {
        core::Json document;
        Place place;
    };
    State current() const { return {m_document, {m_folder, m_file, m_saved}}; }
    void apply(const State& state);
    void push(const QString& path, const QString& title, State after);
    void scheduleCheck();
    void checkFully();
    void setChecking(bool checking);

    widgets::Session& m_session;
    core::Json m_document = core::Json::object(), m_saved;
    QString m_folder, m_file;
    std::vector<core::Issue> m_issues;
    QString m_summary;
    QTimer m_timer;
    widgets::BackgroundTask m_task;
    bool m_checking = false, m_starting = false;
};

}  // namespace orrery::plugins
