#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/json_lines.h>

#include "sets.h"

namespace orrery::data {
namespace {

using core::Json;

constexpr std::size_t kMaxIntegerClasses = 20;

std::vector<const io::CsvColumn*> featureColumns(const io::CsvTable& table, const TableRoles& roles, const io::CsvColumn* target,
                                                 const std::string& file)
{
    std::vector<const io::CsvColumn*> columns;
    for (const std::string& name : roles.features)
        columns.push_back(&columnNamed(table, name, file));
    for (const std::string& name : roles.ignore)
        columnNamed(table, name, file);
    if (roles.features.empty())
        for (const io::CsvColumn& column : table.columns)
            columns.push_back(&column);
    std::erase_if(columns, [&](const io::CsvColumn* column) {
        return column == target || std::find(roles.ignore.begin(), roles.ignore.end(), column->name) != roles.ignore.end();
    });
    if (columns.empty())
        throw core::InputError(fmt::format("{}: expected at least one feature column beside the target, got none", file));
    for (const io::CsvColumn* column : columns)
        if (column->type == io::ColumnType::Text)
            throw core::InputError(
                fmt::format("{}: column \"{}\": expected numbers or categories, got texts (leave it out by `ignore`)", file, column->name));
    return columns;
}

/// The features side by side, and the column each one comes from.
struct Features {
    at::Tensor values;
    std::vector<std::string> names;
    std::vector<const io::CsvColumn*> columns;
};

Features makeFeatures(const std::vector<const io::CsvColumn*>& columns, std::size_t rows)
{
    Features out;
    for (const io::CsvColumn* column : columns) {
        const bool oneHot = column->type == io::ColumnType::Category;
        for (std::size_t i = 0; i < (oneHot ? column->categories.size() : 1); ++i) {
            out.names.push_back(oneHot ? column->name + "=" + column->categories[i] : column->name);
            out.columns.push_back(column);
        }
    }
    out.values = at::empty({std::int64_t(rows), std::int64_t(out.names.size())}, at::kDouble);
    double* target = out.values.data_ptr<double>();
    for (std::size_t row = 0; row < rows; ++row)
        for (const io::CsvColumn* column : columns) {
            if (column->type != io::ColumnType::Category) {
                *target++ = column->numbers[row];
                continue;
            }
            for (std::size_t i = 0; i < column->categories.size(); ++i)
                *target++ = column->missing[row] ? std::nan("") : column->codes[row] == std::int32_t(i);
        }
    return out;
}

std::set<double> distinctNumbers(const io::CsvColumn& column)
{
    std::set<double> out;
    for (const double value : column.numbers)
        if (!std::isnan(value))
            out.insert(value);
    return out;
}

Task taskFor(const io::CsvColumn& target, const std::string& wanted, const std::string& file)
{
    if (target.type == io::ColumnType::Text)
        throw core::InputError(fmt::format("{}: target \"{}\": expected numbers or categories, got texts", file, target.name));
    const bool isCategory = target.type == io::ColumnType::Category;
    if (wanted == "regression" && isCategory)
        throw core::InputError(fmt::format("{}: target \"{}\": expected numbers for a regression, got categories", file, target.name));
    if (wanted == "regression")
        return Task::Regression;
    const bool fewIntegers = target.type == io::ColumnType::Integer && distinctNumbers(target).size() <= kMaxIntegerClasses;
    if (wanted == "classification" && target.type == io::ColumnType::Real)
        throw core::InputError(
            fmt::format("{}: target \"{}\": expected categories or integers for a classification, got real numbers", file, target.name));
    return wanted == "classification" || isCategory || fewIntegers ? Task::Classification : Task::Regression;
}

void readTarget(RawData& raw, const io::CsvColumn& target)
{
    const auto rows = std::int64_t(target.missing.size());
    if (raw.info.task == Task::Regression) {
        raw.info.targetNames = {target.name};
        raw.targets = at::tensor(target.numbers, at::kDouble).to(at::kFloat).view({rows, 1});
        return;
    }
    raw.info.classNames = target.categories;
    std::vector<std::int64_t> codes(target.codes.begin(), target.codes.end());
    if (target.type != io::ColumnType::Category) {
        const std::set<double> distinct = distinctNumbers(target);
        const std::vector<double> sorted(distinct.begin(), distinct.end());
        for (const double value : sorted)
            raw.info.classNames.push_back(core::formatNumber(value));
        for (const double value : target.numbers)
            codes.push_back(std::isnan(value) ? -1 : std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin());
    }
    raw.targets = at::tensor(codes, at::kLong);
}

char separatorFrom(const Json& parameters)
{
    const std::string name = parameters.at("delimiter").get<std::string>();
    return name == "comma" ? ',' : name == "semicolon" ? ';' : name == "tab" ? '\t' : '\0';
}

DataSetPtr openCsv(const Json& parameters, const std::filesystem::path& base)
{
    const std::string reference = parameters.at("path").get<std::string>();
    const std::filesystem::path file = core::resolvePath(reference, base);
    io::CsvOptions options;
    options.separator = separatorFrom(parameters);
    const std::string header = parameters.at("header").get<std::string>();
    options.header = header == "yes" ? io::CsvHeader::Present : header == "no" ? io::CsvHeader::Absent : io::CsvHeader::Auto;
    RawData raw = rawFromTable(io::parseCsv(readDataFile("csv", file), file.filename().string(), options), TableRoles::fromJson(parameters),
                               file.filename().string());
    raw.info.id = "csv";
    raw.info.title = file.filename().string();
    return prepare(std::move(raw), parameters);
}

/// Numbers in lists become columns `name[0]`, `name[1]`, ...; objects inside become `name.key`.
void flatten(const Json& value, const std::string& name, std::vector<std::pair<std::string, std::string>>& out)
{
    if (value.is_object()) {
        for (const auto& [key, inner] : value.items())
            flatten(inner, name.empty() ? key : name + "." + key, out);
    } else if (value.is_array()) {
        for (std::size_t i = 0; i < value.size(); ++i)
            flatten(value[i], fmt::format("{}[{}]", name, i), out);
    } else if (value.is_boolean()) {
        out.emplace_back(name, value.get<bool>() ? "1" : "0");
    } else {
        out.emplace_back(name, value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump());
    }
}

io::CsvTable tableFromJsonLines(const std::vector<Json>& objects)
{
    io::CsvTable table;
    table.rows = objects.size();
    std::vector<std::string> names;
    std::unordered_map<std::string, std::vector<std::string>> columns;
    for (std::size_t row = 0; row < objects.size(); ++row) {
        std::vector<std::pair<std::string, std::string>> fields;
        flatten(objects[row], "", fields);
        for (auto& [name, value] : fields) {
            auto [found, isNew] = columns.try_emplace(name, objects.size());
            if (isNew)
                names.push_back(name);
            found->second[row] = std::move(value);
        }
        table.lines.push_back(row + 1);
    }
    for (const std::string& name : names)
        table.columns.push_back(io::makeColumn(name, std::move(columns.at(name))));
    return table;
}

DataSetPtr openJsonLines(const Json& parameters, const std::filesystem::path& base)
{
    const std::filesystem::path file = core::resolvePath(parameters.at("path").get<std::string>(), base);
    const std::string name = file.filename().string();
    RawData raw =
        rawFromTable(tableFromJsonLines(io::parseJsonLines(readDataFile("json_lines", file), name)), TableRoles::fromJson(parameters), name);
    raw.info.id = "json_lines";
    raw.info.title = name;
    return prepare(std::move(raw), parameters);
}

CommonDefaults tableDefaults()
{
    return {{}, true, true, false};
}

std::vector<std::string> columnNames(const io::CsvTable& table)
{
    std::vector<std::string> names;
    for (const io::CsvColumn& column : table.columns)
        names.push_back(column.name);
    return names;
}

}  // namespace

const io::CsvColumn& columnNamed(const io::CsvTable& table, const std::string& name, const std::string& file)
{
    const io::CsvColumn* const column = table.find(name);
    if (!column)
        throw core::InputError(fmt::format("{}: no column \"{}\"{} (columns: {})", file, name, core::didYouMean(name, columnNames(table)),
                                           core::join(columnNames(table), ", ")));
    return *column;
}

std::string readDataFile(const std::string& id, const std::filesystem::path& file)
{
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored))
        throw core::StorageError(fmt::format("{}: expected a file at {}, found none", id, file.string()));
    return core::inflateIfGzip(core::readFile(file, std::uint64_t(1) << 36), file.filename().string(), std::uint64_t(1) << 36);
}

