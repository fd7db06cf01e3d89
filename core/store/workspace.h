#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/error.h>
#include <core/base/listeners.h>

#include "types.h"

namespace orrery::store {

enum class OpenMode {
    Open,          ///< the workspace must be there
    OpenOrCreate,  ///< an absent or empty folder becomes a new workspace
    ReadOnly,      ///< nothing is ever written, so this works in a folder without write permission; changing calls throw StorageError
};

struct Options {
    std::chrono::milliseconds commitInterval{250};  ///< longest time a metric or log line waits before it is committed
    std::chrono::milliseconds heartbeat{2000};      ///< how often the leases of this process are renewed
    std::chrono::milliseconds leaseExpiry{30000};   ///< a lease of another machine that is older counts as lost
    std::chrono::milliseconds busyTimeout{10000};   ///< how long to wait for another process that is writing
};

struct RunField;  // run_filter.h

/// One workspace: a folder with `orrery.db` (SQLite, write-ahead log) and `artifacts/` (files named by the hash of their content).
///
/// All functions may be called from any thread. Changing functions hand their work to the one writer thread of this object and return when it
/// is committed; `metric`, `metrics` and `logLine` return at once and are committed within `Options::commitInterval`. Committed data survives the
/// death of the process at any moment; after a power failure the workspace is consistent and may lack the last seconds.
/// Reading functions use connections of their own, see committed data (call `flush` to see your own metrics), and never wait for a writer.
/// Several processes may work on one workspace at a time.
///
/// Unless stated otherwise: @throws StorageError when the database or a file cannot be read or written (full disk, no permission, damage, another
/// process holding the database for longer than `busyTimeout`), InputError for a run, artifact or analysis that is not there.
class Workspace {
public:
    /// @throws StorageError if the folder cannot be opened, read or created, or the database is damaged (it is left as it is; the message says what to do).
    /// @throws FormatError if `orrery.db` is not an Orrery database, or was written by a newer version.
    /// An older version of the database is brought up to date first, in one transaction.
    static std::shared_ptr<Workspace> open(const std::filesystem::path& folder, OpenMode mode = OpenMode::OpenOrCreate, Options options = {});
    /// True if the folder holds an `orrery.db`.
    static bool isWorkspace(const std::filesystem::path& folder);
    /// Writes what is pending, then marks runs this object still holds as interrupted and gives up their leases.
    ~Workspace();
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

    const std::filesystem::path& folder() const;
    bool isReadOnly() const;

    // --- Runs ---
    /// Adds a run with status queued.
    RunId createRun(const NewRun& run);
    /// Takes the lease of a queued run and sets it running.
    /// @throws StorageError if a living process holds it: `run 3 is being worked on by process 4711 on host "a"`.
    void startRun(RunId run);
    /// Goes on with a run that ended or was interrupted, atomically: takes the lease, drops metrics and artifacts after step `keepUpTo` (none: keep
    /// all), sets it running and clears its error. Of two processes that try, one gets the StorageError of `startRun` and changes nothing.
    void resumeRun(RunId run, std::optional<std::int64_t> keepUpTo = {});
    /// Sets the status, appends it to the history. A status that `hasEnded`, as well as queued, gives up the lease; failed stores `message` as the run's error.
    /// If the disk is full the change is kept and stored later, and StorageError is thrown.
    void setStatus(RunId run, RunStatus status, const std::string& message = {});
    /// True if this object holds the run's lease.
    bool holdsLease(RunId run) const;
    void renameRun(RunId run, const std::string& name);
    void setNotes(RunId run, const std::string& notes);
    void setTags(RunId run, std::vector<std::string> tags);
    void addTag(RunId run, const std::string& tag);
    void removeTag(RunId run, const std::string& tag);
    /// Replaces the environment of a run (it is known when the run starts, which may be long after it was queued).
    void setEnvironment(RunId run, const core::Json& environment);
    /// Removes runs with metrics, logs, analyses, and artifacts that nothing else refers to.
    /// @throws StorageError, before anything is removed, if a living process works on one of them.
    void deleteRuns(std::span<const RunId> runs);

    /// @throws InputError if `query.where` cannot be read or names a field that no run has.
    RunList runs(const RunQuery& query = {}) const;
    /// What `RunQuery::where` may name here, with some of the values found: for completion. Some tens of ms with 10,000 runs.
    std::vector<RunField> runFields() const;
    RunRecord run(RunId run) const;
    std::optional<RunSummary> findRun(RunId run) const;
    std::vector<std::string> allTags() const;
    std::vector<RunEvent> history(RunId run) const;

