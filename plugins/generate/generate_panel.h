#pragma once
#include <QString>
#include <optional>
#include <vector>

#include <widgets/latest_task.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "generate_model.h"

class QLabel;
class QPlainTextEdit;
class QPushButton;
class QSpinBox;
class QTabWidget;
class QTableWidget;

namespace orrery::widgets {
class JobBar;
class LinesEdit;
class SchemaForm;
class TokenView;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// A model writes on from a prompt: tokens as they come, coloured by probability, with what else could have stood there. The model follows the selection.
class GeneratePanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit GeneratePanel(widgets::Session& session, QWidget* parent = nullptr);
    ~GeneratePanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override { return m_tokens.empty() ? QString() : m_shownCommand; }
    std::optional<widgets::ReportItem> reportItem() const override;
    const std::vector<ShownToken>& shownTokens() const { return m_tokens; }

protected:
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    QWidget* makeContent();
    QWidget* makeForm();
    QWidget* makeResult();
    void followSelection(widgets::SelectionParts parts);
    void write();
    /// Puts an alternative in the place of the current token and writes on.
    void goOnWith(int alternative);
    /// @param kept  Tokens at the beginning that keep their probabilities.
    void start(const std::string& prompt, const std::string& begin, const QString& command, std::vector<ShownToken> kept);
    void learnAbilities();
    void showAbilities();
    void showSource(const QStringList& tokens);
    void takeBeginning(WriteBeginning beginning);
    void takeToken(ShownToken token);
    void takeResult(const WriteResult& result);
    void takeEnd();
    void showTokens();
    void showAlternatives(int token);
    void updateButtons();
    QString whyNot() const;

    QString m_model;
    std::vector<ShownToken> m_tokens;
    text::TokenizerPtr m_tokenizer;               ///< of the text on show; null: none
    std::string m_writtenPrompt, m_writtenBegin;  ///< of the text on show
    WriteAbilities m_abilities;                   ///< of the model
    widgets::LatestTask m_opening{[this](int change) { addBusy(change); }};
    QString m_shownCommand;
    QPlainTextEdit* m_prompt = nullptr;
    widgets::LinesEdit* m_begin = nullptr;
    QLabel *m_promptLabel = nullptr, *m_beginLabel = nullptr;
    QTabWidget* m_tabs = nullptr;
    widgets::SchemaForm* m_form = nullptr;
    QSpinBox* m_seed = nullptr;
    QPushButton* m_write = nullptr;
    QLabel *m_subject = nullptr, *m_summary = nullptr;
    widgets::TokenView *m_view = nullptr, *m_sourceView = nullptr;
    QPlainTextEdit* m_text = nullptr;
    QTableWidget* m_table = nullptr;
    widgets::JobBar* m_bar = nullptr;
};

}  // namespace orrery::plugins
