#pragma once
#include <QColor>
#include <QList>
#include <QRectF>
#include <QString>
#include <QStringList>
#include <QWidget>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

class QAction;

namespace orrery::widgets {

/// Points of one curve, x ascending. `low` and `high` are empty, or as long as `x`: the smallest and largest value behind each point (a bucket of the
/// min/max pyramid), drawn as a band. NaN breaks the line.
struct PlotData {
    std::vector<double> x, y, low, high;
    bool empty() const { return x.empty(); }
};

/// What a view needs of a series for the visible stretch: about `buckets` points over [from, to] (both ends inclusive, one more point outside each
/// end where there is one).
struct PlotRequest {
    double from = -std::numeric_limits<double>::infinity(), to = std::numeric_limits<double>::infinity();
    int buckets = 1000;
};
/// Called by the provider with the answer, on the UI thread, at once or later. Answers to requests that are no longer the newest are ignored; so
/// are answers after the view is gone.
using PlotReply = std::function<void(PlotData)>;
/// Asked on the UI thread when a series first appears and when the visible range changes; must not block: read in the background
/// (`Session::runInBackground`) and reply.
using PlotProvider = std::function<void(const PlotRequest&, PlotReply)>;

enum class LineStyle { Line, Dashed, Dotted, Points, LineAndPoints, Bars };
enum class PlotAxis { X, Y };

struct PlotSeries {
    QString title;  ///< legend
    QColor color;   ///< invalid: the next of the palette
    LineStyle style = LineStyle::Line;
    double width = 1.5;     ///< px
    bool smoothed = true;   ///< takes part in the view's smoothing
    PlotData data;          ///< all points at once, or empty if `provider` is set
    PlotProvider provider;  ///< draws a million points from the store's pyramid
};

/// Curves over a common x axis: any number of series, zoom (wheel, rubber band), pan (middle button or Shift), log axes, smoothing with the raw
/// line behind,
/// legend, value under the pointer, cursor shared with other views, export. Follows the palette (light and dark). Keyboard: + - zoom, arrows pan,
/// Home shows all, Escape ends a rubber band.
/// UI thread.
class PlotView : public QWidget {
    Q_OBJECT
public:
    explicit PlotView(QWidget* parent = nullptr);
    ~PlotView() override;

    /// Adds a series, or replaces the one of that id in place (order and colour stay).
    void setSeries(const QString& id, PlotSeries series);
    /// Adds points at the end of a series. x must not be smaller than its last x; both spans are equally long.
    void append(const QString& id, std::span<const double> x, std::span<const double> y);
    /// Asks the series' provider again (new points arrived).
    void refresh(const QString& id);
    void removeSeries(const QString& id);
    void clear();
    QStringList seriesIds() const;
    /// The points as drawn now (after provider and smoothing).
    PlotData drawnData(const QString& id) const;
    QColor seriesColor(const QString& id) const;
    void setSeriesVisible(const QString& id, bool visible);
    bool isSeriesVisible(const QString& id) const;
    /// Draws one series above the others with a thicker line; empty: none.
    void highlight(const QString& id);

    void setTitle(const QString& title);
    void setAxisTitle(PlotAxis axis, const QString& title);
    void setLog(PlotAxis axis, bool log);
    bool isLog(PlotAxis axis) const;
    /// What is counted (steps, layers, positions) has marks at whole numbers alone. A logarithmic axis keeps its own.
    void setWhole(PlotAxis axis, bool whole = true);
    /// Exponential moving average with bias correction: weight of the past in [0, 1), 0 is off. The raw line stays behind, faint.
    /// It runs over the points as drawn: of a series with a provider these are buckets, so it is stronger the further one is zoomed out.
    /// Source: Kingma & Ba (2015), "Adam", arXiv:1412.6980, section 3 (the bias correction of a moving average).
    void setSmoothing(double weight);
    double smoothing() const;
    void setLegendVisible(bool visible);
    bool isLegendVisible() const;
    /// In this widget's coordinates, as last drawn; empty if it is not shown. It stands in the corner where it hides no curve, else below the axes.
    QRectF legendRect() const;
    /// Grey guide line, e.g. a target value. NaN removes it.
    void setGuide(PlotAxis axis, double value);

    /// The visible range. After a zoom or pan by hand the view keeps it; `showAll` returns to following the data.
    std::pair<double, double> range(PlotAxis axis) const;
    void setRange(PlotAxis axis, double from, double to);
    void showAll();
    bool isFollowing() const;

    /// Position of the linked cursor in x, nothing when hidden. Setting it emits nothing.
    void setCursor(std::optional<double> x);
    std::optional<double> cursorPosition() const;
    /// Views of one group show the cursor at the same x. A view leaves its group when it is destroyed or linked anew.
    static void link(const QList<PlotView*>& views);

    /// Saves the picture at `size` (empty: as on screen) with a light background whatever the theme; the ending names the format: png, svg, pdf, or
    /// csv for the data.
    /// @throws core::InputError for another ending, core::StorageError if the file cannot be written.
    void exportTo(const QString& file, QSize size = {}) const;
    /// All series as CSV: one x column, one column a series, empty cells where a series has no such x. Raw values, not smoothed.
    QString toCsv() const;
    /// Offers the export as a save dialog, "Copy picture" and "Copy data (CSV)": for toolbars and the context menu, which has them, too.
    QList<QAction*> exportActions() const;
    /// False while a provider's answer is awaited.
    bool isIdle() const;
    /// Pixel position of a point in this widget's coordinates, and back. For tests and overlays.
    QPointF toPixel(double x, double y) const;
    QPointF toValue(QPointF pixel) const;

    QSize sizeHint() const override { return {480, 300}; }
    QSize minimumSizeHint() const override { return {160, 120}; }

Q_SIGNALS:
    /// The pointer moved over the plot: x of the nearest data point; not emitted by `setCursor`.
    void cursorMoved(double x);
    void cursorLeft();
    void rangeChanged();
    /// A point was clicked (nearest one within 8 px).
    void pointClicked(const QString& series, double x, double y);
    void seriesVisibilityChanged(const QString& id, bool visible);
    void idleChanged();

protected:
    void changeEvent(QEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;
    bool eventFilter(QObject* watched, QEvent* event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

/// The bias-corrected moving average of `setSmoothing`: NaN points stay NaN and do not enter the average. `weight` in [0, 1).
std::vector<double> smoothed(std::span<const double> y, double weight);

}  // namespace orrery::widgets
