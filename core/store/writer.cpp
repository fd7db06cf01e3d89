#include "writer.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/log.h>
#include <core/base/text.h>

namespace orrery::store {
namespace {

using Clock = std::chrono::steady_clock;

/// About 100 MB: who records faster than the disk takes waits here.
constexpr std::size_t kMostPendingPoints = 4'000'000;
constexpr std::size_t kMostPendingLines = 10'000;
constexpr std::chrono::seconds kRetryInterval{1};
constexpr std::chrono::seconds kLeaseCheckInterval{5};

void mark(Change& change, RunId run)
{
    if (std::find(change.runs.begin(), change.runs.end(), run) == change.runs.end())
        change.runs.push_back(run);
}

}  // namespace

/// A call of another thread that waits for its end.
struct Writer::PendingCall {
    const std::function<void(Call&)>& function;
    std::exception_ptr error;
    bool done = false;
};

Writer::Writer(std::filesystem::path file, std::unique_ptr<Connection> connection, Options options)
    : m_file(std::move(file)), m_options(options), m_lease(Lease::ofThisProcess()), m_connection(std::move(connection)), m_metrics(*m_connection)
{
    m_nextLeaseCheck = Clock::now() + kLeaseCheckInterval;
    m_thread = std::thread([this] { loop(); });
}

Writer::~Writer()
{
    {
        const std::lock_guard lock(m_mutex);
        m_stop = true;
    }
    m_wake.notify_all();
    m_thread.join();
}

void Writer::addMetrics(RunId run, std::string_view name, std::span<const std::int64_t> steps, std::span<const double> values, double time)
{
    if (steps.size() != values.size())
        throw core::ShapeError(fmt::format("metric \"{}\": expected as many steps as values, got {} and {}", name, steps.size(), values.size()));
    const auto milliseconds = std::int64_t((time > 0 ? time : secondsNow()) * 1000);
    std::unique_lock lock(m_mutex);
    m_done.wait(lock, [&] { return m_incoming.points + m_pointsInFlight < kMostPendingPoints || m_error; });
    if (m_error)
        throw core::StorageError(*m_error);
    if (m_lost.contains(run))
        throw core::StorageError(fmt::format("run {} was taken over by another process", run));
    auto& series = m_incoming.metrics[run];
    auto found = series.find(name);
    if (found == series.end())
        found = series.emplace(std::string(name), Points()).first;
    Points& points = found->second;
    points.steps.insert(points.steps.end(), steps.begin(), steps.end());
    points.values.insert(points.values.end(), values.begin(), values.end());
    points.times.insert(points.times.end(), steps.size(), milliseconds);
    m_incoming.points += steps.size();
    if (!std::exchange(m_incomingSince, m_incomingSince ? m_incomingSince : Clock::now()))
        m_wake.notify_all();
}

void Writer::addLogLine(RunId run, LogLevel level, std::string_view text)
{
    const std::lock_guard lock(m_mutex);
    // While nothing can be written, values are refused; lines have no such answer, and must not fill the memory.
    if (m_error && m_incoming.lines.size() >= kMostPendingLines)
        return;
    m_incoming.lines.push_back({run, core::isoTimeNow(), level, std::string(text)});
    if (!std::exchange(m_incomingSince, m_incomingSince ? m_incomingSince : Clock::now()))
        m_wake.notify_all();
}

void Writer::addStatus(RunId run, RunStatus status, const std::string& message)
{
    const std::lock_guard lock(m_mutex);
    m_incoming.statuses.push_back({run, core::isoTimeNow(), status, message});
    if (!m_incomingSince)
        m_incomingSince = Clock::now();
}

void Writer::flush()
{
    std::unique_lock lock(m_mutex);
    const std::uint64_t ticket = ++m_flushAsked;
    m_wake.notify_all();
    m_done.wait(lock, [&] { return m_flushDone >= ticket; });
    if (m_error)
        throw core::StorageError(*m_error);
}

std::optional<std::string> Writer::error() const
{
    const std::lock_guard lock(m_mutex);
    return m_error;
}

void Writer::requireNotLost(RunId run) const
{
    const std::lock_guard lock(m_mutex);
    if (m_lost.contains(run))
        throw core::StorageError(fmt::format("run {} was taken over by another process", run));
}

bool Writer::holds(RunId run) const
{
    const std::lock_guard lock(m_mutex);
    return m_held.contains(run);
}

void Writer::call(const std::function<void(Call&)>& function)
{
    PendingCall call{function, nullptr, false};
    std::unique_lock lock(m_mutex);
    m_calls.push_back(&call);
    m_wake.notify_all();
    m_done.wait(lock, [&] { return call.done; });
    lock.unlock();
    if (call.error)
        std::rethrow_exception(call.error);
}

void Writer::loop()
{
    std::unique_lock lock(m_mutex);
    while (waitForWork(lock))
        work(lock);
    lock.unlock();
    interruptHeld();
}

/// Returns when there is something to do; false once everything is done and the workspace closes.
bool Writer::waitForWork(std::unique_lock<std::mutex>& lock)
{
    for (;;) {
        const auto now = Clock::now();
        const bool pending = !m_incoming.empty() || !m_batch.empty();
        if (!m_calls.empty() || m_flushAsked > m_flushDone)
            return true;
        // One last try is made with what is left; a disk that is still full must not keep the program from ending.
        if (m_stop)
            return pending && !std::exchange(m_triedLast, true);
        auto until = std::min(m_nextHeartbeat, m_nextLeaseCheck);
        if (pending)
            until = std::min(until, m_error ? m_nextTry : m_incomingSince.value_or(now) + m_options.commitInterval);
        if (until <= now)
            return true;
        m_wake.wait_until(lock, until);
    }
}

void Writer::work(std::unique_lock<std::mutex>& lock)
{
    const std::uint64_t ticket = m_flushAsked;
    const std::vector<PendingCall*> calls = std::exchange(m_calls, {});
    mergeIncoming();
    lock.unlock();

    std::optional<std::string> error;
    if (!m_batch.empty())
        error = commitBatch();
    for (PendingCall* call : calls)
        runCall(*call);
    if (Clock::now() >= m_nextHeartbeat || Clock::now() >= m_nextLeaseCheck)
        renewLeases();

    lock.lock();
    m_nextTry = Clock::now() + kRetryInterval;
    m_error = error;
    m_pointsInFlight = m_batch.points;
    m_flushDone = ticket;
    for (PendingCall* call : calls)
        call->done = true;
    m_done.notify_all();
}

void Writer::mergeIncoming()
{
    Batch incoming = std::exchange(m_incoming, {});
    m_incomingSince.reset();
    if (m_batch.empty()) {
        m_batch = std::move(incoming);
    } else {
        for (auto& [run, series] : incoming.metrics)
            for (auto& [name, points] : series)
                m_batch.metrics[run][name].add(points, 0, points.size());
        std::move(incoming.lines.begin(), incoming.lines.end(), std::back_inserter(m_batch.lines));
        std::move(incoming.statuses.begin(), incoming.statuses.end(), std::back_inserter(m_batch.statuses));
        m_batch.points += incoming.points;
    }
    m_pointsInFlight = m_batch.points;
}

std::optional<std::string> Writer::commitBatch()
{
    try {
        Change change;
        guarded(m_file, [&] {
            Transaction transaction(*m_connection, Transaction::Kind::Write);
            writeBatch(change);
            transaction.commit();
        });
        m_batch = {};
        announce(std::move(change));
        return {};
    } catch (const std::exception& error) {
        m_metrics.forget();
        return error.what();
    }
}

void Writer::writeBatch(Change& change)
{
    for (const auto& [run, series] : m_batch.metrics) {
        if (!mayWrite(run))
            continue;
        for (const auto& [name, points] : series)
            m_metrics.append(run, name, points);
        mark(change, run);
        change.metrics = true;
    }
    for (const PendingLine& line : m_batch.lines) {
        // A run that was deleted meanwhile takes no lines.
        m_connection->execute("INSERT INTO log_lines(run, time, level, text) SELECT id, ?, ?, ? FROM runs WHERE id = ?", line.time, int(line.level),
                              line.text, line.run);
        mark(change, line.run);
        change.logs = true;
    }
    for (const PendingStatus& status : m_batch.statuses)
        if (mayWrite(status.run))
            writeStatus(status, change);
}

/// False if the run is gone or another process has taken it over; then what this process has to say about it is dropped.
bool Writer::mayWrite(RunId run)
{
    const auto exists = m_connection->query("SELECT 1 FROM runs WHERE id = ?", run);
    if (!exists->next())
        return false;
    const std::optional<Lease> lease = readLease(*m_connection, run);
    const std::lock_guard lock(m_mutex);
    const bool isForeign = lease && lease->token != m_lease.token;
    if (!isForeign && (lease || !m_held.contains(run)))
        return true;
    m_held.erase(run);
    m_lost.insert(run);
    return false;
}

void Writer::writeStatus(const PendingStatus& status, Change& change)
{
    storeStatus(*m_connection, status.run, status.status, status.time, status.message);
    mark(change, status.run);
    change.list = true;
    if (!hasEnded(status.status) && status.status != RunStatus::Queued)
        return;
    m_connection->execute("DELETE FROM leases WHERE run = ? AND token = ?", status.run, m_lease.token);
    m_metrics.forget(status.run);
    const std::lock_guard lock(m_mutex);
    m_held.erase(status.run);
}

void Writer::runCall(PendingCall& pending)
{
    try {
        Change change;
        guarded(m_file, [&] {
            Transaction transaction(*m_connection, Transaction::Kind::Write);
            Call call{*m_connection, m_metrics, change};
            pending.function(call);
            transaction.commit();
        });
        announce(std::move(change));
    } catch (...) {
        pending.error = std::current_exception();
        m_metrics.forget();
    }
}

void Writer::takeLease(Call& call, RunId run)
{
    requireFree(call, run);
    call.connection.execute("INSERT OR REPLACE INTO leases(run, token, host, process, process_start, heartbeat) VALUES(?, ?, ?, ?, ?, ?)", run,
                            m_lease.token, m_lease.host, m_lease.process, m_lease.processStart, secondsNow());
}

void Writer::setHeld(RunId run)
{
    const std::lock_guard lock(m_mutex);
    m_held.insert(run);
    m_lost.erase(run);
}

void Writer::requireFree(Call& call, RunId run) const
{
    const std::optional<Lease> lease = readLease(call.connection, run);
    if (lease && lease->isAlive(m_options.leaseExpiry))
        throw core::StorageError(fmt::format("run {} is being worked on by {}", run, lease->owner()));
}

void Writer::renewLeases()
{
    const auto now = Clock::now();
    bool holdsAny;
    {
        const std::lock_guard lock(m_mutex);
        holdsAny = !m_held.empty();
    }
    const bool checksOthers = now >= m_nextLeaseCheck;
    m_nextHeartbeat = now + m_options.heartbeat;
    m_nextLeaseCheck = checksOthers ? now + kLeaseCheckInterval : m_nextLeaseCheck;
    try {
        Change change;
        guarded(m_file, [&] {
            const bool someDead = checksOthers && !deadRuns(*m_connection, m_options.leaseExpiry).empty();
            if (!holdsAny && !someDead)
                return;
            Transaction transaction(*m_connection, Transaction::Kind::Write);
            m_connection->execute("UPDATE leases SET heartbeat = ? WHERE token = ?", secondsNow(), m_lease.token);
            if (someDead)
                change.runs = interruptDeadRuns(*m_connection, m_options.leaseExpiry);
            transaction.commit();
        });
        change.list = !change.runs.empty();
        announce(std::move(change));
    } catch (const core::Error& error) {
        // A heartbeat is sent again soon; what really matters is reported by the next commit.
        core::log().warn("{}", error.what());
    }
}

/// At the end: whatever is still held was not finished.
void Writer::interruptHeld()
{
    std::set<RunId> held;
    {
        const std::lock_guard lock(m_mutex);
        held = m_held;
    }
    if (held.empty())
        return;
    try {
        guarded(m_file, [&] {
            Transaction transaction(*m_connection, Transaction::Kind::Write);
            for (const RunId run : held)
                if (m_connection->execute("DELETE FROM leases WHERE run = ? AND token = ?", run, m_lease.token) > 0)
                    storeStatus(*m_connection, run, RunStatus::Interrupted, core::isoTimeNow(), "the program was closed");
            transaction.commit();
        });
    } catch (const core::Error& error) {
        core::log().error("{}", error.what());
    }
}

void Writer::announce(Change change)
{
    if (change.runs.empty() && !change.list && !change.metrics && !change.logs && !change.artifacts && !change.analyses && !change.reports)
        return;
    std::sort(change.runs.begin(), change.runs.end());
    try {
        listeners.notify(change);
    } catch (const std::exception& error) {
        core::log().error("a listener of the workspace failed: {}", error.what());
    }
}

std::optional<Lease> readLease(Connection& connection, RunId run)
{
    const auto row = connection.query("SELECT token, host, process, process_start, heartbeat FROM leases WHERE run = ?", run);
    if (!row->next())
        return {};
    return Lease{row->text(0), row->text(1), row->integer(2), row->text(3), row->real(4)};
}

std::set<RunId> deadRuns(Connection& connection, std::chrono::milliseconds expiry)
{
    std::set<RunId> dead;
    const auto rows =
        connection.query("SELECT r.id, l.token, l.host, l.process, l.process_start, l.heartbeat FROM runs r LEFT JOIN leases l ON l.run = r.id "
                         "WHERE r.status IN ('running', 'paused')");
    while (rows->next())
        if (rows->isNull(1) || !Lease{rows->text(1), rows->text(2), rows->integer(3), rows->text(4), rows->real(5)}.isAlive(expiry))
            dead.insert(rows->integer(0));
    return dead;
}

std::vector<RunId> interruptDeadRuns(Connection& connection, std::chrono::milliseconds expiry)
{
    const std::set<RunId> dead = deadRuns(connection, expiry);
    for (const RunId run : dead) {
        storeStatus(connection, run, RunStatus::Interrupted, core::isoTimeNow(), "its process is gone");
        connection.execute("DELETE FROM leases WHERE run = ?", run);
    }
    return {dead.begin(), dead.end()};
}

bool storeStatus(Connection& connection, RunId run, RunStatus status, const std::string& time, const std::string& message)
{
    const std::string name(statusName(status));
    if (connection.execute("UPDATE runs SET status = ?, error = ? WHERE id = ?", name, status == RunStatus::Failed ? message : "", run) == 0)
        return false;
    if (status == RunStatus::Running)
        connection.execute("UPDATE runs SET started = CASE started WHEN '' THEN ? ELSE started END, ended = '' WHERE id = ?", time, run);
    if (hasEnded(status))
        connection.execute("UPDATE runs SET ended = ? WHERE id = ?", time, run);
    connection.execute("INSERT INTO events(run, time, status, message) VALUES(?, ?, ?, ?)", run, time, name, message);
    return true;
}

}  // namespace orrery::store
