#pragma once
#include <QWidget>

#include "scene_work.h"

class QCheckBox;
class QComboBox;
class QLabel;
class QPushButton;

namespace orrery::widgets {
class SchemaForm;
}

namespace orrery::plugins {

/// What is taken away from a trained field: its surface as a mesh or points, and a fast student. UI thread.
class TakePage : public QWidget {
    Q_OBJECT
public:
    explicit TakePage(QWidget* parent = nullptr);

    scene::SurfaceOptions surface() const;
    /// Parameters of the distillation, unresolved.
    core::Json distillation() const;
    bool isDistillationValid() const;
    void setEnabledFor(bool hasField, bool isFree);
    /// What came out; the student can be shown then.
    void showOutcome(const scene::DistillOutcome& outcome);
    void forgetStudent();
    bool wantsStudent() const;

Q_SIGNALS:
    void exportRequested();
    void distillRequested();
    void studentToggled();

private:
    void buildExport();
    void buildDistillation();
    void update();

    QComboBox* m_kind = nullptr;
    widgets::SchemaForm *m_surface = nullptr, *m_distillation = nullptr;
    QPushButton *m_export = nullptr, *m_distil = nullptr;
    QLabel* m_outcome = nullptr;
    QCheckBox* m_student = nullptr;
    bool m_hasField = false, m_isFree = true;
};

}  // namespace orrery::plugins
