#pragma once
#include "page_work.h"

class QCheckBox;
class QDoubleSpinBox;
class QLineEdit;
class QSpinBox;

namespace orrery::plugins {

/// Coordinate check: one architecture at several widths under one or more parametrisations, or its loss over widths and learning rates.
class WidthsPage : public ScalingPage {
    Q_OBJECT
public:
    explicit WidthsPage(widgets::Session& session);
    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

private:
    struct Outcome {
        std::vector<scaling::CoordinateCheck> checks;  ///< one a parametrisation
        std::vector<scaling::RateSweep> sweeps;        ///< the same; only with learning rates
        QStringList names;
        QStringList faults;  ///< of parametrisations that did not suit: "ntk: ..."
    };
    QLayout* makeFields();
    void run() override;
    QString whyNot() const override;
    QStringList parametrisations() const;
    scaling::CoordinateRequest request() const;
    void take(const Outcome& outcome);
    void showStep();
    void useBest();
    void showCheck(const scaling::CoordinateCheck& check, const QString& name, QList<QStringList>& rows);
    void showSweep(const scaling::RateSweep& sweep, const QString& name, QList<QStringList>& rows);

    QLineEdit *m_model, *m_widths, *m_rates;
    QList<QCheckBox*> m_kinds;
    QSpinBox *m_steps, *m_seeds, *m_step;
    QComboBox* m_optimizer;
    QDoubleSpinBox* m_rate;
    widgets::PlotView* m_plot;
    QTableWidget* m_table;
    QLabel* m_status;
    QPushButton* m_use;
    Outcome m_outcome;
    core::Json m_asked;  ///< the experiment of the last check
};

}  // namespace orrery::plugins
