#pragma once
#include <QTabWidget>

#include "interventions_model.h"

class QLabel;
class QTableWidget;
class QTextBrowser;

namespace orrery::widgets {
class HeatMapView;
}

namespace orrery::plugins {

/// What interventions did: probabilities before and after, written texts, and the difference at a probe. UI thread.
class OutcomeView : public QTabWidget {
    Q_OBJECT
public:
    explicit OutcomeView(QWidget* parent = nullptr);
    void setOutcome(const InterventionOutcome& outcome);
    void clearOutcome();
    bool hasOutcome() const { return m_hasOutcome; }
    /// Where the outcome on show is stored, if it is.
    std::optional<std::int64_t> analysis() const { return m_analysis; }

Q_SIGNALS:
    void classChosen(qint64 index);

private:
    void showClasses(const core::Json& sample);
    void showNumbers(const core::Json& sample);
    void showTexts(const core::Json& generated);
    void showDifference(const InterventionOutcome& outcome);

    bool m_hasOutcome = false;
    std::optional<std::int64_t> m_analysis;
    QLabel* m_summary;
    QTableWidget* m_table;
    QTextBrowser* m_texts;
    QLabel* m_probe;
    widgets::HeatMapView* m_map;
};

}  // namespace orrery::plugins
