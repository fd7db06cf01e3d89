#include "worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <mutex>
#include <thread>

#include <core/base/log.h>
#include <core/base/plain_reason.h>
#include <core/base/version.h>

#include "engine.h"
#include "frames.h"
#include "kinds.h"

namespace orrery::jobs {
namespace {

constexpr int kParentGone = 129;

/// Writes whole frames, from any thread.
class FrameWriter {
public:
    explicit FrameWriter(int file) : m_file(file) {}
    void write(FrameType type, std::string_view content = {})
    {
        const std::string bytes = frameBytes(type, content);
        const std::lock_guard lock(m_mutex);
        for (std::size_t at = 0; at < bytes.size();) {
            const ssize_t written = ::write(m_file, bytes.data() + at, bytes.size() - at);
            if (written < 0 && errno == EINTR)
                continue;
            if (written <= 0)
                ::_exit(kParentGone);  // nobody listens any more
            at += std::size_t(written);
        }
    }

private:
    std::mutex m_mutex;  ///< one frame after the other
    const int m_file;
};

/// What the thread engine tells of the job goes out as frames.
class FrameEvents : public JobEvents {
public:
    FrameEvents(FrameWriter& out, std::shared_ptr<const Kind> kind) : m_out(out), m_kind(std::move(kind)) {}

    void progress(double done, double total, std::string_view unit, std::string_view phase) override
    {
        // Listeners hear ten a second anyway; the last one of a phase must not get lost.
        const auto now = std::chrono::steady_clock::now();
        {
            const std::lock_guard lock(m_mutex);
            if (done < total && phase == m_phase && now - m_lastProgress < std::chrono::milliseconds(20))
                return;
            m_phase = phase;
            m_lastProgress = now;
        }
        m_out.write(FrameType::Progress, progressContent(done, total, unit, phase));
    }
    void log(LogLevel level, std::string_view text) override { m_out.write(FrameType::Log, logContent(int(level), text)); }
    void metric(std::string_view name, std::int64_t step, double value) override { m_out.write(FrameType::Metric, metricContent(name, step, value)); }
    void partial(std::shared_ptr<const void> result) override
    {
        if (!m_kind->pack)
            return;
        const std::string bytes = m_kind->pack(result.get());
        if (!bytes.empty() && bytes.size() <= frameLimit(FrameType::Partial))
            m_out.write(FrameType::Partial, bytes);
    }
    void paused() override { m_out.write(FrameType::Paused, numberContent(m_pause.load())); }
    void ended(std::any result, std::exception_ptr error) override
    {
        try {
            if (error)
                std::rethrow_exception(error);
            tellEnd(Outcome::Finished, std::any_cast<std::string>(result));
        } catch (const core::Cancelled&) {
            tellEnd(Outcome::Cancelled, {});
        } catch (const core::InputError& failure) {
            tellEnd(Outcome::InputError, failure.what());
        } catch (const core::FormatError& failure) {
            tellEnd(Outcome::FormatError, failure.what());
        } catch (const core::ShapeError& failure) {
            tellEnd(Outcome::ShapeError, failure.what());
        } catch (const core::StorageError& failure) {
            tellEnd(Outcome::StorageError, failure.what());
        } catch (const core::DeviceError& failure) {
            tellEnd(Outcome::DeviceError, failure.what());
        } catch (const std::bad_alloc&) {
            tellEnd(Outcome::NoMemory, {});
        } catch (const std::exception& failure) {
            tellEnd(Outcome::Error, core::plainReason(failure));
        } catch (...) {
            tellEnd(Outcome::Error, "an error of unknown kind");
        }
    }

    void setPause(std::uint64_t number) { m_pause = number; }
    bool hasEnded() const { return m_ended; }

private:
    void tellEnd(Outcome outcome, std::string_view text)
    {
        m_ended = true;  // first: the other side closes our input as soon as it has heard of the end
        m_out.write(FrameType::Ended, endedContent(outcome, text));
    }

