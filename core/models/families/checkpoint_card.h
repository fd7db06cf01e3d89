#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include <core/graph/model.h>

#include "config.h"

/// What a checkpoint folder says beside its weights, as a model card.
namespace orrery::models::families {

/// Completes the card that a family's builder made:
/// - class names from `id2label`;
/// - the tokenizer, if the folder has one (see text::folderTokenizerCard);
/// - for tokens `preprocessing` = {"begin": 1, "end": [2], "padding": 0, "mask": 103, "decoder_begin": 0}, what is known of it (`generation_config.json` before `config.json`);
/// - for pictures `preprocessing` = {"mean", "std", "range"} and the size out of `preprocessor_config.json`;
/// - `preprocessing` of the first input keeps `config.json` under "checkpoint_config", for the exporter.
/// @param note  Gets one sentence about everything that cannot be kept; may be null.
/// @throws core::FormatError naming file and key.
void completeCard(graph::Model& model, const std::filesystem::path& folder, const Config& config,
                  const std::function<void(const std::string&)>& note);

/// Keeps a `config.json` in a card whose first input is there already.
void keepCheckpointConfig(graph::ModelCard& card, const core::Json& config);
/// The `config.json` that a model was opened with, or null.
core::Json checkpointConfig(const graph::ModelCard& card);
/// Its `generation_config.json`, or null: kept in the same place under "generation_config".
core::Json generationConfig(const graph::ModelCard& card);

}  // namespace orrery::models::families
