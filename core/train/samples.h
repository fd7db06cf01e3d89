#pragma once
#include <optional>
#include <span>
#include <vector>

#include <core/data/dataset.h>
#include <core/graph/model.h>
#include <core/store/workspace.h>

namespace orrery::train {

/// Samples as people name them: a data set, a part of it, and numbers within that part, counted from 0. Any thread.

/// The data of a stored run as its document says; paths in it are relative to the folder the run was started from.
/// @throws core::InputError if there is no such run; what `data::openData` throws.
data::DataSetPtr dataOfRun(const store::Workspace& workspace, store::RunId run);

/// Numbers within a part as numbers within the set. @throws core::InputError: `sample 400: expected a number from 0 to 359 (test part of digits)`.
std::vector<std::int64_t> samplesOfPart(const data::DataSet& data, data::Split part, std::span<const std::int64_t> numbers);

/// @throws core::InputError if both name a vocabulary and these differ: numbers of one are not tokens of the other.
void checkVocabulary(const graph::ModelCard& card, const data::DataSet& data);

/// One value an input of the model, the samples along the first axis, in the dtype and on the device of the weights.
/// @param indices  Numbers within the set.
/// @throws core::InputError if the model takes another number of inputs than the data gives, or shorter sequences; what `checkVocabulary` throws.
std::vector<c10::IValue> sampleInputs(const graph::Model& model, const data::DataSet& data, std::span<const std::int64_t> indices);

/// What a model answered for samples: class or number, and the probability of that class (NaN for numbers).
struct Predictions {
    data::Split part = data::Split::Test;
    std::vector<std::int64_t> samples;  ///< numbers within the set
    std::vector<double> targets, predicted, confidence;
};
/// Those stored with a run (artifact `kPredictions`); nothing if it has none yet. @throws core::FormatError if the artifact is broken.
std::optional<Predictions> predictionsOfRun(const store::Workspace& workspace, store::RunId run);

/// True if both documents describe the same samples in the same parts: equal once defaults are filled in, augmentations apart.
bool isSameData(const core::Json& a, const core::Json& b);

}  // namespace orrery::train
