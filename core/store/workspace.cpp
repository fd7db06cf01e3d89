#include "workspace.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <core/base/hash.h>
#include <core/base/text.h>

#include "document_values.h"
#include "run_filter_sql.h"
#include "schema.h"
#include "workspace_private.h"

namespace orrery::store {
namespace {

constexpr const char* kDatabase = "orrery.db";
constexpr std::size_t kMostIdleReaders = 8;

/// Keeps other processes from creating or migrating at the same time. Where the file system has no locks, SQLite's own must do.
class FolderLock {
public:
    explicit FolderLock(const std::filesystem::path& folder) : m_descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))
    {
        if (m_descriptor >= 0)
            ::flock(m_descriptor, LOCK_EX);
    }
    ~FolderLock()
    {
        if (m_descriptor >= 0)
            ::close(m_descriptor);
    }
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;

private:
    int m_descriptor;
};

void requireDatabase(const std::filesystem::path& folder)
{
    if (Workspace::isWorkspace(folder))
        return;
    std::error_code none;
    if (!std::filesystem::is_directory(folder, none))
        throw core::StorageError(fmt::format("{}: expected a workspace folder, there is none", folder.string()));
    throw core::StorageError(fmt::format("{}: expected a workspace, found no {} in it", folder.string(), kDatabase));
}

/// A tag is a word or two in a table and in queries.
void checkTag(const std::string& tag)
{
    constexpr std::size_t kLongest = 200;
    const bool isControl = std::any_of(tag.begin(), tag.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (core::trim(tag).empty() || tag.size() > kLongest || isControl)
        throw core::InputError(fmt::format("tag: expected one line of 1 to {} bytes, got {}", kLongest,
                                           core::trim(tag).empty() ? std::string("none")
                                           : isControl             ? std::string("line breaks or other control characters")
                                                                   : fmt::format("{}", tag.size())));
}

void requireWritable(const std::filesystem::path& path)
{
    if (::access(path.c_str(), W_OK) != 0 && errno != ENOENT)
        throw core::StorageError(
            fmt::format("{}: cannot be written ({}); change the permissions, open it for reading only, or choose another workspace", path.string(),
                        std::strerror(errno)));
}

void makeFolder(const std::filesystem::path& folder)
{
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
        throw core::StorageError(fmt::format("{}: the workspace folder cannot be created: {}", folder.string(), error.message()));
}

/// Without permission to write into the folder SQLite cannot make the shared memory of its log; as long as nobody writes, the file alone is enough.
Connection::Access readAccessFor(const std::filesystem::path& file, const Options& options)
{
    try {
        Connection connection(file, Connection::Access::Read, options.busyTimeout);
        connection.integer("SELECT count(*) FROM sqlite_master");
        return Connection::Access::Read;
    } catch (const SQLite::Exception&) {
        std::error_code none;
        const auto log = std::filesystem::file_size(file.string() + "-wal", none);
        if (!none && log > 0)
            throw;
        return Connection::Access::ReadImmutable;
    }
}

void requireCurrentVersion(Connection& connection, const std::filesystem::path& file)
{
    const int version = checkVersion(connection, kWorkspaceId, file);
    if (version < kSchemaVersion)
        throw core::StorageError(
            fmt::format("{}: expected a database of version {}, found version {}; open it once with write permission to bring it up to date",
                        file.string(), kSchemaVersion, version));
}

std::unique_ptr<Connection> openForWriting(const std::filesystem::path& file, const Options& options)
{
    auto connection = std::make_unique<Connection>(file, Connection::Access::Create, options.busyTimeout);
    const int version = checkVersion(*connection, kWorkspaceId, file);
    connection->database().exec("PRAGMA journal_mode = WAL");
    if (version < kSchemaVersion)
        createOrMigrate(*connection);
    Transaction transaction(*connection, Transaction::Kind::Write);
    interruptDeadRuns(*connection, options.leaseExpiry);
    transaction.commit();
    return connection;
}

}  // namespace

std::unique_ptr<Connection> Readers::take()
{
    {
        const std::lock_guard lock(m_mutex);
        if (!m_idle.empty()) {
            auto connection = std::move(m_idle.back());
            m_idle.pop_back();
            return connection;
        }
    }
    return std::make_unique<Connection>(m_file, m_access, m_busyTimeout);
}

void Readers::giveBack(std::unique_ptr<Connection> connection)
{
    const std::lock_guard lock(m_mutex);
    if (m_idle.size() < kMostIdleReaders)
        m_idle.push_back(std::move(connection));
}

