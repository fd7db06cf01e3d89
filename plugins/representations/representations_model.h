#pragma once
#include <QString>
#include <QStringList>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <core/data/dataset.h>
#include <core/graph/executor.h>
#include <core/graph/model.h>
#include <core/intervene/representations.h>
#include <core/store/workspace.h>

namespace orrery::plugins {

/// A model and the data it is looked at with.
struct Subject {
    QString model;    ///< MODEL argument
    core::Json data;  ///< data document; null: the data of `run`
    std::optional<qint64> run;
    bool operator==(const Subject&) const = default;
};

/// A value of the graph by its exact name, and how people call it.
struct ValueName {
    QString name, title;
};

/// The subject, opened. Immutable; shared with jobs.
struct OpenedSubject {
    Subject subject;
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;
    data::DataSetPtr data;
    core::Json document;            ///< of the data
    std::vector<ValueName> values;  ///< floating values with the batch first, in the order of computation
};
using OpenedPtr = std::shared_ptr<const OpenedSubject>;
/// @throws what opening and running the model throws; core::InputError for data the model does not take. Any thread.
OpenedPtr openSubject(const Subject& subject, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop);

/// Which rows: what the bar at the top of the panel says.
struct RowChoice {
    QString value;  ///< exact name
    QString part = QStringLiteral("test");
    QString position = QStringLiteral("auto");
    qint64 limit = 1000;
    bool operator==(const RowChoice&) const = default;
};

/// Rows of one value with all that a point can be coloured by.
struct ScatterRows {
    OpenedPtr subject;
    RowChoice choice;
    intervene::Activations activations;  ///< one value
    /// Categories and their names for colouring: the labels, those that are most frequent; -1: any other.
    std::vector<int> labels, predicted;
    QStringList labelNames;
    std::vector<int> wrong;       ///< 1 where the prediction differs from the label
    std::vector<double> numbers;  ///< targets that are numbers: the first of them
    std::vector<double> confidence;
    QString labelOf(int row) const;  ///< "" where there are none
    QString predictedOf(int row) const;
};
using ScatterRowsPtr = std::shared_ptr<const ScatterRows>;
ScatterRowsPtr collectRows(const OpenedPtr& subject, const RowChoice& choice, const intervene::Control& control);

/// What a job gives and streams.
struct ScatterResult {
    ScatterRowsPtr rows;
    std::string method;
    core::Json parameters;                  ///< resolved
    std::vector<std::vector<double>> axes;  ///< one list an axis
    core::Json details;
    std::optional<double> trustworthiness;
    std::optional<std::int64_t> analysis;
    QString whyNotStored;
};
std::vector<std::vector<double>> axesOfPoints(const at::Tensor& points);
/// @param streamed  Gets the rows first, then the axes as they move.
ScatterResult makeScatter(const OpenedPtr& subject, const RowChoice& choice, const std::string& method, const core::Json& parameters,
                          const std::shared_ptr<store::Workspace>& workspace, intervene::Control control,
                          const std::function<void(ScatterRowsPtr, std::vector<std::vector<double>>)>& streamed);

/// Probes of the subject, stored where it is a run.
struct ProbeOutcome {
    std::vector<intervene::ProbeResult> results;
    std::optional<std::int64_t> analysis;
    QString whyNotStored;
};
intervene::ProbeStudy probeStudy(const RowChoice& choice, const QStringList& places, const core::Json& parameters);
ProbeOutcome runProbes(const OpenedPtr& subject, const intervene::ProbeStudy& study, const std::shared_ptr<store::Workspace>& workspace,
                       const intervene::Control& control, const std::function<void(const intervene::ProbeResult&)>& ready);

/// What the subject is compared with.
struct ComparisonChoice {
    QString other;  ///< MODEL argument; empty: itself
    bool checkpoints = false;
    QStringList places, otherPlaces;
    std::string metric = "cka";
    core::Json parameters = core::Json::object();
};
struct ComparisonOutcome {
    intervene::Comparison comparison;
    std::optional<std::int64_t> analysis;
    QString whyNotStored;
};
ComparisonOutcome runComparison(const OpenedPtr& subject, const RowChoice& choice, const ComparisonChoice& wanted,
                                const std::shared_ptr<store::Workspace>& workspace, const intervene::Control& control,
                                const intervene::ComparisonReady& ready);

/// The `orrery-cli` lines that do the same.
QString scatterCommand(const OpenedSubject& subject, const RowChoice& choice, const QString& method, const core::Json& parameters,
                       const QString& workspace);
QString probeCommand(const OpenedSubject& subject, const RowChoice& choice, const QStringList& places, const core::Json& parameters,
                     const QString& workspace);
QString comparisonCommand(const OpenedSubject& subject, const RowChoice& choice, const ComparisonChoice& wanted, const QString& workspace);

/// "a, b c" -> {"a", "b", "c"}.
QStringList placesOf(const QString& text);

}  // namespace orrery::plugins
