#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <core/base/schema.h>
#include <core/data/dataset.h>
#include <core/data/loader.h>
#include <core/graph/model.h>

namespace orrery::train {

/// The experiment document: `name, seed, model, data, train {...}, analyses, tags, notes, data_hash`. The one definition behind form, file, sweep and report.
/// `model` is a component of family "model" in the schema; a document may also give any MODEL text (`zoo:NAME?...`, a file, `run:ID`).
const core::Schema& experimentSchema();

/// A document ready to run, and what was opened to make it so.
struct Experiment {
    core::Json document;  ///< fully resolved: resolving it again changes nothing
    data::DataSetPtr data;
    std::filesystem::path folder;  ///< what paths in it are relative to
};

/// Fills in defaults, opens the data and takes from it what the document leaves open (absent, null or "auto"): image size, channels, features, classes,
/// vocabulary, block length, loss, metrics. Then checks that the model takes the data, the loss takes the model's output and the targets, and each metric too.
/// @throws core::DocumentError with every issue found and its place: unknown keys (with the nearest), wrong types and ranges, sizes that contradict the data,
///         parts that do not fit together, a `data_hash` that is not the data's; what `data::openData` throws.
Experiment resolveExperiment(const core::Json& document, const std::filesystem::path& folder = {});

/// Only the issues that can be seen without opening anything: for a form while it is typed in. Any thread.
std::vector<core::Issue> quickCheck(const core::Json& document);

/// Reads a JSON or YAML file and resolves it relative to its folder. @throws core::FormatError, core::StorageError as well.
Experiment readExperiment(const std::filesystem::path& file, const std::vector<std::string>& assignments = {});

/// 32 hexadecimal digits over the resolved document without name, tags, notes and settings of `train` that are null: what decides the result.
std::string experimentHash(const core::Json& resolved);

/// The model that the document starts from: fresh weights from its seed for an architecture, else the weights of the file (relative to the document) or run.
/// `openModel` opens MODEL texts that are no architecture; without it models::openModel does, which knows no runs.
graph::Model buildExperimentModel(const Experiment& experiment, const std::function<graph::Model(const std::string&)>& openModel = {});

/// How the training part is cut into batches, by a resolved document's `train`; seed and order are the caller's.
data::LoaderOptions trainingLoader(const core::Json& train);

/// The number of optimizer steps of the whole training, and in one epoch.
struct TrainLength {
    std::int64_t steps = 0, perEpoch = 0;
};
TrainLength trainLength(const core::Json& resolved, const data::DataSet& data);

}  // namespace orrery::train
