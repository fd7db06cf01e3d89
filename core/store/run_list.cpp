#include "run_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <unordered_map>

#include <core/base/text.h>

#include "run_filter_sql.h"

namespace orrery::store {
namespace {

/// Above so many runs one pass over all last values is faster than a look-up for each run.
constexpr std::size_t kManyRuns = 300;
constexpr const char* kColumns = "SELECT id, name, status, created, started, ended, error, seed, parent, document, notes FROM runs";

using Values = std::unordered_map<RunId, double>;

RunSummary summaryOf(Cursor& row, const std::set<RunId>& dead)
{
    RunSummary run;
    run.id = row.integer(0);
    run.name = row.text(1);
    run.status = dead.contains(run.id) ? RunStatus::Interrupted : statusFromName(row.text(2));
    run.created = row.text(3);
    run.started = row.text(4);
    run.ended = row.text(5);
    run.error = row.text(6);
    run.seed = std::uint64_t(row.integer(7));
    run.parent = row.optionalInteger(8);
    run.documentHash = row.text(9);
    run.notes = row.text(10);
    return run;
}

char lowerAscii(char c)
{
    return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
}

bool contains(std::string_view text, std::string_view lowerPart)
{
    const auto same = [](char a, char b) { return lowerAscii(a) == b; };
    return std::search(text.begin(), text.end(), lowerPart.begin(), lowerPart.end(), same) != text.end();
}

std::unordered_map<RunId, std::vector<std::string>> allTags(Connection& connection)
{
    std::unordered_map<RunId, std::vector<std::string>> tags;
    const auto rows = connection.query("SELECT run, tag FROM tags ORDER BY run, tag");
    while (rows->next())
        tags[rows->integer(0)].push_back(rows->text(1));
    return tags;
}

Values lastValues(Connection& connection, const std::string& metric)
{
    Values values;
    const auto rows = connection.query("SELECT run, last_value FROM series WHERE name = ?", metric);
    while (rows->next())
        values[rows->integer(0)] = rows->real(1);
    return values;
}

/// The conditions of a query, ready to be asked of every run.
class Filter {
public:
    Filter(Connection& connection, const RunQuery& query) : m_query(query), m_text(core::lower(query.text))
    {
        for (const RunQuery::Condition& condition : query.metrics)
            m_values.push_back(lastValues(connection, condition.metric));
    }

    bool matches(const RunSummary& run) const { return matchesStatus(run) && matchesTags(run) && matchesMetrics(run) && matchesText(run); }

private:
    bool matchesStatus(const RunSummary& run) const
    {
        return m_query.statuses.empty() || std::find(m_query.statuses.begin(), m_query.statuses.end(), run.status) != m_query.statuses.end();
    }
    bool matchesTags(const RunSummary& run) const
    {
        const auto has = [&](const std::string& tag) { return std::find(run.tags.begin(), run.tags.end(), tag) != run.tags.end(); };
        return std::all_of(m_query.tags.begin(), m_query.tags.end(), has);
    }
    bool matchesMetrics(const RunSummary& run) const
    {
        for (std::size_t i = 0; i < m_values.size(); ++i) {
            const RunQuery::Condition& condition = m_query.metrics[i];
            const auto value = m_values[i].find(run.id);
            if (value == m_values[i].end())
                return false;
            // Written such that NaN matches no bound.
            if (condition.minimum && !(value->second >= *condition.minimum))
                return false;
            if (condition.maximum && !(value->second <= *condition.maximum))
                return false;
        }
        return true;
    }
    bool matchesText(const RunSummary& run) const
    {
        if (m_text.empty() || contains(run.name, m_text) || contains(run.notes, m_text) || std::to_string(run.id) == m_text)
            return true;
        return std::any_of(run.tags.begin(), run.tags.end(), [&](const std::string& tag) { return contains(tag, m_text); });
    }

