#include "schema.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <fstream>

#include "document_values.h"
#include "metric_writer.h"

namespace orrery::store {
namespace {

constexpr std::uintmax_t kLargestQuickCheck = 16u << 20;

/// Tables that version 1 has in the same form.
constexpr const char* kSharedTables = R"(
CREATE TABLE documents(hash TEXT PRIMARY KEY, json TEXT NOT NULL);
CREATE TABLE tags(run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, tag TEXT NOT NULL, PRIMARY KEY(run, tag)) WITHOUT ROWID;
CREATE TABLE leases(run INTEGER PRIMARY KEY REFERENCES runs(id) ON DELETE CASCADE, token TEXT NOT NULL, host TEXT NOT NULL, process INTEGER NOT NULL,
    process_start TEXT NOT NULL, heartbeat REAL NOT NULL);
CREATE TABLE analyses(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER REFERENCES runs(id) ON DELETE CASCADE, method TEXT NOT NULL, inputs TEXT NOT NULL,
    parameters TEXT NOT NULL, results TEXT NOT NULL, seconds REAL, created TEXT NOT NULL);
CREATE INDEX analyses_by_run ON analyses(run);
CREATE TABLE artifacts(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER REFERENCES runs(id) ON DELETE CASCADE,
    analysis INTEGER REFERENCES analyses(id) ON DELETE CASCADE, name TEXT NOT NULL, media_type TEXT NOT NULL, step INTEGER, hash TEXT NOT NULL,
    bytes INTEGER NOT NULL, created TEXT NOT NULL);
CREATE INDEX artifacts_by_run ON artifacts(run);
CREATE INDEX artifacts_by_analysis ON artifacts(analysis);
CREATE INDEX artifacts_by_hash ON artifacts(hash);
CREATE TABLE events(id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, time TEXT NOT NULL, status TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '');
CREATE INDEX events_by_run ON events(run);
)";

constexpr const char* kRunsTable = R"(
CREATE TABLE runs(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, status TEXT NOT NULL, created TEXT NOT NULL, started TEXT NOT NULL DEFAULT '',
    ended TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '', seed INTEGER NOT NULL DEFAULT 0, document TEXT NOT NULL, environment TEXT NOT NULL,
    notes TEXT NOT NULL DEFAULT '', parent INTEGER);
)";

/// Metrics: one row a series with its last value; full chunks of 4096 points (`chunks.bucket` is the top of the pyramid, `chunk_data` holds
/// the points as level 0 and buckets of 64 points as level 1); what does not fill a chunk yet stands in `tails`, one row a commit.
constexpr const char* kVersion2Tables = R"(
CREATE TABLE series(id INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, name TEXT NOT NULL, points INTEGER NOT NULL,
    chunks INTEGER NOT NULL, first_step INTEGER NOT NULL, last_step INTEGER NOT NULL, last_value REAL, minimum REAL, maximum REAL, UNIQUE(run, name));
CREATE INDEX series_by_name ON series(name);
CREATE INDEX runs_by_status ON runs(status);
CREATE TABLE chunks(series INTEGER NOT NULL REFERENCES series(id) ON DELETE CASCADE, position INTEGER NOT NULL, bucket BLOB NOT NULL,
    PRIMARY KEY(series, position)) WITHOUT ROWID;
CREATE TABLE chunk_data(series INTEGER NOT NULL REFERENCES series(id) ON DELETE CASCADE, position INTEGER NOT NULL, level INTEGER NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY(series, position, level));
CREATE TABLE tails(series INTEGER NOT NULL REFERENCES series(id) ON DELETE CASCADE, position INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY(series, position));
CREATE TABLE log_lines(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE, time TEXT NOT NULL,
    level INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX log_lines_by_run ON log_lines(run);
CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL);
)";

/// Report documents. An item names what it shows in `source` (JSON), not by reference: what was removed is said in the report, in its place.
constexpr const char* kVersion3Tables = R"(
CREATE TABLE reports(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created TEXT NOT NULL);
CREATE TABLE report_items(id INTEGER PRIMARY KEY AUTOINCREMENT, report INTEGER NOT NULL REFERENCES reports(id) ON DELETE CASCADE,
    position INTEGER NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL, title TEXT NOT NULL, annotation TEXT NOT NULL);
CREATE INDEX report_items_by_report ON report_items(report, position);
)";

/// Copies of what stands in the documents of runs, see document_values.h. `value` has no type of its own: numbers and texts are told apart by themselves.
constexpr const char* kVersion4Tables = R"(
CREATE TABLE document_paths(id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
CREATE TABLE document_values(path INTEGER NOT NULL, run INTEGER NOT NULL, value, PRIMARY KEY(path, run)) WITHOUT ROWID;
)";

void addAllDocumentValues(Connection& connection)
{
    const auto runs = connection.query("SELECT r.id, d.json FROM runs r JOIN documents d ON d.hash = r.document ORDER BY r.id");
    while (runs->next())
        addDocumentValues(connection, runs->integer(0), runs->json(1));
}

void packVersion1Metrics(Connection& connection)
{
    MetricWriter writer(connection);
    const auto series = connection.query("SELECT DISTINCT run, name FROM metrics WHERE run IN (SELECT id FROM runs) ORDER BY run, name");
    while (series->next()) {
        Points points;
        const std::int64_t run = series->integer(0);
        const std::string name = series->text(1);
        const auto rows = connection.query("SELECT step, value, time FROM metrics WHERE run = ? AND name = ? ORDER BY rowid", run, name);
        while (rows->next())
            points.add(rows->integer(0), rows->real(1), std::int64_t(rows->real(2) * 1000));
        writer.append(run, name, points);
    }
}

