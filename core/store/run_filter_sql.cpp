#include "run_filter_sql.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <core/base/text.h>

#include "metric_reader.h"
#include "run_filter_fields.h"

namespace orrery::store {
namespace {

using Comparison = RunFilter::Comparison;
using FieldKind = BoundField::Kind;
using Literal = RunFilter::Literal;
using Node = RunFilter::Node;

std::string_view signOf(Comparison comparison)
{
    switch (comparison) {
    case Comparison::NotEqual: return "<>";
    case Comparison::Less: return "<";
    case Comparison::LessOrEqual: return "<=";
    case Comparison::Greater: return ">";
    case Comparison::GreaterOrEqual: return ">=";
    default: return "=";
    }
}

bool isOrder(Comparison comparison)
{
    return signOf(comparison) != "=" && comparison != Comparison::NotEqual;
}

std::string joinedBy(const std::vector<std::string>& parts, std::string_view word)
{
    return "(" + core::join(parts, fmt::format(" {} ", word)) + ")";
}

class FilterCompiler {
public:
    FilterCompiler(Connection& connection, const RunFilter& filter, const std::set<RunId>& dead)
        : m_connection(connection), m_filter(filter), m_dead(dead)
    {
    }

    FilterSql compile()
    {
        m_sql.condition = m_filter.empty() ? "1" : sqlOf(m_filter.nodes.back());
        return std::move(m_sql);
    }

private:
    using Value = std::variant<std::int64_t, double, std::string>;

    [[noreturn]] void fail(std::size_t column, const std::string& message) const
    {
        throw core::InputError(filterErrorText(m_filter.text, column, message));
    }

    /// What stands for the value in the SQL: `?3`, the third of the values.
    std::string bound(Value value)
    {
        m_sql.values.push_back(std::move(value));
        return fmt::format("?{}", m_sql.values.size());
    }

    std::string sqlOf(const Node& node)
    {
        std::vector<std::string> parts;
        switch (node.kind) {
        case RunFilter::Kind::Words: return wordsSql(node.values[0].text);
        case RunFilter::Kind::Condition: return conditionSql(node);
        case RunFilter::Kind::Not: return "NOT ifnull(" + sqlOf(m_filter.nodes[node.arguments[0]]) + ", 0)";
        default: break;
        }
        for (const std::size_t argument : node.arguments)
            parts.push_back(sqlOf(m_filter.nodes[argument]));
        return joinedBy(parts, node.kind == RunFilter::Kind::Or ? "OR" : "AND");
    }

    std::string containsSql(const std::string& column, const std::string& text)
    {
        return fmt::format("instr(lower({}), {}) > 0", column, bound(core::lower(text)));
    }

    std::string wordsSql(const std::string& text)
    {
        std::vector<std::string> parts{containsSql("name", text), containsSql("notes", text)};
        parts.push_back("CAST(id AS TEXT) = " + bound(text));
        parts.push_back("id IN (SELECT run FROM tags WHERE " + containsSql("tag", text) + ")");
        return joinedBy(parts, "OR");
    }

    std::string conditionSql(const Node& node)
    {
        if (!m_names)
            m_names.emplace(m_connection);
        const auto field = m_names->bind(m_filter.text, node);
        if (!field)
            return "0";
        switch (field->kind) {
        case FieldKind::Number: return numberSql(node, *field);
        case FieldKind::Text: return textSql(node, field->column);
        case FieldKind::Date:
        case FieldKind::Hash: return prefixSql(node, *field);
        case FieldKind::Status: return statusSql(node);
        case FieldKind::Tag: return tagSql(node);
        case FieldKind::Metric: return metricSql(node, *field);
        case FieldKind::Document: return documentSql(node, *field);
        }
        return "0";
    }

    /// `one(literal)` for each value, any of which suffices; for `!=` the one turned round.
    template <class One>
    std::string anyOf(const Node& node, One one)
    {
        std::vector<std::string> parts;
        for (const Literal& literal : node.values)
            parts.push_back(one(literal));
        const std::string any = joinedBy(parts, "OR");
        return node.comparison == Comparison::NotEqual ? "NOT " + any : any;
    }

    // --- Numbers ---

    double numberOf(const Node& node, const Literal& literal) const
    {
        if (!literal.number)
            fail(literal.column, fmt::format("expected a number to compare {} with, found \"{}\"", node.field, literal.text));
        return *literal.number;
    }

    void requireNoContains(const Node& node) const
    {
        if (node.comparison == Comparison::Contains)
            fail(node.column, fmt::format("expected = != < <= > or >= for the number {}, found ~", node.field));
    }

