#pragma once
#include "page.h"

class QLabel;
class QLineEdit;
class QTableWidget;
class QToolButton;

namespace orrery::widgets {
class PlotView;
class SchemaForm;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// What can be read off each layer: accuracy of a linear probe by layer with its interval, beside a control task and the baseline.
class ProbePage : public Page {
    Q_OBJECT
public:
    explicit ProbePage(widgets::Session& session);
    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

protected:
    void run() override;
    QString whyNot() const override;
    void subjectChanged() override;
    void workEnded() override;

private:
    QLayout* makeSettings();
    void setUpTable();
    QStringList places() const;
    void addResult(const intervene::ProbeResult& result);
    void takeOutcome(const ProbeOutcome& outcome);
    void showCurves();
    void chooseRow(int row);

    std::vector<intervene::ProbeResult> m_results;
    bool m_waiting = false;  ///< for a result
    QLineEdit* m_places;
    QToolButton* m_more;
    widgets::SchemaForm* m_form;
    widgets::PlotView* m_plot;
    QTableWidget* m_table;
    QLabel* m_status;
};

}  // namespace orrery::plugins