TableRoles TableRoles::fromJson(const Json& parameters)
{
    return {parameters.at("target").get<std::string>(), parameters.at("task").get<std::string>(),
            parameters.at("features").get<std::vector<std::string>>(), parameters.at("ignore").get<std::vector<std::string>>()};
}

core::Schema tableRolesSchema()
{
    return {core::text("target", "", "Name of the target column; empty: the last one."),
            core::choice("task", {"auto", "classification", "regression", "none"}, "auto",
                         "What the target is; auto: categories and integers with at most 20 values are classes."),
            core::list("features", core::text("", "", ""), Json::array(), "Columns to use; empty: all but the target."),
            core::list("ignore", core::text("", "", ""), Json::array(), "Columns to leave out.")};
}

RawData rawFromTable(const io::CsvTable& table, const TableRoles& roles, const std::string& name)
{
    const io::CsvColumn* target = nullptr;
    if (roles.task != "none")
        target = roles.target.empty() ? &table.columns.back() : &columnNamed(table, roles.target, name);
    Features features = makeFeatures(featureColumns(table, roles, target, name), table.rows);
    RawData raw;
    raw.info.kind = DataKind::Table;
    raw.info.task = target ? taskFor(*target, roles.task, name) : Task::None;
    raw.info.featureNames = features.names;
    raw.inputs = features.values;
    std::vector<std::string> places;
    for (const io::CsvColumn* column : features.columns)
        places.push_back(column->name);
    const std::string targetName = target ? target->name : "";
    raw.place = [lines = table.lines, places, targetName, name](std::int64_t sample, std::int64_t feature) {
        return fmt::format("{}: line {}, column \"{}\"", name, lines[std::size_t(sample)], feature < 0 ? targetName : places[std::size_t(feature)]);
    };
    if (target)
        readTarget(raw, *target);
    return raw;
}

