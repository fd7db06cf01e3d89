#pragma once
#include <QString>
#include <memory>
#include <vector>

#include <core/intervene/beam_search.h>
#include <widgets/panel.h>
#include <widgets/selection.h>

class QDoubleSpinBox;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;
class QTableWidget;

namespace orrery::widgets {
class JobBar;
}

namespace orrery::plugins {

class BeamTreeView;

/// Beam search from a text: hypotheses as a table, kept prefixes as a tree. The model follows the selection.
class BeamSearchPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit BeamSearchPanel(widgets::Session& session, QWidget* parent = nullptr);
    ~BeamSearchPanel() override;

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    QString shownCommand() const override { return m_shownCommand; }
    std::optional<widgets::ReportItem> reportItem() const override;

private:
    /// A finished search with the texts of its tokens, made off the UI thread.
    struct Found {
        intervene::BeamResult result;
        std::vector<std::vector<QString>> nodes;
        std::vector<QString> texts;
    };

    QWidget* makeContent();
    QLayout* makeForm();
    void followSelection(widgets::SelectionParts parts);
    void search();
    void takeFound(const Found& found, const QString& command);
    void updateButtons();
    void savePicture();
    intervene::BeamOptions options() const;

    QString m_model;
    QLineEdit* m_text = nullptr;
    QSpinBox *m_beams = nullptr, *m_longest = nullptr;
    QDoubleSpinBox* m_penalty = nullptr;
    QPushButton* m_search = nullptr;
    QLabel* m_subject = nullptr;
    QTableWidget* m_table = nullptr;
    QString m_shownCommand;
    BeamTreeView* m_tree = nullptr;
    widgets::JobBar* m_bar = nullptr;
};

}  // namespace orrery::plugins
