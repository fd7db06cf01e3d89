#include "camera_form.h"

#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QPushButton>
#include <QSignalBlocker>

#include "gl_view.h"

namespace orrery::viewers {
namespace {

constexpr const char* kNames[] = {"position_x", "position_y", "position_z", "target_x", "target_y", "target_z", "fov"};

QDoubleSpinBox* makeNumber(const char* name, QWidget* parent)
{
    auto* box = new QDoubleSpinBox(parent);
    box->setObjectName(name);
    box->setDecimals(4);
    box->setRange(-1e9, 1e9);
    box->setKeyboardTracking(false);
    box->setMinimumWidth(60);
    box->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
    box->setButtonSymbols(QAbstractSpinBox::NoButtons);
    return box;
}

}  // namespace

CameraForm::CameraForm(GlView& view, QWidget* parent) : QWidget(parent), m_view(view)
{
    auto* form = new QFormLayout(this);
    for (std::size_t i = 0; i < m_numbers.size(); ++i) {
        m_numbers[i] = makeNumber(kNames[i], this);
        if (i == 6)
            m_numbers[i]->setRange(1, 150);  // before it is listened to: its value changes
        connect(m_numbers[i], &QDoubleSpinBox::valueChanged, this, &CameraForm::write);
    }
    m_numbers[6]->setSuffix(QStringLiteral("°"));
    for (std::size_t row = 0; row < 2; ++row) {
        auto* line = new QHBoxLayout;
        for (std::size_t axis = 0; axis < 3; ++axis)
            line->addWidget(m_numbers[3 * row + axis]);
        form->addRow(row == 0 ? tr("Position") : tr("Target"), line);
    }
    form->addRow(tr("Field of view"), m_numbers[6]);
    m_up = new QComboBox(this);
    m_up->setObjectName("up");
    m_up->addItems({tr("z up"), tr("y up"), tr("-y up")});
    connect(m_up, &QComboBox::activated, this, [this](int index) {
        auto camera = m_view.camera();
        camera.setUpAxis(UpAxis(index));
        m_view.setCamera(camera);
    });
    form->addRow(tr("Axis"), m_up);
    auto* views = new QComboBox(this);
    views->setObjectName("views");
    views->addItems({tr("Front"), tr("Back"), tr("Left"), tr("Right"), tr("Top"), tr("Bottom"), tr("Oblique")});
    connect(views, &QComboBox::activated, this, [this](int index) { m_view.look(viewers::StandardView(index)); });
    form->addRow(tr("Look from"), views);
    auto* line = new QHBoxLayout;
    const auto button = [&](const QString& text, auto call) {
        auto* made = new QPushButton(text, this);
        connect(made, &QPushButton::clicked, this, call);
        line->addWidget(made);
    };
    button(tr("Fit"), [this] { m_view.fit(); });
    button(tr("Copy"), [this] { copy(); });
    button(tr("Paste"), [this] { paste(); });
    form->addRow(line);
    connect(&view, &GlView::cameraChanged, this, &CameraForm::read);
    read();
}

void CameraForm::read()
{
    const auto& camera = m_view.camera();
    for (std::size_t i = 0; i < m_numbers.size(); ++i) {
        const QSignalBlocker quiet(m_numbers[i]);
        m_numbers[i]->setValue(i < 3 ? camera.position()[i] : i < 6 ? camera.target()[i - 3] : camera.fov());
    }
    m_up->setCurrentIndex(int(camera.upAxis()));
}

// Only the number that was edited is taken: the others keep the digits that their fields do not show.
void CameraForm::write()
{
    auto camera = m_view.camera();
    auto position = camera.position(), target = camera.target();
    double fov = camera.fov();
    for (std::size_t i = 0; i < m_numbers.size(); ++i)
        if (sender() == m_numbers[i])
            (i < 3 ? position[i] : i < 6 ? target[i - 3] : fov) = m_numbers[i]->value();
    if (!camera.set(position, target, fov)) {
        Q_EMIT rejected(tr("The camera's position and target must differ."));
        return read();
    }
    m_view.setCamera(camera);
}

void CameraForm::copy() const
{
    QApplication::clipboard()->setText(QString::fromStdString(m_view.camera().text()));
}

bool CameraForm::paste()
{
    const auto camera = OrbitCamera::fromText(QApplication::clipboard()->text().toStdString());
    if (!camera) {
        Q_EMIT rejected(tr("The clipboard holds no camera: expected \"position X Y Z target X Y Z fov DEGREES up z\"."));
        return false;
    }
    m_view.setCamera(*camera);
    return true;
}

}  // namespace orrery::viewers
