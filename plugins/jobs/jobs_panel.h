#pragma once
#include <widgets/panel.h>
#include <widgets/table_view.h>

#include <core/jobs/queue.h>

class QLabel;
class QPlainTextEdit;
class QSplitter;

namespace orrery::plugins {

/// The session's jobs: progress, time left, pause, resume, cancel, priority, and the last log lines of the one that is selected. UI thread.
class JobsPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit JobsPanel(widgets::Session& session, QWidget* parent = nullptr);

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;

private:
    void build();
    void buildActions();
    void refresh();
    void updateActions();
    void showLog();
    void changePriority(qint64 job, const QVariant& value);
    QList<qint64> chosen() const;
    const jobs::JobSnapshot* find(qint64 job) const;
    void forChosen(const std::function<void(jobs::JobId)>& call);

    std::vector<jobs::JobSnapshot> m_jobs;
    widgets::RowModel m_rows;
    widgets::TableView* m_table = nullptr;
    QSplitter* m_splitter = nullptr;
    QLabel* m_caption = nullptr;
    QPlainTextEdit* m_log = nullptr;
    QAction *m_pause = nullptr, *m_resume = nullptr, *m_cancel = nullptr, *m_cancelAll = nullptr, *m_remove = nullptr, *m_newRun = nullptr;
};

}  // namespace orrery::plugins
