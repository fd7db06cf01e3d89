#pragma once
#include <QString>
#include <memory>
#include <optional>
#include <utility>

#include <core/data/posed_pictures.h>
#include <core/jobs/job.h>
#include <core/scene/cloud/cloud.h>
#include <core/scene/distill/stored.h>
#include <core/scene/field/surface.h>
#include <core/store/workspace.h>
#include <core/train/trainer.h>

/// What the panel lets others compute: plain functions for background work. Any thread.
namespace orrery::plugins {

/// Pictures that a field can be trained on.
struct OpenScene {
    core::Json data;  ///< the `rays` document
    QString folder;   ///< what its paths are relative to
    std::shared_ptr<const data::PosedPictures> pictures;
};
/// @throws core::InputError, core::FormatError, core::StorageError.
OpenScene openScene(const core::Json& data, const QString& folder);

/// A run on posed pictures as the panel holds it.
struct OpenRun {
    qint64 run = 0;
    QString name;
    store::RunStatus status = store::RunStatus::Queued;
    core::Json document;
    OpenScene scene;
    std::shared_ptr<const graph::ModelCard> card;   ///< with the place of the scene
    std::shared_ptr<const scene::FieldView> field;  ///< its last weights; null while it has none
};
/// Nothing if the run was trained on other data. @throws what reading throws; a damaged checkpoint is skipped, as resuming does.
std::optional<OpenRun> openRun(const std::shared_ptr<store::Workspace>& workspace, qint64 run);

/// A new run, ready to be submitted.
struct PreparedRun {
    jobs::JobSpec job;
    OpenRun run;
};
/// @throws core::DocumentError, core::InputError, core::FormatError, core::StorageError.
PreparedRun prepareRun(const std::shared_ptr<store::Workspace>& workspace, const core::Json& document, const QString& folder);

/// The training of a run that was stopped, from its last checkpoint.
jobs::JobSpec resumeJob(const std::shared_ptr<store::Workspace>& workspace, qint64 run);

/// A snapshot of a training as a field to be drawn.
std::shared_ptr<const scene::FieldView> fieldOf(const train::Snapshot& snapshot, const graph::ModelCard& card);

/// What the setup page says of a training, as an experiment document.
struct SceneSetup {
    std::string path, field;   ///< of the pictures; id of the architecture
    core::Json fieldSettings;  ///< its parameters, unresolved
    core::Json training;       ///< resolved by trainingSchema()
};
core::Schema trainingSchema();
core::Json experimentOf(const SceneSetup& setup);
/// Architectures that take rays, in the registry's order.
std::vector<std::string> fieldIds();

}  // namespace orrery::plugins
