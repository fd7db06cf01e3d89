#pragma once
#include <memory>
#include <optional>
#include <vector>

#include <widgets/background.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "attribution_model.h"

class QComboBox;
class QLabel;
class QProgressBar;
class QPushButton;
class QScrollArea;
class QSpinBox;
class QSplitter;
class QStackedWidget;
class QTabWidget;
class QTimer;
class QToolButton;

namespace orrery::widgets {
class SchemaForm;
}

namespace orrery::plugins {

class CompareResults;
class ListResult;
class PictureResult;

/// Why a model answers as it does for one sample: method, target and parameters are chosen here, model and sample follow the selection.
class AttributionPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit AttributionPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~AttributionPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;

private:
    QWidget* makeContent();
    QLayout* makeSubjectForm();
    QLayout* makeButtons();
    QWidget* makeResults();
    void followSelection(widgets::SelectionParts parts);
    void fillModels();
    void chooseMethod();
    void prepareSoon();
    void prepare();
    void takePrepared(const PreparedPtr& prepared);
    void fillTargets();
    void chooseTarget();
    void step(int change);
    void chooseImage();
    void explain();
    void endExplain();
    void takeExplanation(Explanation explanation);
    void showNumbers();
    void updateButtons();
    void updateEmptyState();
    ExplainSubject wantedSubject() const;
    std::optional<std::int64_t> target() const;
    QString method() const;

    std::shared_ptr<SubjectOpener> m_opener;
    PreparedPtr m_prepared;
    std::vector<std::shared_ptr<const Explanation>> m_explanations;  ///< newest first
    std::optional<Explanation> m_current;                            ///< on show; nothing until explained
    widgets::BackgroundTask m_prepareTask, m_explainTask;
    QTimer* m_prepareTimer;
    bool m_preparing = false, m_explaining = false, m_sending = false;
    QString m_image;                             ///< picture of the user's own; empty: the sample
    std::map<QString, core::Json> m_parameters;  ///< document of each method's form

    QComboBox *m_model = nullptr, *m_method = nullptr, *m_target = nullptr;
    QSpinBox* m_sample = nullptr;
    QLabel *m_subject = nullptr, *m_numbers = nullptr;
    QToolButton *m_previous = nullptr, *m_next = nullptr, *m_imageButton = nullptr;
    QPushButton *m_explain = nullptr, *m_cancel = nullptr;
    QProgressBar* m_progress = nullptr;
    widgets::SchemaForm* m_form = nullptr;
    QTabWidget* m_tabs = nullptr;
    QStackedWidget* m_result = nullptr;
    PictureResult* m_picture = nullptr;
    ListResult* m_list = nullptr;
    CompareResults* m_compare = nullptr;
    QAction *m_copyCommand = nullptr, *m_showData = nullptr, *m_showRuns = nullptr;
};

}  // namespace orrery::plugins