void Readers::close()
{
    const std::lock_guard lock(m_mutex);
    m_idle.clear();
}

Workspace::Private::~Private()
{
    // The writer closes last: only a connection that may write moves the log into the database and removes it.
    readers.close();
    changeConnection.reset();
}

Workspace::Private::Private(std::filesystem::path f, Options o, Connection::Access access)
    : folder(std::move(f)), file(folder / kDatabase), options(o), readAccess(access), readers(file, access, o.busyTimeout),
      files(folder / "artifacts")
{
}

Writer& Workspace::Private::writing() const
{
    if (!writer)
        throw core::StorageError(fmt::format("{}: the workspace is open for reading only", folder.string()));
    return *writer;
}

void Workspace::Private::changeRun(RunId run, const std::function<void(Writer::Call&)>& function, bool isListChange)
{
    writing().call([&](Writer::Call& call) {
        requireRun(call.connection, run);
        call.change.runs.push_back(run);
        call.change.list = isListChange;
        function(call);
    });
}

void Workspace::Private::removeUnused(const std::vector<std::string>& hashes)
{
    if (hashes.empty())
        return;
    // Under the write lock, so that no other process can add an artifact with the same content between the question and the removal.
    writing().call([&](Writer::Call& call) {
        for (const std::string& hash : hashes) {
            const auto used = call.connection.query("SELECT 1 FROM artifacts WHERE hash = ?", hash);
            if (!used->next())
                files.remove(hash);
        }
    });
}

Workspace::Workspace(std::unique_ptr<Private> p) : d(std::move(p))
{
}

Workspace::~Workspace() = default;

std::shared_ptr<Workspace> Workspace::open(const std::filesystem::path& folder, OpenMode mode, Options options)
{
    const std::filesystem::path file = folder / kDatabase;
    if (mode == OpenMode::OpenOrCreate)
        makeFolder(folder);
    else
        requireDatabase(folder);
    return guarded(file, [&] {
        if (mode == OpenMode::ReadOnly) {
            checkFile(file);
            auto d = std::make_unique<Private>(folder, options, readAccessFor(file, options));
            d->readers.with([&](Connection& connection) { requireCurrentVersion(connection, file); });
            return std::shared_ptr<Workspace>(new Workspace(std::move(d)));
        }
        requireWritable(folder);
        requireWritable(file);
        const FolderLock lock(folder);
        if (isWorkspace(folder))
            checkFile(file);
        auto d = std::make_unique<Private>(folder, options, Connection::Access::Read);
        d->writer = std::make_unique<Writer>(file, openForWriting(file, options), options);
        d->files.removeLeftovers();
        return std::shared_ptr<Workspace>(new Workspace(std::move(d)));
    });
}

bool Workspace::isWorkspace(const std::filesystem::path& folder)
{
    std::error_code none;
    return std::filesystem::is_regular_file(folder / kDatabase, none);
}

const std::filesystem::path& Workspace::folder() const
{
    return d->folder;
}

bool Workspace::isReadOnly() const
{
    return !d->writer;
}

void requireRun(Connection& connection, RunId run)
{
    const auto row = connection.query("SELECT 1 FROM runs WHERE id = ?", run);
    if (!row->next())
        throw core::InputError(fmt::format("there is no run {}", run));
}

std::string documentHash(Connection& connection, const core::Json& document)
{
    const std::string text = document.dump();
    const std::string hash = core::hashHex(text);
    connection.execute("INSERT OR IGNORE INTO documents(hash, json) VALUES(?, ?)", hash, text);
    return hash;
}

void removeUnusedDocuments(Connection& connection)
{
    connection.execute("DELETE FROM documents WHERE hash NOT IN (SELECT document FROM runs UNION SELECT environment FROM runs)");
}

// --- Runs ---

RunId Workspace::createRun(const NewRun& run)
{
    return d->writing().callFor<RunId>([&](Writer::Call& call) {
        const std::string now = core::isoTimeNow();
        call.connection.execute(
            "INSERT INTO runs(name, status, created, seed, document, environment, notes, parent) VALUES(?, 'queued', ?, ?, ?, ?, ?, ?)", run.name,
            now, run.seed, documentHash(call.connection, run.document), documentHash(call.connection, run.environment), run.notes, run.parent);
        const RunId id = call.connection.lastId();
        addDocumentValues(call.connection, id, run.document);
        for (const std::string& tag : run.tags)
            call.connection.execute("INSERT OR IGNORE INTO tags(run, tag) VALUES(?, ?)", id, tag);
        call.connection.execute("INSERT INTO events(run, time, status) VALUES(?, ?, 'queued')", id, now);
        call.change.runs = {id};
        call.change.list = true;
        return id;
    });
}

