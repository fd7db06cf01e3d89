#pragma once
#include <filesystem>
#include <set>
#include <string>

#include <core/base/files.h>
#include <core/graph/executor.h>
#include <core/models/checkpoint_folder.h>
#include <core/models/families/checkpoint_card.h>
#include <core/models/families/family.h>
#include <core/models/model_file.h>
#include <core/models/open_model.h>

#include "scattered_weights.h"

/// Tiny checkpoints with what the real library computes from them (tests/data/hf, written by make_hf.py with transformers 5.17 and torch 2.11).
namespace orrery::tests {

struct CheckpointCase {
    graph::Model model;
    graph::Weights expected;  ///< inputs and outputs under the library's names
};

inline std::filesystem::path checkpointRoot()
{
    return std::filesystem::path(ORRERY_TEST_DATA) / "hf";
}

/// Opens a case; weights that are not in the folder are drawn as its maker drew them.
/// @param optional  Whether the optional inputs that its expectations hold are kept.
enum class OptionalInputs { Keep, LeaveOut };
inline CheckpointCase openCase(const std::filesystem::path& folder, OptionalInputs optional = OptionalInputs::Keep)
{
    CheckpointCase made;
    made.expected = models::loadTensors(folder / "expect.safetensors");
    models::OpenOptions options;
    for (const char* input : {"attention_mask", "token_type_ids"})
        if (optional == OptionalInputs::Keep && made.expected.find(input))
            options.keepInputs.insert(input);
    if (std::filesystem::exists(folder / "model.safetensors") || std::filesystem::exists(folder / "model.safetensors.index.json")) {
        made.model = models::openModel(folder.string(), options);
        return made;
    }
    const models::families::Config config(models::readCheckpointFolder(folder).config, (folder / "config.json").string());
    made.model = models::families::buildFamily(*models::families::findFamily(config.text("model_type", "")), config, options.keepInputs);
    models::families::completeCard(made.model, folder, config, {});
    made.model.weights = scatteredWeights(*made.model.graph);
    return made;
}

/// The case's inputs by name.
inline std::map<std::string, c10::IValue> inputsOf(const CheckpointCase& made)
{
    std::map<std::string, c10::IValue> inputs;
    for (const auto& input : made.model.graph->data().inputs)
        inputs[input.name] = made.expected.at(input.name);
    return inputs;
}

inline double largestDifference(const at::Tensor& a, const at::Tensor& b)
{
    return a.sizes() == b.sizes() ? (a - b).abs().max().item<double>() : std::numeric_limits<double>::infinity();
}

}  // namespace orrery::tests