void addCsv(DataRegistry& registry)
{
    core::Schema schema{core::required(core::text("path", "", "The file; gzip is understood.")),
                        core::choice("delimiter", {"auto", "comma", "semicolon", "tab"}, "auto", "What separates the fields."),
                        core::choice("header", {"auto", "yes", "no"}, "auto", "Whether the first line holds names; auto: if it holds no number.")};
    const core::Schema roles = tableRolesSchema();
    for (const core::Parameter& parameter : roles.parameters())
        schema.add(parameter);
    registry.add({"csv",
                  "Table (CSV)",
                  "Rows of a CSV file: numbers as they are, categories one-hot, one column as target.",
                  "RFC 4180",
                  withCommon(schema, tableDefaults()),
                  {},
                  {{"table", "float", {"batch", "feature"}}}},
                 openCsv);
}

void addJsonLines(DataRegistry& registry)
{
    core::Schema schema{core::required(core::text("path", "", "The file; gzip is understood."))};
    const core::Schema roles = tableRolesSchema();
    for (const core::Parameter& parameter : roles.parameters())
        schema.add(parameter);
    registry.add({"json_lines",
                  "Table (JSON lines)",
                  "One JSON object a line; keys are columns, lists become numbered columns.",
                  "https://jsonlines.org",
                  withCommon(schema, tableDefaults()),
                  {},
                  {{"table", "float", {"batch", "feature"}}}},
                 openJsonLines);
}

}  // namespace orrery::data
