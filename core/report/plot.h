#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "drawing.h"

/// Builds drawings from numbers. All functions are pure and may be called from any thread; NaN and infinite values are left out, with a gap.
namespace orrery::report {

struct Tick {
    double value = 0;
    std::string label;
};

/// Ticks at multiples of 1, 2 or 5 times a power of ten that lie in low..high (both inclusive), about `wanted` of them.
/// Labels have the decimals that the step needs, or an exponent above 1e5 and below 1e-4. low > high: swapped; low == high: that value alone.
/// Source: Heckbert (1990), "Nice numbers for graph labels", Graphics Gems I, p. 61.
std::vector<Tick> linearTicks(double low, double high, int wanted = 5);
/// Powers of ten in low..high (0 < low), with 2 and 5 times those where there are fewer than three; every n-th power where there are more than `wanted`.
/// Fewer than two such values: as `linearTicks`.
std::vector<Tick> logTicks(double low, double high, int wanted = 6);

/// Maps values to points, linearly or by logarithm.
class AxisScale {
public:
    AxisScale() = default;
    /// `low` lies at `fromPoint`, `high` at `toPoint`; both positive if `log`, and low < high.
    AxisScale(double low, double high, double fromPoint, double toPoint, bool log);
    double low() const { return m_low; }
    double high() const { return m_high; }
    bool isLog() const { return m_log; }
    /// NaN for a value that has no place: not finite, or not positive on a logarithmic axis.
    double toPoint(double value) const;
    std::vector<Tick> ticks() const;

private:
    double m_low = 0, m_high = 1, m_from = 0, m_to = 1;
    bool m_log = false;
};

struct Series {
    std::string name;
    std::vector<double> x, y;       ///< of equal length
    std::vector<double> low, high;  ///< a band about the curve; empty, or as long as x
    Rgb colour;
    bool dashed = false;
    bool marks = false;  ///< small squares at the points and no line
};

struct PlotAxis {
    std::string title;
    bool log = false;
    std::optional<double> low, high;  ///< absent: from the data
};

struct CurvePlot {
    PlotAxis x, y;
    std::vector<Series> series;
    double width = 500, height = 260;
};

/// Where a plot puts its parts: what `drawCurves` uses, for tests and for reading a position off a drawing.
struct CurveLayout {
    Rect area;  ///< inside the axes
    AxisScale x, y;
    double legendTop = 0;
    int legendColumns = 1;
    double height = 0;  ///< of the whole drawing: `CurvePlot::height` and the legend
};

/// @throws core::ShapeError if the lists of a series differ in length; the message names the series.
CurveLayout layoutCurves(const CurvePlot& plot);
/// Axes with ticks and grid, one polyline a series (a single point is a small square), bands behind, a legend below if there is more than one series or it has a name.
Drawing drawCurves(const CurvePlot& plot);

struct ConfusionMatrix {
    std::vector<std::string> classes;
    std::vector<std::vector<std::int64_t>> counts;  ///< [true class][predicted class]
    std::string split;                              ///< "test"; may be empty
};
/// Share of the counts on the diagonal; NaN if there are none.
double accuracy(const ConfusionMatrix& matrix);
/// A square of cells coloured by their share of the row (true class), 0..1 in viridis; the counts are written in where a cell is wide enough.
/// @throws core::ShapeError unless counts are square and as many as the classes.
Drawing drawConfusionMatrix(const ConfusionMatrix& matrix);

/// Numbers in rows and columns with names.
struct HeatMap {
    std::vector<std::string> rows, columns;
    std::vector<double> values;         ///< row by row
    std::vector<std::string> texts;     ///< written into the cells; empty, or one a value
    std::string rowTitle, columnTitle;  ///< may be empty
};
/// Cells in `coolwarm` symmetric about zero where there are values of both signs, else in `viridis` from the least to the greatest; NaN is grey.
/// @throws core::ShapeError if there is no cell, or the number of values or texts does not fit.
Drawing drawHeatMap(const HeatMap& map);

/// Values on a grid, rows from top to bottom.
struct Grid {
    int width = 0, height = 0;
    std::vector<double> values;  ///< width * height
};
/// The grid in the colours of a map; `limit` is the symmetric range of a diverging map; sequential maps run from 0 to `limit`.
/// @throws core::ShapeError if the number of values does not fit.
io::Image colourGrid(const Grid& grid, const ColourMap& map, double limit);

struct AttributionPicture {
    std::optional<io::Image> input;  ///< shown on the left
    Grid attribution;                ///< shown in a diverging map symmetric about zero, with a colour bar
    std::string inputTitle = "input", attributionTitle = "attribution";
};
/// @throws core::ShapeError if the grid is empty or its number of values does not fit.
Drawing drawAttribution(const AttributionPicture& picture);

struct Bar {
    std::string name;
    double value = 0;
};
/// Horizontal bars from a common zero, positive red, negative blue as in `coolwarm`, longest first; at most `limit` of them, the rest is summed in words.
Drawing drawBars(const std::vector<Bar>& bars, const std::string& title, std::size_t limit = 20);

/// Five significant digits, without trailing zeros: "0.98333", "1.2e-05", "nan".
std::string shortNumber(double value);

}  // namespace orrery::report
