#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <thread>
#include <utility>

extern char** environ;

namespace orrery::core {
namespace {

using Clock = std::chrono::steady_clock;

/// Both ends of a pipe that no other child inherits.
struct Pipe {
    int ends[2] = {-1, -1};
    bool open() { return ::pipe2(ends, O_CLOEXEC) == 0; }
    void close(int end)
    {
        if (ends[end] >= 0)
            ::close(std::exchange(ends[end], -1));
    }
    ~Pipe()
    {
        close(0);
        close(1);
    }
};

/// The child blocks no signals, whatever the thread that starts it does.
struct SpawnAttributes {
    posix_spawnattr_t attributes;
    SpawnAttributes()
    {
        sigset_t none;
        sigemptyset(&none);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    }
    ~SpawnAttributes() { posix_spawnattr_destroy(&attributes); }
};

struct SpawnActions {
    posix_spawn_file_actions_t actions;
    SpawnActions() { posix_spawn_file_actions_init(&actions); }
    ~SpawnActions() { posix_spawn_file_actions_destroy(&actions); }
};

std::vector<std::string> changedEnvironment(const std::vector<std::string>& changes)
{
    std::vector<std::string> out;
    for (char** entry = environ; *entry; ++entry) {
        const std::string text = *entry, name = text.substr(0, text.find('='));
        const bool changed =
            std::any_of(changes.begin(), changes.end(), [&](const std::string& change) { return change.substr(0, change.find('=')) == name; });
        if (!changed)
            out.push_back(text);
    }
    for (const std::string& change : changes)
        if (change.find('=') != std::string::npos)
            out.push_back(change);
    return out;
}

std::vector<char*> pointersTo(const std::vector<std::string>& texts)
{
    std::vector<char*> out;
    for (const std::string& text : texts)
        out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

/// Reads until the end of the stream. @return false at the deadline.
bool readToEnd(int fd, Clock::time_point deadline, std::string& output)
{
    char buffer[4096];
    for (;;) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd waiting{fd, POLLIN, 0};
        const int ready = left > 0 ? ::poll(&waiting, 1, int(left)) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        const ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return true;
        output.append(buffer, std::size_t(got));
    }
}

/// Its output has ended, so it ends any moment; a program that closes its output and goes on is given until the deadline.
bool waitUntil(pid_t child, Clock::time_point deadline, int& status)
{
    for (;;) {
        const pid_t ended = ::waitpid(child, &status, WNOHANG);
        if (ended == child)
            return true;
        if (ended < 0 && errno != EINTR)
            return false;
        if (Clock::now() >= deadline)
            return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace

std::optional<ProcessResult> runProcess(const std::vector<std::string>& command, std::chrono::milliseconds limit,
                                        const std::vector<std::string>& setVariables)
{
    const Clock::time_point deadline = Clock::now() + limit;
    Pipe pipe;
    if (command.empty() || !pipe.open())
        return std::nullopt;
    SpawnActions spawn;
    posix_spawn_file_actions_addopen(&spawn.actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&spawn.actions, pipe.ends[1], 1);
    posix_spawn_file_actions_addopen(&spawn.actions, 2, "/dev/null", O_WRONLY, 0);
    const std::vector<std::string> environment = changedEnvironment(setVariables);
    pid_t child = -1;
    const SpawnAttributes attributes;
    if (::posix_spawnp(&child, command[0].c_str(), &spawn.actions, &attributes.attributes, pointersTo(command).data(),
                       pointersTo(environment).data()) != 0)
        return std::nullopt;
    pipe.close(1);
    ProcessResult result;
    int status = 0;
    if (!readToEnd(pipe.ends[0], deadline, result.output) || !waitUntil(child, deadline, status)) {
        ::kill(child, SIGKILL);
        while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        return std::nullopt;
    }
    result.exitStatus = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

}  // namespace orrery::core
