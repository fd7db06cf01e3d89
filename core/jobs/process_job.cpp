#include "process_job.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include <core/base/log.h>
#include <core/base/text.h>
#include <core/base/version.h>

#include "child_process.h"
#include "frames.h"
#include "kinds.h"
#include "process_end.h"

namespace orrery::jobs {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLookInterval{100};  ///< at memory, at a silent process
constexpr std::chrono::seconds kAnswerLimit{120};        ///< from the start to its first message; loading libtorch from a cold disk takes a while
constexpr std::chrono::seconds kExitLimit{20};           ///< from its last message to its end
constexpr std::size_t kLongestLine = 4096;

/// How often the kernel has killed something for lack of memory since the machine started; 0 if that is not told.
std::uint64_t outOfMemoryKills()
{
    std::ifstream file("/proc/vmstat");
    std::string name;
    for (std::uint64_t value = 0; file >> name >> value;)
        if (name == "oom_kill")
            return value;
    return 0;
}

/// What waits to be written to the process: handed in by any thread, written by the one that follows the process.
class Outbox {
public:
    Outbox() : m_wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    void add(FrameType type, std::string_view content = {})
    {
        {
            const std::lock_guard lock(m_mutex);
            m_bytes += frameBytes(type, content);
        }
        wake();
    }
    void wake() const
    {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(m_wake.get(), &one, sizeof one);
    }
    int wakeFile() const { return m_wake.get(); }
    void clearWake() const
    {
        std::uint64_t count = 0;
        [[maybe_unused]] const auto got = ::read(m_wake.get(), &count, sizeof count);
    }
    bool isEmpty() const
    {
        const std::lock_guard lock(m_mutex);
        return m_bytes.empty();
    }
    /// As much as goes in now. @return false if the other side takes nothing any more.
    bool writeTo(int file)
    {
        const std::lock_guard lock(m_mutex);
        while (!m_bytes.empty()) {
            const ssize_t written = ::write(file, m_bytes.data(), m_bytes.size());
            if (written < 0 && errno == EINTR)
                continue;
            if (written < 0)
                return errno == EAGAIN || errno == EWOULDBLOCK;
            m_bytes.erase(0, std::size_t(written));
        }
        return true;
    }

private:
    mutable std::mutex m_mutex;
    std::string m_bytes;  ///< guarded by m_mutex
    FileHandle m_wake;
};

std::exception_ptr errorOf(const EndedFrame& end)
{
    switch (end.outcome) {
    case Outcome::Finished: return nullptr;
    case Outcome::Cancelled: return std::make_exception_ptr(core::Cancelled());
    case Outcome::InputError: return std::make_exception_ptr(core::InputError(end.text));
    case Outcome::FormatError: return std::make_exception_ptr(core::FormatError(end.text));
    case Outcome::ShapeError: return std::make_exception_ptr(core::ShapeError(end.text));
    case Outcome::StorageError: return std::make_exception_ptr(core::StorageError(end.text));
    case Outcome::DeviceError: return std::make_exception_ptr(core::DeviceError(end.text));
    case Outcome::NoMemory: return std::make_exception_ptr(std::bad_alloc());
    default: return std::make_exception_ptr(core::Error(end.text));
    }
}

class ProcessJob : public StartedJob {
public:
    ProcessJob(JobSpec spec, int threads, std::shared_ptr<JobEvents> events, const ProcessOptions& options)
        : m_spec(std::move(spec)), m_task{m_spec.kind, m_spec.document, m_spec.run, options.workspace}, m_kind(findKind(m_spec.kind)),
          m_events(std::move(events)), m_options(options)
    {
        m_spec.function = {};  // not for here; what it holds is let go
        m_outbox.add(FrameType::Job, core::Json{{"kind", m_task.kind},
                                                {"document", m_task.document},
                                                {"run", m_task.run ? core::Json(*m_task.run) : core::Json()},
                                                {"workspace", m_task.workspace.string()},
                                                {"threads", threads}}
                                         .dump(-1, ' ', false, core::Json::error_handler_t::replace));
        std::promise<void> started;
        auto isStarted = started.get_future();
        // The thread that starts the process lives as long as the process: the kernel takes the end of that thread for the end of the parent.
        m_thread = std::thread([this, started = std::move(started)]() mutable { run(started); });
        try {
            isStarted.get();
        } catch (...) {
            m_thread.join();
            throw;
        }
    }
    ~ProcessJob() override { m_thread.join(); }

