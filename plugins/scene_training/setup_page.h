#pragma once
#include <QWidget>

#include "scene_work.h"

class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;

namespace orrery::widgets {
class SchemaForm;
}

namespace orrery::plugins {

/// What a training is started with: pictures, field, its parameters. UI thread.
class SetupPage : public QWidget {
    Q_OBJECT
public:
    explicit SetupPage(QWidget* parent = nullptr);

    /// The pictures' place as typed.
    QString path() const;
    void setPath(const QString& path);
    bool isValid() const;
    SceneSetup setup() const;
    /// Takes model, data and training of a run's document as far as the page can show them.
    void setDocument(const core::Json& document);
    core::Json saveState() const;
    void restoreState(const core::Json& state);
    /// What stands below the pictures: how many there are.
    void describe(const QString& text);
    void setStartEnabled(bool enabled, const QString& why);

Q_SIGNALS:
    /// The pictures at `path()` are to be opened.
    void openRequested();
    void browseRequested(bool folder);
    void startRequested();
    void changed();

private:
    void chooseField();
    void chooseField(const QString& id);
    void build();

    QLineEdit* m_path = nullptr;
    QLabel* m_info = nullptr;
    QComboBox* m_field = nullptr;
    widgets::SchemaForm *m_parameters = nullptr, *m_training = nullptr;
    QPushButton* m_start = nullptr;
};

}  // namespace orrery::plugins
