#pragma once
#include "page_work.h"

class QDoubleSpinBox;
class QSpinBox;

namespace orrery::plugins {

/// Approach 2: a parabola for each budget, and power laws through their minima. UI thread.
class IsoflopPage : public ScalingPage {
    Q_OBJECT
public:
    explicit IsoflopPage(widgets::Session& session);

    /// @param columns  How the table's columns are named, as in a fit's request. Null: no points.
    void setTable(const TablePtr& table, const PointSource& source, const core::Json& request);
    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

private:
    void run() override;
    QString whyNot() const override;
    void take(const scaling::Isoflop& result, const scaling::Points& points);

    TablePtr m_table;
    PointSource m_source;
    scaling::ColumnMap m_columns;
    QDoubleSpinBox *m_tolerance, *m_factor;
    QSpinBox* m_resamples;
    widgets::PlotView* m_plot;
    QTableWidget* m_rows;
    QLabel* m_status;
};

}  // namespace orrery::plugins
