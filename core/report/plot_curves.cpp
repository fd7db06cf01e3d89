#include <algorithm>
#include <cmath>
#include <limits>

#include <core/base/error.h>
#include <fmt/format.h>

#include "plot.h"

namespace orrery::report {

namespace {

constexpr double kLabelSize = 8.5;
constexpr double kLegendRow = 14;
constexpr double kLegendSwatch = 18;
constexpr std::size_t kLegendCharacters = 48;

void checkLengths(const Series& series)
{
    const auto wrong = [&](const std::vector<double>& list) { return !list.empty() && list.size() != series.x.size(); };
    if (series.y.size() != series.x.size() || wrong(series.low) || wrong(series.high) || series.low.size() != series.high.size())
        throw core::ShapeError(fmt::format("series \"{}\": expected lists of equal length, got x {}, y {}, low {}, high {}", series.name,
                                           series.x.size(), series.y.size(), series.low.size(), series.high.size()));
}

struct Range {
    double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
    void add(const std::vector<double>& values, bool positiveOnly)
    {
        for (const double value : values) {
            if (!std::isfinite(value) || (positiveOnly && value <= 0))
                continue;
            low = std::min(low, value);
            high = std::max(high, value);
        }
    }
    bool isEmpty() const { return low > high; }
};

/// Room about the data, so that curves do not lie on the frame; a range of one value gets a width.
Range withRoom(Range range, bool log, double room)
{
    if (range.isEmpty())
        return log ? Range{1, 10} : Range{0, 1};
    if (log) {
        const double factor = range.low == range.high ? 2 : std::pow(range.high / range.low, room);
        return {range.low / factor, range.high * factor};
    }
    const double width = range.high - range.low;
    const double margin = width > 0 ? width * room : std::max(std::abs(range.low) * 0.1, 0.5);
    return {range.low - margin, range.high + margin};
}

AxisScale scaleFor(const PlotAxis& axis, Range data, double room, double fromPoint, double toPoint)
{
    Range range = withRoom(data, axis.log, room);
    const auto usable = [&](const std::optional<double>& end) { return end && std::isfinite(*end) && (!axis.log || *end > 0); };
    if (usable(axis.low))
        range.low = *axis.low;
    if (usable(axis.high))
        range.high = *axis.high;
    if (!(range.low < range.high))
        range = withRoom({range.low, range.low}, axis.log, room);
    return {range.low, range.high, fromPoint, toPoint, axis.log};
}

double widestLabel(const std::vector<Tick>& ticks)
{
    double width = 0;
    for (const Tick& tick : ticks)
        width = std::max(width, estimatedTextWidth(tick.label, kLabelSize));
    return width;
}

bool hasLegend(const CurvePlot& plot)
{
    return plot.series.size() > 1 || (plot.series.size() == 1 && !plot.series.front().name.empty());
}

void drawAxes(Drawing& drawing, const CurvePlot& plot, const CurveLayout& layout)
{
    const Rect& area = layout.area;
    const Stroke grid{Ink::Grid, 0.5, {}};
    for (const Tick& tick : layout.x.ticks()) {
        const double x = layout.x.toPoint(tick.value);
        drawing.line({x, area.y}, {x, area.bottom()}, grid);
        drawing.text({{x, area.bottom() + 12}, tick.label, kLabelSize, Anchor::Middle, Ink::Muted});
    }
    for (const Tick& tick : layout.y.ticks()) {
        const double y = layout.y.toPoint(tick.value);
        drawing.line({area.x, y}, {area.right(), y}, grid);
        drawing.text({{area.x - 5, y + 3}, tick.label, kLabelSize, Anchor::End, Ink::Muted});
    }
    drawing.rect(area, {}, {Ink::Muted, 0.75, {}});
    drawing.text({{area.centre().x, area.bottom() + 25}, plot.x.title, kLabelSize + 0.5, Anchor::Middle});
    drawing.text({{10, area.centre().y}, plot.y.title, kLabelSize + 0.5, Anchor::Middle, Ink::Foreground, -90});
}

void addPolyline(Drawing& drawing, std::vector<Point>& points, const Stroke& stroke)
{
    if (points.size() == 1)
        drawing.rect({points[0].x - 1.5, points[0].y - 1.5, 3, 3}, stroke.colour);
    else if (points.size() > 1)
        drawing.items.push_back(PolylineItem{points, stroke, {}});
    points.clear();
}

/// Corners about the middle, in points. As many shapes as have no divisor in common with the number of colours: pairs of both repeat late.
const std::vector<std::vector<Point>>& markShapes()
{
    static const std::vector<std::vector<Point>> shapes = {
        {{-2, -2}, {2, -2}, {2, 2}, {-2, 2}},  // square
        {{0, -2.8}, {2.6, 2}, {-2.6, 2}},      // triangle
        {{0, -3}, {3, 0}, {0, 3}, {-3, 0}},    // diamond
        {{0, 2.8}, {2.6, -2}, {-2.6, -2}},     // triangle on its tip
        {{-0.8, -3},
         {0.8, -3},
         {0.8, -0.8},
         {3, -0.8},
         {3, 0.8},
         {0.8, 0.8},
         {0.8, 3},
         {-0.8, 3},
         {-0.8, 0.8},
         {-3, 0.8},
         {-3, -0.8},
         {-0.8, -0.8}},                                                                            // plus
        {{-2.6, -2.6}, {2.6, -2.6}, {-2.6, 2.6}, {2.6, 2.6}},                                      // hourglass
        {{-1, -2.5}, {1, -2.5}, {2.5, -1}, {2.5, 1}, {1, 2.5}, {-1, 2.5}, {-2.5, 1}, {-2.5, -1}},  // octagon
        {{-3.2, -1}, {3.2, -1}, {3.2, 1}, {-3.2, 1}},                                              // bar
    };
    return shapes;
}

/// The n-th series of marks has the n-th shape: colours repeat, and not everybody sees them.
const std::vector<Point>& shapeOf(const CurvePlot& plot, std::size_t series)
{
    std::size_t before = 0;
    for (std::size_t i = 0; i < series; ++i)
        before += plot.series[i].marks ? 1 : 0;
    return markShapes()[before % markShapes().size()];
}

void drawMark(Drawing& drawing, const std::vector<Point>& shape, Point at, Rgb colour)
{
    std::vector<Point> corners;
    for (const Point corner : shape)
        corners.push_back({at.x + corner.x, at.y + corner.y});
    corners.push_back(corners.front());
    drawing.items.push_back(PolylineItem{std::move(corners), {}, Colour(colour, 0.85)});
}

void drawMarks(Drawing& drawing, const CurvePlot& plot, std::size_t which, const CurveLayout& layout)
{
    const Series& series = plot.series[which];
    for (std::size_t i = 0; i < series.x.size(); ++i)
        if (const Point point{layout.x.toPoint(series.x[i]), layout.y.toPoint(series.y[i])}; !std::isnan(point.x) && !std::isnan(point.y))
            drawMark(drawing, shapeOf(plot, which), point, series.colour);
}

void drawCurve(Drawing& drawing, const CurvePlot& plot, std::size_t which, const CurveLayout& layout)
{
    const Series& series = plot.series[which];
    if (series.marks)
        return drawMarks(drawing, plot, which, layout);
    Stroke stroke{series.colour, 1.4, {}};
    if (series.dashed)
        stroke.dashes = {4, 3};
    std::vector<Point> points;
    for (std::size_t i = 0; i < series.x.size(); ++i) {
        const Point point{layout.x.toPoint(series.x[i]), layout.y.toPoint(series.y[i])};
        if (std::isnan(point.x) || std::isnan(point.y))
            addPolyline(drawing, points, stroke);
        else
            points.push_back(point);
    }
    addPolyline(drawing, points, stroke);
}

void addBand(Drawing& drawing, std::vector<Point>& upper, std::vector<Point>& lower, Rgb colour)
{
    if (upper.size() > 1) {
        upper.insert(upper.end(), lower.rbegin(), lower.rend());
        drawing.items.push_back(PolylineItem{upper, {}, Colour(colour, 0.18)});
    }
    upper.clear();
    lower.clear();
}

void drawBand(Drawing& drawing, const Series& series, const CurveLayout& layout)
{
    std::vector<Point> upper, lower;
    for (std::size_t i = 0; i < series.low.size(); ++i) {
        const double x = layout.x.toPoint(series.x[i]), low = layout.y.toPoint(series.low[i]), high = layout.y.toPoint(series.high[i]);
        if (std::isnan(x) || std::isnan(low) || std::isnan(high)) {
            addBand(drawing, upper, lower, series.colour);
            continue;
        }
        upper.push_back({x, high});
        lower.push_back({x, low});
    }
    addBand(drawing, upper, lower, series.colour);
}

void drawLegend(Drawing& drawing, const CurvePlot& plot, const CurveLayout& layout)
{
    const double columnWidth = layout.area.width / layout.legendColumns;
    for (std::size_t i = 0; i < plot.series.size(); ++i) {
        const Series& series = plot.series[i];
        const auto columns = static_cast<std::size_t>(layout.legendColumns);
        const double x = layout.area.x + columnWidth * double(i % columns), y = layout.legendTop + kLegendRow * double(i / columns);
        Stroke stroke{series.colour, 2, {}};
        if (series.dashed)
            stroke.dashes = {4, 3};
        if (series.marks)
            drawMark(drawing, shapeOf(plot, i), {x + kLegendSwatch / 2, y - 3}, series.colour);
        else
            drawing.line({x, y - 3}, {x + kLegendSwatch, y - 3}, stroke);
        drawing.text({{x + kLegendSwatch + 5, y}, shortened(series.name, kLegendCharacters), kLabelSize});
    }
}

int legendColumnsFor(const CurvePlot& plot, double width)
{
    double widest = 1;
    for (const Series& series : plot.series)
        widest = std::max(widest, kLegendSwatch + 15 + estimatedTextWidth(shortened(series.name, kLegendCharacters), kLabelSize));
    return std::clamp(int(width / widest), 1, std::max(1, int(plot.series.size())));
}

bool hasPoints(const CurvePlot& plot, const CurveLayout& layout)
{
    for (const Series& series : plot.series)
        for (std::size_t i = 0; i < series.x.size(); ++i)
            if (!std::isnan(layout.x.toPoint(series.x[i])) && !std::isnan(layout.y.toPoint(series.y[i])))
                return true;
    return false;
}

}  // namespace

CurveLayout layoutCurves(const CurvePlot& plot)
{
    Range xs, ys;
    for (const Series& series : plot.series) {
        checkLengths(series);
        xs.add(series.x, plot.x.log);
        for (const auto* list : {&series.y, &series.low, &series.high})
            ys.add(*list, plot.y.log);
    }
    CurveLayout layout;
    const double top = 8, right = plot.width - 14, bottom = plot.height - 34;
    layout.y = scaleFor(plot.y, ys, 0.04, bottom, top);
    const double left = 26 + widestLabel(layout.y.ticks());
    layout.area = {left, top, right - left, bottom - top};
    layout.x = scaleFor(plot.x, xs, 0.01, left, right);
    layout.legendColumns = legendColumnsFor(plot, layout.area.width);
    layout.legendTop = plot.height + 6;
    const auto rows = hasLegend(plot) ? (plot.series.size() + std::size_t(layout.legendColumns) - 1) / std::size_t(layout.legendColumns) : 0;
    layout.height = plot.height + kLegendRow * double(rows);
    return layout;
}

Drawing drawCurves(const CurvePlot& plot)
{
    const CurveLayout layout = layoutCurves(plot);
    Drawing drawing{plot.width, layout.height, {}};
    drawAxes(drawing, plot, layout);
    if (!hasPoints(plot, layout))
        drawing.text({layout.area.centre(), "no values", kLabelSize + 1, Anchor::Middle, Ink::Muted});
    drawing.items.push_back(ClipStart{layout.area});
    for (const Series& series : plot.series)
        drawBand(drawing, series, layout);
    for (std::size_t i = 0; i < plot.series.size(); ++i)
        drawCurve(drawing, plot, i, layout);
    drawing.items.push_back(ClipEnd{});
    if (hasLegend(plot))
        drawLegend(drawing, plot, layout);
    return drawing;
}

}  // namespace orrery::report