void migrateFrom1(Connection& connection)
{
    connection.database().exec("ALTER TABLE runs ADD COLUMN notes TEXT NOT NULL DEFAULT ''; ALTER TABLE runs ADD COLUMN parent INTEGER;");
    connection.database().exec(kVersion2Tables);
    packVersion1Metrics(connection);
    connection.database().exec("DROP TABLE metrics");
}

int currentVersion(int applicationId)
{
    return applicationId == kExportId ? kExportVersion : kSchemaVersion;
}

struct FileHeader {
    std::uintmax_t fileBytes = 0, pageBytes = 0, pages = 0;
};

std::uint32_t bigEndian(const unsigned char* bytes, int count)
{
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i)
        value = value << 8 | bytes[i];
    return value;
}

FileHeader readHeader(const std::filesystem::path& file)
{
    std::array<unsigned char, 100> bytes{};
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
        throw core::StorageError(fmt::format("{}: cannot be read: {}", file.string(), std::strerror(errno)));
    stream.read(reinterpret_cast<char*>(bytes.data()), bytes.size());
    constexpr std::string_view magic("SQLite format 3\0", 16);
    if (stream.gcount() < std::streamsize(magic.size()) || std::memcmp(bytes.data(), magic.data(), magic.size()) != 0)
        throw core::FormatError(fmt::format("{}: expected an Orrery database, found a file of another kind", file.string()));
    const std::uint32_t page = bigEndian(&bytes[16], 2);
    return {std::filesystem::file_size(file), page == 1 ? 65536 : page, bigEndian(&bytes[28], 4)};
}

bool hasLog(const std::filesystem::path& file)
{
    std::error_code none;
    const std::uintmax_t bytes = std::filesystem::file_size(file.string() + "-wal", none);
    return !none && bytes > 0;
}

[[noreturn]] void failDamaged(const std::filesystem::path& file, std::string_view what)
{
    throw core::StorageError(
        fmt::format("{}: the database is damaged ({}); it was left as it is. Put back a copy of the file, or save what can be read "
                    "with `sqlite3 orrery.db .recover | sqlite3 recovered.db`",
                    file.string(), what));
}

void checkPages(const std::filesystem::path& file)
{
    guarded(file, [&] {
        // What a killed process left in the log belongs to the database; reading replays it in memory and changes no file. Without a log even the
        // index of the log need not be made.
        Connection connection(file, hasLog(file) ? Connection::Access::Read : Connection::Access::ReadImmutable, std::chrono::seconds(10));
        const auto result = connection.query("PRAGMA quick_check(1)");
        // A process that started to write in between makes this view of the file a mixture.
        if (result->next() && result->text(0) != "ok" && !hasLog(file))
            failDamaged(file, result->text(0));
    });
}

}  // namespace

void createOrMigrate(Connection& connection, int applicationId)
{
    Transaction transaction(connection, Transaction::Kind::Write);
    // Asked again inside the transaction: another process may have been faster.
    const std::int64_t version = connection.integer("PRAGMA user_version");
    const int wanted = currentVersion(applicationId);
    if (version == 0) {
        connection.database().exec(kRunsTable);
        connection.database().exec(kSharedTables);
        connection.database().exec(kVersion2Tables);
        connection.database().exec(fmt::format("PRAGMA application_id = {}", applicationId));
    }
    if (version == 1)
        migrateFrom1(connection);
    if (version < 3 && wanted >= 3)
        connection.database().exec(kVersion3Tables);
    if (version < 4 && wanted >= 4) {
        connection.database().exec(kVersion4Tables);
        addAllDocumentValues(connection);
    }
    if (version != wanted)
        connection.database().exec(fmt::format("PRAGMA user_version = {}", wanted));
    transaction.commit();
}

int checkVersion(Connection& connection, int applicationId, const std::filesystem::path& file)
{
    const std::int64_t tables = connection.integer("SELECT count(*) FROM sqlite_master");
    const std::int64_t id = connection.integer("PRAGMA application_id");
    const std::int64_t version = connection.integer("PRAGMA user_version");
    if (tables == 0 && id == 0 && version == 0)
        return 0;
    if (id != applicationId || version < 1)
        throw core::FormatError(fmt::format("{}: expected {}, found a database of another program", file.string(),
                                            applicationId == kExportId ? "runs exported by Orrery" : "an Orrery database"));
    if (const int known = currentVersion(applicationId); version > known)
        throw core::FormatError(fmt::format("{}: expected a database of version {} or older, found version {}: it was written by a newer Orrery; "
                                            "use that one to open it",
                                            file.string(), known, version));
    return int(version);
}

void checkFile(const std::filesystem::path& file)
{
    if (std::filesystem::file_size(file) == 0)
        return;
    const FileHeader header = readHeader(file);
    // With a write-ahead log the file may rightly be shorter than its header says.
    const bool isTooShort = header.pageBytes < 512 || header.fileBytes < header.pageBytes * header.pages;
    if (isTooShort && !hasLog(file))
        failDamaged(file, fmt::format("expected {} bytes, found {}", header.pageBytes * header.pages, header.fileBytes));
    if (header.fileBytes <= kLargestQuickCheck)
        checkPages(file);
}

}  // namespace orrery::store
