#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace orrery::jobs {

/// A file descriptor that is closed with this object.
class FileHandle {
public:
    FileHandle() = default;
    explicit FileHandle(int file) : m_file(file) {}
    FileHandle(FileHandle&& other) noexcept : m_file(other.release()) {}
    FileHandle& operator=(FileHandle&& other) noexcept
    {
        reset(other.release());
        return *this;
    }
    ~FileHandle() { reset(); }
    int get() const { return m_file; }
    bool isOpen() const { return m_file >= 0; }
    void reset(int file = -1);

private:
    int release();
    int m_file = -1;
};

/// A running program, leader of its own process group, with a pipe at each of its three standard streams. All pipes are non-blocking on this side, and no other
/// program inherits them.
class ChildProcess {
public:
    /// @throws core::Error if it cannot be started: the message names the program and the reason.
    explicit ChildProcess(const std::vector<std::string>& command);
    /// A copy of this process, in which `work` runs; what it returns is the exit status. Files that are open here are not open there. Locks that other threads hold would
    /// stay locked in the copy for ever. @throws core::Error unless `canCopy()`.
    explicit ChildProcess(const std::function<int()>& work);
    /// Whether this process has one thread.
    static bool canCopy();
    /// Ends the whole group and waits.
    ~ChildProcess();
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;

    FileHandle input, output, errors;
    pid_t id() const { return m_id; }
    /// SIGKILL for the whole group. Nothing happens once it has ended.
    void kill();
    /// True once it has ended; it stays a zombie until `wait`, so its number is not given to another process.
    bool hasEnded() const;
    /// Waits for the end, and ends what is left of its group. @return the status as waitpid gives it.
    int wait();
    /// Memory that it takes now (resident set); 0 if that cannot be read.
    std::uint64_t residentBytes() const;

private:
    void keepOwnEnds(FileHandle&& in, FileHandle&& out, FileHandle&& err);

    pid_t m_id = -1;
    std::optional<int> m_status;
};

}  // namespace orrery::jobs