    // --- Metrics ---
    /// Records a value; steps of one metric should not decrease. A value may be NaN or infinite. `time` is seconds since 1970; 0: now.
    /// Waits only while several million points are pending.
    /// @throws StorageError while the database cannot be written (accepted points are kept and written as soon as it can), and after another process
    /// has taken over the run.
    void metric(RunId run, std::string_view name, std::int64_t step, double value, double time = 0);
    /// The same for many points, one lock for all. `steps` and `values` have the same length.
    void metrics(RunId run, std::string_view name, std::span<const std::int64_t> steps, std::span<const double> values, double time = 0);
    /// The points with stepFrom <= step <= stepTo, at full resolution if there are at most 2 * maxPoints of them, else in at most about maxPoints
    /// buckets of equal width in steps. Minimum and maximum are exact. Unknown run or metric: empty. Cost O(maxPoints), a few ms for 1 M points.
    MetricSeries metricSeries(RunId run, const std::string& name, std::int64_t stepFrom = std::numeric_limits<std::int64_t>::min(),
                              std::int64_t stepTo = std::numeric_limits<std::int64_t>::max(), std::size_t maxPoints = 2000) const;
    /// Every recorded metric of a run, by name.
    std::vector<MetricInfo> metricInfos(RunId run) const;
    std::map<std::string, double> lastMetrics(RunId run) const;
    /// Names of all metrics of the given runs (none given: of the workspace), sorted.
    std::vector<std::string> metricNames(std::span<const RunId> runs = {}) const;

    // --- Log lines ---
    void logLine(RunId run, LogLevel level, std::string_view text);
    /// Lines with an id above `afterId`, at most the last `limit` of them, oldest first.
    std::vector<LogLine> logLines(RunId run, std::int64_t afterId = 0, std::size_t limit = 1000) const;

    // --- Artifacts ---
    using Write = std::function<void(std::string_view)>;
    /// Stores content and adds it to the run. The same content is stored once. An artifact of that run with the same name is replaced.
    /// The file is complete and flushed to disk before the database names it.
    Artifact addArtifact(RunId run, const ArtifactSpec& spec, std::string_view content);
    /// The same, produced piece by piece: `produce` is called once, in this thread, with a function that appends bytes.
    Artifact addArtifact(RunId run, const ArtifactSpec& spec, const std::function<void(const Write&)>& produce);
    /// The same for a copy of a file.
    Artifact addArtifactFile(RunId run, const ArtifactSpec& spec, const std::filesystem::path& file);
    Artifact addAnalysisArtifact(std::int64_t analysis, const ArtifactSpec& spec, std::string_view content);
    /// In the order of their steps, then of adding; analyses' artifacts are not among them.
    std::vector<Artifact> artifacts(RunId run) const;
    std::optional<Artifact> findArtifact(RunId run, const std::string& name) const;
    /// The file of an artifact. It is not to be changed.
    /// @throws StorageError if it is missing.
    std::filesystem::path artifactPath(const Artifact& artifact) const;
    std::filesystem::path artifactPath(const std::string& hash) const;
    /// Reads the content and compares it with its hash.
    /// @throws StorageError if it is missing or damaged.
    std::string readArtifact(const Artifact& artifact) const;
    /// Removes an artifact of a run (an old checkpoint), and the file if nothing else refers to it. Absent: nothing happens.
    void removeArtifact(RunId run, const std::string& name);

    // --- Analyses ---
    std::int64_t addAnalysis(const NewAnalysis& analysis);
    void removeAnalysis(std::int64_t analysis);
    Analysis analysis(std::int64_t analysis) const;
    /// Newest first. Empty conditions match all.
    std::vector<Analysis> analyses(std::optional<RunId> run = {}, const std::string& method = {}) const;

    // --- Between workspaces ---
    /// Writes runs with everything that belongs to them into one file (itself a small SQLite database).
    void exportRuns(std::span<const RunId> runs, const std::filesystem::path& file) const;
    /// Adds the runs of such a file under new ids. Runs that were in work become interrupted.
    /// @return  The new ids, in the order of the export.
    /// @throws FormatError if the file is no such export; nothing is imported then.
    std::vector<RunId> importRuns(const std::filesystem::path& file);

    // --- Settings of the workspace (window layout, last selection) ---
    void setSetting(const std::string& key, const core::Json& value);
    std::optional<core::Json> setting(const std::string& key) const;

    // --- Keeping up ---
    /// Waits until everything handed in so far is committed. @throws StorageError if it could not be; it is kept, and tried again.
    void flush();
    /// Message of the writer's last attempt if that failed; nothing while all is well.
    std::optional<std::string> writeError() const;
    /// A number that grows whenever any process committed something. Some microseconds: poll it.
    std::uint64_t changeCounter() const;
    /// Called on the writer thread after each commit of this object. The listener must not call changing functions or `flush`.
    core::Subscription subscribe(std::function<void(const Change&)> listener);
    /// Stores `interrupted` for runs whose process is gone. Done on opening and every few seconds; lists show it at once in any case.
    void checkLeases();
    /// Whole check of the database and of all artifacts' hashes; returns what is wrong, one sentence each. Slow.
    std::vector<std::string> check() const;

private:
    friend class Reports;  // the report documents, in reports.h
    struct Private;
    explicit Workspace(std::unique_ptr<Private> d);
    std::unique_ptr<Private> d;
};

}  // namespace orrery::store
