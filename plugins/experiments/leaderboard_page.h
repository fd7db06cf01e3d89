#pragma once
#include <QWidget>

#include <core/train/leaderboard.h>
#include <widgets/background.h>
#include <widgets/table_view.h>

#include "runs_model.h"

class QComboBox;
class QLabel;

namespace orrery::widgets {
class Session;
}

namespace orrery::plugins {

/// The best finished runs of each data set by one metric, of those that the query finds. UI thread; read in the background.
class LeaderboardPage : public QWidget {
    Q_OBJECT
public:
    LeaderboardPage(widgets::Session& session, RunsModel& model, QWidget* parent = nullptr);

    const widgets::RowModel& rows() const { return m_rows; }
    widgets::TableView* table() const { return m_table; }
    QString metric() const;
    void setMetric(const QString& metric);
    bool isIdle() const { return !m_task.isRunning(); }

Q_SIGNALS:
    void runChosen(qint64 run);
    void idleChanged();

protected:
    void showEvent(QShowEvent* event) override;

private:
    void refresh();
    void refreshMetrics();
    void show(const std::vector<train::Leaderboard>& boards);

    widgets::Session& m_session;
    RunsModel& m_model;
    widgets::RowModel m_rows;
    widgets::TableView* m_table = nullptr;
    QComboBox* m_metric = nullptr;
    QLabel* m_hint = nullptr;
    QString m_wanted;  ///< metric to be chosen once there is such a one
    widgets::BackgroundTask m_task;
    bool m_again = false;
};

}  // namespace orrery::plugins