    void pause() override { m_outbox.add(FrameType::Pause, numberContent(++m_pauses)); }
    void resume() override
    {
        ++m_pauses;  // an answer to an earlier pause that is still under way counts no more
        m_outbox.add(FrameType::Resume);
    }
    void cancel() override
    {
        m_cancelAsked = true;
        m_outbox.add(FrameType::Cancel);
    }

private:
    void run(std::promise<void>& started)
    {
        sigset_t signals;
        sigemptyset(&signals);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
            sigaddset(&signals, signal);
        ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
        m_killsBefore = outOfMemoryKills();
        try {
            m_child.emplace(m_options.command);
        } catch (...) {
            return started.set_exception(std::current_exception());
        }
        started.set_value();
        m_lastSign = SteadyClock::now();
        while (isWorthFollowing())
            follow();
        finish();
    }

    /// False when nothing more can come: its output has ended, it is gone, or it was ended.
    bool isWorthFollowing()
    {
        if (!m_child->output.isOpen() || m_wasKilled)
            return false;
        if (!m_child->hasEnded())
            return true;
        // What it wrote last is still in the pipes; programs that it left behind may hold them open.
        readOutput();
        readErrors();
        return false;
    }

    void follow()
    {
        pollfd files[4] = {{m_outbox.wakeFile(), POLLIN, 0},
                           {m_child->output.get(), POLLIN, 0},
                           {m_child->errors.get(), POLLIN, 0},
                           {m_outbox.isEmpty() ? -1 : m_child->input.get(), POLLOUT, 0}};
        ::poll(files, 4, int(kLookInterval.count()));
        if (files[0].revents)
            m_outbox.clearWake();
        if (files[3].revents && !m_outbox.writeTo(m_child->input.get()))
            m_child->input.reset();
        if (files[2].revents)
            readErrors();
        if (files[1].revents)
            readOutput();
        lookAfter();
    }

    /// Ends a process that takes too much memory or does not answer.
    void lookAfter()
    {
        if (m_wasKilled)
            return;
        const auto now = SteadyClock::now();
        if (m_options.memoryLimit > 0 && now - m_lastLook >= kLookInterval) {
            m_lastLook = now;
            if (const std::uint64_t memory = m_child->residentBytes(); memory > m_options.memoryLimit) {
                m_how.memory = memory;
                m_how.limit = m_options.memoryLimit;
                return kill();
            }
        }
        const auto silence = now - m_lastSign;
        if (!m_hasGreeted && silence > kAnswerLimit)
            m_how.rubbish = "it did not answer";
        else if (m_cancelAsked && !m_end && silence > m_options.grace)
            m_how.wasSilent = true;
        else if (!m_end || silence <= kExitLimit)
            return;
        kill();
    }

    void kill()
    {
        m_wasKilled = true;
        m_child->kill();
    }

    /// @return what could be read now; the file is closed at its end.
    static std::string readSome(FileHandle& file)
    {
        std::string out;
        char buffer[65536];
        while (file.isOpen() && out.size() < (std::size_t(1) << 22)) {
            const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                break;
            if (got <= 0)
                file.reset();
            else
                out.append(buffer, std::size_t(got));
        }
        return out;
    }

    void readOutput()
    {
        const std::string bytes = readSome(m_child->output);
        if (bytes.empty() || m_wasKilled)
            return;
        m_lastSign = SteadyClock::now();
        m_frames.append(bytes);
        try {
            while (const auto frame = m_frames.next())
                take(*frame);
        } catch (const std::exception& error) {
            m_how.rubbish = error.what();
            kill();
        }
    }

    /// Lines that it wrote for people: warnings of libraries, last words.
    void readErrors()
    {
        m_line += readSome(m_child->errors);
        for (std::size_t end; (end = m_line.find('\n')) != std::string::npos || m_line.size() > kLongestLine;) {
            takeLine(std::string_view(m_line).substr(0, std::min(end, kLongestLine)));
            m_line.erase(0, end == std::string::npos ? kLongestLine : end + 1);
        }
    }

    void takeLine(std::string_view line)
    {
        const std::string_view text = core::trim(line);
        if (text.empty())
            return;
        m_how.lastWords = text;
        tellLog(LogLevel::Info, text);
    }

    void tellLog(LogLevel level, std::string_view text)
    {
        m_events->log(level, text);
        if (m_spec.logSink)
            m_spec.logSink(level, text);
    }

