#include <QComboBox>
#include <QFileInfo>

#include <core/base/files.h>
#include <core/train/document_file.h>
#include <widgets/export.h>
#include <widgets/model_source.h>
#include <widgets/session.h>

#include "interventions_panel.h"

/// Documents of the panel as files, and kept with runs.
namespace orrery::plugins {

void InterventionsPanel::openFile()
{
    const QString file = widgets::askOpenFile()(this, tr("Open interventions"), tr("Documents (*.json *.yaml *.yml)"));
    if (file.isEmpty())
        return;
    try {
        const auto document = intervene::InterventionDocument::fromJson(train::readDocument(file.toStdString()));
        showError({});
        m_folder = QFileInfo(file).absolutePath();
        m_model.edit(document.toJson(), tr("Open %1").arg(QFileInfo(file).fileName()));
    } catch (const core::Error& error) {
        showError(QString::fromUtf8(error.what()));
    }
}

void InterventionsPanel::saveFile()
{
    const QString file = widgets::askSaveFile()(this, QStringLiteral("interventions.json"), tr("Documents (*.json *.yaml *.yml)"));
    if (file.isEmpty())
        return;
    try {
        const bool isYaml = file.endsWith(QLatin1String(".yaml")) || file.endsWith(QLatin1String(".yml"));
        core::writeFileAtomically(file.toStdString(), isYaml ? train::toYaml(m_model.document()) : m_model.document().dump(2) + "\n");
        m_folder = QFileInfo(file).absolutePath();
        Q_EMIT statusMessage(tr("Saved %1").arg(file));
    } catch (const core::Error& error) {
        showError(QString::fromUtf8(error.what()));
    }
}

void InterventionsPanel::keepWithRun()
{
    const auto workspace = session().workspace();
    const auto run = widgets::runOfArgument(m_modelBox->currentData().toString());
    if (!workspace || !run)
        return;
    const QString name = askName(tr("interventions"));
    if (name.isEmpty())
        return;
    try {
        const auto document = intervene::InterventionDocument::fromJson(m_model.document());
        intervene::saveDocument(*workspace, *run, name.toStdString(), intervene::withArraysInside(document, m_folder.toStdString()));
        showError({});
        Q_EMIT statusMessage(tr("Kept as run:%1/%2").arg(*run).arg(name));
    } catch (const core::Error& error) {
        showError(QString::fromUtf8(error.what()));
    }
}

void InterventionsPanel::openKept()
{
    const auto workspace = session().workspace();
    const auto run = widgets::runOfArgument(m_modelBox->currentData().toString());
    if (!workspace || !run)
        return;
    try {
        const auto names = intervene::documentsOfRun(*workspace, *run);
        const QString name = askName(names.empty() ? QString() : QString::fromStdString(names.front()));
        if (name.isEmpty())
            return;
        m_model.edit(intervene::documentOfRun(*workspace, *run, name.toStdString()).toJson(), tr("Open %1").arg(name));
        m_folder.clear();
        showError({});
    } catch (const core::Error& error) {
        showError(QString::fromUtf8(error.what()));
    }
}

}  // namespace orrery::plugins
