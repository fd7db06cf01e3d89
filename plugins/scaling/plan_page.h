#pragma once
#include <core/scaling/plan.h>

#include "page_work.h"

class QLineEdit;
class QSpinBox;

namespace orrery::plugins {

/// What a fitted law advises for budgets of compute, and what fits into a budget of time on this machine. UI thread.
class PlanPage : public ScalingPage {
    Q_OBJECT
public:
    explicit PlanPage(widgets::Session& session);

    /// The fit that is planned with; null: none.
    void setOutcome(const OutcomePtr& outcome);
    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

private:
    QWidget* makeEqualCompute();
    void run() override;
    QString whyNot() const override;
    void take(const std::vector<scaling::Plan>& plans);
    void measure();

    OutcomePtr m_outcome;
    QLineEdit *m_budgets, *m_model;
    QSpinBox *m_seconds, *m_batch;
    QPushButton* m_measure;
    widgets::JobBar* m_measureBar;
    widgets::PlotView* m_plot;
    QTableWidget* m_rows;
    QLabel *m_status, *m_throughput;
};

}  // namespace orrery::plugins