    /// A comparison of one column with a number; NULL is how a NaN is stored.
    std::string comparedNumber(const Node& node, const std::string& column)
    {
        if (isOrder(node.comparison))
            return fmt::format("{} {} {}", column, signOf(node.comparison), bound(numberOf(node, node.values[0])));
        return anyOf(node, [&](const Literal& literal) {
            const double number = numberOf(node, literal);
            return std::isnan(number) ? column + " IS NULL" : fmt::format("{} IS {}", column, bound(number));
        });
    }

    std::string numberSql(const Node& node, const BoundField& field)
    {
        requireNoContains(node);
        if (const auto absent = absentSql(node, field.column + " IS NULL"); !absent.empty())
            return absent;
        const std::string compared = comparedNumber(node, field.column);
        return fmt::format("({} IS NOT NULL AND {})", field.column, compared);
    }

    /// `= null` and `!= null`; empty for anything else.
    std::string absentSql(const Node& node, const std::string& isAbsent) const
    {
        const Literal& literal = node.values[0];
        if (node.values.size() != 1 || !literal.isNull)
            return {};
        if (node.comparison == Comparison::Equal || node.comparison == Comparison::In)
            return "(" + isAbsent + ")";
        if (node.comparison == Comparison::NotEqual)
            return "NOT (" + isAbsent + ")";
        fail(literal.column, "expected a value, found null, which only = and != can ask for");
    }

    // --- Texts ---

    std::string comparedText(const Node& node, const std::string& column)
    {
        if (isOrder(node.comparison))
            return fmt::format("{} {} {} COLLATE NOCASE", column, signOf(node.comparison), bound(node.values[0].text));
        return anyOf(node, [&](const Literal& literal) {
            return node.comparison == Comparison::Contains ? containsSql(column, literal.text)
                                                           : fmt::format("{} = {} COLLATE NOCASE", column, bound(literal.text));
        });
    }

    std::string textSql(const Node& node, const std::string& column)
    {
        const auto absent = absentSql(node, column + " = ''");
        return absent.empty() ? comparedText(node, column) : absent;
    }

    std::string dateOf(const Literal& literal) const
    {
        std::string text = literal.text;
        std::replace(text.begin(), text.end(), ' ', 'T');
        const bool hasYear = text.size() >= 4 && std::all_of(text.begin(), text.begin() + 4, [](char c) { return c >= '0' && c <= '9'; });
        if (!hasYear || text.find_first_not_of("0123456789-:.TZ") != std::string::npos || (text.size() > 4 && text[4] != '-'))
            fail(literal.column, fmt::format("expected a date such as 2026-11-25 or 2026-11-25T14:30, found \"{}\"", literal.text));
        return text;
    }

    /// Only as much of the column counts as is written in the query.
    std::string prefixSql(const Node& node, const BoundField& field)
    {
        const std::string& column = field.column;
        if (const auto absent = absentSql(node, column + " = ''"); !absent.empty())
            return absent;
        if (node.comparison == Comparison::Contains)
            return comparedText(node, column);
        const auto one = [&](const Literal& literal) {
            const std::string text = field.kind == FieldKind::Date ? dateOf(literal) : core::lower(literal.text);
            const std::string_view sign = isOrder(node.comparison) ? signOf(node.comparison) : "=";
            return fmt::format("substr({}, 1, {}) {} {}", column, text.size(), sign, bound(text));
        };
        return fmt::format("({} <> '' AND {})", column, isOrder(node.comparison) ? one(node.values[0]) : anyOf(node, one));
    }

    std::string statusSql(const Node& node)
    {
        std::vector<std::string> names;
        for (const RunField& property : runProperties())
            if (property.name == "status")
                names = property.values;
        for (const Literal& literal : node.values)
            if (node.comparison != Comparison::Contains && std::find(names.begin(), names.end(), core::lower(literal.text)) == names.end())
                fail(literal.column, fmt::format("expected a status ({}), found \"{}\"{}", core::join(names, ", "), literal.text,
                                                 core::didYouMean(literal.text, names)));
        if (isOrder(node.comparison))
            fail(node.column, "expected =, !=, ~ or in for the status, which has no order");
        return anyOf(node, [&](const Literal& literal) {
            const std::string status =
                fmt::format("CASE WHEN id IN (SELECT value FROM json_each({})) THEN 'interrupted' ELSE status END", bound(core::Json(m_dead).dump()));
            return node.comparison == Comparison::Contains ? containsSql(status, literal.text)
                                                           : fmt::format("({}) = {}", status, bound(core::lower(literal.text)));
        });
    }

