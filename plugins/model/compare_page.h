#pragma once
#include <memory>
#include <vector>

#include <core/compare/checkpoint_sequence.h>
#include <core/compare/union_items.h>
#include <core/compare/weight_difference.h>
#include <widgets/job_page.h>
#include <widgets/table_view.h>

#include "model_tree.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QTabWidget;

namespace orrery::widgets {
class PlotView;
}

namespace orrery::plugins {

/// The opened model against a second one, or the checkpoints of its run. Immutable.
struct Comparison {
    QString first, second;  ///< MODEL arguments; `second` is empty for a sequence
    compare::GraphDifference graph;
    std::shared_ptr<const compare::UnionItems> joined;
    std::vector<compare::TensorDifference> tensors;
    compare::CheckpointSequence sequence;
};
using ComparisonPtr = std::shared_ptr<const Comparison>;

/// Which nodes and tensors of a second model differ: a box for it, tables sorted by the difference, the histogram of one tensor's differences; the
/// checkpoints of a run as curves. UI thread.
class ComparePage : public widgets::JobPage {
    Q_OBJECT
public:
    explicit ComparePage(widgets::Session& session);

    /// Null: none is open.
    void setOpened(const OpenedModelPtr& opened);
    /// Fills the box with what the selection and the run of the opened model offer.
    void offerModels();
    const ComparisonPtr& comparison() const { return m_comparison; }

    QString command() const override;
    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;

Q_SIGNALS:
    /// Also null, when what was compared is no longer open or shall not be shown.
    void comparisonChanged(const orrery::plugins::ComparisonPtr& comparison);
    void pathChosen(const QString& path);

protected:
    void run() override;
    QString whyNot() const override;

private:
    QWidget* makeResults();
    QWidget* makeSequence();
    void show(const ComparisonPtr& comparison);
    void showNothing(const QString& why);
    void showNodes();
    void showTensors();
    void showSequence();
    void showCurves();
    void showHistogram(qint64 tensor);
    void tellGraph();
    QString second() const;
    bool wantsSequence() const;

    OpenedModelPtr m_opened;
    ComparisonPtr m_comparison;
    QComboBox* m_second;
    QCheckBox* m_inGraph;
    QLabel* m_summary;
    QTabWidget* m_tabs = nullptr;
    widgets::TableView *m_nodeView = nullptr, *m_tensorView = nullptr;
    widgets::RowModel m_nodes, m_tensors;
    QComboBox* m_curveOf = nullptr;
    widgets::PlotView *m_histogram = nullptr, *m_norm = nullptr, *m_distances = nullptr;
};

}  // namespace orrery::plugins
