#pragma once
#include <QWidget>

namespace orrery::plugins {

/// The colours of a scale symmetric around zero, with the numbers at both ends and in the middle.
class ScaleLegend : public QWidget {
    Q_OBJECT
public:
    explicit ScaleLegend(QWidget* parent = nullptr);
    /// Zero: no scale yet.
    void setMagnitude(double magnitude);
    double magnitude() const { return m_magnitude; }
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return {120, sizeHint().height()}; }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    double m_magnitude = 0;
};

}  // namespace orrery::plugins
