#pragma once
#include <QDialog>

#include <core/debug/export_check.h>

#include "value_request.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;

namespace orrery::widgets {
class JobBar;
class SchemaForm;
class Session;
}  // namespace orrery::widgets

namespace orrery::plugins {

/// Writes the opened model in a format of `models::exporterRegistry()`, as a job, and compares what was written with the model. UI thread.
class ExportDialog : public QDialog {
    Q_OBJECT
public:
    /// @param request  The model, and the sample that shows dimensions to formats that need them; its path does not matter.
    ExportDialog(widgets::Session& session, ValueRequest request, QWidget* parent = nullptr);
    ~ExportDialog() override;
    /// What `orrery-cli` would be called with.
    QString command() const;

private:
    void makeRows();
    void chooseFormat();
    void chooseTarget();
    void updateButtons();
    void grow();
    void write();
    void say(const QString& text, bool isError);
    QString format() const;
    QString whyNot() const;

    widgets::Session& m_session;
    ValueRequest m_request;
    QComboBox* m_format;
    QLabel *m_summary, *m_result, *m_hint;
    widgets::SchemaForm* m_parameters;
    QLineEdit* m_target;
    QCheckBox* m_check;
    QPushButton *m_write = nullptr, *m_open = nullptr;
    widgets::JobBar* m_bar;
    QString m_written;  ///< what "Open" opens
};

}  // namespace orrery::plugins
