#pragma once
#include <QWidget>
#include <vector>

#include <core/intervene/lens_checkpoints.h>

class QLabel;
class QPushButton;

namespace orrery::widgets {
class PlotView;
}

namespace orrery::plugins {

/// Loss and induction score at every checkpoint of a run, as curves that grow while they are computed.
class CheckpointsPage : public QWidget {
    Q_OBJECT
public:
    explicit CheckpointsPage(QWidget* parent = nullptr);
    /// Forgets what was measured. @param steps  How many checkpoints there are.
    void clear(int steps);
    void add(const intervene::CheckpointPoint& point);
    void setMeasuring(bool measuring);
    void setStep(std::optional<qint64> step);
    const std::vector<intervene::CheckpointPoint>& points() const { return m_points; }
    QPushButton* measureButton() const { return m_measure; }

Q_SIGNALS:
    void measureAsked();
    void stepChosen(qint64 step);

private:
    void showSummary();
    int m_steps = 0;
    std::vector<intervene::CheckpointPoint> m_points;
    widgets::PlotView *m_loss, *m_score;
    QLabel* m_summary;
    QPushButton* m_measure;
};

}  // namespace orrery::plugins
