#include "child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <utility>

#include <core/base/error.h>

extern char** environ;

namespace orrery::jobs {
namespace {

struct StreamPipe {
    FileHandle reading, writing;
    StreamPipe()
    {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0)
            throw core::Error(fmt::format("no pipe for a process could be made: {}", std::strerror(errno)));
        reading.reset(ends[0]);
        writing.reset(ends[1]);
    }
};

void setNonBlocking(const FileHandle& file)
{
    ::fcntl(file.get(), F_SETFL, ::fcntl(file.get(), F_GETFL) | O_NONBLOCK);
}

/// Its own group; no signal blocked or ignored, whatever the thread that starts it does.
class ChildAttributes {
public:
    ChildAttributes()
    {
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_init(&m_attributes);
        posix_spawnattr_setsigmask(&m_attributes, &none);
        posix_spawnattr_setsigdefault(&m_attributes, &all);
        posix_spawnattr_setpgroup(&m_attributes, 0);
        posix_spawnattr_setflags(&m_attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    }
    ~ChildAttributes() { posix_spawnattr_destroy(&m_attributes); }
    const posix_spawnattr_t* get() const { return &m_attributes; }

private:
    posix_spawnattr_t m_attributes;
};

class ChildStreams {
public:
    ChildStreams(const FileHandle& input, const FileHandle& output, const FileHandle& errors)
    {
        posix_spawn_file_actions_init(&m_actions);
        posix_spawn_file_actions_adddup2(&m_actions, input.get(), STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&m_actions, output.get(), STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&m_actions, errors.get(), STDERR_FILENO);
    }
    ~ChildStreams() { posix_spawn_file_actions_destroy(&m_actions); }
    const posix_spawn_file_actions_t* get() const { return &m_actions; }

private:
    posix_spawn_file_actions_t m_actions;
};

/// What ChildAttributes and ChildStreams say, for a copy of this process.
void becomeChild(int input, int output, int errors)
{
    ::setpgid(0, 0);
    for (int signal = 1; signal < NSIG; ++signal)
        ::signal(signal, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::dup2(input, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(errors, STDERR_FILENO);
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
}

}  // namespace

void FileHandle::reset(int file)
{
    if (m_file >= 0 && m_file != file)
        ::close(m_file);
    m_file = file;
}

int FileHandle::release()
{
    return std::exchange(m_file, -1);
}

ChildProcess::ChildProcess(const std::vector<std::string>& command)
{
    StreamPipe in, out, err;
    std::vector<char*> words;
    for (const std::string& word : command)
        words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    const ChildAttributes attributes;
    const ChildStreams streams(in.reading, out.writing, err.writing);
    if (const int error = ::posix_spawnp(&m_id, words[0], streams.get(), attributes.get(), words.data(), environ))
        throw core::Error(fmt::format("{} could not be started: {}", command.at(0), std::strerror(error)));
    keepOwnEnds(std::move(in.writing), std::move(out.reading), std::move(err.reading));
}

ChildProcess::ChildProcess(const std::function<int()>& work)
{
    if (!canCopy())
        throw core::Error("a process with more than one thread cannot be copied");
    StreamPipe in, out, err;
    std::fflush(nullptr);  // else both processes would write what waits
    m_id = ::fork();
    if (m_id < 0)
        throw core::Error(fmt::format("no process could be made: {}", std::strerror(errno)));
    if (m_id == 0) {
        becomeChild(in.reading.get(), out.writing.get(), err.writing.get());
        const int status = work();
        std::fflush(nullptr);
        ::_exit(status);
    }
    ::setpgid(m_id, m_id);  // by both: whoever comes first
    keepOwnEnds(std::move(in.writing), std::move(out.reading), std::move(err.reading));
}

bool ChildProcess::canCopy()
{
    std::error_code error;
    const std::filesystem::directory_iterator threads("/proc/self/task", error);
    return !error && std::distance(begin(threads), end(threads)) == 1;
}

void ChildProcess::keepOwnEnds(FileHandle&& in, FileHandle&& out, FileHandle&& err)
{
    input = std::move(in);
    output = std::move(out);
    errors = std::move(err);
    for (const FileHandle* file : {&input, &output, &errors})
        setNonBlocking(*file);
}

ChildProcess::~ChildProcess()
{
    kill();
    wait();
}

void ChildProcess::kill()
{
    if (m_status)
        return;
    ::kill(-m_id, SIGKILL);
    ::kill(m_id, SIGKILL);  // should it have left its group
}

bool ChildProcess::hasEnded() const
{
    if (m_status)
        return true;
    siginfo_t info{};
    return ::waitid(P_PID, id_t(m_id), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == m_id;
}

int ChildProcess::wait()
{
    if (m_status)
        return *m_status;
    siginfo_t info{};
    while (::waitid(P_PID, id_t(m_id), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    // While it is a zombie the number of its group is still its own.
    ::kill(-m_id, SIGKILL);
    int status = 0;
    while (::waitpid(m_id, &status, 0) < 0 && errno == EINTR) {
    }
    m_status = status;
    return status;
}

std::uint64_t ChildProcess::residentBytes() const
{
    std::ifstream file(fmt::format("/proc/{}/statm", m_id));
    std::uint64_t total = 0, resident = 0;
    file >> total >> resident;
    return file ? resident * std::uint64_t(::sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace orrery::jobs
