#include "points.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/csv.h>

namespace orrery::scaling {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t(256) << 20;

std::string sourceOf(const ColumnMap& map, const std::string& name)
{
    const auto found = map.sources.find(name);
    return found == map.sources.end() ? name : found->second;
}

bool isNumber(const std::string& text)
{
    return io::makeColumn("", {text}).numbers.size() == 1 && !text.empty();
}

/// A file without a header.
bool hasNumbersForNames(const Table& table)
{
    return std::all_of(table.names.begin(), table.names.end(), [](const auto& name) { return isNumber(name); });
}

std::size_t columnIndex(const Table& table, const std::string& name, const std::string& source)
{
    if (std::find(table.repeated.begin(), table.repeated.end(), source) != table.repeated.end())
        throw core::InputError(
            fmt::format("{}: expected one column \"{}\", found several of that name: give each a name of its own", table.name, source));
    const auto found = std::find(table.names.begin(), table.names.end(), source);
    if (found != table.names.end())
        return std::size_t(found - table.names.begin());
    throw core::InputError(fmt::format("{}: expected a column \"{}\"{}{}; the columns are {}{}", table.name, source,
                                       source == name ? "" : fmt::format(" for {}", name), core::didYouMean(source, table.names),
                                       core::join(table.names, ", "), hasNumbersForNames(table) ? ": the first line should hold names" : ""));
}

std::string foundText(const Table& table, std::size_t column, double value)
{
    if (!std::isnan(value))
        return core::formatNumber(value);
    if (table.texts.empty() || table.texts[column].empty())
        return "none, or NaN";
    std::string text = table.texts[column];
    const std::string found = fmt::format("\"{}\"", text);
    // "7,75" and "1,000,000": as spreadsheets of half the world write them.
    std::replace(text.begin(), text.end(), ',', '.');
    const bool decimal = text != table.texts[column] && isNumber(text);
    text.erase(std::remove(text.begin(), text.end(), '.'), text.end());
    return decimal || (found.find(',') != std::string::npos && isNumber(text)) ? found + ": numbers want a point and no commas" : found;
}

std::string columnText(const io::CsvColumn& column, std::size_t row)
{
    return column.type == io::ColumnType::Category ? column.categories[std::size_t(column.codes[row])] : column.texts[row];
}

// A column with a text in it holds texts only: its numbers are read again up to the first that is none.
void addTextColumn(Table& table, const io::CsvColumn& column)
{
    auto& numbers = table.columns.emplace_back();
    std::string culprit;
    for (std::size_t row = 0; row < column.missing.size(); ++row) {
        double value = std::nan("");
        if (!column.missing[row]) {
            const auto text = columnText(column, row);
            const auto single = io::makeColumn("", {text});
            if (single.numbers.empty() && culprit.empty())
                culprit = text;
            if (!single.numbers.empty())
                value = single.numbers[0];
        }
        numbers.push_back(value);
    }
    table.texts.push_back(culprit);
}

}  // namespace

Table parseTable(std::string_view bytes, const std::string& name)
{
    io::CsvOptions options;
    options.header = io::CsvHeader::Present;
    const auto csv = io::parseCsv(bytes, name, options);
    Table table;
    table.name = name;
    table.repeated = csv.repeated;
    for (const auto& column : csv.columns) {
        table.names.push_back(column.name);
        if (column.type == io::ColumnType::Category || column.type == io::ColumnType::Text) {
            addTextColumn(table, column);
            continue;
        }
        table.columns.push_back(column.numbers);
        table.texts.emplace_back();
    }
    for (const auto line : csv.lines)
        table.places.push_back(fmt::format("line {}", line));
    return table;
}

Table readTable(const std::filesystem::path& file)
{
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored))
        throw core::InputError(fmt::format("{}: expected a CSV file, found none", file.string()));
    if (std::filesystem::is_directory(file, ignored))
        throw core::InputError(fmt::format("{}: expected a CSV file, found a folder", file.string()));
    return parseTable(core::inflateIfGzip(core::readFile(file, kMostBytes), file.filename().string(), kMostBytes), file.filename().string());
}

std::string tableText(const Table& table)
{
    std::vector<std::string> names;
    if (!table.runs.empty())
        names.push_back("run");
    for (const auto& name : table.names)
        names.push_back(io::csvField(name));
    std::string out = core::join(names, ",") + "\n";
    for (std::size_t row = 0; row < table.rows(); ++row) {
        std::vector<std::string> fields;
        if (!table.runs.empty())
            fields.push_back(std::to_string(table.runs[row]));
        for (const auto& column : table.columns)
            fields.push_back(core::formatNumber(column[row]));
        out += core::join(fields, ",") + "\n";
    }
    return out;
}

std::vector<double> numbersOf(const Table& table, const std::string& name, const ColumnMap& map)
{
    const auto index = columnIndex(table, name, sourceOf(map, name));
    const auto scale = map.scales.contains(name) ? map.scales.at(name) : 1.0;
    if (!(scale > 0) || !std::isfinite(scale))
        throw core::InputError(fmt::format("scale of {}: expected a number > 0, got {}", name, core::formatNumber(scale)));
    auto numbers = table.columns[index];
    for (std::size_t row = 0; row < numbers.size(); ++row) {
        const double value = numbers[row];
        numbers[row] = value * scale;
        if (!(value > 0) || !std::isfinite(numbers[row]))
            throw core::InputError(fmt::format("{}: {}, column \"{}\": expected a finite number > 0, found {}", table.name, table.places[row],
                                               table.names[index], foundText(table, index, value)));
    }
    return numbers;
}

ColumnMap completeMap(const Table& table, const std::vector<std::string>& inputs, const ColumnMap& given)
{
    ColumnMap map = given;
    if (inputs != std::vector<std::string>{"x"} || map.sources.contains("x") ||
        std::find(table.names.begin(), table.names.end(), "x") != table.names.end())
        return map;
    auto others = table.names;
    std::erase(others, sourceOf(map, "loss"));
    if (others.size() != 1)
        throw core::InputError(
            fmt::format("{}: expected to be told which column is x (--x COLUMN); the columns are {}", table.name, core::join(table.names, ", ")));
    map.sources["x"] = others.front();
    return map;
}

Points pointsOf(const Table& table, const std::vector<std::string>& inputs, const ColumnMap& map)
{
    if (table.rows() == 0)
        throw core::InputError(fmt::format("{}: expected a table with rows, got none", table.name));
    const auto complete = completeMap(table, inputs, map);
    for (const auto& [name, source] : complete.sources)
        if (name != "loss" && std::find(inputs.begin(), inputs.end(), name) == inputs.end())
            throw core::InputError(fmt::format("column of \"{}\": the law takes loss and {}", name, core::join(inputs, ", ")));
    Points points;
    points.name = table.name;
    points.inputNames = inputs;
    for (const auto& name : inputs)
        points.inputs.push_back(numbersOf(table, name, complete));
    points.loss = numbersOf(table, "loss", complete);
    points.places = table.places;
    points.runs = table.runs;
    return points;
}

Points Points::subset(const std::vector<std::size_t>& rows) const
{
    const auto taken = [&](const auto& from) {
        std::decay_t<decltype(from)> out;
        for (const auto row : rows)
            out.push_back(from[row]);
        return out;
    };
    Points part;
    part.name = name;
    part.inputNames = inputNames;
    for (const auto& input : inputs)
        part.inputs.push_back(taken(input));
    part.loss = taken(loss);
    part.places = taken(places);
    if (!runs.empty())
        part.runs = taken(runs);
    return part;
}

}  // namespace orrery::scaling
