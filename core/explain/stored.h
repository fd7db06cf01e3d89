#pragma once
#include <optional>
#include <string>

#include <core/data/dataset.h>
#include <core/graph/model.h>
#include <core/store/workspace.h>
#include <core/train/text_batch.h>

#include "attribution.h"
#include "metrics/metric.h"

namespace orrery::explain {

/// What an attribution was made of, for the store and for people.
struct AttributionOrigin {
    std::string model;                     ///< MODEL argument
    core::Json data;                       ///< data document; null: the input did not come from a data set
    std::string split;                     ///< "train", "val", "test"; empty without data
    std::optional<std::int64_t> sample;    ///< number within the split
    std::string input;                     ///< file the input came from, if it did
    std::vector<train::GivenText> texts;   ///< the text that it was, if it was one
    std::optional<std::int64_t> position;  ///< where a sequence was explained, if somebody said so
    std::vector<std::string> features;     ///< names along the last axis of a table, or the tokens of a text
    std::string targetName;
    std::string at;  ///< the value that was asked for; empty: the default
};

/// True for methods that give features a value each, which is repeated at every element that the feature covers (details: "sum_over_features").
bool repeatsFeatures(const core::Json& details);
/// Each sample's sum of attributions: over features, however many elements each of them covers; else over elements.
std::vector<double> attributionSums(const AttributionResult& result);
/// What several channels, or the numbers of a token's vector, have together along an axis: their sum; of a repeated value that value.
at::Tensor together(const at::Tensor& attribution, std::int64_t axis, const core::Json& details);

/// One number a picture element, feature or position: of a token model's attribution [.., position, width] what the width has together (the tokens' share of
/// the output), everything else stays as it is. The batch axis of one sample is dropped. Float, CPU.
at::Tensor forDisplay(const AttributionResult& result, const graph::ModelCard& card, std::int64_t row = 0);
/// What was attributed to, in the same way (embeddings: undefined).
at::Tensor inputForDisplay(const AttributionResult& result, const graph::ModelCard& card, std::int64_t row = 0);

/// Names of what one row of an attribution holds: the card's features, or the tokens of a text; empty for pictures.
std::vector<std::string> attributedNames(const graph::ModelCard& card, const at::Tensor& input, std::int64_t row = 0);

/// Adds one sample's attribution as an analysis of a run, with the artifacts "attribution" and "input" that reports look for. Gives its number.
/// @throws core::StorageError, core::InputError as the workspace. Any thread.
std::int64_t storeAttribution(store::Workspace& workspace, store::RunId run, const std::string& method, const core::Json& parameters,
                              const AttributionOrigin& origin, const AttributionResult& result, const graph::ModelCard& card, double seconds,
                              std::int64_t row = 0);

/// Keeps metrics of a stored attribution of one sample with it: artifact "metrics", {ID: as `toJson` gives}. Metrics of other ids that are there stay; a
/// damaged artifact is replaced.
/// @param metrics  Of that sample alone. @throws as the workspace. Any thread.
void storeMetrics(store::Workspace& workspace, std::int64_t analysis, const std::vector<MeasuredMetric>& metrics);

/// A stored attribution, read again.
struct StoredAttribution {
    store::Analysis analysis;
    at::Tensor attribution;  ///< as `forDisplay` gave it
    core::Json metrics;      ///< {ID: {...}}; empty object: none
};
/// @throws core::InputError for an analysis that is no attribution, core::FormatError or core::StorageError for damaged files.
StoredAttribution readAttribution(const store::Workspace& workspace, std::int64_t analysis);

}  // namespace orrery::explain
