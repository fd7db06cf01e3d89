#include "run_filter_fields.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <core/base/text.h>

#include "run_filter_sql.h"

namespace orrery::store {
namespace {

using Statistic = BoundField::Statistic;

constexpr int kMostSampledRuns = 2000, kMostFieldValues = 30;
constexpr std::size_t kLongestShownValue = 60;

std::optional<BoundField> propertyField(const std::string& name)
{
    using Kind = BoundField::Kind;
    static const std::map<std::string, BoundField, std::less<>> kFields = {{"id", {Kind::Number, "id", {}}},
                                                                           {"seed", {Kind::Number, "seed", {}}},
                                                                           {"parent", {Kind::Number, "parent", {}}},
                                                                           {"name", {Kind::Text, "name", {}}},
                                                                           {"notes", {Kind::Text, "notes", {}}},
                                                                           {"error", {Kind::Text, "error", {}}},
                                                                           {"created", {Kind::Date, "created", {}}},
                                                                           {"started", {Kind::Date, "started", {}}},
                                                                           {"ended", {Kind::Date, "ended", {}}},
                                                                           {"hash", {Kind::Hash, "document", {}}},
                                                                           {"status", {Kind::Status, {}, {}}},
                                                                           {"tag", {Kind::Tag, {}, {}}},
                                                                           {"tags", {Kind::Tag, {}, {}}}};
    const auto found = kFields.find(core::lower(name));
    return found == kFields.end() ? std::nullopt : std::optional(found->second);
}

bool endsAtDot(std::string_view path, std::string_view end)
{
    return path == end || (path.size() > end.size() && path.ends_with(end) && path[path.size() - end.size() - 1] == '.');
}

}  // namespace

FieldNames::FieldNames(Connection& connection)
{
    m_hasRuns = connection.query("SELECT 1 FROM runs LIMIT 1")->next();
    const auto metrics = connection.query("SELECT DISTINCT name FROM series");
    while (metrics->next())
        m_metrics.push_back(metrics->text(0));
    const auto paths = connection.query("SELECT id, path FROM document_paths ORDER BY path");
    while (paths->next()) {
        m_pathIds.push_back(paths->integer(0));
        m_paths.push_back(paths->text(1));
    }
}

std::optional<BoundField> FieldNames::metricField(const std::string& name) const
{
    static const std::vector<std::pair<std::string, Statistic>> kEnds = {
        {"", Statistic::Last}, {".last", Statistic::Last}, {".min", Statistic::Minimum}, {".max", Statistic::Maximum}, {".first", Statistic::First}};
    for (const auto& [end, statistic] : kEnds) {
        if (!name.ends_with(end))
            continue;
        const std::string metric = name.substr(0, name.size() - end.size());
        if (std::find(m_metrics.begin(), m_metrics.end(), metric) != m_metrics.end())
            return BoundField{BoundField::Kind::Metric, {}, metric, statistic};
    }
    return {};
}

std::vector<std::size_t> FieldNames::pathsEndingIn(const std::string& name) const
{
    if (const auto whole = std::find(m_paths.begin(), m_paths.end(), name); whole != m_paths.end())
        return {std::size_t(whole - m_paths.begin())};
    // A component is asked for by its own name: `optimizer = adamw`.
    for (const std::string& end : {name, name + ".id"}) {
        std::vector<std::size_t> found;
        for (std::size_t i = 0; i < m_paths.size(); ++i)
            if (endsAtDot(m_paths[i], end))
                found.push_back(i);
        if (!found.empty())
            return found;
    }
    return {};
}

void FieldNames::failUnknown(const std::string& query, const RunFilter::Node& condition) const
{
    std::vector<std::string> known = m_metrics;
    for (const RunField& property : runProperties())
        known.push_back(property.name);
    for (const std::string& path : m_paths) {
        known.push_back(path);
        for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1))
            known.push_back(path.substr(dot + 1));
    }
    throw core::InputError(filterErrorText(
        query, condition.column,
        fmt::format("expected a field, found \"{}\", which no run has{}", condition.field, core::didYouMean(condition.field, known))));
}

std::optional<BoundField> FieldNames::bind(const std::string& query, const RunFilter::Node& condition) const
{
    if (const auto property = propertyField(condition.field))
        return property;
    if (!m_hasRuns)
        return {};
    if (const auto metric = metricField(condition.field))
        return metric;
    const std::vector<std::size_t> paths = pathsEndingIn(condition.field);
    if (paths.empty())
        failUnknown(query, condition);
    if (paths.size() > 1) {
        std::vector<std::string> names;
        for (const std::size_t path : paths)
            names.push_back(m_paths[path]);
        throw core::InputError(
            filterErrorText(query, condition.column,
                            fmt::format("\"{}\" is the end of more than one path; expected one of {}", condition.field, core::join(names, ", "))));
    }
    BoundField field;
    field.kind = BoundField::Kind::Document;
    field.path = m_pathIds[paths[0]];
    return field;
}

std::vector<RunField> readRunFields(Connection& connection)
{
    std::vector<RunField> fields = runProperties();
    for (RunField& field : fields)
        if (field.name == "tag") {
            const auto tags = connection.query("SELECT DISTINCT tag FROM tags ORDER BY tag LIMIT 200");
            while (tags->next())
                field.values.push_back(quotedForFilter(tags->text(0)));
        }
    const auto metrics = connection.query("SELECT DISTINCT name FROM series ORDER BY name");
    while (metrics->next())
        fields.push_back({metrics->text(0), RunField::Kind::Metric, true, {}});
    const auto paths = connection.query("SELECT id, path FROM document_paths ORDER BY path");
    while (paths->next()) {
        RunField field{paths->text(1), RunField::Kind::Document, true, {}};
        const auto values = connection.query("SELECT DISTINCT value, typeof(value) = 'text' FROM (SELECT value FROM document_values WHERE path = ? "
                                             "ORDER BY run DESC LIMIT ?) ORDER BY 1 LIMIT ?",
                                             paths->integer(0), kMostSampledRuns, kMostFieldValues);
        while (values->next()) {
            const bool isText = values->integer(1) != 0;
            field.isNumber = field.isNumber && !isText;
            const std::string value = isText ? quotedForFilter(values->text(0)) : core::formatNumber(values->real(0));
            if (value.size() <= kLongestShownValue)
                field.values.push_back(value);
        }
        fields.push_back(std::move(field));
    }
    return fields;
}

}  // namespace orrery::store
