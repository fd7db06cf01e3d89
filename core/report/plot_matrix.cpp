#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <core/base/error.h>
#include <fmt/format.h>

#include "plot.h"

namespace orrery::report {

namespace {

constexpr double kMatrixLabelSize = 8.5;
constexpr std::size_t kNameCharacters = 14;

void checkMatrix(const ConfusionMatrix& matrix)
{
    const std::size_t classes = matrix.classes.size();
    const bool rowsFit = std::ranges::all_of(matrix.counts, [&](const auto& row) { return row.size() == classes; });
    if (matrix.counts.size() != classes || !rowsFit)
        throw core::ShapeError(fmt::format("confusion matrix: expected {0} rows of {0} counts, one a class, got {1} rows{2}", classes,
                                           matrix.counts.size(), rowsFit ? "" : " of other lengths"));
}

void checkGrid(const Grid& grid)
{
    if (grid.width < 1 || grid.height < 1 || grid.values.size() != std::size_t(grid.width) * std::size_t(grid.height))
        throw core::ShapeError(fmt::format("expected {} x {} = {} values and at least one, got {}", grid.height, grid.width,
                                           std::size_t(std::max(0, grid.width)) * std::size_t(std::max(0, grid.height)), grid.values.size()));
}

Rgb inkOn(Rgb background)
{
    return lightness(background) > 55 ? Rgb{0, 0, 0} : Rgb{255, 255, 255};
}

double largestMagnitude(const std::vector<double>& values)
{
    double largest = 0;
    for (const double value : values)
        if (std::isfinite(value))
            largest = std::max(largest, std::abs(value));
    return largest;
}

/// A vertical bar with the colours of a map and ticks on its right.
void drawColourBar(Drawing& drawing, const Rect& bar, const ColourMap& map, double low, double high)
{
    io::Image strip{1, 128, 3, {}};
    for (int row = 0; row < strip.height; ++row) {
        const Rgb colour = map.at(1 - row / double(strip.height - 1));
        strip.pixels.insert(strip.pixels.end(), {colour.r, colour.g, colour.b});
    }
    drawing.items.push_back(RasterItem{bar, std::move(strip), true});
    drawing.rect(bar, {}, {Ink::Muted, 0.5, {}});
    const AxisScale scale(low, high > low ? high : low + 1, bar.bottom(), bar.y, false);
    for (const Tick& tick : scale.ticks()) {
        const double y = scale.toPoint(tick.value);
        drawing.line({bar.right(), y}, {bar.right() + 3, y}, {Ink::Muted, 0.5, {}});
        drawing.text({{bar.right() + 5, y + 3}, tick.label, kMatrixLabelSize - 1, Anchor::Start, Ink::Muted});
    }
}

void drawCells(Drawing& drawing, const ConfusionMatrix& matrix, Point origin, double cell)
{
    for (std::size_t row = 0; row < matrix.counts.size(); ++row) {
        const auto& counts = matrix.counts[row];
        const double total = double(std::accumulate(counts.begin(), counts.end(), std::int64_t(0)));
        for (std::size_t column = 0; column < counts.size(); ++column) {
            const Rgb colour = viridis().at(total > 0 ? double(counts[column]) / total : 0);
            const Rect rect{origin.x + cell * double(column), origin.y + cell * double(row), cell, cell};
            drawing.rect(rect, colour);
            const std::string text = std::to_string(counts[column]);
            const double size = std::min(kMatrixLabelSize, cell * 0.45);
            if (counts[column] != 0 && size >= 5 && estimatedTextWidth(text, size) <= cell)
                drawing.text({{rect.centre().x, rect.centre().y + size * 0.35}, text, size, Anchor::Middle, inkOn(colour)});
        }
    }
}

/// A name stands upright below its cell if a little space is left to the next one.
bool isUpright(double nameWidth, double cellWidth)
{
    return nameWidth + 3 <= cellWidth;
}

/// Names of rows at the left of the cells, of columns below; with narrow cells every n-th name is enough to find one's way.
void drawNames(Drawing& drawing, const std::vector<std::string>& rows, const std::vector<std::string>& columns, Point origin, double cellWidth,
               double cellHeight)
{
    const auto every = [](double cell) { return std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(10 / cell))); };
    for (std::size_t i = 0; i < rows.size(); i += every(cellHeight))
        drawing.text(
            {{origin.x - 4, origin.y + cellHeight * (double(i) + 0.5) + 3}, shortened(rows[i], kNameCharacters), kMatrixLabelSize, Anchor::End});
    const double bottom = origin.y + cellHeight * double(rows.size()) + 11;
    for (std::size_t i = 0; i < columns.size(); i += every(cellWidth)) {
        const std::string name = shortened(columns[i], kNameCharacters);
        const bool fits = isUpright(estimatedTextWidth(name, kMatrixLabelSize), cellWidth * double(every(cellWidth)));
        drawing.text({{origin.x + cellWidth * (double(i) + 0.5), bottom},
                      name,
                      kMatrixLabelSize,
                      fits ? Anchor::Middle : Anchor::End,
                      Ink::Foreground,
                      fits ? 0.0 : -40.0});
    }
}