void Workspace::startRun(RunId run)
{
    d->changeRun(run, [&](Writer::Call& call) {
        d->writer->takeLease(call, run);
        const auto row = call.connection.query("SELECT status FROM runs WHERE id = ?", run);
        row->next();
        if (row->text(0) != "queued")
            throw core::InputError(fmt::format("run {}: expected a queued run, found one that is {}; resume it instead", run, row->text(0)));
        storeStatus(call.connection, run, RunStatus::Running, core::isoTimeNow(), "");
    });
    d->writer->setHeld(run);
}

void Workspace::resumeRun(RunId run, std::optional<std::int64_t> keepUpTo)
{
    std::vector<std::string> dropped;
    d->changeRun(run, [&](Writer::Call& call) {
        d->writer->takeLease(call, run);
        if (keepUpTo) {
            call.metrics.forget(run);
            call.metrics.truncate(run, *keepUpTo);
            dropped = hashesOf(call.connection, "run = ? AND step > " + std::to_string(*keepUpTo), run);
            call.connection.execute("DELETE FROM artifacts WHERE run = ? AND step > ?", run, *keepUpTo);
            call.change.metrics = call.change.artifacts = true;
        }
        storeStatus(call.connection, run, RunStatus::Running, core::isoTimeNow(),
                    keepUpTo ? fmt::format("resumed at step {}", *keepUpTo) : "resumed");
    });
    d->writer->setHeld(run);
    d->removeUnused(dropped);
}

void Workspace::setStatus(RunId run, RunStatus status, const std::string& message)
{
    Writer& writer = d->writing();
    if (!findRun(run))
        throw core::InputError(fmt::format("there is no run {}", run));
    if (!hasEnded(status) && status != RunStatus::Queued && !writer.holds(run))
        throw core::StorageError(fmt::format("run {}: is not held by this process; start or resume it first", run));
    writer.addStatus(run, status, message);
    writer.flush();
    writer.requireNotLost(run);
}

bool Workspace::holdsLease(RunId run) const
{
    return d->writer && d->writer->holds(run);
}

void Workspace::renameRun(RunId run, const std::string& name)
{
    d->changeRun(run, [&](Writer::Call& call) { call.connection.execute("UPDATE runs SET name = ? WHERE id = ?", name, run); });
}

void Workspace::setNotes(RunId run, const std::string& notes)
{
    d->changeRun(run, [&](Writer::Call& call) { call.connection.execute("UPDATE runs SET notes = ? WHERE id = ?", notes, run); });
}

void Workspace::setTags(RunId run, std::vector<std::string> tags)
{
    for (const std::string& tag : tags)
        checkTag(tag);
    d->changeRun(run, [&](Writer::Call& call) {
        call.connection.execute("DELETE FROM tags WHERE run = ?", run);
        for (const std::string& tag : tags)
            call.connection.execute("INSERT OR IGNORE INTO tags(run, tag) VALUES(?, ?)", run, tag);
    });
}

void Workspace::addTag(RunId run, const std::string& tag)
{
    checkTag(tag);
    d->changeRun(run, [&](Writer::Call& call) { call.connection.execute("INSERT OR IGNORE INTO tags(run, tag) VALUES(?, ?)", run, tag); });
}

void Workspace::removeTag(RunId run, const std::string& tag)
{
    d->changeRun(run, [&](Writer::Call& call) { call.connection.execute("DELETE FROM tags WHERE run = ? AND tag = ?", run, tag); });
}

void Workspace::setEnvironment(RunId run, const core::Json& environment)
{
    d->changeRun(run, [&](Writer::Call& call) {
        call.connection.execute("UPDATE runs SET environment = ? WHERE id = ?", documentHash(call.connection, environment), run);
        removeUnusedDocuments(call.connection);
    });
}

