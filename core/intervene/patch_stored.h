#pragma once
#include <string>
#include <vector>

#include <core/store/workspace.h>

#include "patching.h"

namespace orrery::intervene {

/// What a sweep was made of, for the store and for people.
struct PatchOrigin {
    std::string model;            ///< MODEL argument
    core::Json clean, corrupted;  ///< as they were given: {"text": ...}, {"sample": 3, "split": "test", "data": ...}, {"input": file}
};

/// Name of a class of the output: from the card's class names, its tokenizer, or the number.
std::string answerName(const graph::ModelCard& card, std::int64_t index);
/// Number of a class given as number, class name or one token. @throws core::InputError with the nearest class name.
std::int64_t answerNumber(const graph::ModelCard& card, const std::string& text);

/// One label a column of a map: the token at the position, "a → b" where clean and corrupted differ; else the index.
std::vector<std::string> columnLabels(const graph::ModelCard& card, const PatchRequest& request, const PatchMap& map);
/// Positions at which two token inputs of the same shape differ; empty for other inputs.
std::vector<std::int64_t> differingPositions(const PatchRequest& request);

/// Adds a sweep as an analysis of a run (method "patching"); each map is an artifact "patching_N", [site, head, column] double, N its number in `results.maps`.
/// @throws core::StorageError, core::InputError as the workspace. Any thread.
std::int64_t storePatching(store::Workspace& workspace, store::RunId run, const PatchOrigin& origin, const PatchResult& result);

}  // namespace orrery::intervene
