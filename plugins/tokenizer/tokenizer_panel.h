#pragma once
#include <QStringList>
#include <QTimer>
#include <vector>

#include <widgets/latest_task.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

#include "tokenizer_model.h"

class QCheckBox;
class QLabel;
class QPlainTextEdit;
class QPushButton;
class QTableWidget;

namespace orrery::widgets {
class TokenView;
}

namespace orrery::plugins {

/// A text as tokens by several tokenizers: a line of counts for each, and the tokens of the chosen one in colour and as a table. The tokenizer of the chosen model
/// is there by itself.
class TokenizerPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit TokenizerPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~TokenizerPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    std::optional<widgets::ReportItem> reportItem() const override;

    /// Adds a tokenizer and shows it; one that is there already is chosen. The window calls it by name for a file that is opened.
    Q_INVOKABLE void addTokenizer(const QString& name);

private:
    /// What a look-up off the UI thread gives.
    struct Found {
        std::vector<OpenedTokenizer> tokenizers;
        std::vector<TokenizedText> texts;
    };

    QWidget* makeContent();
    QLayout* makeButtons(QWidget* parent);
    QWidget* makeTokens(QWidget* parent);
    void followSelection(widgets::SelectionParts parts);
    /// The names to compare: that of the chosen model first.
    QStringList names() const;
    void refresh();
    void take(Found found);
    void showCounts();
    void showTokens();
    void chooseToken(int token);
    void askFile();
    void askFolder();
    void removeChosen();
    int chosen() const;

    QStringList m_added;        ///< by hand, in order
    QString m_toldErrors;       ///< what the red line said last: once closed, the same is not told again
    bool m_isRestored = false;  ///< the list is from the last time; its errors stand in the rows alone
    QString m_ofModel;          ///< MODEL argument of the selection; empty: none
    std::vector<OpenedTokenizer> m_tokenizers;
    std::vector<TokenizedText> m_texts;
    widgets::LatestTask m_task;
    QTimer m_typing;
    QPlainTextEdit* m_text = nullptr;
    QCheckBox* m_special = nullptr;
    QPushButton* m_remove = nullptr;
    QTableWidget *m_counts = nullptr, *m_scripts = nullptr, *m_table = nullptr;
    QLabel* m_caption = nullptr;
    widgets::TokenView* m_tokens = nullptr;
};

}  // namespace orrery::plugins
