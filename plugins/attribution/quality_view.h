#pragma once
#include <QWidget>
#include <map>

#include "cards.h"

class QBoxLayout;
class QLabel;
class QToolButton;

namespace orrery::widgets {
class PlotView;
}

namespace orrery::plugins {

class MethodTable;
class MetricForm;

/// How good the explanations on show are: one plot for each metric with a curve, a line for each method with its area, and the table of all metrics. UI
/// thread.
class QualityView : public QWidget {
    Q_OBJECT
public:
    explicit QualityView(Cards& cards, QWidget* parent = nullptr);
    MetricForm* metrics() const { return m_form; }
    void setRunning(bool running);

Q_SIGNALS:
    void measureAsked();
    void cardChosen(int id);

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    QLayout* makeTools();
    widgets::PlotView* plotOf(const std::string& metric);
    void showCurves();
    void showCurve(widgets::PlotView& plot, const std::string& metric);
    void updateButtons();

    Cards& m_cards;
    QToolButton *m_measure = nullptr, *m_settings = nullptr;
    MetricForm* m_form;
    QLabel* m_hint;
    QWidget* m_plots;
    QBoxLayout* m_plotLayout;
    std::map<std::string, widgets::PlotView*> m_plotOf;
    MethodTable* m_table;
    bool m_running = false;
};

}  // namespace orrery::plugins
