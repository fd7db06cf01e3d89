// Results that are numbers in rows and columns: patching maps, similarities of layers, lens grids, points of a projection.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <core/base/error.h>
#include <core/base/text.h>
#include <fmt/format.h>

#include "analysis_blocks.h"
#include "plot.h"
#include "stored_arrays.h"

namespace orrery::report {

using core::Json;
using store::Analysis;

namespace {

constexpr std::size_t kMostMapCells = 1'000'000, kListedCells = 10, kMostScatter = 20'000;

const Json& emptyObject()
{
    static const Json empty = Json::object();
    return empty;
}

const Json& partOf(const Json& object, const char* key)
{
    return object.is_object() && object.contains(key) ? object[key] : emptyObject();
}

/// The entries of a list of plain values, or of one list inside another, as texts; nothing else has names.
std::vector<std::string> namesFrom(const Json& list)
{
    std::vector<std::string> names;
    const Json& inner = list.is_array() && list.size() == 1 && list[0].is_array() ? list[0] : list;
    if (inner.is_array())
        for (const Json& name : inner)
            names.push_back(cellText(name));
    return names;
}

/// `names`, or numbers where their count does not fit.
std::vector<std::string> fitted(std::vector<std::string> names, std::int64_t count)
{
    if (std::ssize(names) == count)
        return names;
    names.clear();
    for (std::int64_t i = 0; i < count; ++i)
        names.push_back(std::to_string(i));
    return names;
}

void requireCells(const io::Array& array, std::size_t dimensions, const std::string& what)
{
    const auto cells = array.bytes.size() / io::elementSize(array.type);
    if (array.shape.size() != dimensions || cells == 0 || cells > kMostMapCells)
        throw core::ShapeError(
            fmt::format("{}: expected {} sizes and 1 to {} values, got {}", what, dimensions, kMostMapCells, core::formatShape(array.shape)));
}

/// The greatest and the least values with their places.
Table extremes(const HeatMap& map, const std::string& rowTitle, const std::string& columnTitle)
{
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < map.values.size(); ++i)
        if (std::isfinite(map.values[i]))
            order.push_back(i);
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return map.values[a] > map.values[b]; });
    if (order.size() > kListedCells)
        order.erase(order.begin() + kListedCells / 2, order.end() - kListedCells / 2);
    Table table{"The greatest and the least values.", {{rowTitle}, {columnTitle}, {"value", Align::Right}}, {}};
    for (const std::size_t i : order)
        table.rows.push_back({{map.rows[i / map.columns.size()]}, {map.columns[i % map.columns.size()]}, {shortNumber(map.values[i])}});
    return table;
}

std::string describedMap(const HeatMap& map)
{
    std::string text = fmt::format("{} rows, {} columns", map.rows.size(), map.columns.size());
    const auto greatest = std::ranges::max_element(map.values, [](double a, double b) { return std::isnan(a) || a < b; });
    if (greatest != map.values.end() && std::isfinite(*greatest)) {
        const auto index = static_cast<std::size_t>(greatest - map.values.begin());
        text += fmt::format("; the greatest value {} at {}, {}", shortNumber(*greatest), map.rows[index / map.columns.size()],
                            map.columns[index % map.columns.size()]);
    }
    return text + ".";
}

void addMap(Section& section, const HeatMap& map, const std::string& title)
{
    section.blocks.emplace_back(Picture{drawHeatMap(map), title, describedMap(map)});
    section.blocks.emplace_back(extremes(map, map.rowTitle.empty() ? "row" : map.rowTitle, map.columnTitle.empty() ? "column" : map.columnTitle));
}

/// Cells [site, head, column]: sites by columns, or by heads where there is one column; heads become rows where there are several of both.
HeatMap patchingMap(const io::Array& cells, const Json& described)
{
    const std::int64_t sites = cells.shape[0], heads = cells.shape[1], columns = cells.shape[2];
    const auto siteNames = fitted(namesFrom(partOf(described, "sites")), sites);
    auto columnNames = fitted(namesFrom(partOf(described, "columns")), columns);
    std::ranges::replace(columnNames, "-1", "all");
    HeatMap map;
    map.values = valuesOf(cells);
    map.rowTitle = "site";
    if (columns == 1 && heads > 1) {
        map.rows = siteNames;
        map.columns = fitted({}, heads);
        map.columnTitle = "head";
        return map;
    }
    for (const std::string& site : siteNames)
        for (std::int64_t head = 0; head < heads; ++head)
            map.rows.push_back(heads > 1 ? fmt::format("{} head {}", site, head) : site);
    map.columns = columnNames;
    const Json& unit = partOf(described, "unit");
    map.columnTitle = unit.is_string() ? unit.get<std::string>() : "";
    return map;
}

}  // namespace

void addPatching(Section& section, const store::Workspace& workspace, const Analysis& analysis)
{
    const Json& maps = partOf(analysis.results, "maps");
    for (std::size_t i = 0; i < maps.size(); ++i) {
        const std::string name = fmt::format("patching_{}", i);
        const auto cells = arrayOf(workspace, analysis, name);
        if (!cells)
            continue;
        requireCells(*cells, 3, name);
        const Json& component = partOf(maps[i], "component");
        addMap(section, patchingMap(*cells, maps[i]), component.is_string() ? component.get<std::string>() : name);
    }
    Json rest = analysis.results;
    rest.erase("maps");
    addJson(section, rest);
}