    FrameWriter& m_out;
    const std::shared_ptr<const Kind> m_kind;
    std::mutex m_mutex;  ///< guards the next two
    std::string m_phase;
    std::chrono::steady_clock::time_point m_lastProgress{};
    std::atomic<std::uint64_t> m_pause{0};
    std::atomic<bool> m_ended{false};
};

/// Reads frames of a file, blocking. Nothing at its end.
class FrameInput {
public:
    explicit FrameInput(int file) : m_file(file) {}
    std::optional<Frame> next()
    {
        char buffer[65536];
        for (;;) {
            if (auto frame = m_frames.next())
                return frame;
            const ssize_t got = ::read(m_file, buffer, sizeof buffer);
            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                return std::nullopt;
            m_frames.append({buffer, std::size_t(got)});
        }
    }

private:
    FrameReader m_frames;
    const int m_file;
};

struct Assignment {
    Task task;
    int threads = 1;
};

Assignment assignmentOf(const Frame& frame)
{
    if (frame.type != FrameType::Job)
        throw core::FormatError("expected a job first");
    const core::Json json = core::Json::parse(frame.content);
    Assignment out;
    out.task.kind = json.at("kind");
    out.task.document = json.at("document");
    if (!json.at("run").is_null())
        out.task.run = json.at("run").get<std::int64_t>();
    out.task.workspace = json.at("workspace").get<std::string>();
    out.threads = json.at("threads");
    return out;
}

JobSpec specOf(const Task& task, std::shared_ptr<const Kind> kind)
{
    JobSpec spec;
    spec.kind = task.kind;
    spec.run = task.run;
    spec.function = [task, kind = std::move(kind)](Context& context) -> std::any {
        return kind->run(task, context).dump(-1, ' ', false, core::Json::error_handler_t::replace);
    };
    return spec;
}

void obey(const Frame& frame, StartedJob& job, FrameEvents& events)
{
    switch (frame.type) {
    case FrameType::Pause: events.setPause(readNumber(frame.content)); return job.pause();
    case FrameType::Resume: return job.resume();
    case FrameType::Cancel: return job.cancel();
    default: throw core::FormatError("expected pause, resume or cancel");
    }
}

/// Follows what comes in until the other side ends it. Its end before the job's: the process that asked is gone.
void listen(FrameInput input, StartedJob& job, FrameEvents& events)
{
    try {
        while (const auto frame = input.next())
            obey(*frame, job, events);
    } catch (const core::FormatError& error) {
        core::log().error("worker: {}", error.what());
    }
    if (!events.hasEnded())
        ::_exit(kParentGone);
}

/// The window and the store come last when memory runs out. Not being allowed to say so is harmless.
void preferToBeKilled()
{
    std::ofstream("/proc/self/oom_score_adj") << "500\n";
}

}  // namespace

int runWorker(int input, int output, std::stop_token stop)
{
    preferToBeKilled();
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGPIPE, SIG_IGN);
    FrameWriter out(output);
    out.write(FrameType::Hello, core::kVersion);
    FrameInput in(input);
    Assignment assignment;
    std::shared_ptr<const Kind> kind;
    try {
        const auto frame = in.next();
        if (!frame)
            return kParentGone;
        assignment = assignmentOf(*frame);
        kind = findKind(assignment.task.kind);
        if (!kind)
            throw core::InputError(fmt::format("no job of kind \"{}\" can run in a process of its own", assignment.task.kind));
    } catch (const std::exception& error) {
        out.write(FrameType::Ended, endedContent(Outcome::InputError, error.what()));
        return 2;
    }
    const auto events = std::make_shared<FrameEvents>(out, kind);
    auto job = threadEngine()->start(specOf(assignment.task, std::move(kind)), assignment.threads, events);
    const std::stop_callback cancelled(stop, [&job] { job->cancel(); });
    // The other side closes its end when it has heard how the job ended.
    listen(std::move(in), *job, *events);
    job.reset();
    return 0;
}

}  // namespace orrery::jobs
