#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <core/store/workspace.h>

#include "generate.h"

namespace orrery::intervene {

/// What interventions did, as JSON for people and for the store:
/// {"changed": [value, ...], "shape": [...], "samples": [{"divergence", "changes": [{"class", "name", "before", "after", "logit_before", "logit_after"}]}] (of models that give probabilities "log_probability_before" and "..._after"),
///  "values": [{"name", "shape", "largest_difference", "relative_difference"}]}. Outputs without classes give "before" and "after" as numbers of each sample.
/// @param position  Of a sequence output; none: that of `answers`, which has one each sample (see train::answerPositions), else the last. The divergence is that position's.
core::Json describeResult(const InterventionResult& result, const graph::ModelCard& card, std::size_t top, std::optional<std::int64_t> position = {},
                          const std::vector<std::int64_t>& answers = {});
/// {"text", "tokens": [{"token", "text", "probability"}], "stopped"}; the text of new tokens alone.
core::Json describeGeneration(const GenerationResult& result, const graph::ModelCard& card);
/// A class's name, a token's text, or the number.
std::string outputName(const graph::ModelCard& card, std::int64_t index);
/// True if the classes of the output are the tokens of a text: models that go on writing, fill masks, or answer with a text.
bool answersAreTokens(const graph::ModelCard& card);

/// Adds the document and what it did as an analysis of a run (method "intervene"), with the artifacts "interventions", "plain" and "intervened" (arrays; only
/// where the tensors are defined). Gives its number. @throws as the workspace.
std::int64_t storeIntervention(store::Workspace& workspace, store::RunId run, const InterventionDocument& document, const core::Json& inputs,
                               const core::Json& results, const at::Tensor& plain, const at::Tensor& intervened, double seconds);

/// Documents that are kept with a run, to be shared. @throws core::InputError for an empty name or one with "/", or a document that is not there (the names that
/// are there are given); as the workspace.
void saveDocument(store::Workspace& workspace, store::RunId run, const std::string& name, const InterventionDocument& document);
InterventionDocument documentOfRun(const store::Workspace& workspace, store::RunId run, const std::string& name);
std::vector<std::string> documentsOfRun(const store::Workspace& workspace, store::RunId run);

/// The same document with arrays instead of the files it names, so that it needs no other file.
/// @throws core::InputError for an array of more than 1,000,000 numbers; what reading files throws.
InterventionDocument withArraysInside(InterventionDocument document, const std::filesystem::path& folder);

}  // namespace orrery::intervene
