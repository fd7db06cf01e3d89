#pragma once
#include <functional>

#include <widgets/panel.h>

#include "new_run_model.h"

class QLabel;
class QPushButton;
class QSpinBox;
class QSplitter;
class QComboBox;
class QCheckBox;
class QDoubleSpinBox;

namespace orrery::widgets {
class DocumentEditor;
class SchemaForm;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// The experiment document as a form beside the same document as text; starts the training. UI thread.
class NewRunPanel : public widgets::Panel {
    Q_OBJECT
public:
    explicit NewRunPanel(widgets::Session& session, QWidget* parent = nullptr);

    core::Json saveState() const override;
    void restoreState(const core::Json& state) override;
    QString commandLine() const override;
    bool isIdle() const override;
    NewRunModel& model() { return m_model; }

    /// Asks for a document to open; tests put their own in its place.
    std::function<QString()> askOpenFile;

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    enum class View { Both, Form, Text };
    QWidget* buildTools();
    QWidget* buildDocument();
    QWidget* buildStart();
    QWidget* makeMemoryLimit(QWidget* parent);
    QAction* makeAction(const QString& name, const QString& text, const QString& tip, std::function<void()> call);
    void showDocument();
    void showChecks();
    void showView(View view);
    void openFile(const QString& file);
    void save();
    void start();
    QList<QAction*> exampleActions();
    QString checkText() const;

    NewRunModel m_model;
    widgets::SchemaForm* m_form = nullptr;
    widgets::DocumentEditor* m_editor = nullptr;
    QSplitter* m_splitter = nullptr;
    QComboBox *m_format = nullptr, *m_view = nullptr;
    QLabel *m_place = nullptr, *m_checks = nullptr;
    QSpinBox* m_threads = nullptr;
    QCheckBox* m_inProcess = nullptr;
    QDoubleSpinBox* m_memory = nullptr;
    QPushButton* m_start = nullptr;
    QAction *m_open = nullptr, *m_save = nullptr, *m_new = nullptr, *m_copyCommand = nullptr;
    QList<QAction*> m_examples;
    bool m_modelAsText = false;
};

}  // namespace orrery::plugins
