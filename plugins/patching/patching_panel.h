#pragma once
#include <QStringList>
#include <memory>
#include <vector>

#include <widgets/latest_task.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "patching_model.h"

class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QTimer;

namespace orrery::widgets {
class JobBar;
class SchemaForm;
}  // namespace orrery::widgets

namespace orrery::plugins {

class ComponentChoice;
class PatchResultView;
class TokenPairTable;
struct FinishedSweep;

/// Activation patching: two inputs, what is patched and what an answer is worth are chosen here; the model follows the selection.
class PatchingPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit PatchingPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~PatchingPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override;
    std::optional<widgets::ReportItem> reportItem() const override;

private:
    QWidget* makeContent();
    QWidget* makeSettings();
    QLayout* makeInputs();
    QLayout* makeAnswers();
    QLayout* makeButtons();
    void makeActions();
    void followSelection(widgets::SelectionParts parts);
    void fillModels();
    void prepareSoon();
    void prepare();
    void takePrepared(const PreparedPatchPtr& prepared);
    void run();
    void takeSweep(const PatchSweepPtr& sweep);
    void finish(const FinishedSweep& made);
    void chooseCell(const intervene::PatchCell& cell);
    void showStatus();
    void updateButtons();
    void updateEmptyState();
    PatchSubject wantedSubject() const;
    QStringList chosenComponents() const;
    core::Json settings() const;
    QString answerProblem() const;
    bool isText() const;

    std::shared_ptr<PatchOpener> m_opener;
    PreparedPatchPtr m_prepared;
    widgets::LatestTask m_preparation{[this](int change) { addBusy(change); }}, m_cellReading{[this](int change) { addBusy(change); }};
    std::optional<qint64> m_analysis;  ///< of the maps on show, once they are complete and stored
    QTimer* m_prepareTimer;

    QComboBox *m_model = nullptr, *m_kind = nullptr;
    QLineEdit *m_clean = nullptr, *m_corrupted = nullptr, *m_cleanPair = nullptr, *m_corruptedPair = nullptr, *m_places = nullptr,
              *m_answer = nullptr, *m_wrong = nullptr;
    bool m_takesPairs = true;  ///< until a model says otherwise
    QLabel* m_status = nullptr;
    TokenPairTable* m_tokens = nullptr;
    ComponentChoice* m_components = nullptr;
    widgets::SchemaForm* m_form = nullptr;
    QPushButton* m_run = nullptr;
    widgets::JobBar* m_bar = nullptr;
    PatchResultView* m_result = nullptr;
    QString m_shownCommand;
    QAction *m_copyCommand = nullptr, *m_showRuns = nullptr;
};

}  // namespace orrery::plugins
