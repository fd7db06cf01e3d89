#pragma once
#include <widgets/latest_task.h>
#include <widgets/panel.h>

#include "scaling_model.h"

class QMenu;
class QTabWidget;
class QToolButton;

namespace orrery::plugins {

class FitPage;
class IsoflopPage;
class PlanPage;
class ScalingPage;
class SourceBar;
class WidthsPage;

/// Scaling laws: points of runs or of a table, a law fitted to them, minima of budgets, plans, and how training follows the width.
class ScalingPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit ScalingPanel(widgets::Session& session, QWidget* parent = nullptr);

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    std::optional<widgets::ReportItem> reportItem() const override;

private:
    QWidget* makeContent();
    QLayout* makeTop();
    void addPages();
    void makePresets();
    void takeTable(const TablePtr& table);
    void listStored();
    ScalingPage* page() const;

    widgets::LatestTask m_stored;
    SourceBar* m_source;
    QTabWidget* m_tabs;
    FitPage* m_fit;
    IsoflopPage* m_isoflop;
    PlanPage* m_plan;
    WidthsPage* m_widths;
    QToolButton *m_storedButton, *m_presets;
    QMenu* m_storedMenu;
    QAction* m_copyCommand;
};

}  // namespace orrery::plugins
