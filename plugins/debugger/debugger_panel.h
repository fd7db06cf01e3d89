#pragma once
#include <map>

#include <widgets/latest_task.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "debug_session.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QTabWidget;
class QTimer;
class QToolButton;

namespace orrery::widgets {
class TextFields;
}

namespace orrery::plugins {

class DivergencePage;
class ProfilePage;
class StepPage;

/// Runs a model like a program: step by step with values, edits and gradients; with its costs; against another run.
class DebuggerPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit DebuggerPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~DebuggerPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override;
    std::optional<widgets::ReportItem> reportItem() const override;

private:
    QWidget* makeContent();
    QWidget* makeSubject();
    void connectPages();
    void fillModels();
    void followSelection(widgets::SelectionParts parts);
    void prepareSoon();
    void prepareWhenTyped();
    void prepare();
    void learn(const QString& model, bool text, bool pairs, int inputs);
    void take(const DebugModelPtr& model);
    void chooseValue(const QString& name);
    void updateInput();
    void chooseFile();
    void updateEmptyState();
    DebugSubject wantedSubject() const;

    DebugModelPtr m_opened;
    widgets::LatestTask m_opening{[this](int change) { addBusy(change); }};
    QTimer* m_timer;
    QComboBox *m_model = nullptr, *m_kind = nullptr;
    std::map<int, QString> m_typed;  // what was typed for each kind of input
    int m_shownKind = 0;
    QString m_kindChosenFor;  ///< the model for which the kind of input was chosen by hand
    int m_inputs = 1;         ///< that the model asks for
    QLineEdit* m_input = nullptr;
    QToolButton* m_choose = nullptr;
    widgets::TextFields* m_texts = nullptr;
    QCheckBox* m_training = nullptr;
    QLabel* m_status = nullptr;
    QTabWidget* m_tabs = nullptr;
    StepPage* m_step = nullptr;
    ProfilePage* m_profile = nullptr;
    DivergencePage* m_divergence = nullptr;
    QAction *m_copyCommand = nullptr, *m_showRuns = nullptr;
};

}  // namespace orrery::plugins
