#include "document_values.h"

#include <fmt/format.h>

namespace orrery::store {
namespace {

constexpr int kMostValues = 4000, kMostLevels = 64;
constexpr std::size_t kMostTextBytes = 1000;

class DocumentWalk {
public:
    DocumentWalk(Connection& connection, RunId run) : m_connection(connection), m_run(run) {}

    void add(const std::string& path, const core::Json& value, int level = 0)
    {
        if (level > kMostLevels || m_values >= kMostValues)
            return;
        const auto inside = [&](const std::string& name, const core::Json& member) {
            add(path.empty() ? name : path + "." + name, member, level + 1);
        };
        if (value.is_object())
            for (const auto& [key, member] : value.items())
                inside(key, member);
        else if (value.is_array())
            for (std::size_t i = 0; i < value.size(); ++i)
                inside(std::to_string(i), value[i]);
        else if (!value.is_null() && !path.empty())
            store(path, value);
    }

private:
    void store(const std::string& path, const core::Json& value)
    {
        ++m_values;
        const std::int64_t id = idOf(path);
        const auto insert = [&](const auto& stored) {
            m_connection.execute("INSERT OR REPLACE INTO document_values(path, run, value) VALUES(?, ?, ?)", id, m_run, stored);
        };
        if (value.is_string())
            insert(value.get<std::string>().substr(0, kMostTextBytes));
        else if (value.is_boolean())
            insert(value.get<bool>() ? "true" : "false");
        else if (value.is_number_integer() && !(value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX))
            insert(value.get<std::int64_t>());
        else if (value.is_number())
            insert(value.get<double>());
    }

    std::int64_t idOf(const std::string& path)
    {
        {
            const auto row = m_connection.query("SELECT id FROM document_paths WHERE path = ?", path);
            if (row->next())
                return row->integer(0);
        }
        m_connection.execute("INSERT INTO document_paths(path) VALUES(?)", path);
        return m_connection.lastId();
    }

    Connection& m_connection;
    const RunId m_run;
    int m_values = 0;
};

}  // namespace

void addDocumentValues(Connection& connection, RunId run, const core::Json& document)
{
    DocumentWalk(connection, run).add("", document);
}

void removeDocumentValues(Connection& connection, RunId run)
{
    // The key begins with the path: a few look-ups instead of a walk through the values of all runs.
    connection.execute("DELETE FROM document_values WHERE path IN (SELECT id FROM document_paths) AND run = ?", run);
}

void removeUnusedPaths(Connection& connection)
{
    connection.execute("DELETE FROM document_paths WHERE NOT EXISTS (SELECT 1 FROM document_values v WHERE v.path = document_paths.id)");
}

}  // namespace orrery::store
