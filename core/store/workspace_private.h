#pragma once
#include <atomic>

#include <fmt/format.h>

#include "artifact_files.h"
#include "run_list.h"
#include "writer.h"

namespace orrery::store {

/// Connections for reading: each is used by one thread at a time, and kept for the next.
class Readers {
public:
    Readers(std::filesystem::path file, Connection::Access access, std::chrono::milliseconds busyTimeout)
        : m_file(std::move(file)), m_access(access), m_busyTimeout(busyTimeout)
    {
    }

    /// Closes the connections that are not in use.
    void close();
    /// Calls `function(Connection&)`; SQLite's errors become StorageError.
    template <class Function>
    auto with(Function function)
    {
        return guarded(m_file, [&] {
            Loan loan{*this, take()};
            return function(*loan.connection);
        });
    }

private:
    struct Loan {
        Readers& owner;
        std::unique_ptr<Connection> connection;
        ~Loan() { owner.giveBack(std::move(connection)); }
    };
    std::unique_ptr<Connection> take();
    void giveBack(std::unique_ptr<Connection> connection);

    const std::filesystem::path m_file;
    const Connection::Access m_access;
    const std::chrono::milliseconds m_busyTimeout;
    std::mutex m_mutex;  ///< guards m_idle
    std::vector<std::unique_ptr<Connection>> m_idle;
};

struct Workspace::Private {
    Private(std::filesystem::path folder, Options options, Connection::Access readAccess);
    ~Private();

    const std::filesystem::path folder, file;
    const Options options;
    const Connection::Access readAccess;
    mutable Readers readers;
    mutable ArtifactFiles files;
    std::unique_ptr<Writer> writer;  ///< null: read-only

    mutable std::mutex changeMutex;  ///< guards the connection and the two counters
    mutable std::unique_ptr<Connection> changeConnection;
    mutable std::int64_t dataVersion = 0;
    mutable std::uint64_t changes = 0;

    /// @throws StorageError if the workspace is open for reading only.
    Writer& writing() const;
    /// A call on the writer thread that changes one run; InputError if there is no such run.
    void changeRun(RunId run, const std::function<void(Writer::Call&)>& function, bool isListChange = true);
    std::set<RunId> dead(Connection& connection) const { return deadRuns(connection, options.leaseExpiry); }
    /// Removes files of artifacts that no run or analysis refers to.
    void removeUnused(const std::vector<std::string>& hashes);
    using Produce = std::function<void(const std::function<void(std::string_view)>&)>;
    Artifact addArtifact(std::optional<RunId> run, std::optional<std::int64_t> analysis, const ArtifactSpec& spec, const Produce& produce);
};

/// @throws InputError `there is no run 7`.
void requireRun(Connection& connection, RunId run);
std::vector<std::string> hashesOf(Connection& connection, const std::string& where, std::int64_t id);
std::string documentHash(Connection& connection, const core::Json& document);
/// Documents and environments that no run names any more.
void removeUnusedDocuments(Connection& connection);

}  // namespace orrery::store