double widestName(const std::vector<std::string>& names)
{
    double widest = 0;
    for (const std::string& name : names)
        widest = std::max(widest, estimatedTextWidth(shortened(name, kNameCharacters), kMatrixLabelSize));
    return widest;
}

struct HeatScale {
    const ColourMap& map;
    double low = 0, high = 1;
    Rgb at(double value) const { return map.atScaled(value, low, high); }
};

/// Symmetric about zero where values of both signs are there, else from the least to the greatest.
HeatScale heatScale(const std::vector<double>& values)
{
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const double value : values)
        if (std::isfinite(value)) {
            low = std::min(low, value);
            high = std::max(high, value);
        }
    if (low > high)
        return {viridis(), 0, 1};
    if (low < 0 && high > 0) {
        const double limit = std::max(-low, high);
        return {coolwarm(), -limit, limit};
    }
    return {viridis(), low, high};
}

void drawTexts(Drawing& drawing, const HeatMap& map, Point origin, double cellWidth, double cellHeight)
{
    const HeatScale scale = heatScale(map.values);
    const double size = std::min(kMatrixLabelSize - 1, cellHeight * 0.6);
    const auto most = static_cast<std::size_t>(cellWidth / (0.55 * size));
    if (size < 4 || most < 2)
        return;
    for (std::size_t i = 0; i < map.texts.size(); ++i) {
        const std::size_t row = i / map.columns.size(), column = i % map.columns.size();
        const Point centre{origin.x + cellWidth * (double(column) + 0.5), origin.y + cellHeight * (double(row) + 0.5)};
        drawing.text({{centre.x, centre.y + size * 0.35}, shortened(map.texts[i], most), size, Anchor::Middle, inkOn(scale.at(map.values[i]))});
    }
}

void drawTitled(Drawing& drawing, const Rect& rect, io::Image image, const std::string& title)
{
    drawing.text({{rect.centre().x, rect.y - 6}, shortened(title, 40), kMatrixLabelSize + 0.5, Anchor::Middle});
    drawing.items.push_back(RasterItem{rect, std::move(image), false});
    drawing.rect(rect, {}, {Ink::Muted, 0.5, {}});
}

}  // namespace

double accuracy(const ConfusionMatrix& matrix)
{
    std::int64_t total = 0, right = 0;
    for (std::size_t row = 0; row < matrix.counts.size(); ++row) {
        total += std::accumulate(matrix.counts[row].begin(), matrix.counts[row].end(), std::int64_t(0));
        right += matrix.counts[row].at(row);
    }
    return total > 0 ? double(right) / double(total) : std::numeric_limits<double>::quiet_NaN();
}

Drawing drawConfusionMatrix(const ConfusionMatrix& matrix)
{
    checkMatrix(matrix);
    const double count = double(std::max<std::size_t>(1, matrix.classes.size()));
    const double cell = std::min(26.0, 320 / count), side = cell * count;
    const double names = widestName(matrix.classes);
    const bool upright = isUpright(names, cell);
    const Point origin{names + 26, 6};
    const double below = upright ? 14 : names * 0.65 + 16;
    Drawing drawing{origin.x + side + 60, origin.y + side + below + 16, {}};
    drawCells(drawing, matrix, origin, cell);
    drawNames(drawing, matrix.classes, matrix.classes, origin, cell, cell);
    drawing.rect({origin.x, origin.y, side, side}, {}, {Ink::Muted, 0.75, {}});
    drawing.text({{origin.x + side / 2, drawing.height - 4}, "predicted class", kMatrixLabelSize + 0.5, Anchor::Middle});
    drawing.text({{10, origin.y + side / 2}, "true class", kMatrixLabelSize + 0.5, Anchor::Middle, Ink::Foreground, -90});
    drawColourBar(drawing, {origin.x + side + 12, origin.y, 8, side}, viridis(), 0, 1);
    return drawing;
}

Drawing drawHeatMap(const HeatMap& map)
{
    const Grid grid{int(map.columns.size()), int(map.rows.size()), map.values};
    checkGrid(grid);
    const bool hasTexts = !map.texts.empty();
    if (hasTexts && map.texts.size() != map.values.size())
        throw core::ShapeError(fmt::format("heat map: expected {} texts, one a cell, got {}", map.values.size(), map.texts.size()));
    const double rowNames = widestName(map.rows), columnNames = widestName(map.columns);
    const Point origin{rowNames + (map.rowTitle.empty() ? 8 : 26), 6};
    const double cellWidth = std::min(hasTexts ? 64.0 : 40.0, (440 - rowNames) / grid.width), cellHeight = std::min(18.0, 420.0 / grid.height);
    const double width = cellWidth * grid.width, height = cellHeight * grid.height;
    const double below = isUpright(columnNames, cellWidth) ? 14 : columnNames * 0.65 + 16;
    Drawing drawing{origin.x + width + 70, origin.y + std::max(height, 40.0) + below + (map.columnTitle.empty() ? 4 : 16), {}};
    const HeatScale scale = heatScale(map.values);
    io::Image picture{grid.width, grid.height, 3, {}};
    for (const double value : map.values) {
        const Rgb colour = scale.at(value);
        picture.pixels.insert(picture.pixels.end(), {colour.r, colour.g, colour.b});
    }
    drawing.items.push_back(RasterItem{{origin.x, origin.y, width, height}, std::move(picture), false});
    drawing.rect({origin.x, origin.y, width, height}, {}, {Ink::Muted, 0.75, {}});
    if (hasTexts)
        drawTexts(drawing, map, origin, cellWidth, cellHeight);
    drawNames(drawing, map.rows, map.columns, origin, cellWidth, cellHeight);
    if (!map.columnTitle.empty())
        drawing.text({{origin.x + width / 2, drawing.height - 4}, map.columnTitle, kMatrixLabelSize + 0.5, Anchor::Middle});
    if (!map.rowTitle.empty())
        drawing.text({{10, origin.y + height / 2}, map.rowTitle, kMatrixLabelSize + 0.5, Anchor::Middle, Ink::Foreground, -90});
    drawColourBar(drawing, {origin.x + width + 12, origin.y, 8, std::max(height, 40.0)}, scale.map, scale.low, scale.high);
    return drawing;
}

