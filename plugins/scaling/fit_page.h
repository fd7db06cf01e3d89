#pragma once
#include <widgets/latest_task.h>

#include "page_work.h"

class QCheckBox;
class QGridLayout;
class QLineEdit;
class QTabWidget;
class QToolButton;

class QSplitter;
class QStackedWidget;

namespace orrery::widgets {
class EmptyState;
class RowModel;
class SchemaForm;
class TableView;
}  // namespace orrery::widgets

namespace orrery::plugins {

class CutoffLine;

/// Points beside the law that is fitted to them: parameters with intervals, certificate, residuals, and a cut-off that can be dragged. UI thread.
class FitPage : public ScalingPage {
    Q_OBJECT
public:
    explicit FitPage(widgets::Session& session);
    ~FitPage() override;

    /// Null: no points.
    void setTable(const TablePtr& table, const PointSource& source);
    const TablePtr& table() const { return m_table; }
    const OutcomePtr& outcome() const { return m_outcome; }
    /// Shows a stored fit again.
    void openStored(qint64 analysis);
    std::optional<qint64> analysis() const { return m_analysis; }
    /// The request as a document, columns and cut-off included.
    core::Json requestDocument() const;
    /// Runs chosen elsewhere are marked.
    void showSelectedRuns();
    widgets::PlotView& plot() const { return *m_plot; }
    /// What the page offers while there are no points.
    void setEmptyActions(const QList<QAction*>& actions);

    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

Q_SIGNALS:
    void outcomeChanged();
    /// A stored fit brings its own source.
    void sourceChosen(const orrery::plugins::PointSource& source);

protected:
    /// Settings stand beside the plot where there is room, above it in a narrow dock.
    void resizeEvent(QResizeEvent* event) override;

private:
    QWidget* makeSettings();
    QWidget* makeViews();
    void placeTables(bool below);
    QTableWidget* makeParameterTable();
    void fillColumns();
    void fillPoints();
    std::vector<std::string> inputNames() const;
    void formChanged();
    void fitSoon();
    void run() override;
    QString whyNot() const override;
    void preview();
    void take(const OutcomePtr& outcome);
    void showOutcome();
    void showCurves(const FitPicture& picture);
    void showNumbers();
    void chooseRow(std::size_t row);
    void cutoffMoved(double x);
    std::size_t axis() const;

    TablePtr m_table;
    PointSource m_source;
    OutcomePtr m_outcome;
    FitPicture m_picture;
    std::optional<qint64> m_analysis;
    std::optional<PointSource> m_opened;  ///< of a stored fit whose rows are still being read
    widgets::LatestTask m_preview;
    widgets::SchemaForm* m_form;
    QWidget* m_columns = nullptr;
    QGridLayout* m_columnGrid = nullptr;
    std::vector<std::string> m_shownInputs;
    core::Json m_wantedColumns = core::Json::object(), m_wantedScales = core::Json::object();
    QComboBox* m_axis;
    QCheckBox* m_holdOut;
    widgets::PlotView *m_plot, *m_residuals;
    CutoffLine* m_cutoff;
    QSplitter *m_splitter, *m_views, *m_tables;
    QTabWidget* m_plots;
    QStackedWidget* m_stack = nullptr;
    widgets::EmptyState* m_empty = nullptr;
    widgets::RowModel* m_rows;
    widgets::TableView* m_points;
    QTableWidget* m_parameters;
    QLabel *m_status, *m_heldOut;
    bool m_sending = false;
};

}  // namespace orrery::plugins
