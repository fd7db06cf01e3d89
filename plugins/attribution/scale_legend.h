#pragma once
#include <widgets/colour_bar.h>

namespace orrery::plugins {

/// The colours of a scale symmetric around zero, with the numbers at both ends and in the middle.
class ScaleLegend : public widgets::ColourBar {
    Q_OBJECT
public:
    using ColourBar::ColourBar;
    /// Zero: no scale yet.
    void setMagnitude(double magnitude);
    double magnitude() const { return m_magnitude; }

private:
    double m_magnitude = 0;
};

}  // namespace orrery::plugins
