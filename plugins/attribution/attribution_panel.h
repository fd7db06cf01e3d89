#pragma once
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <widgets/background.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "cards.h"

class QComboBox;
class QLabel;
class QPushButton;
class QStackedWidget;
class QTabWidget;
class QTimer;

namespace orrery::widgets {
class JobBar;
class SchemaForm;
}  // namespace orrery::widgets

namespace orrery::plugins {

class Ablation;
class AblationView;
class ChannelsResult;
class CompareResults;
class ListResult;
class AreaCurve;
class PictureResult;
class QualityView;
class StoredButton;
class SubjectForm;

/// Why a model answers as it does for one sample: one method or several side by side, at the input or an inner value, and by hand with the brush.
/// Model and sample follow the selection.
class AttributionPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit AttributionPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~AttributionPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override;
    std::optional<widgets::ReportItem> reportItem() const override;

private:
    QWidget* makeContent();
    QWidget* makeQuestion();
    QLayout* makeButtons();
    QWidget* makeResults();
    QWidget* makeResultPage();
    void makeActions();
    void chooseMethod();
    void prepareSoon();
    void prepare();
    void takePrepared(const PreparedPtr& prepared);
    MethodSettings settings() const;
    void addCard();
    void explain();
    void explainAll();
    void measure();
    void start(const std::vector<int>& cards);
    void takeResult(int card, const ExplanationPtr& result);
    void reopen(qint64 analysis);
    void takeStored(explain::StoredAttribution stored);
    void showReopened();
    void endExplain();
    void loadCard(int card);
    void showResult(const ExplanationPtr& result);
    void showNumbers();
    void updateButtons();
    void updateEmptyState();

    std::shared_ptr<class SubjectOpener> m_opener;
    PreparedPtr m_prepared;
    Cards* m_cards;
    Ablation* m_ablation;
    int m_onShow = -1;         ///< card of the Result page
    ExplanationPtr m_current;  ///< on show there; null until explained
    widgets::BackgroundTask m_prepareTask, m_reopenTask;
    std::optional<explain::StoredAttribution> m_reopened;  ///< waits for its subject
    QTimer* m_prepareTimer;
    bool m_preparing = false;
    std::map<QString, core::Json> m_parameters;  ///< document of each method's form

    SubjectForm* m_subject = nullptr;
    QComboBox* m_method = nullptr;
    QLabel* m_numbers = nullptr;
    QPushButton *m_explain = nullptr, *m_add = nullptr;
    widgets::JobBar* m_job = nullptr;
    widgets::SchemaForm* m_form = nullptr;
    QTabWidget* m_tabs = nullptr;
    QStackedWidget* m_result = nullptr;
    PictureResult* m_picture = nullptr;
    ListResult* m_list = nullptr;
    ChannelsResult* m_channels = nullptr;
    AreaCurve* m_areas = nullptr;
    CompareResults* m_compare = nullptr;
    AblationView* m_brush = nullptr;
    QualityView* m_quality = nullptr;
    StoredButton* m_stored = nullptr;
    QAction *m_copyCommand = nullptr, *m_showData = nullptr, *m_showRuns = nullptr;
};

}  // namespace orrery::plugins
