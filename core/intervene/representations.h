#pragma once
#include <functional>
#include <string>
#include <vector>

#include <core/store/workspace.h>

#include "linear_probe.h"
#include "projection.h"
#include "similarity.h"

/// Whole studies of representations, as the command line and the panel run them.
namespace orrery::intervene {

/// Probes over the values of a model: fitted on one part of the data, measured on another.
struct ProbeStudy {
    std::vector<std::string> places;
    Pooling pooling;
    Label label = Label::Target;
    data::Split train = data::Split::Train, test = data::Split::Test;
    std::int64_t limit = 1000;  ///< at most so many rows of each part; 0: all
    core::Json parameters = core::Json::object();
    std::uint64_t seed = 0;
};
/// @throws as `collectActivations` and `probeValues`; core::InputError if both parts are the same.
std::vector<ProbeResult> probeModel(const graph::Model& model, const graph::Executor& executor, const data::DataSet& data, const ProbeStudy& study,
                                    const Control& control = {}, const std::function<void(const ProbeResult&)>& ready = {});

/// The values that say most about a model's layers: a transformer's residual stream after each block; else what its convolutions and linear layers give;
/// else all of them.
std::vector<std::string> layerPlaces(const graph::Model& model);

/// One side of a comparison.
struct ComparedModel {
    const graph::Model* model = nullptr;
    const graph::Executor* executor = nullptr;
    std::vector<std::string> places;  ///< empty: `layerPlaces`
};
struct ComparisonStudy {
    Pooling pooling;
    data::Split part = data::Split::Test;
    std::int64_t limit = 1000;
    std::uint64_t seed = 0;
    std::string metric = "cka";
    core::Json parameters = core::Json::object();
};
/// A matrix with names.
struct Comparison {
    std::vector<std::string> rows, columns;
    at::Tensor matrix;          ///< [row, column] double; NaN: no similarity is defined (a value that does not vary), or not yet known
    std::int64_t samples = 0;   ///< rows of the representations
    core::Json toJson() const;  ///< {"rows", "columns", "matrix", "samples"}
};
/// Called as rows of the matrix are ready.
using ComparisonReady = std::function<void(const Comparison&)>;

/// Values of `a` (rows) against values of `b` (columns; the same model: against each other) on the same samples.
/// @throws core::InputError if the two do not give the same rows (another number of positions).
Comparison compareModels(const ComparedModel& a, const ComparedModel& b, const data::DataSet& data, const ComparisonStudy& study,
                         const Control& control = {}, const ComparisonReady& ready = {});

/// A run's checkpoints. One value: every checkpoint against every other, the final weights last. Several values (rows): each checkpoint (columns) against the
/// final weights at the same value.
/// @throws core::InputError for a run without checkpoints.
Comparison compareCheckpoints(const store::Workspace& workspace, store::RunId run, const std::vector<std::string>& places, const data::DataSet& data,
                              const ComparisonStudy& study, const Control& control = {}, const ComparisonReady& ready = {});

/// What a study looked at, for the store and for people.
struct StudyOrigin {
    std::string model;  ///< MODEL argument
    core::Json data;    ///< data document
    std::string split;
    double seconds = 0;
};
/// Adds a study as an analysis of a run: method "probe" (artifact "probes"), "compare_representations" (artifact "similarity") or "projection" (artifact
/// "points"). Gives its number. @throws core::StorageError, core::InputError as the workspace.
std::int64_t storeProbes(store::Workspace& workspace, store::RunId run, const StudyOrigin& origin, const ProbeStudy& study,
                         const std::vector<ProbeResult>& results);
/// @param other  MODEL argument of the columns; empty: checkpoints of the run.
std::int64_t storeComparison(store::Workspace& workspace, store::RunId run, const StudyOrigin& origin, const std::string& other,
                             const ComparisonStudy& study, const Comparison& comparison);
std::int64_t storeProjection(store::Workspace& workspace, store::RunId run, const StudyOrigin& origin, const std::string& value,
                             const std::string& method, const core::Json& parameters, std::uint64_t seed, const Projection& projection,
                             const Activations& activations);

}  // namespace orrery::intervene
