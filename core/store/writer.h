#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <core/base/listeners.h>

#include "connection.h"
#include "lease.h"
#include "metric_writer.h"
#include "workspace.h"

namespace orrery::store {

/// The one thread of a workspace that writes. Metrics, log lines and status changes are collected and committed together; calls run one by one, each in a
/// transaction of its own. What cannot be committed (a full disk) is kept and tried again every second. All functions from any thread.
class Writer {
public:
    Writer(std::filesystem::path file, std::unique_ptr<Connection> connection, Options options);
    /// Commits what is pending, interrupts the runs still held.
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void addMetrics(RunId run, std::string_view name, std::span<const std::int64_t> steps, std::span<const double> values, double time);
    void addLogLine(RunId run, LogLevel level, std::string_view text);
    void addStatus(RunId run, RunStatus status, const std::string& message);
    void flush();
    std::optional<std::string> error() const;
    /// Throws if another process has taken over the run.
    void requireNotLost(RunId run) const;
    bool holds(RunId run) const;

    struct Call {
        Connection& connection;
        MetricWriter& metrics;
        Change& change;
    };
    /// Runs `function` on the writer thread inside a write transaction, after everything handed in before. Returns when it is committed.
    /// @throws what the function throws (the transaction is rolled back), StorageError if it cannot be committed.
    void call(const std::function<void(Call&)>& function);
    template <class Result>
    Result callFor(const std::function<Result(Call&)>& function)
    {
        std::optional<Result> result;
        call([&](Call& c) { result = function(c); });
        return std::move(*result);
    }

    /// Inside a call: takes the lease of a run. @throws StorageError if it is held by a living process. Once committed: `setHeld`.
    void takeLease(Call& call, RunId run);
    void setHeld(RunId run);
    /// Inside a call: throws if a living process, or this one, holds the run.
    void requireFree(Call& call, RunId run) const;

    core::Listeners<const Change&> listeners;

private:
    struct PendingLine {
        RunId run;
        std::string time;
        LogLevel level;
        std::string text;
    };
    struct PendingStatus {
        RunId run;
        std::string time;
        RunStatus status;
        std::string message;
    };
    struct Batch {
        std::map<RunId, std::map<std::string, Points, std::less<>>> metrics;
        std::vector<PendingLine> lines;
        std::vector<PendingStatus> statuses;
        std::size_t points = 0;
        bool empty() const { return points == 0 && lines.empty() && statuses.empty(); }
    };
    struct PendingCall;

    void loop();
    bool waitForWork(std::unique_lock<std::mutex>& lock);
    void work(std::unique_lock<std::mutex>& lock);
    void mergeIncoming();
    /// Commits m_batch. @return the error, if it could not.
    std::optional<std::string> commitBatch();
    void writeBatch(Change& change);
    bool mayWrite(RunId run);
    void writeStatus(const PendingStatus& status, Change& change);
    void runCall(PendingCall& call);
    void renewLeases();
    void interruptHeld();
    void announce(Change change);

    const std::filesystem::path m_file;
    const Options m_options;
    const Lease m_lease;

    mutable std::mutex m_mutex;  ///< guards all members down to m_triedLast
    std::condition_variable m_wake, m_done;
    Batch m_incoming;
    std::optional<std::chrono::steady_clock::time_point> m_incomingSince;
    std::vector<PendingCall*> m_calls;
    std::size_t m_pointsInFlight = 0;
    std::uint64_t m_flushAsked = 0, m_flushDone = 0;
    std::optional<std::string> m_error;
    std::set<RunId> m_held, m_lost;
    bool m_stop = false, m_triedLast = false;

    // Of the writer thread alone.
    std::unique_ptr<Connection> m_connection;
    MetricWriter m_metrics;
    Batch m_batch;  ///< taken from m_incoming, not committed yet
    std::chrono::steady_clock::time_point m_nextTry{}, m_nextHeartbeat{}, m_nextLeaseCheck{};
    std::thread m_thread;
};

/// Inside a call or a constructor: stores `interrupted` for runs in work whose process is gone. @return their ids.
std::vector<RunId> interruptDeadRuns(Connection& connection, std::chrono::milliseconds expiry);
/// Runs in work whose process is gone, as of now.
std::set<RunId> deadRuns(Connection& connection, std::chrono::milliseconds expiry);
std::optional<Lease> readLease(Connection& connection, RunId run);
/// Sets the status with its times and error text, and adds it to the history. @return false if there is no such run.
bool storeStatus(Connection& connection, RunId run, RunStatus status, const std::string& time, const std::string& message);

}  // namespace orrery::store