    void take(const Frame& frame)
    {
        if (!m_hasGreeted)
            return takeGreeting(frame);
        if (m_end)
            throw core::FormatError("a message after the last one");
        switch (frame.type) {
        case FrameType::Progress: {
            const ProgressFrame progress = readProgress(frame.content);
            return m_events->progress(progress.done, progress.total, progress.unit, progress.phase);
        }
        case FrameType::Log: {
            const LogFrame log = readLog(frame.content);
            return tellLog(LogLevel(log.level), log.text);
        }
        case FrameType::Metric: {
            const MetricFrame metric = readMetric(frame.content);
            m_events->metric(metric.name, metric.step, metric.value);
            if (m_spec.metricSink)
                m_spec.metricSink(metric.name, metric.step, metric.value);
            return;
        }
        case FrameType::Partial:
            if (m_kind->unpack)
                m_events->partial(m_kind->unpack(frame.content));
            return;
        case FrameType::Paused:
            if (readNumber(frame.content) == m_pauses)
                m_events->paused();
            return;
        case FrameType::Ended: m_end = readEnded(frame.content); return m_child->input.reset();
        default: throw core::FormatError(fmt::format("type {} is for the other direction", char(frame.type)));
        }
    }

    void takeGreeting(const Frame& frame)
    {
        if (frame.type != FrameType::Hello)
            throw core::FormatError("its first message is no greeting");
        if (frame.content != core::kVersion)
            throw core::FormatError(fmt::format("it is of version {}, this is {}", frame.content.substr(0, 40), core::kVersion));
        m_hasGreeted = true;
    }

    void finish()
    {
        if (!m_wasKilled)
            waitForExit();
        m_how.waitStatus = m_child->wait();
        m_how.systemWasOutOfMemory = outOfMemoryKills() > m_killsBefore;
        readErrors();
        takeLine(std::exchange(m_line, {}));
        m_child.reset();
        std::any result;
        std::exception_ptr error;
        try {
            result = outcome();
        } catch (...) {
            error = std::current_exception();
        }
        m_events->ended(std::move(result), std::move(error));
    }

    void waitForExit()
    {
        const auto limit = SteadyClock::now() + kExitLimit;
        while (!m_child->hasEnded() && SteadyClock::now() < limit)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (m_child->hasEnded())
            return;
        if (!m_end)
            m_how.rubbish = "its output ended";
        m_child->kill();
    }

    std::any outcome()
    {
        if (!m_end) {
            const std::string message = describeEnd(m_how);
            setRight(message);
            if (m_cancelAsked)
                throw core::Cancelled();
            throw core::Error(message);
        }
        if (const auto error = errorOf(*m_end))
            std::rethrow_exception(error);
        core::Json result = core::Json::parse(m_end->text, nullptr, false);
        if (result.is_discarded())
            throw core::FormatError("the job's process gave a result that is no JSON");
        return m_kind->result ? m_kind->result(m_task, result) : std::any(std::move(result));
    }

    void setRight(const std::string& message) const
    {
        if (!m_kind->died)
            return;
        try {
            m_kind->died(m_task, message);
        } catch (const std::exception& error) {
            core::log().error("after the end of a job's process: {}", error.what());
        }
    }

    JobSpec m_spec;
    const Task m_task;
    const std::shared_ptr<const Kind> m_kind;
    const std::shared_ptr<JobEvents> m_events;
    const ProcessOptions m_options;
    Outbox m_outbox;
    std::atomic<std::uint64_t> m_pauses{0};
    std::atomic<bool> m_cancelAsked{false};

    // Of the thread that follows the process:
    std::optional<ChildProcess> m_child;
    FrameReader m_frames;
    std::string m_line;  ///< of its standard error, not complete yet
    bool m_hasGreeted = false, m_wasKilled = false;
    std::optional<EndedFrame> m_end;
    ProcessEnd m_how;
    std::uint64_t m_killsBefore = 0;
    SteadyClock::time_point m_lastSign, m_lastLook{};

    std::thread m_thread;  ///< last: it uses all of the above
};

}  // namespace

std::unique_ptr<StartedJob> startProcessJob(JobSpec spec, int threads, std::shared_ptr<JobEvents> events, const ProcessOptions& options)
{
    try {
        return std::make_unique<ProcessJob>(std::move(spec), threads, std::move(events), options);
    } catch (const std::system_error& error) {
        throw core::Error(std::string("no thread for the job could be started: ") + error.what());
    }
}

}  // namespace orrery::jobs
