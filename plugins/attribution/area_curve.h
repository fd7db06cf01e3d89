#pragma once
#include <widgets/plot_view.h>

#include "explanation.h"

namespace orrery::plugins {

/// Output against the area of the mask, for methods that try several areas: the masks found, and masks drawn at random. Hidden for others. UI thread.
class AreaCurve : public widgets::PlotView {
    Q_OBJECT
public:
    explicit AreaCurve(QWidget* parent = nullptr);
    void showExplanation(const Explanation& explanation);
};

}  // namespace orrery::plugins
