#pragma once
#include <widgets/job_page.h>

#include <core/debug/profile.h>

#include "debug_session.h"

class QComboBox;
class QLabel;
class QPushButton;
class QSpinBox;
class QTabWidget;

namespace orrery::widgets {
class PlotView;
class RowModel;
class TableView;
}  // namespace orrery::widgets

namespace orrery::plugins {

class FlameView;

/// Tab Profile: time, bytes and FLOPs by node, module or operator; flame chart; roofline; what could be fused.
class ProfilePage : public widgets::JobPage {
    Q_OBJECT
public:
    explicit ProfilePage(widgets::Session& session);
    void setModel(const DebugModelPtr& model);
    const std::optional<debug::Profile>& profile() const { return m_profile; }
    QWidget* picture() const;
    /// `shownCommand()` with the rows that the table has now.
    QString shownAs() const;

    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

Q_SIGNALS:
    void valueChosen(const QString& name);

protected:
    void run() override;
    QString whyNot() const override;

private:
    QWidget* makeRooflinePage();
    QWidget* makeStepsPage();
    void measurePeaks();
    void fillPeaks();
    void take(const debug::Profile& profile);
    void fillTable();
    void fillRoofline();
    void fillFusion();
    void fillLoops();
    void showSteps();
    DebugModelPtr m_model;
    std::optional<debug::Profile> m_profile;
    QSpinBox* m_runs;
    QComboBox *m_by, *m_loop;
    QLabel *m_summary, *m_steps;
    QTabWidget* m_tabs;
    widgets::RowModel *m_rows, *m_fusionRows;
    widgets::TableView *m_table, *m_fusion;
    FlameView* m_flame;
    widgets::PlotView *m_roofline, *m_stepCurve;
    QLabel* m_peaks;
    QPushButton* m_measure;
};

}  // namespace orrery::plugins
