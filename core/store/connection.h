#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <SQLiteCpp/SQLiteCpp.h>

#include <core/base/error.h>
#include <core/base/json.h>

// For the .cpp files of this folder only: SQLite stays out of public headers.
namespace orrery::store {

/// Marks bytes that are bound as a blob and not as text.
struct Blob {
    std::string_view bytes;
};

class Connection;

/// Rows of one running query. The statement goes back to its connection at the end of the scope.
class Cursor {
public:
    Cursor(Connection& owner, std::string sql, std::unique_ptr<SQLite::Statement> statement);
    ~Cursor();
    Cursor(const Cursor&) = delete;
    Cursor& operator=(const Cursor&) = delete;

    bool next() { return m_statement->executeStep(); }
    SQLite::Statement& statement() { return *m_statement; }
    bool isNull(int column) const { return m_statement->isColumnNull(column); }
    std::int64_t integer(int column) const { return m_statement->getColumn(column).getInt64(); }
    std::optional<std::int64_t> optionalInteger(int column) const;
    /// NULL reads as NaN: SQLite cannot hold a NaN and stores NULL.
    double real(int column) const;
    std::string text(int column) const;
    /// Valid until the next call of `next`.
    std::string_view blob(int column) const;
    core::Json json(int column) const;

private:
    Connection& m_owner;
    std::string m_sql;
    std::unique_ptr<SQLite::Statement> m_statement;
};

/// One connection to a database with its prepared statements. One thread at a time. Throws SQLite::Exception; see `guarded`.
class Connection {
public:
    enum class Access { Read, ReadImmutable, Write, Create };
    Connection(const std::filesystem::path& file, Access access, std::chrono::milliseconds busyTimeout);

    SQLite::Database& database() { return m_database; }
    template <class... Values>
    std::unique_ptr<Cursor> query(const std::string& sql, const Values&... values)
    {
        auto statement = prepare(sql);
        [[maybe_unused]] int index = 0;
        (bind(*statement, ++index, values), ...);
        return std::make_unique<Cursor>(*this, sql, std::move(statement));
    }
    /// Runs a statement to its end. @return number of changed rows.
    template <class... Values>
    int execute(const std::string& sql, const Values&... values)
    {
        const auto cursor = query(sql, values...);
        while (cursor->next()) {
        }
        return m_database.getChanges();
    }
    std::int64_t lastId() { return m_database.getLastInsertRowid(); }
    /// First column of the first row.
    std::int64_t integer(const std::string& sql);

    static void bind(SQLite::Statement& statement, int index, std::int64_t value) { statement.bind(index, value); }
    static void bind(SQLite::Statement& statement, int index, int value) { statement.bind(index, value); }
    static void bind(SQLite::Statement& statement, int index, std::uint64_t value) { statement.bind(index, std::int64_t(value)); }
    static void bind(SQLite::Statement& statement, int index, double value) { statement.bind(index, value); }
    static void bind(SQLite::Statement& statement, int index, const std::string& value) { statement.bind(index, value); }
    static void bind(SQLite::Statement& statement, int index, const char* value) { statement.bind(index, value); }
    static void bind(SQLite::Statement& statement, int index, const Blob& value)
    {
        statement.bind(index, value.bytes.data(), int(value.bytes.size()));
    }
    static void bind(SQLite::Statement& statement, int index, const core::Json& value) { statement.bind(index, value.dump()); }
    template <class T>
    static void bind(SQLite::Statement& statement, int index, const std::optional<T>& value)
    {
        if (value)
            bind(statement, index, *value);
        else
            statement.bind(index);
    }

private:
    friend class Cursor;
    std::unique_ptr<SQLite::Statement> prepare(const std::string& sql);

    SQLite::Database m_database;
    std::unordered_map<std::string, std::unique_ptr<SQLite::Statement>> m_idle;
};

/// A transaction, rolled back unless committed.
class Transaction {
public:
    enum class Kind { Read, Write };
    Transaction(Connection& connection, Kind kind);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

private:
    Connection& m_connection;
    bool m_open = true;
};

/// The sentence people see for an error of SQLite in `file`.
std::string describe(const SQLite::Exception& error, const std::filesystem::path& file);

/// Runs `function`; an error of SQLite in it becomes a StorageError that names the file.
template <class Function>
auto guarded(const std::filesystem::path& file, Function function)
{
    try {
        return function();
    } catch (const SQLite::Exception& error) {
        throw core::StorageError(describe(error, file));
    }
}

}  // namespace orrery::store
