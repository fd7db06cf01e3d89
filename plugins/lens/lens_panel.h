#pragma once
#include <map>
#include <memory>
#include <optional>

#include <widgets/panel.h>
#include <widgets/selection.h>

#include "lens_model.h"

class QComboBox;
class QFormLayout;
class QLabel;
class QSlider;
class QSpinBox;
class QTabWidget;
class QTimer;
class QToolButton;

namespace orrery::intervene {
struct CheckpointPoint;
}
namespace orrery::widgets {
class JobBar;
class TextFields;
class TokenView;
}  // namespace orrery::widgets

namespace orrery::plugins {

class AttentionPage;
class CheckpointsPage;
class DirectPage;
class GridPage;
class InductionPage;

/// What a transformer holds at each layer, on a text or sample, now or at a checkpoint of its training. Model, sample, token and checkpoint follow the selection and set it.
class LensPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit LensPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~LensPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    /// Of the answer on the tab in front; nothing while another one is on its way.
    QString shownCommand() const override;
    std::optional<widgets::ReportItem> reportItem() const override;
    bool isIdle() const override;

private:
    enum class Tab { Grid, Direct, Attention, Induction, Checkpoints };
    struct Outcome {
        LensPreparedPtr prepared;
        std::optional<LensAnswer> answer;
    };

    void makeActions();
    QWidget* makeContent();
    void addModelRows(QFormLayout* form);
    void addInputRow(QFormLayout* form);
    QWidget* makeTabs();
    QLayout* makeFoot();
    void connectPages();

    void fillModels();
    void followSelection(widgets::SelectionParts parts);
    void chooseSize(int position);
    void chooseStep(int position);
    void sendStep();
    void chooseSample(int number);
    void choosePosition(int position);
    void chooseValue(const QString& value, int position);
    void showHead(int layer, int head);

    void lookSoon(bool again = false);
    void look();
    void stopOther();
    void take(Tab tab, Outcome outcome, const QString& key, const QString& kind, const core::Json& parameters);
    void fail(Tab tab, const QString& text);
    void showPrepared(const LensPreparedPtr& prepared);
    void showSizes();
    void showAnswer(Tab tab, const LensAnswer& answer);
    void clearPages();
    void clearAnswers();
    void measure();
    void keep();
    void updateButtons();
    void updateEmptyState();

    LensWanted wanted() const;
    Tab tab() const;
    QString kind() const;  ///< of the tab on show; empty for Checkpoints
    core::Json parameters() const;
    std::optional<qint64> position() const;
    std::optional<qint64> stepOfSelection() const;

    std::shared_ptr<LensOpener> m_opener;
    LensPreparedPtr m_prepared;
    std::map<Tab, QString> m_shown;  ///< what each page was made of: nothing is computed twice
    std::optional<LensAnswer> m_answers[5];
    QString m_commands[5];  ///< what each of them is the result of
    std::optional<qint64> m_step;
    bool m_hasFailed = false, m_sending = false, m_measuring = false, m_replacing = false;
    QTimer* m_timer;

    QComboBox *m_model = nullptr, *m_inputKind = nullptr;
    QSlider *m_checkpoint = nullptr, *m_size = nullptr;
    QLabel *m_checkpointName = nullptr, *m_sizeName = nullptr, *m_hint = nullptr;
    QWidget *m_checkpointRow = nullptr, *m_sizeRow = nullptr;
    QFormLayout* m_form = nullptr;
    QSpinBox* m_sample = nullptr;
    widgets::TextFields* m_texts = nullptr;
    widgets::TokenView* m_tokens = nullptr;
    QTabWidget* m_tabs = nullptr;
    GridPage* m_grid = nullptr;
    DirectPage* m_direct = nullptr;
    AttentionPage* m_attention = nullptr;
    InductionPage* m_induction = nullptr;
    CheckpointsPage* m_checkpoints = nullptr;
    widgets::JobBar* m_bar = nullptr;
    QAction *m_copyCommand = nullptr, *m_keep = nullptr, *m_lookAgain = nullptr, *m_showData = nullptr, *m_showRuns = nullptr;
};

}  // namespace orrery::plugins
