#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/json.h>

/// The workspace on disk: runs, metrics, artifacts, analyses.
namespace orrery::store {

using RunId = std::int64_t;

enum class RunStatus { Queued, Running, Paused, Finished, Failed, Cancelled, Interrupted };

/// "queued", "running", "paused", "finished", "failed", "cancelled", "interrupted".
std::string_view statusName(RunStatus status);
/// @throws InputError for any other text; the message lists the names.
RunStatus statusFromName(std::string_view name);
/// True for a run that nobody works on any more: finished, failed, cancelled, interrupted.
bool hasEnded(RunStatus status);

struct NewRun {
    std::string name;
    core::Json document;  ///< the experiment, fully resolved
    std::uint64_t seed = 0;
    core::Json environment;  ///< versions, device, GEMM, git state of the user's folder
    std::vector<std::string> tags;
    std::string notes;
    std::optional<RunId> parent;  ///< the run this one was cloned or continued from
};

/// One row of a table of runs. Times are ISO 8601 in UTC; empty: not yet.
struct RunSummary {
    RunId id = 0;
    std::string name;
    RunStatus status = RunStatus::Queued;
    std::string created, started, ended;
    std::string error;  ///< message of a failed run, else empty
    std::uint64_t seed = 0;
    std::optional<RunId> parent;
    std::string documentHash;
    std::string notes;
    std::vector<std::string> tags;              ///< sorted
    std::map<std::string, double> lastMetrics;  ///< last value of every metric; may be NaN or infinite
    std::map<std::string, core::Json> columns;  ///< values asked for by `RunQuery::columns`; absent where the document has none
};

struct RunRecord : RunSummary {
    core::Json document, environment;
};

/// Which runs to list, and how. All conditions must hold.
struct RunQuery {
    std::string text;                 ///< part of name, notes, a tag or the id; letter case does not count (ASCII)
    std::string where;                ///< a query such as `test/accuracy > 0.97 and optimizer.lr < 1e-2`, see run_filter.h; empty: all
    std::vector<std::string> tags;    ///< the run has all of them
    std::vector<RunStatus> statuses;  ///< the run has one of them; empty: any
    struct Condition {
        std::string metric;
        std::optional<double> minimum, maximum;  ///< inclusive bounds of the last value
    };
    std::vector<Condition> metrics;    ///< a run without the metric does not match
    std::vector<std::string> columns;  ///< dotted paths into the document (`train.optimizer.lr`) to be returned with every run
    /// id, name, status, created, started, ended, else a metric's name, else a path into the document or the only one that ends in it (`train.optimizer.lr`, `lr`): numbers go before
    /// texts. Runs without a value come last.
    std::string orderBy = "id";
    bool descending = false;
    std::size_t offset = 0, limit = SIZE_MAX;
};

struct RunList {
    std::vector<RunSummary> runs;
    std::size_t matching = 0;  ///< number of runs that match, before offset and limit
};

/// One or more neighbouring points of a metric. A single point has points == 1 and minimum == maximum == its value.
struct MetricBucket {
    std::int64_t firstStep = 0, lastStep = 0;  ///< smallest and largest step in it, both inclusive
    std::int64_t points = 0;
    std::int64_t nans = 0;                          ///< how many of the points are NaN; these do not count for minimum, maximum and mean
    double minimum = 0, maximum = 0;                ///< NaN if all points are
    std::int64_t minimumStep = 0, maximumStep = 0;  ///< first step with that value
    double mean = 0;
    double firstTime = 0, lastTime = 0;  ///< wall time in seconds since 1970, resolution 1 ms
};

struct MetricSeries {
    std::string name;
    std::vector<MetricBucket> buckets;  ///< in the order of recording
    std::int64_t points = 0;            ///< number of points in the range asked for
    /// True if every bucket is one recorded point.
    bool exact = true;
};

struct MetricInfo {
    std::string name;
    std::int64_t points = 0, firstStep = 0, lastStep = 0;
    double lastValue = 0;
    double minimum = 0, maximum = 0;  ///< over all points that are not NaN; NaN if there is none
};

/// What a stored file is to a run or an analysis.
struct ArtifactSpec {
    std::string name;       ///< role: "checkpoint@1200", "final weights", "confusion matrix"
    std::string mediaType;  ///< "application/vnd.safetensors", "image/png", "application/json", ...
    std::optional<std::int64_t> step;
};

struct Artifact : ArtifactSpec {
    std::int64_t id = 0;
    std::optional<RunId> run;
    std::optional<std::int64_t> analysis;
    std::string hash;  ///< core::hashHex of the content; names the file
    std::uint64_t bytes = 0;
    std::string created;
};

struct NewAnalysis {
    std::optional<RunId> run;
    std::string method;                      ///< id of the registered component
    core::Json inputs, parameters, results;  ///< what it was applied to, with what settings, what came out
    double seconds = 0;
};

struct Analysis : NewAnalysis {
    std::int64_t id = 0;
    std::string created;
    std::vector<Artifact> artifacts;
};

enum class LogLevel { Debug, Info, Warning, Error };

struct LogLine {
    std::int64_t id = 0;  ///< grows with every line of the workspace
    std::string time;
    LogLevel level = LogLevel::Info;
    std::string text;
};

/// One entry of a run's history.
struct RunEvent {
    std::string time;
    RunStatus status = RunStatus::Queued;
    std::string message;
};

/// What one commit of this process changed.
struct Change {
    std::vector<RunId> runs;  ///< sorted; runs that were added, changed, removed or got metrics or log lines
    bool list = false;        ///< the table of runs changed otherwise than by metrics and log lines (added, removed, status, name, tags, notes)
    bool metrics = false, logs = false, artifacts = false, analyses = false;
    bool reports = false;  ///< a report document was added, changed or removed (`Reports`)
};

}  // namespace orrery::store
