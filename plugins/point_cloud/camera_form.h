#pragma once
#include <QWidget>
#include <array>

namespace orrery::viewers {
class GlView;
}
class QComboBox;
class QDoubleSpinBox;

namespace orrery::plugins {

/// The camera of a view in numbers, to be read, edited, copied and pasted.
class CameraForm : public QWidget {
    Q_OBJECT
public:
    explicit CameraForm(viewers::GlView& view, QWidget* parent = nullptr);
    void copy() const;
    /// False if the clipboard holds no camera.
    bool paste();

Q_SIGNALS:
    void rejected(const QString& text);

private:
    void read();
    void write();

    viewers::GlView& m_view;
    std::array<QDoubleSpinBox*, 7> m_numbers{};  ///< position, target, field of view
    QComboBox* m_up = nullptr;
};

}  // namespace orrery::plugins
