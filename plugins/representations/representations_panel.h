#pragma once
#include <widgets/background.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "representations_model.h"

class QComboBox;
class QLabel;
class QSlider;
class QSpinBox;
class QTabWidget;
class QTimer;

namespace orrery::plugins {

class Page;
class ProbePage;
class ScatterPage;
class SimilarityPage;

/// What the values inside a model hold: points of one value, linear probes by layer, similarity of layers. Model, data and samples follow the selection.
class RepresentationsPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit RepresentationsPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~RepresentationsPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override;
    std::optional<widgets::ReportItem> reportItem() const override;

private:
    QWidget* makeContent();
    QLayout* makeSubjectForm();
    QLayout* makeRowsRow();
    QWidget* makeTabs();
    void followSelection(widgets::SelectionParts parts);
    void fillModels();
    void openSoon();
    void open();
    void endOpening();
    void takeOpened(const OpenedPtr& opened);
    void fillValues();
    void chooseValue(const QString& name);
    void rowsChanged();
    void updateEmptyState();
    Subject wantedSubject() const;
    RowChoice choice() const;
    Page* page() const;

    OpenedPtr m_opened;
    widgets::BackgroundTask m_openTask;
    QTimer* m_openTimer;
    bool m_opening = false, m_sending = false;
    QString m_wantedValue;
    QComboBox *m_model = nullptr, *m_part = nullptr, *m_position = nullptr, *m_value = nullptr;
    QSpinBox* m_limit = nullptr;
    QSlider* m_layer = nullptr;
    QLabel* m_subject = nullptr;
    QTabWidget* m_tabs = nullptr;
    ScatterPage* m_scatter = nullptr;
    ProbePage* m_probe = nullptr;
    SimilarityPage* m_similarity = nullptr;
    QAction *m_copyCommand = nullptr, *m_showData = nullptr, *m_showRuns = nullptr;
};

}  // namespace orrery::plugins
