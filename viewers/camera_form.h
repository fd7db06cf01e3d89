#pragma once
#include <QWidget>
#include <array>

class QComboBox;
class QDoubleSpinBox;

namespace orrery::viewers {

class GlView;

/// The camera of a view in numbers, to be read, edited, copied and pasted.
class CameraForm : public QWidget {
    Q_OBJECT
public:
    explicit CameraForm(GlView& view, QWidget* parent = nullptr);
    void copy() const;
    /// False if the clipboard holds no camera.
    bool paste();

Q_SIGNALS:
    void rejected(const QString& text);

private:
    void read();
    void write();

    GlView& m_view;
    std::array<QDoubleSpinBox*, 7> m_numbers{};  ///< position, target, field of view
    QComboBox* m_up = nullptr;
};

}  // namespace orrery::viewers
