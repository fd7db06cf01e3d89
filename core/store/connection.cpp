#include "connection.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace orrery::store {
namespace {

/// A file name as a URI of SQLite, so that parameters can follow it.
std::string uriOf(const std::filesystem::path& file, std::string_view parameters)
{
    std::string uri = "file:";
    for (const char c : std::filesystem::absolute(file).string())
        uri += c == '?' || c == '#' || c == '%' ? fmt::format("%{:02x}", c) : std::string(1, c);
    return uri.append("?").append(parameters);
}

std::string nameFor(const std::filesystem::path& file, Connection::Access access)
{
    return uriOf(file, access == Connection::Access::ReadImmutable ? "immutable=1" : "cache=private");
}

constexpr std::size_t kMostIdleStatements = 200;

int flagsFor(Connection::Access access)
{
    const int common = SQLite::OPEN_URI | SQLite::OPEN_NOMUTEX;
    switch (access) {
    case Connection::Access::Create: return common | SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE;
    case Connection::Access::Write: return common | SQLite::OPEN_READWRITE;
    default: return common | SQLite::OPEN_READONLY;
    }
}

}  // namespace

Cursor::Cursor(Connection& owner, std::string sql, std::unique_ptr<SQLite::Statement> statement)
    : m_owner(owner), m_sql(std::move(sql)), m_statement(std::move(statement))
{
}

Cursor::~Cursor()
{
    // reset() reports the error of the last step once more; that one has been thrown already.
    m_statement->tryReset();
    // Queries that people write make statements without end.
    if (m_owner.m_idle.size() >= kMostIdleStatements)
        m_owner.m_idle.clear();
    m_owner.m_idle.insert_or_assign(std::move(m_sql), std::move(m_statement));
}

std::optional<std::int64_t> Cursor::optionalInteger(int column) const
{
    return isNull(column) ? std::nullopt : std::optional(integer(column));
}

double Cursor::real(int column) const
{
    return isNull(column) ? std::numeric_limits<double>::quiet_NaN() : m_statement->getColumn(column).getDouble();
}

std::string Cursor::text(int column) const
{
    return m_statement->getColumn(column).getString();
}

std::string_view Cursor::blob(int column) const
{
    const SQLite::Column value = m_statement->getColumn(column);
    return {static_cast<const char*>(value.getBlob()), std::size_t(value.getBytes())};
}

core::Json Cursor::json(int column) const
{
    const std::string value = text(column);
    return value.empty() ? core::Json() : core::Json::parse(value);
}

Connection::Connection(const std::filesystem::path& file, Access access, std::chrono::milliseconds busyTimeout)
    : m_database(nameFor(file, access), flagsFor(access), int(busyTimeout.count()))
{
    m_database.exec("PRAGMA foreign_keys = ON");
    if (access != Access::Read && access != Access::ReadImmutable)
        m_database.exec("PRAGMA synchronous = NORMAL");
}

std::unique_ptr<SQLite::Statement> Connection::prepare(const std::string& sql)
{
    const auto idle = m_idle.find(sql);
    if (idle == m_idle.end())
        return std::make_unique<SQLite::Statement>(m_database, sql);
    auto statement = std::move(idle->second);
    m_idle.erase(idle);
    statement->clearBindings();
    return statement;
}

std::int64_t Connection::integer(const std::string& sql)
{
    const auto cursor = query(sql);
    return cursor->next() ? cursor->integer(0) : 0;
}

Transaction::Transaction(Connection& connection, Kind kind) : m_connection(connection)
{
    // A write lock taken at the start waits for other processes; one asked for in the middle would fail at once.
    connection.execute(kind == Kind::Write ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction()
{
    if (!m_open)
        return;
    // Some errors (a full disk) have rolled back already.
    m_connection.database().tryExec("ROLLBACK");
}

void Transaction::commit()
{
    m_connection.execute("COMMIT");
    m_open = false;
}

std::string describe(const SQLite::Exception& error, const std::filesystem::path& file)
{
    const std::string name = file.string();
    switch (error.getErrorCode() & 0xff) {
    case SQLITE_FULL: return fmt::format("{}: the disk is full; nothing is damaged, free some space and go on", name);
    case SQLITE_READONLY: return fmt::format("{}: cannot be written (read-only file, folder or disk)", name);
    case SQLITE_CANTOPEN: return fmt::format("{}: cannot be opened ({})", name, error.what());
    case SQLITE_BUSY: return fmt::format("{}: another process has been writing for too long; try again, or end that process", name);
    case SQLITE_CORRUPT:
        return fmt::format("{}: the database is damaged ({}); it was left as it is. Put back a copy of the file, or save what can be read with "
                           "`sqlite3 orrery.db .recover | sqlite3 recovered.db`",
                           name, error.what());
    case SQLITE_NOTADB: return fmt::format("{}: expected an Orrery database, found a file of another kind", name);
    case SQLITE_IOERR: return fmt::format("{}: reading or writing failed ({}); is the disk full or gone?", name, error.what());
    default: return fmt::format("{}: {} (SQLite error {})", name, error.what(), error.getExtendedErrorCode());
    }
}

}  // namespace orrery::store