    std::string tagSql(const Node& node)
    {
        if (const auto absent = absentSql(node, "id NOT IN (SELECT run FROM tags)"); !absent.empty())
            return absent;
        if (isOrder(node.comparison))
            fail(node.column, "expected =, !=, ~ or in for a tag, which has no order");
        return anyOf(node, [&](const Literal& literal) {
            const std::string one =
                node.comparison == Comparison::Contains ? containsSql("tag", literal.text) : "tag = " + bound(literal.text) + " COLLATE NOCASE";
            return "id IN (SELECT run FROM tags WHERE " + one + ")";
        });
    }

    // --- Metrics and documents ---

    std::string metricSql(const Node& node, const BoundField& field)
    {
        requireNoContains(node);
        if (node.values.size() == 1 && node.values[0].isNull)
            return absentSql(node, fmt::format("id NOT IN (SELECT run FROM series WHERE name = {})", bound(field.metric)));
        if (field.statistic == BoundField::Statistic::First)
            return firstSql(node, field.metric);
        const char* column = field.statistic == BoundField::Statistic::Minimum   ? "minimum"
                             : field.statistic == BoundField::Statistic::Maximum ? "maximum"
                                                                                 : "last_value";
        const std::string name = bound(field.metric);
        return fmt::format("id IN (SELECT run FROM series WHERE name = {} AND {})", name, comparedNumber(node, column));
    }

    bool holds(const Node& node, double value) const
    {
        const auto equals = [&](const Literal& literal) {
            const double number = numberOf(node, literal);
            return value == number || (std::isnan(value) && std::isnan(number));
        };
        const double first = numberOf(node, node.values[0]);
        switch (node.comparison) {
        case Comparison::Less: return value < first;
        case Comparison::LessOrEqual: return value <= first;
        case Comparison::Greater: return value > first;
        case Comparison::GreaterOrEqual: return value >= first;
        case Comparison::NotEqual: return !equals(node.values[0]);
        default: return std::any_of(node.values.begin(), node.values.end(), equals);
        }
    }

    /// The first value stands in no column: it is read from the points.
    std::string firstSql(const Node& node, const std::string& metric)
    {
        core::Json runs = core::Json::array();
        const auto series = m_connection.query("SELECT run, id FROM series WHERE name = ?", metric);
        while (series->next())
            if (holds(node, readFirstValue(m_connection, series->integer(1))))
                runs.push_back(series->integer(0));
        return "id IN (SELECT value FROM json_each(" + bound(runs.dump()) + "))";
    }

    /// What is written as a number may stand in the document as a number or as a text.
    std::string documentValueSql(const Node& node, const Literal& literal)
    {
        const std::string sign(signOf(isOrder(node.comparison) ? node.comparison : Comparison::Equal));
        if (node.comparison == Comparison::Contains)
            return containsSql("value", literal.text);
        if (!literal.number)
            return fmt::format("(typeof(value) = 'text' AND value {} {} COLLATE NOCASE)", sign, bound(literal.text));
        const std::string asNumber = fmt::format("(typeof(value) <> 'text' AND value {} {})", sign, bound(*literal.number));
        return isOrder(node.comparison) ? asNumber : fmt::format("({} OR value = {} COLLATE NOCASE)", asNumber, bound(literal.text));
    }

    std::string documentSql(const Node& node, const BoundField& field)
    {
        if (node.values.size() == 1 && node.values[0].isNull)
            return absentSql(node, "id NOT IN (SELECT run FROM document_values WHERE path = " + bound(field.path) + ")");
        const std::string path = bound(field.path);
        return fmt::format("id IN (SELECT run FROM document_values WHERE path = {} AND {})", path,
                           anyOf(node, [&](const Literal& literal) { return documentValueSql(node, literal); }));
    }

    Connection& m_connection;
    const RunFilter& m_filter;
    const std::set<RunId>& m_dead;
    std::optional<FieldNames> m_names;  ///< read for the first condition: most lists have none
    FilterSql m_sql;
};

}  // namespace

void FilterSql::bindTo(SQLite::Statement& statement) const
{
    for (std::size_t i = 0; i < values.size(); ++i)
        std::visit([&](const auto& value) { Connection::bind(statement, int(i) + 1, value); }, values[i]);
}

FilterSql filterSql(Connection& connection, const RunFilter& filter, const std::set<RunId>& dead)
{
    return FilterCompiler(connection, filter, dead).compile();
}

}  // namespace orrery::store
