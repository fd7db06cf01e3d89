// Checkpoint folders whose architecture is known.
#include <numeric>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/models/checkpoint_folder.h>
#include <core/models/importer.h>

#include "checkpoint_card.h"
#include "checkpoint_names.h"

namespace orrery::models {
namespace {

using families::Config;
using families::Family;

/// More than this is not drawn at random: who opens a config of that size wants the weights.
constexpr double kMaxRandomBytes = 6.0 * (1 << 30);

bool isKnownCheckpoint(const ModelSource& source)
{
    if (source.folder.empty() || !families::findFamily(checkpointModelType(source.folder)))
        return false;
    try {
        const Config config(readCheckpointFolder(source.folder).config, source.name());
        families::headOf(*families::findFamily(checkpointModelType(source.folder)), config);
        return true;
    } catch (const core::Error&) {
        return false;  // the weights can still be looked at
    }
}

graph::Weights randomWeights(const graph::Graph& graph, const std::string& name, const OpenOptions& options)
{
    double bytes = 0;
    for (const auto& parameter : graph.data().parameters)
        bytes += std::accumulate(parameter.shape.begin(), parameter.shape.end(), 4.0, std::multiplies<double>());
    if (bytes > kMaxRandomBytes)
        throw core::InputError(fmt::format("{}: expected weights beside config.json, found none (random ones would take {})", name,
                                           bytes < 1e18 ? core::formatBytes(std::uint64_t(bytes)) : "more than any machine has"));
    if (options.note)
        options.note(fmt::format("{}: no weights beside config.json: they are random, drawn with seed {}", name, options.seed));
    return graph::initialize(graph, options.seed);
}

graph::Model openCheckpoint(const ModelSource& source, const OpenOptions& options)
{
    if (!options.architecture.empty())
        return importerRegistry().factory("state_dict").open(source, options);
    const CheckpointFolder folder = readCheckpointFolder(source.folder);
    const Config config(folder.config, (source.folder / "config.json").string());
    const Family& family = *families::findFamily(folder.modelType());
    graph::Model model = families::buildFamily(family, config, options.keepInputs);
    families::completeCard(model, source.folder, config, options.note);
    if (folder.weightFiles.empty()) {
        model.weights = randomWeights(*model.graph, folder.name(), options);
        return model;
    }
    WeightFile file = readFolderWeights(folder);
    std::vector<std::string> notes = std::move(file.notes);
    model.weights = families::weightsFor(*model.graph, file.tensors, family, folder.name(), notes);
    model.graph = families::withDtypesOf(model.graph, model.weights);
    if (options.note)
        for (const auto& text : notes)
            options.note(text);
    return model;
}

}  // namespace

void registerCheckpointImporter(ImporterRegistry& registry)
{
    registry.add({"checkpoint",
                  "checkpoint folder (config.json and weights)",
                  "A folder as Hugging Face's library writes it, for the architectures " + core::join(families::knownModelTypes(), ", ") + ".",
                  "Wolf et al. (2020), \"Transformers: State-of-the-Art Natural Language Processing\", arXiv:1910.03771",
                  {},
                  {},
                  {}},
                 {isKnownCheckpoint, openCheckpoint});
}

}  // namespace orrery::models