io::Image colourGrid(const Grid& grid, const ColourMap& map, double limit)
{
    checkGrid(grid);
    io::Image image{grid.width, grid.height, 3, {}};
    image.pixels.reserve(grid.values.size() * 3);
    for (const double value : grid.values) {
        const Rgb colour = map.kind() == MapKind::Diverging ? map.atSymmetric(value, limit) : map.atScaled(value, 0, limit);
        image.pixels.insert(image.pixels.end(), {colour.r, colour.g, colour.b});
    }
    return image;
}

Drawing drawAttribution(const AttributionPicture& picture)
{
    checkGrid(picture.attribution);
    const double limit = largestMagnitude(picture.attribution.values);
    const double side = 150, aspect = double(picture.attribution.height) / picture.attribution.width;
    const double width = aspect > 1 ? side / aspect : side, height = aspect > 1 ? side : side * aspect;
    const double top = 20, gap = 16;
    double left = 4;
    Drawing drawing;
    if (picture.input) {
        drawTitled(drawing, {left, top, width, height}, *picture.input, picture.inputTitle);
        left += width + gap;
    }
    drawTitled(drawing, {left, top, width, height}, colourGrid(picture.attribution, coolwarm(), limit), picture.attributionTitle);
    drawColourBar(drawing, {left + width + 10, top, 8, std::max(height, 40.0)}, coolwarm(), -limit, limit);
    drawing.width = left + width + 70;
    drawing.height = top + std::max(height, 40.0) + 8;
    return drawing;
}

Drawing drawBars(const std::vector<Bar>& bars, const std::string& title, std::size_t limit)
{
    std::vector<Bar> sorted = bars;
    std::erase_if(sorted, [](const Bar& bar) { return !std::isfinite(bar.value); });
    std::ranges::stable_sort(sorted, [](const Bar& a, const Bar& b) { return std::abs(a.value) > std::abs(b.value); });
    const std::size_t shown = std::min(limit, sorted.size());
    double names = 0;
    for (std::size_t i = 0; i < shown; ++i)
        names = std::max(names, estimatedTextWidth(shortened(sorted[i].name, 32), kMatrixLabelSize));
    const double row = 15, top = 20, left = names + 12, half = 110, zero = left + 42 + half;
    const double largest = shown > 0 && sorted[0].value != 0 ? std::abs(sorted[0].value) : 1;
    Drawing drawing{zero + half + 46, top + row * double(shown + (sorted.size() > shown ? 1 : 0)) + 8, {}};
    drawing.text({{zero, 11}, title, kMatrixLabelSize + 0.5, Anchor::Middle});
    for (std::size_t i = 0; i < shown; ++i) {
        const double value = sorted[i].value, length = half * std::abs(value) / largest, y = top + row * double(i);
        drawing.text({{left - 6, y + 10}, shortened(sorted[i].name, 32), kMatrixLabelSize, Anchor::End});
        drawing.rect({value < 0 ? zero - length : zero, y + 2, length, row - 4}, coolwarm().at(value < 0 ? 0.0 : 1.0));
        drawing.text({{value < 0 ? zero - length - 4 : zero + length + 4, y + 10},
                      shortNumber(value),
                      kMatrixLabelSize,
                      value < 0 ? Anchor::End : Anchor::Start,
                      Ink::Muted});
    }
    drawing.line({zero, top}, {zero, top + row * double(shown)}, {Ink::Muted, 0.75, {}});
    if (sorted.size() > shown) {
        const double rest =
            std::accumulate(sorted.begin() + std::ptrdiff_t(shown), sorted.end(), 0.0, [](double sum, const Bar& bar) { return sum + bar.value; });
        drawing.text({{zero, drawing.height - 6},
                      fmt::format("and {} more, together {}", sorted.size() - shown, shortNumber(rest)),
                      kMatrixLabelSize,
                      Anchor::Middle,
                      Ink::Muted});
    }
    return drawing;
}

}  // namespace orrery::report