    const RunQuery& m_query;
    const std::string m_text;
    std::vector<Values> m_values;
};

template <class Key>
void sortBy(std::vector<RunSummary>& runs, bool descending, Key key)
{
    std::stable_sort(runs.begin(), runs.end(),
                     [&](const RunSummary& a, const RunSummary& b) { return descending ? key(b) < key(a) : key(a) < key(b); });
}

/// What a run's document says at a path: numbers go before texts.
struct DocumentValue {
    bool isText = false;
    double number = 0;
    std::string text;
    bool operator<(const DocumentValue& other) const { return std::tie(isText, number, text) < std::tie(other.isText, other.number, other.text); }
};

/// The path of that name, or the only one that ends in it, as the query language takes names; nothing if there is none.
std::optional<std::int64_t> pathNamed(Connection& connection, const std::string& name)
{
    const std::string ending = "." + name;
    const auto rows =
        connection.query("SELECT id, path FROM document_paths WHERE path = ?1 OR substr(path, -length(?2)) = ?2 ORDER BY path <> ?1", name, ending);
    std::optional<std::int64_t> found;
    while (rows->next()) {
        if (rows->text(1) == name)
            return rows->integer(0);
        if (found)
            return std::nullopt;
        found = rows->integer(0);
    }
    return found;
}

void sortByDocument(Connection& connection, std::vector<RunSummary>& runs, const RunQuery& query)
{
    std::unordered_map<RunId, DocumentValue> values;
    if (const auto path = pathNamed(connection, query.orderBy)) {
        const auto rows = connection.query("SELECT run, typeof(value) = 'text', value FROM document_values WHERE path = ?", *path);
        while (rows->next())
            values[rows->integer(0)] = rows->integer(1) ? DocumentValue{true, 0, rows->text(2)} : DocumentValue{false, rows->real(2), {}};
    }
    // No value comes last in both directions.
    std::stable_sort(runs.begin(), runs.end(), [&](const RunSummary& a, const RunSummary& b) {
        const auto x = values.find(a.id), y = values.find(b.id);
        if (x == values.end() || y == values.end())
            return x != values.end() && y == values.end();
        return query.descending ? y->second < x->second : x->second < y->second;
    });
}

void sortByMetric(std::vector<RunSummary>& runs, const RunQuery& query, const Values& values)
{
    const auto valueOf = [&](const RunSummary& run) {
        const auto found = values.find(run.id);
        return found == values.end() ? std::nan("") : found->second;
    };
    // No value and NaN come last in both directions.
    std::stable_sort(runs.begin(), runs.end(), [&](const RunSummary& a, const RunSummary& b) {
        const double x = valueOf(a), y = valueOf(b);
        if (std::isnan(x) || std::isnan(y))
            return !std::isnan(x) && std::isnan(y);
        return query.descending ? y < x : x < y;
    });
}

void sortRuns(Connection& connection, std::vector<RunSummary>& runs, const RunQuery& query)
{
    const auto& by = query.orderBy;
    if (by == "id" || by.empty())
        return sortBy(runs, query.descending, [](const RunSummary& r) { return r.id; });
    if (by == "name")
        return sortBy(runs, query.descending, [](const RunSummary& r) -> const std::string& { return r.name; });
    if (by == "status")
        return sortBy(runs, query.descending, [](const RunSummary& r) { return r.status; });
    if (by == "created")
        return sortBy(runs, query.descending, [](const RunSummary& r) -> const std::string& { return r.created; });
    if (by == "started")
        return sortBy(runs, query.descending, [](const RunSummary& r) -> const std::string& { return r.started; });
    if (by == "ended")
        return sortBy(runs, query.descending, [](const RunSummary& r) -> const std::string& { return r.ended; });
    if (const Values values = lastValues(connection, by); !values.empty())
        return sortByMetric(runs, query, values);
    sortByDocument(connection, runs, query);
}

void cutPage(std::vector<RunSummary>& runs, const RunQuery& query)
{
    const std::size_t from = std::min(query.offset, runs.size());
    runs.erase(runs.begin(), runs.begin() + std::ptrdiff_t(from));
    if (runs.size() > query.limit)
        runs.resize(query.limit);
}

void addLastMetrics(Connection& connection, std::vector<RunSummary>& runs)
{
    if (runs.size() <= kManyRuns) {
        for (RunSummary& run : runs) {
            const auto rows = connection.query("SELECT name, last_value FROM series WHERE run = ?", run.id);
            while (rows->next())
                run.lastMetrics[rows->text(0)] = rows->real(1);
        }
        return;
    }
    std::unordered_map<RunId, RunSummary*> byId;
    for (RunSummary& run : runs)
        byId[run.id] = &run;
    const auto rows = connection.query("SELECT run, name, last_value FROM series");
    while (rows->next())
        if (const auto run = byId.find(rows->integer(0)); run != byId.end())
            run->second->lastMetrics.emplace(rows->text(1), rows->real(2));
}

/// `train.optimizer.lr` as SQLite spells it: `$."train"."optimizer"."lr"`; a number is an index of a list.
std::string jsonPath(const std::string& dotted)
{
    std::string path = "$";
    for (const std::string& part : core::split(dotted, '.')) {
        const bool isIndex = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
        path += isIndex ? "[" + part + "]" : ".\"" + part + "\"";
    }
    return path;
}

void addColumns(Connection& connection, std::vector<RunSummary>& runs, const std::vector<std::string>& columns)
{
    for (const std::string& column : columns) {
        const std::string path = jsonPath(column);
        for (RunSummary& run : runs) {
            const auto row = connection.query("SELECT json -> ? FROM documents WHERE hash = ?", path, run.documentHash);
            if (row->next() && !row->isNull(0))
                run.columns[column] = row->json(0);
        }
    }
}

}  // namespace

RunList listRuns(Connection& connection, const RunQuery& query, const std::set<RunId>& dead)
{
    const Filter filter(connection, query);
    auto tags = allTags(connection);
    RunList list;
    const FilterSql where = filterSql(connection, parseRunFilter(query.where), dead);
    const auto rows = connection.query(std::string(kColumns) + " WHERE " + where.condition);
    where.bindTo(rows->statement());
    while (rows->next()) {
        RunSummary run = summaryOf(*rows, dead);
        if (const auto found = tags.find(run.id); found != tags.end())
            run.tags = std::move(found->second);
        if (filter.matches(run))
            list.runs.push_back(std::move(run));
    }
    list.matching = list.runs.size();
    sortRuns(connection, list.runs, query);
    cutPage(list.runs, query);
    addLastMetrics(connection, list.runs);
    addColumns(connection, list.runs, query.columns);
    return list;
}

std::optional<RunSummary> findSummary(Connection& connection, RunId id, const std::set<RunId>& dead)
{
    const auto row = connection.query(std::string(kColumns) + " WHERE id = ?", id);
    if (!row->next())
        return {};
    std::vector<RunSummary> run{summaryOf(*row, dead)};
    const auto tags = connection.query("SELECT tag FROM tags WHERE run = ? ORDER BY tag", id);
    while (tags->next())
        run[0].tags.push_back(tags->text(0));
    addLastMetrics(connection, run);
    return std::move(run[0]);
}

}  // namespace orrery::store
