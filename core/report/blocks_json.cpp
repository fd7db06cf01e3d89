#include "blocks_json.h"

#include <core/base/error.h>
#include <fmt/format.h>

namespace orrery::report {

using core::Json;

namespace {

constexpr int kMostDepth = 6;
constexpr std::size_t kMostBlocks = 10'000, kMostCells = 200'000;

const char* styleName(TextStyle style)
{
    return style == TextStyle::Warning ? "warning" : style == TextStyle::Note ? "note" : "normal";
}

Json tableJson(const Table& table)
{
    Json columns = Json::array(), rows = Json::array();
    for (const Column& column : table.columns)
        columns.push_back({{"title", column.title}, {"align", column.align == Align::Right ? "right" : "left"}});
    for (const auto& row : table.rows) {
        Json cells = Json::array();
        for (const Cell& cell : row)
            cells.push_back(cell.emphasised ? Json{{"strong", cell.text}} : Json(cell.text));
        rows.push_back(std::move(cells));
    }
    return {{"caption", table.caption}, {"columns", std::move(columns)}, {"rows", std::move(rows)}};
}

struct BlockWriter {
    Json operator()(const Section& section) const { return {{"section", {{"title", section.title}, {"blocks", toJson(section.blocks)}}}}; }
    Json operator()(const Paragraph& paragraph) const { return {{"text", paragraph.text}, {"style", styleName(paragraph.style)}}; }
    Json operator()(const Code& code) const { return {{"code", code.text}, {"caption", code.caption}}; }
    Json operator()(const Table& table) const { return {{"table", tableJson(table)}}; }
    Json operator()(const KeyValues& values) const
    {
        Json list = Json::array();
        for (const auto& [key, value] : values.entries)
            list.push_back(Json::array({key, value}));
        return {{"values", std::move(list)}};
    }
    Json operator()(const Picture& picture) const
    {
        throw core::InputError(fmt::format("picture \"{}\": expected it as a file of its own, not among the blocks", picture.title));
    }
};

/// Reads one document; counts what it takes, so that a small file cannot ask for much.
class BlockReader {
public:
    std::vector<Block> list(const Json& json, const std::string& place, int depth)
    {
        if (!json.is_array() || depth > kMostDepth)
            fail(place, depth > kMostDepth ? "at most 6 sections inside each other" : "a list of blocks", json);
        std::vector<Block> blocks;
        for (std::size_t i = 0; i < json.size(); ++i) {
            if (++m_blocks > kMostBlocks)
                fail(place, "at most 10000 blocks", json);
            blocks.push_back(block(json[i], fmt::format("{}[{}]", place, i), depth));
        }
        return blocks;
    }

private:
    [[noreturn]] static void fail(const std::string& place, std::string_view expected, const Json& found)
    {
        // A list or object may be nested without end: only its kind is said.
        const std::string text = found.is_structured() ? fmt::format("a JSON {} of {} entries", found.type_name(), found.size())
                                                       : shortened(found.dump(-1, ' ', false, Json::error_handler_t::replace), 60);
        throw core::FormatError(fmt::format("{}: expected {}, found {}", place, expected, text));
    }

    static std::string text(const Json& json, const std::string& place)
    {
        if (!json.is_string())
            fail(place, "text", json);
        return json.get<std::string>();
    }

    static std::string optionalText(const Json& object, const char* key, const std::string& place)
    {
        return object.contains(key) ? text(object[key], place + "." + key) : std::string();
    }

    Block block(const Json& json, const std::string& place, int depth)
    {
        if (!json.is_object())
            fail(place, "an object", json);
        if (json.contains("section"))
            return section(json["section"], place + ".section", depth);
        if (json.contains("text"))
            return paragraph(json, place);
        if (json.contains("code"))
            return Code{text(json["code"], place + ".code"), optionalText(json, "caption", place)};
        if (json.contains("table"))
            return table(json["table"], place + ".table");
        if (json.contains("values"))
            return values(json["values"], place + ".values");
        fail(place, "section, text, code, table or values", json);
    }

    Block section(const Json& json, const std::string& place, int depth)
    {
        if (!json.is_object() || !json.contains("blocks"))
            fail(place, "a title and blocks", json);
        return Section{optionalText(json, "title", place), list(json["blocks"], place + ".blocks", depth + 1)};
    }

    static Block paragraph(const Json& json, const std::string& place)
    {
        const std::string style = optionalText(json, "style", place);
        if (!style.empty() && style != "normal" && style != "note" && style != "warning")
            fail(place + ".style", "normal, note or warning", json["style"]);
        return Paragraph{text(json["text"], place + ".text"), style == "warning" ? TextStyle::Warning
                                                              : style == "note"  ? TextStyle::Note
                                                                                 : TextStyle::Normal};
    }

    Block table(const Json& json, const std::string& place)
    {
        if (!json.is_object() || !json.contains("columns") || !json["columns"].is_array() || !json.contains("rows") || !json["rows"].is_array())
            fail(place, "columns and rows", json);
        Table table{optionalText(json, "caption", place), {}, {}};
        for (std::size_t i = 0; i < json["columns"].size(); ++i) {
            const Json& column = json["columns"][i];
            const std::string at = fmt::format("{}.columns[{}]", place, i);
            if (!column.is_object())
                fail(at, "an object", column);
            table.columns.push_back({optionalText(column, "title", at), optionalText(column, "align", at) == "right" ? Align::Right : Align::Left});
        }
        for (std::size_t i = 0; i < json["rows"].size(); ++i)
            table.rows.push_back(row(json["rows"][i], table.columns.size(), fmt::format("{}.rows[{}]", place, i)));
        return table;
    }

    std::vector<Cell> row(const Json& json, std::size_t columns, const std::string& place)
    {
        if (!json.is_array() || json.size() != columns)
            fail(place, fmt::format("{} cells", columns), json);
        if ((m_cells += columns) > kMostCells)
            fail(place, "at most 200000 cells", json);
        std::vector<Cell> cells;
        for (const Json& cell : json)
            cells.push_back(cell.is_object() && cell.contains("strong") ? Cell{text(cell["strong"], place), true} : Cell{text(cell, place)});
        return cells;
    }

    Block values(const Json& json, const std::string& place)
    {
        if (!json.is_array() || (m_cells += json.size()) > kMostCells)
            fail(place, "a list of at most 200000 pairs", json);
        KeyValues values;
        for (std::size_t i = 0; i < json.size(); ++i) {
            const std::string at = fmt::format("{}[{}]", place, i);
            if (!json[i].is_array() || json[i].size() != 2)
                fail(at, "a key and a value", json[i]);
            values.entries.emplace_back(text(json[i][0], at), text(json[i][1], at));
        }
        return values;
    }

    std::size_t m_blocks = 0, m_cells = 0;
};

}  // namespace

Json toJson(const std::vector<Block>& blocks)
{
    Json list = Json::array();
    for (const Block& block : blocks)
        list.push_back(std::visit(BlockWriter{}, block.content));
    return list;
}

std::vector<Block> blocksFromJson(const Json& document, std::string_view name)
{
    return BlockReader().list(document, std::string(name), 1);
}

}  // namespace orrery::report
