#pragma once
#include <QWidget>
#include <functional>
#include <memory>

#include <widgets/job_bar.h>
#include <widgets/latest_task.h>

#include "debug_session.h"

class QAction;
class QLabel;
class QLineEdit;
class QListWidget;
class QPlainTextEdit;
class QSplitter;
class QTabWidget;
class QTableWidget;
class QToolBar;
class QTreeWidget;
class QTreeWidgetItem;

namespace orrery::widgets {
class Session;
}

namespace orrery::plugins {

class ProgramView;
class ValuePane;

/// Tab Step: the program with its position, the values computed so far, watches, breakpoints, and a prompt that knows the commands of `orrery-cli debug`.
class StepPage : public QWidget {
    Q_OBJECT
public:
    StepPage(widgets::Session& session, QWidget* parent = nullptr);
    ~StepPage() override;

    /// A new model or input; null: none.
    void setModel(const DebugModelPtr& model);
    const std::shared_ptr<DebugSession>& debugSession() const { return m_debug; }
    const DebugView& view() const { return m_view; }
    bool isRunning() const { return m_bar->isRunning() || m_reading.isRunning(); }
    void cancel() { m_bar->cancel(); }
    QStringList history() const;
    void showValue(const QString& name);
    QList<QAction*> moves() const { return m_moves; }

    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    void failed(const QString& text);
    void busyChanged(int change);
    void valueChosen(const QString& name);
    void message(const QString& text);

protected:
    void resizeEvent(QResizeEvent* event) override;
    void changeEvent(QEvent* event) override;

private:
    QAction* addMove(const QString& text, const QKeySequence& shortcut, const QString& command, const QString& tooltip);
    void makeMoves();
    QWidget* makeValues();
    QWidget* makeWatches();
    QWidget* makeBreakpoints();
    QWidget* makeConsole();
    /// `typed`: where it was written; emptied once the command is done, kept to be mended if it is refused.
    void give(const QString& command, QLineEdit* typed = nullptr);
    void perform(std::function<DebugView(DebugSession&, std::stop_token)> work, const QString& command);
    void take(const DebugView& view);
    void fillValues();
    void fillValueRows();
    void addValueRow(const DebugValueRow& row);
    void fillLists();
    core::Json keptWithCurrent() const;
    void updateMoves();
    void editShown();

    widgets::Session& m_session;
    std::shared_ptr<DebugSession> m_debug;
    std::shared_ptr<DebugSession> m_before;   ///< the last session: its breakpoints and watches go on with another input
    core::Json m_kept = core::Json::array();  ///< {"model", "marks"} of models that were open before, the latest last
    DebugView m_view;
    QString m_follows;                  // the value that is on show because it was made last
    QString m_wanted;                   // a value to show once it is known
    std::vector<DebugValueRow> m_rows;  // in the list of values now
    std::vector<QTreeWidgetItem*> m_items;
    std::map<QString, QTreeWidgetItem*> m_modules;
    bool m_rowsBackward = false;
    QLineEdit* m_typed = nullptr;  ///< whose command is being done
    bool m_isSplit = false;        ///< the values have been given their shares of the room
    widgets::LatestTask m_reading{[this](int change) { Q_EMIT busyChanged(change); }};
    QList<QAction*> m_moves;
    QToolBar* m_tools;
    QLabel* m_place;
    widgets::JobBar* m_bar;
    QSplitter* m_splitter;
    QSplitter* m_valueSplitter = nullptr;
    ProgramView* m_program;
    QTreeWidget* m_values;
    ValuePane* m_value;
    QTableWidget* m_watches;
    QListWidget* m_breakpoints;
    QLineEdit *m_watchLine, *m_breakLine, *m_editLine, *m_prompt;
    QPlainTextEdit* m_console;
    QTabWidget* m_tabs;
};

}  // namespace orrery::plugins
