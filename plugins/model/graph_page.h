#pragma once
#include <QWidget>
#include <functional>
#include <optional>

#include <core/compare/union_items.h>
#include <widgets/latest_task.h>

#include "value_request.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QMenu;
class QToolButton;

namespace orrery::widgets {
class GraphView;
struct GraphContent;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// The picture of the opened model with its search line, colours and bookmarks. UI thread.
class GraphPage : public QWidget {
    Q_OBJECT
public:
    explicit GraphPage(widgets::Session& session, QWidget* parent = nullptr);
    ~GraphPage() override;

    /// Null: none.
    void setOpened(const OpenedModelPtr& opened);
    /// Shows the union with a second model in its colours; null: the opened model alone again.
    void setUnion(std::shared_ptr<const compare::UnionItems> joined);
    /// Chosen elsewhere: a node, value, module or parameter.
    void setPath(const QString& path);
    /// Another sample is chosen: colours of the last run are computed anew where they are on show.
    void forgetRun();
    /// What the colours of a run are computed on.
    void setRequest(std::function<ValueRequest()> request) { m_request = std::move(request); }
    widgets::GraphView* view() const { return m_view; }
    void focusSearch();
    bool isIdle() const;

    core::Json saveState() const;
    void restoreState(const core::Json& state);

Q_SIGNALS:
    void pathChosen(const QString& path);
    void busyChanged(int change);
    void message(const QString& text);
    void failed(const QString& text);

private:
    QWidget* makeTools();
    void makeContent();
    core::Json viewsWithCurrent() const;
    void applyColours();
    void fetchStatistics();
    void showFamilies();
    void offerColours();
    void searchFor(const QString& text);
    void fillBookmarks();
    QString tooltipOf(int item) const;
    int itemOf(const QString& path) const;
    QString pathOf(int item) const;

    widgets::Session& m_session;
    widgets::GraphView* m_view;
    QLineEdit* m_search = nullptr;
    QLabel* m_found = nullptr;
    QComboBox* m_colour = nullptr;
    QCheckBox* m_arithmetic = nullptr;
    QToolButton* m_more = nullptr;
    QMenu* m_bookmarks = nullptr;
    widgets::LatestTask m_contentTask, m_statisticsTask;
    std::function<ValueRequest()> m_request;
    OpenedModelPtr m_opened;
    std::shared_ptr<const compare::UnionItems> m_union;
    std::optional<RunStatistics> m_statistics;
    std::optional<core::Json> m_wantedView;
    core::Json m_views = core::Json::array();  ///< {"model", "view"} of models that were open before, the latest last: bookmarks and what was opened
    QString m_path, m_wantedModel;
};

}  // namespace orrery::plugins
