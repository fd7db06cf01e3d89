#pragma once
#include <QString>
#include <QStringList>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <core/data/dataset.h>
#include <core/graph/model.h>
#include <core/intervene/patch_stored.h>
#include <core/intervene/patching.h>

namespace orrery::plugins {

/// What is compared: a model and two inputs, as texts or as numbers of samples.
struct PatchSubject {
    QString model;  ///< MODEL argument
    bool isText = true;
    QString clean, corrupted;          ///< texts, or sample numbers within the split
    QString cleanPair, corruptedPair;  ///< second texts that belong to them; empty: none
    core::Json data;                   ///< data document of the samples; null: the data of `run`
    std::optional<qint64> run;
    QString split = QStringLiteral("test");
    bool operator==(const PatchSubject&) const = default;
};

/// The subject, opened. Immutable; shared with jobs.
struct PreparedPatch {
    PatchSubject subject;
    std::shared_ptr<const graph::Model> model;
    std::shared_ptr<const graph::Executor> executor;
    std::vector<std::string> components;  ///< canonical ones that the model has
    bool takesText = false;               ///< tokens by a tokenizer of its own
    bool takesPairs = false;              ///< two texts that belong together mean something to it
    intervene::PatchRequest request;      ///< inputs; settings empty
    core::Json cleanOrigin, corruptedOrigin;
    QStringList cleanTokens, corruptedTokens;  ///< empty for other inputs
    QString problem;                           ///< why these inputs cannot be compared; empty: they can
    bool isReady() const { return problem.isEmpty(); }
};
using PreparedPatchPtr = std::shared_ptr<const PreparedPatch>;

/// Opened models and data sets of the last subject: typing opens nothing again. Any thread.
class PatchOpener {
public:
    /// Inputs that are missing, unreadable or of different lengths become `problem`. @throws what opening the model or the data throws.
    PreparedPatchPtr prepare(const PatchSubject& subject, const std::shared_ptr<store::Workspace>& workspace, std::stop_token stop);

private:
    struct Cache;
    std::mutex m_mutex;
    std::shared_ptr<Cache> m_cache;  ///< guarded by m_mutex
};

/// A sweep that is ready or under way: what a click on a cell needs.
struct PatchSweep {
    PreparedPatchPtr subject;
    std::unique_ptr<intervene::Patching> patching;
    std::vector<QStringList> columnLabels;  ///< of each map
};
using PatchSweepPtr = std::shared_ptr<const PatchSweep>;

/// @throws as `intervene::Patching`.
PatchSweepPtr makeSweep(const PreparedPatchPtr& subject, const core::Json& settings, std::stop_token stop);

/// One class of a patched run's output in three runs.
struct ClassInRuns {
    std::int64_t index = 0;
    QString name;
    double patched = 0, clean = 0, corrupted = 0;  ///< probabilities
};
/// The most probable classes of any of the three runs, by falling probability in the patched one.
std::vector<ClassInRuns> classesOfCell(const PatchSweep& sweep, const intervene::PatchCell& cell, std::size_t count, std::stop_token stop);

/// "layer 3, head 1, position 5 “x”".
QString placeText(const PatchSweep& sweep, const intervene::PatchCell& cell);
/// The settings with the metric's answers as they were typed: a token's text, a class name or a number; an empty line changes nothing.
/// @throws core::InputError for a text that is no single token or class, or a metric that has no such answer: the line is named.
core::Json withTypedAnswers(core::Json settings, const graph::ModelCard& card, const QString& answer, const QString& wrong);
/// The `orrery-cli patch` line that computes the same.
QString patchCommand(const PatchSubject& subject, const core::Json& data, const core::Json& settings, const QString& workspace);

}  // namespace orrery::plugins
