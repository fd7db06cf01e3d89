#include "splat_runs.h"

#include <fmt/format.h>

#include <core/base/error.h>
#include <core/scene/splat/splat_model.h>
#include <core/scene/splat/splat_ply.h>

#include "runs.h"
#include "splat_learner.h"

namespace orrery::train {
namespace {

std::string modelNameOf(const core::Json& document)
{
    const auto model = document.find("model");
    if (model == document.end())
        return "something else";
    return model->is_object() ? model->value("id", std::string("something else")) : model->is_string() ? model->get<std::string>() : "something else";
}

bool documentTrainsSplats(const core::Json& document)
{
    return document.is_object() && document.contains("train") && trainsSplats(document);
}

}  // namespace

std::optional<StoredSplats> splatsOfRun(const store::Workspace& workspace, store::RunId run)
{
    const auto record = workspace.run(run);
    if (!documentTrainsSplats(record.document))
        throw core::InputError(fmt::format("run {} trains {}: expected a run that trains Gaussians", run, modelNameOf(record.document)));
    if (const auto final = workspace.findArtifact(run, kFinalSplats))
        return StoredSplats{scene::parseSplatPly(workspace.readArtifact(*final), fmt::format("run {}, {}", run, kFinalSplats)).splats,
                            final->step.value_or(0), true};
    if (const auto checkpoint = lastCheckpoint(workspace, run))
        return StoredSplats{scene::splatsOf(checkpoint->weights), checkpoint->step, false};
    return std::nullopt;
}

bool isSplatRun(const store::Workspace& workspace, store::RunId run)
{
    try {
        return documentTrainsSplats(workspace.run(run).document);
    } catch (const core::Error&) {
        return false;
    }
}

}  // namespace orrery::train
