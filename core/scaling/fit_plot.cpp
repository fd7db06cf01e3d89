#include "fit_plot.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

namespace orrery::scaling {
namespace {

using report::CurvePlot;
using report::Drawing;
using report::Series;

constexpr int kCurvePlaces = 120;
constexpr std::size_t kMostLevels = 5;

std::vector<double> evenPlaces(double low, double high)
{
    std::vector<double> places;
    for (int i = 0; i < kCurvePlaces; ++i)
        places.push_back(low * std::pow(high / low, double(i) / (kCurvePlaces - 1)));
    return places;
}

bool isHeldOut(const FitOutcome& outcome, std::size_t row)
{
    return outcome.heldOut && std::binary_search(outcome.heldOut->rows.begin(), outcome.heldOut->rows.end(), row);
}

/// Up to five of the second input's values, spread over those there are.
std::vector<double> levelsOf(const std::vector<double>& values)
{
    const std::set<double> distinct(values.begin(), values.end());
    const std::vector<double> sorted(distinct.begin(), distinct.end());
    std::vector<double> levels;
    const std::size_t count = std::min(sorted.size(), kMostLevels);
    for (std::size_t i = 0; i < count; ++i)
        levels.push_back(sorted[count == 1 ? 0 : i * (sorted.size() - 1) / (count - 1)]);
    return levels;
}

std::size_t nearestLevel(const std::vector<double>& levels, double value)
{
    std::size_t best = 0;
    for (std::size_t i = 1; i < levels.size(); ++i)
        if (std::abs(std::log(levels[i] / value)) < std::abs(std::log(levels[best] / value)))
            best = i;
    return best;
}

void addCurve(CurvePlot& plot, const FitOutcome& outcome, std::vector<std::vector<double>> inputs, const std::string& name, report::Rgb colour)
{
    Series curve{name, inputs[0], outcome.law->predict(outcome.fit.parameters, inputs), {}, {}, colour};
    if (outcome.bootstrap)
        for (const auto& interval : bandOf(*outcome.law, *outcome.bootstrap, inputs)) {
            curve.low.push_back(interval.low);
            curve.high.push_back(interval.high);
        }
    plot.series.push_back(std::move(curve));
}

void addPoint(Series& series, double x, double y)
{
    series.x.push_back(x);
    series.y.push_back(y);
}

Series marks(const std::string& name, std::size_t colour)
{
    Series series;
    series.name = name;
    series.colour = report::seriesColour(colour);
    series.marks = true;
    return series;
}

/// Rows as marks: those that are fitted, and those that are held out. @param y  Of a row.
template <class Value>
void addRows(CurvePlot& plot, const FitOutcome& outcome, const std::vector<double>& x, const Value& y)
{
    Series fitted = marks("points", 0), held = marks("held out", 1);
    for (std::size_t row = 0; row < x.size(); ++row)
        addPoint(isHeldOut(outcome, row) ? held : fitted, x[row], y(row));
    plot.series.push_back(std::move(fitted));
    if (!held.x.empty())
        plot.series.push_back(std::move(held));
}

void addLevels(CurvePlot& plot, const FitOutcome& outcome, double low, double high)
{
    const auto& points = outcome.points;
    const auto levels = levelsOf(points.inputs[1]);
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const auto places = evenPlaces(low, high);
        addCurve(plot, outcome, {places, std::vector<double>(places.size(), levels[i])}, fmt::format("{} = {:.3g}", points.inputNames[1], levels[i]),
                 report::seriesColour(i));
    }
    std::vector<Series> rows;
    for (std::size_t i = 0; i < levels.size(); ++i)
        rows.push_back(marks("", i));
    for (std::size_t row = 0; row < points.rows(); ++row)
        addPoint(rows[nearestLevel(levels, points.inputs[1][row])], points.inputs[0][row], points.loss[row]);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        rows[i].name = fmt::format("near {} = {:.3g}", points.inputNames[1], levels[i]);
        plot.series.push_back(std::move(rows[i]));
    }
}

CurvePlot predictedOverMeasured(const FitOutcome& outcome)
{
    CurvePlot plot;
    plot.x = {"loss", true, {}, {}};
    plot.y = {"predicted loss", true, {}, {}};
    const auto [low, high] = std::minmax_element(outcome.points.loss.begin(), outcome.points.loss.end());
    plot.series.push_back({"equal", {*low, *high}, {*low, *high}, {}, {}, report::seriesColour(2), true});
    addRows(plot, outcome, outcome.points.loss, [&](std::size_t row) { return outcome.fit.predicted[row]; });
    return plot;
}

const std::vector<double>& axisOf(const FitOutcome& outcome)
{
    return outcome.points.inputs.size() > 2 ? outcome.points.loss : outcome.points.inputs[0];
}

