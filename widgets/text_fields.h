#pragma once
#include <QStringList>
#include <QWidget>
#include <vector>

#include <core/base/json.h>
#include <core/train/text_batch.h>

class QToolButton;
class QVBoxLayout;

namespace orrery::widgets {

class LinesEdit;

/// What a model reads: a text, or two that belong together (question and passage, premise and hypothesis), once or several times as one batch. Fields that mean nothing to the model
/// are hidden and keep what was typed. A text may have several lines (source code): they can be pasted, or begun with Shift+Enter. The edits are named "text" and "pair", further ones "text2", "pair2" and so on. UI thread.
class TextFields : public QWidget {
    Q_OBJECT
public:
    enum class Several { No, Yes };
    static constexpr int kMostRows = 8;  ///< more are for the command line

    explicit TextFields(Several several, QWidget* parent = nullptr);

    /// Whether second texts mean something to the model; until told they do.
    void setPairs(bool pairs);
    /// Those whose first text is not empty; an empty second text is none.
    std::vector<train::GivenText> texts() const;
    void setTexts(const std::vector<train::GivenText>& texts);
    void setPlaceholder(const QString& text);
    LinesEdit* first() const;

    /// All that was typed, hidden or not, for a panel's state.
    core::Json toJson() const;
    void fromJson(const core::Json& json);

Q_SIGNALS:
    void edited();    ///< at each key, and when a row comes or goes
    void finished();  ///< something was changed, and then Enter was pressed or the field was left; or a row came or went

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    struct Row {
        QWidget* box;
        LinesEdit *text, *pair;
        QToolButton* button;
    };
    void addRow();
    void setRows(int count);
    void removeRow(QWidget* box);
    LinesEdit* makeEdit(const QString& name, const QString& accessible);
    void arrange();

    Several m_several;
    bool m_pairs = true, m_changed = false;
    QVBoxLayout* m_layout;
    std::vector<Row> m_rows;
};

/// `--text A --pair B --text C`: the options of the command line that mean the same.
QStringList textArguments(const std::vector<train::GivenText>& texts);
/// One line about them, cut to a few words: “god saw the light” with “it was good”, or "3 texts".
QString describeTexts(const std::vector<train::GivenText>& texts);

}  // namespace orrery::widgets
