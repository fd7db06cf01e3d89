#pragma once
#include <QWidget>

#include "parallel_view.h"
#include "runs_model.h"

class QLabel;
class QMenu;
class QPushButton;

namespace orrery::plugins {

/// Parallel coordinates of the runs that the table shows, over chosen settings and metrics. UI thread.
class ParallelPage : public QWidget {
    Q_OBJECT
public:
    explicit ParallelPage(RunsModel& model, QWidget* parent = nullptr);

    ParallelView* view() const { return m_view; }
    /// Fields drawn now, from left to right; the last gives the colours.
    QStringList axes() const;
    /// Paths into the documents, or metrics; empty: those that differ between the runs on show, and the first metric of a test or validation.
    void setAxes(const QStringList& fields);
    /// The runs that the table has chosen.
    void setSelectedRuns(const QList<qint64>& runs) { m_view->setHighlighted(runs); }
    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    /// The runs that were marked.
    void runsChosen(const QList<qint64>& runs);

protected:
    void showEvent(QShowEvent* event) override;

private:
    void refresh();
    void buildMenu();
    void toggleLog(const QString& field);
    QStringList automaticAxes() const;
    QStringList candidates() const;
    bool differs(const QString& field) const;
    ParallelAxis axisOf(const QString& field) const;

    RunsModel& m_model;
    ParallelView* m_view = nullptr;
    QPushButton* m_fields = nullptr;
    QMenu* m_menu = nullptr;
    QLabel* m_hint = nullptr;
    QStringList m_chosen;   ///< empty: automatic
    QStringList m_toggled;  ///< axes that are not drawn as they would be by themselves: logarithmic where values span much
};

}  // namespace orrery::plugins
