// Any JSON as blocks: what a report shows of results it knows nothing else about.
#include <algorithm>
#include <cmath>

#include <core/base/text.h>
#include <fmt/format.h>

#include "analysis_blocks.h"
#include "document_diff.h"
#include "plot.h"

namespace orrery::report {

using core::Json;

namespace {

constexpr std::size_t kMostRows = 200, kMostColumns = 12, kMostEntries = 60, kShortList = 8;
constexpr int kMostNesting = 5;

bool isPlain(const Json& value)
{
    return !value.is_structured();
}

bool isShortList(const Json& value)
{
    return value.is_array() && value.size() <= kShortList && std::ranges::all_of(value, isPlain);
}

bool isTable(const Json& value)
{
    return value.is_array() && !value.empty() && std::ranges::all_of(value, [](const Json& row) { return row.is_object() && !row.empty(); });
}

/// A long list of numbers in words.
std::string describedList(const Json& list)
{
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const Json& value : list)
        if (value.is_number()) {
            low = std::min(low, value.get<double>());
            high = std::max(high, value.get<double>());
        }
    return low > high ? fmt::format("{} entries", list.size())
                      : fmt::format("{} entries, numbers from {} to {}", list.size(), shortNumber(low), shortNumber(high));
}

struct Collected {
    KeyValues values;
    std::size_t left = 0;  ///< entries that are not shown
    std::vector<std::pair<std::string, const Json*>> tables;
};

void collect(Collected& out, const std::string& path, const Json& json, int depth)
{
    if (json.is_object() && depth < kMostNesting) {
        for (const auto& [key, value] : json.items())
            collect(out, path.empty() ? key : path + "." + key, value, depth + 1);
        return;
    }
    if (isTable(json)) {
        out.tables.emplace_back(path, &json);
        return;
    }
    if (out.values.entries.size() >= kMostEntries)
        ++out.left;
    else if (!json.is_null() && !(json.is_array() && json.empty()))
        out.values.entries.emplace_back(path, cellText(json));
}

}  // namespace

std::string cellText(const Json& value)
{
    if (value.is_null())
        return "–";
    if (value.is_number_float()) {
        const double number = value.get<double>();
        return std::abs(number) < 1e15 && number == std::floor(number) ? core::formatNumber(number) : shortNumber(number);
    }
    if (value.is_string())
        return value.get<std::string>();
    if (isPlain(value))
        return plainText(value);
    if (!isShortList(value))
        return value.is_array() ? describedList(value) : fmt::format("{} entries", value.size());
    std::vector<std::string> parts;
    for (const Json& part : value)
        parts.push_back(cellText(part));
    return "[" + core::join(parts, ", ") + "]";
}

Table tableOf(const Json& list, std::string caption)
{
    Table table{std::move(caption), {}, {}};
    std::vector<std::string> keys;
    for (const Json& row : list)
        for (const auto& [key, value] : row.items())
            if ((isPlain(value) || isShortList(value)) && keys.size() < kMostColumns && std::ranges::find(keys, key) == keys.end())
                keys.push_back(key);
    for (const std::string& key : keys) {
        const bool isNumeric = std::ranges::all_of(
            list, [&](const Json& row) { return !row.contains(key) || row[key].is_number() || row[key].is_null() || row[key].is_array(); });
        table.columns.push_back({key, isNumeric ? Align::Right : Align::Left});
    }
    for (const Json& row : list) {
        if (table.rows.size() == kMostRows) {
            table.caption += fmt::format("{}The first {} of {} rows.", table.caption.empty() ? "" : " ", kMostRows, list.size());
            break;
        }
        std::vector<Cell> cells;
        for (const std::string& key : keys)
            cells.push_back({row.contains(key) ? cellText(row[key]) : ""});
        table.rows.push_back(std::move(cells));
    }
    return table;
}

void addJson(Section& section, const Json& json, const std::string& caption)
{
    Collected found;
    collect(found, "", json, 0);
    if (!caption.empty() && !found.values.entries.empty())
        section.blocks.emplace_back(Paragraph{caption, TextStyle::Note});
    if (found.values.entries.size() == 1 && found.values.entries[0].first.empty())
        section.blocks.emplace_back(Paragraph{found.values.entries[0].second});
    else if (!found.values.entries.empty())
        section.blocks.emplace_back(std::move(found.values));
    if (found.left > 0)
        section.blocks.emplace_back(Paragraph{fmt::format("{} more values are not shown.", found.left), TextStyle::Note});
    for (const auto& [path, list] : found.tables)
        if (Table table = tableOf(*list, path); !table.columns.empty())
            section.blocks.emplace_back(std::move(table));
}

}  // namespace orrery::report
