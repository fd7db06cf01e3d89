#pragma once
#include <QString>
#include <QTabWidget>
#include <QWidget>
#include <optional>
#include <span>
#include <vector>

#include <core/report/plot.h>
#include <core/store/types.h>
#include <widgets/table_view.h>

class QComboBox;
class QLabel;
class QTextBrowser;

namespace orrery::store {
class Workspace;
}
namespace orrery::widgets {
class HeatMapView;
}

namespace orrery::plugins {

/// What is shown of the chosen runs besides their curves.
struct RunInspection {
    std::vector<store::RunRecord> runs;
    std::optional<report::ConfusionMatrix> confusion;  ///< of the first run
    QString confusionProblem;                          ///< why there is none though the run left one
    QString commands;                                  ///< lines that run them again
    std::vector<store::LogLine> log;                   ///< last lines of the first run
    std::vector<core::Json> reproductions;             ///< of these runs: train::Reproduction::toJson()
};

/// Reads it. Runs that are gone are left out. @throws as the workspace. Any thread.
RunInspection inspectRuns(const store::Workspace& workspace, std::span<const store::RunId> runs);
/// Reads `{"classes": [...], "counts": [[...]], "split": "test"}`. @throws core::FormatError with what is wrong. Any thread.
report::ConfusionMatrix parseConfusion(const std::string& text);
/// Name, status, error, times, metrics, environment, commands, log of the runs as a page.
QString detailsHtml(const RunInspection& inspection);

/// The first chosen run's confusion matrix with its accuracy. UI thread.
class ConfusionView : public QWidget {
    Q_OBJECT
public:
    explicit ConfusionView(QWidget* parent = nullptr);
    void show(const RunInspection& inspection);
    widgets::HeatMapView* map() const { return m_map; }
    int normalisation() const;
    void setNormalisation(int index);

private:
    QLabel* m_caption = nullptr;
    QComboBox* m_share = nullptr;
    widgets::HeatMapView* m_map = nullptr;
};

/// The values in which the documents of the chosen runs differ: one row a path, one column a run. UI thread.
class DifferenceView : public QWidget {
    Q_OBJECT
public:
    explicit DifferenceView(QWidget* parent = nullptr);
    void show(const RunInspection& inspection);
    const widgets::RowModel& rows() const { return m_rows; }

private:
    widgets::RowModel m_rows;
    widgets::TableView* m_table = nullptr;
    QLabel* m_hint = nullptr;
};

}  // namespace orrery::plugins