// Items have their places in themselves.
void moveBy(report::DrawingItem& item, double x, double y)
{
    struct Mover {
        double x, y;
        void operator()(report::Point& point) const { point.x += x, point.y += y; }
        void operator()(report::Rect& rect) const { rect.x += x, rect.y += y; }
        void operator()(report::LineItem& line) const { (*this)(line.from), (*this)(line.to); }
        void operator()(report::PolylineItem& line) const
        {
            for (auto& point : line.points)
                (*this)(point);
        }
        void operator()(report::RectItem& item) const { (*this)(item.rect); }
        void operator()(report::TextItem& item) const { (*this)(item.at); }
        void operator()(report::RasterItem& item) const { (*this)(item.rect); }
        void operator()(report::ClipStart& item) const { (*this)(item.rect); }
        void operator()(report::ClipEnd&) const {}
    };
    std::visit(Mover{x, y}, item);
}

void addMoved(Drawing& drawing, Drawing part, double x, double y)
{
    for (auto& item : part.items) {
        moveBy(item, x, y);
        drawing.items.push_back(std::move(item));
    }
    drawing.height = y + part.height;
}

}  // namespace

CurvePlot fitCurves(const FitOutcome& outcome)
{
    const auto& points = outcome.points;
    if (points.inputs.size() > 2)
        return predictedOverMeasured(outcome);
    CurvePlot plot;
    plot.x = {points.inputNames[0], true, {}, {}};
    plot.y = {"loss", true, {}, {}};
    const auto [low, high] = std::minmax_element(points.inputs[0].begin(), points.inputs[0].end());
    const double from = *low, to = *high > *low ? *high : *low * 10;
    if (points.inputs.size() == 2) {
        addLevels(plot, outcome, from, to);
        return plot;
    }
    addCurve(plot, outcome, {evenPlaces(from, to)}, outcome.law->formula(), report::seriesColour(2));
    addRows(plot, outcome, points.inputs[0], [&](std::size_t row) { return points.loss[row]; });
    return plot;
}

CurvePlot residualCurves(const FitOutcome& outcome)
{
    CurvePlot plot;
    plot.height = 150;
    const auto& x = axisOf(outcome);
    plot.x = {outcome.points.inputs.size() > 2 ? "loss" : outcome.points.inputNames[0], true, {}, {}};
    plot.y = {outcome.request.objective.space == Space::Log ? "residual of ln loss" : "residual of loss", false, {}, {}};
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    plot.series.push_back({"no residual", {*low, *high}, {0, 0}, {}, {}, report::seriesColour(2), true});
    addRows(plot, outcome, x, [&](std::size_t row) { return outcome.fit.residuals[row]; });
    return plot;
}

Drawing drawFit(const FitOutcome& outcome)
{
    auto top = fitCurves(outcome);
    auto below = residualCurves(outcome);
    // Both over the same stretch with the same left edge, so that a point and its residual stand over each other.
    const auto layout = report::layoutCurves(top);
    below.x.low = layout.x.low();
    below.x.high = layout.x.high();
    const double shift = report::layoutCurves(below).area.x - layout.area.x;
    top.width -= std::max(0.0, shift);
    below.width -= std::max(0.0, -shift);
    Drawing drawing{std::max(top.width, below.width), 0, {}};
    addMoved(drawing, report::drawCurves(top), std::max(0.0, shift), 0);
    addMoved(drawing, report::drawCurves(below), std::max(0.0, -shift), drawing.height + 14);
    return drawing;
}

Drawing drawIsoflop(const Isoflop& isoflop, const Points& points)
{
    CurvePlot plot;
    plot.x = {"N", true, {}, {}};
    plot.y = {"loss", false, {}, {}};
    const auto sizes = points.inputs[std::size_t(std::find(points.inputNames.begin(), points.inputNames.end(), "N") - points.inputNames.begin())];
    Series minima = marks("minima", isoflop.profiles.size());
    for (std::size_t i = 0; i < isoflop.profiles.size(); ++i) {
        const auto& profile = isoflop.profiles[i];
        Series rows = marks(fmt::format("C = {:.3g}", profile.budget), i);
        for (const auto row : profile.rows)
            addPoint(rows, sizes[row], points.loss[row]);
        const auto [low, high] = std::minmax_element(rows.x.begin(), rows.x.end());
        Series curve{"", evenPlaces(*low, *high), {}, {}, {}, rows.colour};
        for (const double N : curve.x)
            curve.y.push_back(profile.at(N));
        curve.name = profile.inside ? "its parabola" : "its parabola: no minimum inside";
        if (profile.inside)
            addPoint(minima, profile.N, profile.loss);
        plot.series.push_back(std::move(rows));
        plot.series.push_back(std::move(curve));
    }
    plot.series.push_back(std::move(minima));
    return report::drawCurves(plot);
}

}  // namespace orrery::scaling
