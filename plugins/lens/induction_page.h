#pragma once
#include <QWidget>
#include <optional>

#include "lens_model.h"

class QComboBox;
class QLabel;
class QLineEdit;

namespace orrery::widgets {
class HeatMapView;
class PlotView;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// Induction heads: a map of scores, layer by head, on random sequences that repeat; heads can be taken out to see what the model loses.
class InductionPage : public QWidget {
    Q_OBJECT
public:
    explicit InductionPage(QWidget* parent = nullptr);
    core::Json parameters() const;
    void show(const LensAnswer& answer);
    void clear();
    widgets::HeatMapView* map() const { return m_map; }
    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    void changed();
    void headChosen(int layer, int head);

private:
    void fill();
    std::optional<intervene::InductionScores> m_scores;
    QComboBox* m_which;
    QLineEdit* m_ablate;
    widgets::HeatMapView* m_map;
    widgets::PlotView* m_loss;
    QLabel* m_summary;
};

}  // namespace orrery::plugins
