#pragma once
#include <QWidget>

#include <widgets/selection.h>

#include "explanation.h"

class QComboBox;
class QFormLayout;
class QLabel;
class QSlider;
class QSpinBox;
class QToolButton;

namespace orrery::widgets {
class Session;
class TextFields;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// What is asked: model, sample, picture or text of the user's own, target class and the position whose answer it is, and the value that is attributed to (a slider through the layers). Follows the
/// session's selection and sets it. UI thread.
class SubjectForm : public QWidget {
    Q_OBJECT
public:
    explicit SubjectForm(widgets::Session& session, QWidget* parent = nullptr);

    /// What the form means now, to be opened; without a model: nothing. It need not say yet what the model is asked.
    std::optional<ExplainSubject> wanted() const;
    bool hasModel() const;
    /// Whether the model that is open takes a text.
    bool takesText() const { return m_abilities.readsText; }
    Question question() const;
    QString image() const { return m_image; }
    /// A picture instead of the sample; empty: the sample.
    void setImage(const QString& file);
    /// A text instead of the sample; empty: the sample. @param position  Whose answer is explained; nothing: where such models answer.
    void setTexts(const std::vector<train::GivenText>& texts, std::optional<qint64> position = {});
    core::Json textState() const;
    void restoreTexts(const core::Json& state);
    /// What the model can be asked decides which fields are shown.
    void showAbilities(const OpenedSubject& opened);
    /// The value attributed to, once a subject has it; empty: the default.
    void setSite(const QString& site);
    void fillModels();
    /// The subject that was opened; null: none, `text` says why.
    void showSubject(const PreparedPtr& prepared, const QString& text = {});
    /// A row of the same form above the target, for the panel's choice of the method.
    void addRow(const QString& label, QWidget* field);

Q_SIGNALS:
    void subjectWanted();
    void questionChanged();

private:
    QLayout* makeSampleRow();
    QLayout* makeSiteRow();
    void followSelection(widgets::SelectionParts parts);
    void updateTextRow();
    void fillPositions();
    void fillTargets();
    void fillSites();
    void chooseTarget();
    void chooseSite(int index);
    void step(int change);
    void askImage();
    QString describe() const;

    widgets::Session& m_session;
    PreparedPtr m_prepared;
    QString m_image, m_site;
    std::optional<qint64> m_position;
    OpenedSubject m_abilities;
    bool m_sending = false;
    QFormLayout* m_form;
    QComboBox *m_model, *m_target, *m_positions, *m_sites = nullptr;
    widgets::TextFields* m_texts;
    QLabel *m_textLabel, *m_positionLabel;
    QSpinBox* m_sample = nullptr;
    QToolButton *m_previous = nullptr, *m_next = nullptr, *m_back = nullptr;
    QSlider* m_layer = nullptr;
    QLabel* m_subject;
};

}  // namespace orrery::plugins
