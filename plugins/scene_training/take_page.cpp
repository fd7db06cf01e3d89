#include "take_page.h"

#include <QCheckBox>
#include <QComboBox>
#include <QGroupBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QVBoxLayout>

#include <widgets/schema_form.h>

namespace orrery::plugins {
namespace {

core::Schema surfaceSchema()
{
    return {core::integer("resolution", 128, "Places an edge of the scene's cube.").range(2, 512),
            core::real("density", 50, "Density at the surface, per edge of the cube.").above(0).log()};
}

}  // namespace

TakePage::TakePage(QWidget* parent) : QWidget(parent)
{
    new QHBoxLayout(this);
    buildExport();
    buildDistillation();
    for (auto* form : {m_surface, m_distillation})
        connect(form, &widgets::SchemaForm::issuesChanged, this, &TakePage::update);
    update();
}

void TakePage::buildExport()
{
    auto* group = new QGroupBox(tr("Surface"), this);
    auto* layout = new QVBoxLayout(group);
    m_kind = new QComboBox(group);
    m_kind->setObjectName("kind");
    m_kind->setAccessibleName(tr("What is written"));
    m_kind->addItems({tr("Mesh (marching cubes)"), tr("Points of the surface")});
    m_kind->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    layout->addWidget(m_kind);
    m_export = new QPushButton(tr("Write the surface…"), group);
    m_export->setObjectName("export");
    connect(m_export, &QPushButton::clicked, this, &TakePage::exportRequested);
    layout->addWidget(m_export, 0, Qt::AlignLeft);
    m_surface = new widgets::SchemaForm(group);
    m_surface->setObjectName("surface");
    m_surface->setSchema(surfaceSchema());
    layout->addWidget(m_surface, 1);
    this->layout()->addWidget(group);
}

void TakePage::buildDistillation()
{
    auto* group = new QGroupBox(tr("Distillation (KiloNeRF)"), this);
    auto* layout = new QVBoxLayout(group);
    m_distil = new QPushButton(tr("Distil…"), group);
    m_distil->setObjectName("distil");
    m_distil->setToolTip(tr("The field is learned once more by a grid of tiny networks, which are drawn faster"));
    connect(m_distil, &QPushButton::clicked, this, &TakePage::distillRequested);
    auto* line = new QHBoxLayout;
    line->addWidget(m_distil);
    m_outcome = new QLabel(group);
    m_outcome->setObjectName("outcome");
    m_outcome->setWordWrap(true);
    m_outcome->setTextInteractionFlags(Qt::TextSelectableByMouse);
    layout->addWidget(m_outcome);
    m_student = new QCheckBox(tr("Show the student"), group);
    m_student->setObjectName("student");
    connect(m_student, &QCheckBox::toggled, this, &TakePage::studentToggled);
    line->addWidget(m_student);
    line->addStretch(1);
    layout->insertLayout(0, line);
    m_distillation = new widgets::SchemaForm(group);
    m_distillation->setObjectName("distillation");
    m_distillation->setSchema(scene::distillers().at("kilo_nerf_distillation").schema);
    layout->addWidget(m_distillation, 1);
    this->layout()->addWidget(group);
    forgetStudent();
}

scene::SurfaceOptions TakePage::surface() const
{
    const core::Json resolved = m_surface->resolved();
    return {resolved.value("resolution", 128), resolved.value("density", 50.0), m_kind->currentIndex() == 0};
}

core::Json TakePage::distillation() const
{
    return m_distillation->document();
}

bool TakePage::isDistillationValid() const
{
    return m_distillation->isValid();
}

void TakePage::setEnabledFor(bool hasField, bool isFree)
{
    m_hasField = hasField;
    m_isFree = isFree;
    update();
}

void TakePage::update()
{
    m_export->setEnabled(m_hasField && m_isFree && m_surface->isValid());
    m_distil->setEnabled(m_hasField && m_isFree && m_distillation->isValid());
}

void TakePage::showOutcome(const scene::DistillOutcome& outcome)
{
    const auto& c = outcome.comparison;
    QString text = tr("Against its teacher: %1 dB (%2 views of %3 × %4). A picture takes %5 ms, the teacher's %6 ms: %7 times as fast.")
                       .arg(c.psnr, 0, 'f', 2)
                       .arg(c.views)
                       .arg(c.width)
                       .arg(c.height)
                       .arg(1e3 * c.studentSeconds, 0, 'f', 1)
                       .arg(1e3 * c.teacherSeconds, 0, 'f', 1)
                       .arg(c.ratio(), 0, 'f', 2);
    if (c.studentTruth)
        text += QLatin1Char(' ') +
                tr("Against the held-out pictures: %1 dB, the teacher %2 dB.").arg(*c.studentTruth, 0, 'f', 2).arg(*c.teacherTruth, 0, 'f', 2);
    m_outcome->setText(text);
    m_outcome->show();
    m_student->show();
}

void TakePage::forgetStudent()
{
    m_student->setChecked(false);
    m_student->hide();
    m_outcome->hide();
}

bool TakePage::wantsStudent() const
{
    return m_student->isChecked();
}

}  // namespace orrery::plugins
