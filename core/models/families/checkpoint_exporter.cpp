// Checkpoint folders written again.
#include <core/base/error.h>
#include <core/base/files.h>
#include <core/models/exporter.h>
#include <core/models/model_file.h>
#include <core/text/tokenizer.h>

#include "checkpoint_card.h"
#include "family.h"

namespace orrery::models {
namespace {

/// The config says how many parameters of which names and shapes there are: a graph that was changed since (a head cut off, a layer added) no longer is what it says.
void checkFits(const graph::Model& model, const core::Json& config)
{
    const auto type = config.value("model_type", "");
    const auto* family = families::findFamily(type);
    if (!family)
        throw core::InputError(fmt::format("checkpoint folder: model_type \"{}\" is not among the architectures that can be written", type));
    const graph::Model built = families::buildFamily(*family, families::Config(config, "config.json"));
    for (const auto& parameter : built.graph->data().parameters) {
        const auto* own = model.graph->findParameter(parameter.name);
        if (!own || own->shape != parameter.shape)
            throw core::InputError(fmt::format("checkpoint folder: the model's parameters are no longer those of its config.json: {} {}",
                                               parameter.name, own ? "has another shape" : "is missing"));
    }
    if (model.graph->data().parameters.size() != built.graph->data().parameters.size())
        throw core::InputError(fmt::format("checkpoint folder: the model has {} parameters, its config.json says {}",
                                           model.graph->data().parameters.size(), built.graph->data().parameters.size()));
}

void writeCheckpoint(const std::filesystem::path& folder, const graph::Model& model, const ExportOptions& options)
{
    const core::Json config = families::checkpointConfig(model.card);
    if (!config.is_object())
        throw core::InputError("checkpoint folder: the model was not opened from one, so there is no config.json to write (the formats orrery "
                               "and safetensors hold any model)");
    checkFits(model, config);
    std::filesystem::create_directories(folder);
    core::writeFileAtomically(folder / "config.json", config.dump(2) + "\n");
    if (const core::Json generation = families::generationConfig(model.card); generation.is_object())
        core::writeFileAtomically(folder / "generation_config.json", generation.dump(2) + "\n");
    if (const auto tokenizer = text::tokenizerDocument(model.card.tokenizer))
        core::writeFileAtomically(folder / "tokenizer.json", *tokenizer);
    saveWeights(folder / "model.safetensors", model.weights);
    if (options.note)
        options.note("config.json is the one that the model was opened with");
}

}  // namespace

void registerCheckpointExporter(ExporterRegistry& registry)
{
    registry.add({"checkpoint",
                  "checkpoint folder (config.json, model.safetensors, tokenizer)",
                  "A folder that Hugging Face's library opens, for models that came from such a folder.",
                  "Wolf et al. (2020), \"Transformers: State-of-the-Art Natural Language Processing\", arXiv:1910.03771",
                  {},
                  {},
                  {}},
                 {writeCheckpoint, true, ""});
}

}  // namespace orrery::models