void Workspace::deleteRuns(std::span<const RunId> runs)
{
    std::vector<std::string> hashes;
    d->writing().call([&](Writer::Call& call) {
        for (const RunId run : runs) {
            requireRun(call.connection, run);
            d->writer->requireFree(call, run);
            const auto found = hashesOf(call.connection, "run = ?1 OR analysis IN (SELECT id FROM analyses WHERE run = ?1)", run);
            hashes.insert(hashes.end(), found.begin(), found.end());
            call.connection.execute("DELETE FROM runs WHERE id = ?", run);
            removeDocumentValues(call.connection, run);
            call.metrics.forget(run);
            call.change.runs.push_back(run);
        }
        removeUnusedDocuments(call.connection);
        removeUnusedPaths(call.connection);
        call.change.list = call.change.metrics = call.change.artifacts = call.change.analyses = true;
    });
    d->removeUnused(hashes);
}

RunList Workspace::runs(const RunQuery& query) const
{
    return d->readers.with([&](Connection& connection) {
        Transaction transaction(connection, Transaction::Kind::Read);
        return listRuns(connection, query, d->dead(connection));
    });
}

std::optional<RunSummary> Workspace::findRun(RunId run) const
{
    return d->readers.with([&](Connection& connection) {
        Transaction transaction(connection, Transaction::Kind::Read);
        return findSummary(connection, run, d->dead(connection));
    });
}

RunRecord Workspace::run(RunId run) const
{
    return d->readers.with([&](Connection& connection) {
        Transaction transaction(connection, Transaction::Kind::Read);
        requireRun(connection, run);
        RunRecord record{*findSummary(connection, run, d->dead(connection)), {}, {}};
        const auto row = connection.query("SELECT a.json, b.json FROM runs r LEFT JOIN documents a ON a.hash = r.document LEFT JOIN documents b ON "
                                          "b.hash = r.environment WHERE r.id = ?",
                                          run);
        row->next();
        record.document = row->json(0);
        record.environment = row->json(1);
        return record;
    });
}

std::vector<RunField> Workspace::runFields() const
{
    return d->readers.with([&](Connection& connection) {
        Transaction transaction(connection, Transaction::Kind::Read);
        return readRunFields(connection);
    });
}

std::vector<std::string> Workspace::allTags() const
{
    return d->readers.with([&](Connection& connection) {
        std::vector<std::string> tags;
        const auto rows = connection.query("SELECT DISTINCT tag FROM tags ORDER BY tag");
        while (rows->next())
            tags.push_back(rows->text(0));
        return tags;
    });
}

std::vector<RunEvent> Workspace::history(RunId run) const
{
    return d->readers.with([&](Connection& connection) {
        std::vector<RunEvent> events;
        const auto rows = connection.query("SELECT time, status, message FROM events WHERE run = ? ORDER BY id", run);
        while (rows->next())
            events.push_back({rows->text(0), statusFromName(rows->text(1)), rows->text(2)});
        return events;
    });
}

// --- Settings and keeping up ---

void Workspace::setSetting(const std::string& key, const core::Json& value)
{
    d->writing().call([&](Writer::Call& call) { call.connection.execute("INSERT OR REPLACE INTO settings(key, value) VALUES(?, ?)", key, value); });
}

std::optional<core::Json> Workspace::setting(const std::string& key) const
{
    return d->readers.with([&](Connection& connection) -> std::optional<core::Json> {
        const auto row = connection.query("SELECT value FROM settings WHERE key = ?", key);
        return row->next() ? std::optional(row->json(0)) : std::nullopt;
    });
}

void Workspace::flush()
{
    d->writing().flush();
}

std::optional<std::string> Workspace::writeError() const
{
    return d->writer ? d->writer->error() : std::nullopt;
}

std::uint64_t Workspace::changeCounter() const
{
    const std::lock_guard lock(d->changeMutex);
    return guarded(d->file, [&] {
        if (!d->changeConnection)
            d->changeConnection = std::make_unique<Connection>(d->file, d->readAccess, d->options.busyTimeout);
        const std::int64_t version = d->changeConnection->integer("PRAGMA data_version");
        if (version != std::exchange(d->dataVersion, version))
            ++d->changes;
        return d->changes;
    });
}

core::Subscription Workspace::subscribe(std::function<void(const Change&)> listener)
{
    return d->writer ? d->writer->listeners.add(std::move(listener)) : core::Subscription();
}

void Workspace::checkLeases()
{
    d->writing().call([&](Writer::Call& call) {
        call.change.runs = interruptDeadRuns(call.connection, d->options.leaseExpiry);
        call.change.list = !call.change.runs.empty();
    });
}

}  // namespace orrery::store
