#pragma once
#include <optional>

#include <widgets/background.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "model_tree.h"

class QBoxLayout;
class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QSortFilterProxyModel;
class QSplitter;
class QTabWidget;
class QTreeView;

namespace orrery::plugins {

class ComparePage;
class GraphPage;
class GraphText;
class TensorDetail;
struct ValueRequest;

/// A model as a tree, as a picture and as text, with the weights and values of the node that is chosen, and its difference from a second model. Where there is
/// room the picture stands beside the rest, else it is a tab.
class ModelPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit ModelPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~ModelPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override;
    std::optional<widgets::ReportItem> reportItem() const override;

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    QWidget* makeContent();
    QWidget* makeColumn();
    QWidget* makeTreePage();
    QWidget* makeDetail();
    void makePages();
    void placeGraph();
    void openSelected();
    void open(const QString& argument);
    void take(const OpenedModelPtr& opened);
    void filter(const QString& text);
    void fitColumns();
    void chooseInTree();
    void choosePath(const QString& path);
    void select(const QModelIndex& index);
    void showSingularValues();
    ValueRequest valueRequest(const QString& path) const;
    void showPath(const QString& path);
    void showDetail();
    void showTensorOf(const QModelIndex& index);
    void readWeight();
    void readValue();
    Q_INVOKABLE void exportModel();
    void followSelection(widgets::SelectionParts parts);
    void updateEmptyState();
    QModelIndex current() const;
    QString describe(const QModelIndex& index) const;
    QString describeFile() const;

    ModelTree* m_tree;
    QSortFilterProxyModel* m_filter = nullptr;
    QTreeView* m_view = nullptr;
    QLineEdit* m_search = nullptr;
    QTabWidget* m_tabs = nullptr;
    QSplitter *m_split = nullptr, *m_detailSplit = nullptr;
    QBoxLayout* m_detailBox = nullptr;
    GraphText* m_text = nullptr;
    GraphPage* m_graph = nullptr;
    ComparePage* m_compare = nullptr;
    QLabel *m_summary = nullptr, *m_node = nullptr;
    QPushButton *m_values = nullptr, *m_cancel = nullptr;
    TensorDetail* m_tensor = nullptr;
    QAction *m_copyCommand = nullptr, *m_showRuns = nullptr, *m_openFile = nullptr;
    widgets::BackgroundTask m_openTask, m_valueTask;
    QLabel* m_noMatch = nullptr;
    QComboBox* m_weight = nullptr;    ///< of a node or module with several
    QPersistentModelIndex m_current;  ///< of the tree, whether the filter shows it or not
    bool m_filtering = false;
    bool m_opening = false, m_sending = false, m_reading = false, m_valueFailed = false;
    QString m_argument;    ///< on show or being opened
    QString m_failed;      ///< argument that could not be opened
    QString m_wantedPath;  ///< to be chosen once the model is open
};

}  // namespace orrery::plugins
