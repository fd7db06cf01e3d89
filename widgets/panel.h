#pragma once
#include <QAction>
#include <QList>
#include <QString>
#include <QWidget>
#include <optional>

#include <core/base/json.h>

class QLabel;
class QStackedLayout;

/// Shared parts of the window: the base of all panels, the session they share, plots, forms, tables, themes.
namespace orrery::widgets {

class EmptyState;
class MessageBand;
class Session;
struct ReportItem;

/// Base of every panel. A panel shows one subject, knows no other panel, and meets the others only through the `Session` it is given.
/// UI thread only; long work goes through `Session::runInBackground`.
class Panel : public QWidget {
    Q_OBJECT
public:
    /// @param id       Stable, lower_snake, equal to the plugin's id: state, help page and `--panel` use it.
    /// @param session  Outlives the panel.
    Panel(QString id, QString title, Session& session, QWidget* parent = nullptr);
    ~Panel() override;

    const QString& id() const { return m_id; }
    const QString& title() const { return m_title; }
    Session& session() const { return m_session; }

    /// What the panel wants to find again after a restart (chosen columns, splitter sizes, smoothing), kept by the window under `id()`.
    virtual core::Json saveState() const { return core::Json::object(); }
    /// Takes what `saveState` gave, perhaps in an older version: unknown or missing keys are ignored, nothing is thrown.
    virtual void restoreState(const core::Json& state);
    /// The `orrery-cli` line that does what the panel shows now ("Copy as command"); empty if there is none at the moment.
    virtual QString commandLine() const { return {}; }
    /// What `commandLine()` was when the result on show was asked for; empty where none is, or where it follows the settings by itself.
    /// While the two differ, a line below the content says that the settings have changed since.
    virtual QString shownCommand() const { return {}; }
    /// What "Add to report" adds: what the panel shows now; nothing if it shows nothing yet. Includers that give one include "report_item.h".
    virtual std::optional<ReportItem> reportItem() const;
    /// The help page shown by F1: `resources/help/PAGE.html`.
    virtual QString helpPage() const { return m_id; }
    /// False while something the panel shows is still being computed or loaded. `--screenshot` waits for it.
    virtual bool isIdle() const { return m_busy == 0; }
    /// Actions that the window shows in its menus and the command palette, besides those that the panel's own buttons carry.
    virtual QList<QAction*> panelActions() const { return actions(); }

    /// Shows `title` and one or two sentences of what to do next in place of the content, with a button for each action.
    void showEmptyState(const QString& title, const QString& whatToDo, const QList<QAction*>& actions = {});
    /// Shows the content again.
    void showContent();
    bool isShowingEmptyState() const;
    /// An error where it happened: a band below the content with the text of the command line, until closed or replaced. Empty text hides it.
    void showError(const QString& text);
    QString errorText() const;
    /// The line about changed settings is on show.
    bool isShownOutdated() const;

Q_SIGNALS:
    /// `isIdle()` may have changed.
    void idleChanged();
    /// A line for the status bar.
    void statusMessage(const QString& text);

protected:
    void timerEvent(QTimerEvent* event) override;
    /// The panel's own widget; takes ownership. Call once, in the constructor.
    void setContent(QWidget* content);
    /// Counts work in flight for `isIdle`. Every call with +1 is followed by one with -1, on the UI thread.
    void addBusy(int change);

private:
    QString m_id, m_title;
    Session& m_session;
    MessageBand* m_band = nullptr;
    QLabel* m_outdated = nullptr;
    EmptyState* m_empty = nullptr;
    QStackedLayout* m_stack = nullptr;
    int m_busy = 0, m_outdatedTimer = 0;
};

}  // namespace orrery::widgets
