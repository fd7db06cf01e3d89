// Export and import of runs between workspaces.
#include <algorithm>
#include <fstream>

#include <core/base/text.h>

#include "document_values.h"
#include "schema.h"
#include "workspace.h"
#include "workspace_private.h"

namespace orrery::store {
namespace {

/// Artifacts are stored in parts: SQLite takes no value above 1 GB.
constexpr std::size_t kPartBytes = 16u << 20;
constexpr const char* kContentTable =
    "CREATE TABLE artifact_parts(hash TEXT NOT NULL, part INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY(hash, part))";

/// Copies the rows of a table in which `column` is `oldId`, with `newId` in its place. All columns named in `columns`, which starts with `column`.
void copyRows(Connection& from, Connection& to, const std::string& table, const std::string& column, const std::string& columns, std::int64_t oldId,
              std::int64_t newId)
{
    const auto rows = from.query(fmt::format("SELECT {}, {} FROM {} WHERE {} = ? ORDER BY rowid", column, columns, table, column), oldId);
    const int count = rows->statement().getColumnCount();
    std::string marks = "?";
    for (int i = 1; i < count; ++i)
        marks += ", ?";
    const std::string insert = fmt::format("INSERT INTO {}({}, {}) VALUES({})", table, column, columns, marks);
    while (rows->next()) {
        const auto target = to.query(insert, newId);
        for (int i = 1; i < count; ++i) {
            const SQLite::Column value = rows->statement().getColumn(i);
            if (value.isInteger())
                target->statement().bind(i + 1, value.getInt64());
            else if (value.isFloat())
                target->statement().bind(i + 1, value.getDouble());
            else if (value.isText())
                target->statement().bind(i + 1, value.getString());
            else if (value.isBlob())
                target->statement().bind(i + 1, value.getBlob(), value.getBytes());
        }
        target->next();
    }
}

void copyDocument(Connection& from, Connection& to, const std::string& hash)
{
    const auto row = from.query("SELECT json FROM documents WHERE hash = ?", hash);
    if (row->next())
        to.execute("INSERT OR IGNORE INTO documents(hash, json) VALUES(?, ?)", hash, row->text(0));
}

RunId copyRunRow(Connection& from, Connection& to, RunId run)
{
    const auto row =
        from.query("SELECT name, status, created, started, ended, error, seed, document, environment, notes FROM runs WHERE id = ?", run);
    row->next();
    copyDocument(from, to, row->text(7));
    copyDocument(from, to, row->text(8));
    to.execute(
        "INSERT INTO runs(name, status, created, started, ended, error, seed, document, environment, notes) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row->text(0), row->text(1), row->text(2), row->text(3), row->text(4), row->text(5), row->integer(6), row->text(7), row->text(8),
        row->text(9));
    return to.lastId();
}

void copyMetrics(Connection& from, Connection& to, RunId oldRun, RunId newRun)
{
    const auto series =
        from.query("SELECT id, name, points, chunks, first_step, last_step, last_value, minimum, maximum FROM series WHERE run = ?", oldRun);
    while (series->next()) {
        to.execute(
            "INSERT INTO series(run, name, points, chunks, first_step, last_step, last_value, minimum, maximum) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            newRun, series->text(1), series->integer(2), series->integer(3), series->integer(4), series->integer(5), series->real(6), series->real(7),
            series->real(8));
        const std::int64_t id = to.lastId();
        const auto chunks = from.query("SELECT position, bucket FROM chunks WHERE series = ?", series->integer(0));
        while (chunks->next())
            to.execute("INSERT INTO chunks(series, position, bucket) VALUES(?, ?, ?)", id, chunks->integer(0), Blob{chunks->blob(1)});
        copyRows(from, to, "chunk_data", "series", "position, level, data", series->integer(0), id);
        copyRows(from, to, "tails", "series", "position, data", series->integer(0), id);
    }
}

void copyAnalyses(Connection& from, Connection& to, RunId oldRun, RunId newRun)
{
    const auto rows = from.query("SELECT id, method, inputs, parameters, results, seconds, created FROM analyses WHERE run = ? ORDER BY id", oldRun);
    while (rows->next()) {
        to.execute("INSERT INTO analyses(run, method, inputs, parameters, results, seconds, created) VALUES(?, ?, ?, ?, ?, ?, ?)", newRun,
                   rows->text(1), rows->text(2), rows->text(3), rows->text(4), rows->real(5), rows->text(6));
        copyRows(from, to, "artifacts", "analysis", "name, media_type, step, hash, bytes, created", rows->integer(0), to.lastId());
    }
}

/// Copies a run with all that belongs to it except the content of artifacts; gives its new id.
RunId copyRun(Connection& from, Connection& to, RunId run)
{
    const RunId copy = copyRunRow(from, to, run);
    const auto tags = from.query("SELECT tag FROM tags WHERE run = ?", run);
    while (tags->next())
        to.execute("INSERT INTO tags(run, tag) VALUES(?, ?)", copy, tags->text(0));
    copyRows(from, to, "events", "run", "time, status, message", run, copy);
    copyRows(from, to, "log_lines", "run", "time, level, text", run, copy);
    copyRows(from, to, "artifacts", "run", "name, media_type, step, hash, bytes, created", run, copy);
    copyMetrics(from, to, run, copy);
    copyAnalyses(from, to, run, copy);
    return copy;
}

/// Parents that are copied, too, stay parents.
void copyParents(Connection& from, Connection& to, const std::map<RunId, RunId>& copies)
{
    for (const auto& [old, copy] : copies) {
        const auto row = from.query("SELECT parent FROM runs WHERE id = ?", old);
        const auto parent = row->next() && !row->isNull(0) ? copies.find(row->integer(0)) : copies.end();
        if (parent != copies.end())
            to.execute("UPDATE runs SET parent = ? WHERE id = ?", parent->second, copy);
    }
}

void exportContent(Connection& to, const std::string& hash, const std::filesystem::path& file)
{
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        throw core::StorageError(fmt::format("{}: cannot be read", file.string()));
    std::string part(kPartBytes, '\0');
    for (std::int64_t number = 0; stream.read(part.data(), std::streamsize(part.size())) || stream.gcount() > 0; ++number)
        to.execute("INSERT INTO artifact_parts(hash, part, content) VALUES(?, ?, ?)", hash, number,
                   Blob{std::string_view(part).substr(0, std::size_t(stream.gcount()))});
}

/// Removes a half-written file unless told to keep it.
struct TemporaryFile {
    std::filesystem::path path;
    ~TemporaryFile()
    {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
};

std::vector<std::string> allHashes(Connection& connection)
{
    std::vector<std::string> hashes;
    const auto rows = connection.query("SELECT DISTINCT hash FROM artifacts");
    while (rows->next())
        hashes.push_back(rows->text(0));
    return hashes;
}

void markInterrupted(Connection& connection, RunId run)
{
    connection.execute("UPDATE runs SET status = 'interrupted' WHERE id = ? AND status IN ('running', 'paused')", run);
}

void addStoredDocument(Connection& connection, RunId run)
{
    const auto row = connection.query("SELECT d.json FROM runs r JOIN documents d ON d.hash = r.document WHERE r.id = ?", run);
    if (row->next())
        addDocumentValues(connection, run, row->json(0));
}

}  // namespace

void Workspace::exportRuns(std::span<const RunId> runs, const std::filesystem::path& file) const
{
    const TemporaryFile temporary{file.string() + ".part"};
    std::error_code ignored;
    std::filesystem::remove(temporary.path, ignored);
    guarded(temporary.path, [&] {
        Connection to(temporary.path, Connection::Access::Create, d->options.busyTimeout);
        to.database().exec("PRAGMA synchronous = FULL");
        createOrMigrate(to, kExportId);
        to.database().exec(kContentTable);
        Transaction writing(to, Transaction::Kind::Write);
        d->readers.with([&](Connection& from) {
            Transaction reading(from, Transaction::Kind::Read);
            std::map<RunId, RunId> copies;
            for (const RunId run : runs) {
                requireRun(from, run);
                copies[run] = copyRun(from, to, run);
            }
            copyParents(from, to, copies);
        });
        for (const std::string& hash : allHashes(to))
            exportContent(to, hash, artifactPath(hash));
        writing.commit();
    });
    std::error_code error;
    std::filesystem::rename(temporary.path, file, error);
    if (error)
        throw core::StorageError(fmt::format("{}: cannot be written: {}", file.string(), error.message()));
}

std::vector<RunId> Workspace::importRuns(const std::filesystem::path& file)
{
    if (!std::filesystem::is_regular_file(file))
        throw core::StorageError(fmt::format("{}: expected a file of exported runs, there is none", file.string()));
    checkFile(file);
    return guarded(file, [&] {
        Connection from(file, Connection::Access::Read, d->options.busyTimeout);
        if (const int version = checkVersion(from, kExportId, file); version != kExportVersion)
            throw core::FormatError(
                fmt::format("{}: expected runs exported with version {}, found version {}", file.string(), kExportVersion, version));
        for (const std::string& hash : allHashes(from)) {
            const ArtifactFiles::Stored stored = d->files.add([&](const Write& write) {
                const auto parts = from.query("SELECT content FROM artifact_parts WHERE hash = ? ORDER BY part", hash);
                while (parts->next())
                    write(parts->blob(0));
            });
            if (stored.hash != hash)
                throw core::FormatError(fmt::format("{}: the content of artifact {} is damaged", file.string(), hash));
        }
        return d->writing().callFor<std::vector<RunId>>([&](Writer::Call& call) {
            std::map<RunId, RunId> copies;
            std::vector<RunId> added;
            const auto runs = from.query("SELECT id FROM runs ORDER BY id");
            while (runs->next()) {
                added.push_back(copies[runs->integer(0)] = copyRun(from, call.connection, runs->integer(0)));
                markInterrupted(call.connection, added.back());
                addStoredDocument(call.connection, added.back());
            }
            copyParents(from, call.connection, copies);
            call.change.runs = added;
            call.change.list = call.change.metrics = call.change.artifacts = call.change.analyses = true;
            return added;
        });
    });
}

}  // namespace orrery::store