void addComparison(Section& section, const store::Workspace& workspace, const Analysis& analysis)
{
    const auto matrix = arrayOf(workspace, analysis, "similarity");
    if (!matrix)
        throw core::FormatError("expected an artifact \"similarity\"");
    requireCells(*matrix, 2, "similarity");
    HeatMap map{fitted(namesFrom(partOf(analysis.results, "rows")), matrix->shape[0]),
                fitted(namesFrom(partOf(analysis.results, "columns")), matrix->shape[1]),
                valuesOf(*matrix),
                {},
                "",
                ""};
    if (map.values.size() <= 100)
        for (const double value : map.values)
            map.texts.push_back(fmt::format("{:.2f}", value));
    addMap(section, map, fmt::format("similarity ({})", cellText(partOf(analysis.parameters, "metric"))));
    addJson(section, {{"samples", partOf(analysis.results, "samples")}});
}

void addLens(Section& section, const store::Workspace& workspace, const Analysis& analysis)
{
    const io::Array array = arrayOf(workspace, analysis, "lens").value();
    const auto columns = namesFrom(partOf(analysis.results, "columns"));
    const auto shown = std::ranges::find(columns, "top_probability");
    const auto tokens = namesFrom(partOf(analysis.results, "token_names"));
    if (array.shape.size() == 3 && shown != columns.end() && array.shape[2] == std::ssize(columns)) {
        requireCells(array, 3, "lens");
        HeatMap map{fitted(namesFrom(partOf(analysis.results, "places")), array.shape[0]), fitted(tokens, array.shape[1]), {}, {}, "place", "token"};
        const std::vector<double> values = valuesOf(array);
        for (auto i = static_cast<std::size_t>(shown - columns.begin()); i < values.size(); i += columns.size())
            map.values.push_back(values[i]);
        if (const auto written = jsonOf(workspace, analysis, "top_names"); written && written->is_array() && written->size() == map.values.size())
            for (const Json& name : *written)
                map.texts.push_back(cellText(name));
        addMap(section, map, "probability of the most probable token" + std::string(map.texts.empty() ? "" : ", which is written in the cells"));
    } else if (array.shape.size() == 2 && array.shape[0] == std::ssize(tokens) && array.shape[1] == std::ssize(tokens)) {
        requireCells(array, 2, "lens");
        addMap(section, {tokens, tokens, valuesOf(array), {}, "from", "to"}, "attention");
    }
    Json rest = analysis.results;
    for (const char* key : {"columns", "places", "pattern", "tokens", "token_names"})
        rest.erase(key);
    addJson(section, rest);
}

void addProjection(Section& section, const store::Workspace& workspace, const Analysis& analysis)
{
    const auto points = arrayOf(workspace, analysis, "points");
    if (!points)
        throw core::FormatError("expected an artifact \"points\"");
    requireCells(*points, 2, "points");
    if (points->shape[1] < 2)
        throw core::ShapeError(fmt::format("points: expected at least two coordinates, got {}", core::formatShape(points->shape)));
    const std::vector<double> values = valuesOf(*points);
    const auto width = static_cast<std::size_t>(points->shape[1]), count = std::min(kMostScatter, values.size() / width);
    Series series;
    series.colour = seriesColour(0);
    series.marks = true;
    for (std::size_t i = 0; i < count; ++i) {
        series.x.push_back(values[i * width]);
        series.y.push_back(values[i * width + 1]);
    }
    CurvePlot plot{{"1st coordinate", false, {}, {}}, {"2nd coordinate", false, {}, {}}, {std::move(series)}, 420, 320};
    section.blocks.emplace_back(
        Picture{drawCurves(plot), "points of the projection", fmt::format("Scatter of {} of {} points.", count, points->shape[0])});
    addJson(section, analysis.results);
}

void addProbes(Section& section, const store::Workspace&, const Analysis& analysis)
{
    const Json& probes = partOf(analysis.results, "probes");
    CurvePlot plot{{"place, in the order of the table", false, {}, {}}, {"", false, {}, {}}, {}, 500, 240};
    for (const char* key : {"accuracy", "r2", "baseline", "control_accuracy", "control_r2"}) {
        Series series;
        series.name = key;
        series.colour = seriesColour(plot.series.size());
        series.dashed = !plot.series.empty();
        for (std::size_t i = 0; i < probes.size(); ++i)
            if (const Json& value = partOf(probes[i], key); value.is_number()) {
                series.x.push_back(double(i + 1));
                series.y.push_back(value.get<double>());
            }
        if (!series.x.empty())
            plot.series.push_back(std::move(series));
    }
    if (!plot.series.empty())
        section.blocks.emplace_back(Picture{drawCurves(plot), "what a linear probe reads, by place",
                                            fmt::format("Curves over {} places; the numbers stand in the table.", probes.size())});
    addJson(section, analysis.results);
}

void addIntervention(Section& section, const store::Workspace&, const Analysis& analysis)
{
    const Json& samples = partOf(analysis.results, "samples");
    for (std::size_t i = 0; i < samples.size() && i < 20; ++i) {
        const Json& changes = partOf(samples[i], "changes");
        std::string caption = fmt::format("Sample {}: the answer without and with the interventions", i);
        if (const Json& divergence = partOf(samples[i], "divergence"); divergence.is_number())
            caption += fmt::format(", divergence {}", shortNumber(divergence.get<double>()));
        if (changes.is_array() && !changes.empty())
            section.blocks.emplace_back(tableOf(changes, caption + "."));
        else
            addJson(section, samples[i], caption + ".");
    }
    Json rest = analysis.results;
    rest.erase("samples");
    addJson(section, rest);
}

}  // namespace orrery::report
