#pragma once

#include "page.h"

class QLabel;
class QLineEdit;

namespace orrery::widgets {
class HeatMapView;
}

namespace orrery::plugins {

class MethodForm;

/// Layers of the model against layers of itself, of another model, or the run's checkpoints against each other, as a heat map.
class SimilarityPage : public Page {
    Q_OBJECT
public:
    explicit SimilarityPage(widgets::Session& session);
    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

protected:
    void run() override;
    QString whyNot() const override;
    void subjectChanged() override;

private:
    QLayout* makeSettings();
    void fillOthers();
    ComparisonChoice wanted() const;
    void show(const intervene::Comparison& comparison);
    void takeOutcome(const ComparisonOutcome& outcome);
    void showCell(int row, int column);
    void chooseCell(int row, int column);

    intervene::Comparison m_comparison;
    bool m_byCheckpoint = false;  ///< what is on show
    QString m_wantedOther;
    MethodForm* m_metric = nullptr;
    QComboBox* m_other = nullptr;
    QLineEdit *m_places = nullptr, *m_otherPlaces = nullptr;
    widgets::HeatMapView* m_map = nullptr;
    QLabel *m_cell = nullptr, *m_status = nullptr;
};

}  // namespace orrery::plugins
