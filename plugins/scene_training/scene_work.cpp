#include "scene_work.h"

#include <core/train/runs.h>
#include <core/zoo/zoo.h>
#include <widgets/model_source.h>
#include <widgets/training.h>

namespace orrery::plugins {
namespace {

/// The card that the training's model will have.
graph::ModelCard cardOf(const core::Json& document, const data::PosedPictures& pictures, const std::shared_ptr<store::Workspace>& workspace)
{
    const core::Json& model = document.at("model");
    graph::ModelCard card;
    if (model.is_object()) {
        core::Json parameters = model;
        parameters.erase("id");
        card = zoo::buildGraph(model.at("id").get<std::string>(), parameters).card;
    } else {
        card = widgets::openModelArgument(QString::fromStdString(model.get<std::string>()), workspace).card;
    }
    const auto& box = pictures.box;
    const double size = box[3] - box[0];
    if (!card.inputs.empty())
        card.inputs[0].preprocessing = {{"mean", {0.5 * (box[0] + box[3]), 0.5 * (box[1] + box[4]), 0.5 * (box[2] + box[5]), 0, 0, 0}},
                                        {"std", {size, size, size, size, size, size}}};
    return card;
}

OpenRun describe(const std::shared_ptr<store::Workspace>& workspace, const store::RunRecord& record, OpenScene scene)
{
    OpenRun out;
    out.run = record.id;
    out.name = QString::fromStdString(record.name);
    out.status = record.status;
    out.document = record.document;
    out.scene = std::move(scene);
    out.card = std::make_shared<const graph::ModelCard>(cardOf(record.document, *out.scene.pictures, workspace));
    return out;
}

}  // namespace

OpenScene openScene(const core::Json& data, const QString& folder)
{
    return {data, folder, scene::picturesOf(data, folder.toStdString())};
}

std::optional<OpenRun> openRun(const std::shared_ptr<store::Workspace>& workspace, qint64 run)
{
    const auto record = workspace->run(run);
    const core::Json data = scene::raysOfRun(record);
    if (data.is_null())
        return std::nullopt;
    OpenRun out = describe(workspace, record, openScene(data, QString::fromStdString(record.environment.value("folder", std::string()))));
    const bool isDone = record.status == store::RunStatus::Finished;
    if (isDone || train::lastCheckpoint(*workspace, run))
        out.field = std::make_shared<const scene::FieldView>(train::modelOfRun(*workspace, run));
    return out;
}

PreparedRun prepareRun(const std::shared_ptr<store::Workspace>& workspace, const core::Json& document, const QString& folder)
{
    const auto experiment = train::resolveExperiment(document, folder.toStdString());
    OpenScene scene = openScene(experiment.document.at("data"), folder);
    const auto run = train::createRun(*workspace, experiment);
    return {widgets::trainingJob(workspace, run), describe(workspace, workspace->run(run), std::move(scene))};
}

jobs::JobSpec resumeJob(const std::shared_ptr<store::Workspace>& workspace, qint64 run)
{
    return widgets::trainingJob(workspace, run);
}

std::shared_ptr<const scene::FieldView> fieldOf(const train::Snapshot& snapshot, const graph::ModelCard& card)
{
    graph::Model model;
    model.graph = snapshot.graph;
    model.weights = snapshot.weights;
    model.card = card;
    return std::make_shared<const scene::FieldView>(model);
}

core::Schema trainingSchema()
{
    return {core::integer("steps", 1500, "Steps of the training.").range(1, 10'000'000),
            core::integer("batch_size", 4096, "Rays a step.").range(1, 1 << 22),
            core::real("lr", 0.01, "Learning rate of Adam; it falls to a twentieth by a cosine.").above(0).log(),
            core::integer("evaluate_every", 250, "Steps between two measurements of the validation views, and between two checkpoints.").atLeast(1),
            core::integer("shrink", 1, "Pictures are made smaller by this factor.").range(1, 64),
            core::integer("seed", 0, "Seed of weights and order.").atLeast(0)};
}

core::Json experimentOf(const SceneSetup& setup)
{
    // What is wrong in the form is left out of it; the default stands for it then.
    const core::Schema schema = trainingSchema();
    const auto chosen = [&](const char* key) { return setup.training.contains(key) ? setup.training.at(key) : schema.find(key)->defaultValue; };
    core::Json model = setup.fieldSettings.is_object() ? setup.fieldSettings : core::Json::object();
    model["id"] = setup.field;
    core::Json data{{"id", "rays"}, {"path", setup.path}};
    if (chosen("shrink") != 1)
        data["shrink"] = chosen("shrink");
    const core::Json every = chosen("evaluate_every");
    return {{"name", setup.field},
            {"seed", chosen("seed")},
            {"model", std::move(model)},
            {"data", std::move(data)},
            {"train",
             {{"steps", chosen("steps")},
              {"batch_size", chosen("batch_size")},
              {"eval_batch_size", 4096},
              {"loss", "photometric"},
              {"metrics", {"loss", "psnr"}},
              {"optimizer", {{"id", "adam"}, {"lr", chosen("lr")}, {"betas", {0.9, 0.99}}, {"eps", 1e-15}}},
              {"schedule", {{"id", "cosine"}, {"final_factor", 0.05}}},
              {"evaluate_every", every},
              {"evaluate_samples", 16384},
              {"checkpoint", {{"every", every}, {"best", "val/psnr"}}}}}};
}

std::vector<std::string> fieldIds()
{
    std::vector<std::string> out;
    for (const auto& component : zoo::zooRegistry().components())
        if (!component.inputs.empty() && component.inputs[0].name == "rays")
            out.push_back(component.id);
    return out;
}

}  // namespace orrery::plugins
