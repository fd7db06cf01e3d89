#pragma once
#include <memory>
#include <optional>

#include <widgets/latest_task.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "interventions_model.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;
class QTableWidget;
class QTabWidget;
class QTimer;

namespace orrery::widgets {
class DocumentEditor;
class JobBar;
class SchemaForm;
class TextFields;
}  // namespace orrery::widgets

namespace orrery::plugins {

class EntryEditor;
class OutcomeView;

/// What changes inside a model, as a list and as text, and the model's answer without and with it. Model and sample follow the selection; a value chosen
/// anywhere becomes the place of the next intervention. UI thread.
class InterventionsPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit InterventionsPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~InterventionsPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override { return m_shownCommand; }
    std::optional<widgets::ReportItem> reportItem() const override;
    InterventionsModel& model() { return m_model; }

    /// Asks for the name under which the document is kept with the run; tests put their own in its place.
    std::function<QString(const QString& suggested)> askName;

private:
    QLayout* makeSubject();
    QWidget* makeList();
    QWidget* makeSources();
    QWidget* makeWriting();
    QLayout* makeRunRow();
    QWidget* makeContent();
    QAction* makeAction(const QString& text, const QString& tip, void (InterventionsPanel::*call)());
    void followSelection(widgets::SelectionParts parts);
    void fillModels();
    InterventionSubject wantedSubject() const;
    void prepareSoon() const;
    void prepare();
    void takePrepared(const PreparedInterventionPtr& prepared);
    void showTextFields(bool text, bool pairs);
    void step(qint64 sample);
    void add();
    void remove();
    void moveUp();
    void moveDown();
    void openFile();
    void saveFile();
    void keepWithRun();
    void openKept();
    void showDocument();
    void showEntry();
    void addSource();
    void removeSource();
    void sourcesChanged();
    std::vector<SourceLine> sources() const;
    void setSources(const std::vector<SourceLine>& lines);
    InterventionSettings settings() const;
    void run();
    void takeOutcome(const InterventionOutcome& outcome, const QString& command);
    void updateButtons();
    void updateEmptyState();

    InterventionsModel m_model;
    std::shared_ptr<InterventionOpener> m_opener;
    PreparedInterventionPtr m_prepared;
    widgets::LatestTask m_preparation{[this](int change) { addBusy(change); }};
    QTimer* m_prepareTimer;
    QString m_folder;  ///< of the file the document was read from

    QComboBox* m_modelBox = nullptr;
    QSpinBox *m_sample = nullptr, *m_newTokens = nullptr, *m_position = nullptr;
    widgets::TextFields* m_texts = nullptr;
    QLineEdit* m_probe = nullptr;
    QLabel *m_input = nullptr, *m_textLabel = nullptr, *m_positionLabel = nullptr;
    QTableWidget *m_list = nullptr, *m_sourceTable = nullptr;
    EntryEditor* m_entry = nullptr;
    widgets::DocumentEditor* m_editor = nullptr;
    widgets::SchemaForm* m_writing = nullptr;
    QTabWidget* m_tabs = nullptr;
    QPushButton* m_run = nullptr;
    widgets::JobBar* m_bar = nullptr;
    OutcomeView* m_outcome = nullptr;
    QString m_shownCommand;
    QAction *m_copyCommand = nullptr, *m_keep = nullptr, *m_openKept = nullptr, *m_remove = nullptr, *m_up = nullptr, *m_down = nullptr,
            *m_showRuns = nullptr;
};

}  // namespace orrery::plugins
