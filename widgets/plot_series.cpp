#include "plot_series.h"

#include <algorithm>
#include <cmath>

#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kRawAlpha = 0.3, kBandAlpha = 0.2;

QColor faint(QColor color, double alpha)
{
    color.setAlphaF(float(alpha));
    return color;
}

Qt::PenStyle penStyle(LineStyle style)
{
    return style == LineStyle::Dashed ? Qt::DashLine : style == LineStyle::Dotted ? Qt::DotLine : Qt::SolidLine;
}

/// As many shapes as have no divisor in common with the number of colours: pairs of both repeat late.
QCPScatterStyle markStyle(int mark, const QColor& color)
{
    using Style = QCPScatterStyle;
    static constexpr std::pair<Style::ScatterShape, double> kMarks[] = {
        {Style::ssDisc, 5}, {Style::ssSquare, 5.5}, {Style::ssTriangle, 7}, {Style::ssDiamond, 7}, {Style::ssTriangleInverted, 7},
        {Style::ssPlus, 7}, {Style::ssCross, 6},    {Style::ssStar, 7}};
    const auto& [shape, size] = kMarks[std::size_t(std::max(mark, 0)) % std::size(kMarks)];
    return Style(shape, QPen(color, shape == Style::ssPlus || shape == Style::ssCross ? 1.8 : 1), color, size);
}

/// One copy into QCustomPlot's container: x ascends already.
void setGraphData(QCPGraph& graph, const std::vector<double>& x, const std::vector<double>& y)
{
    QVector<QCPGraphData> points(qsizetype(x.size()));
    for (std::size_t i = 0; i < x.size(); ++i)
        points[qsizetype(i)] = QCPGraphData(x[i], y[i]);
    graph.data()->set(points, true);
}

}  // namespace

std::vector<double> smoothed(std::span<const double> y, double weight)
{
    std::vector<double> out(y.size());
    double average = 0, correction = 1;
    for (std::size_t i = 0; i < y.size(); ++i) {
        out[i] = y[i];
        if (!std::isfinite(y[i]))
            continue;
        average = weight * average + (1 - weight) * y[i];
        correction *= weight;
        out[i] = average / (1 - correction);
    }
    return out;
}

PlotCurve::PlotCurve(QCustomPlot& plot, QString id, PlotSeries spec, int paletteIndex)
    : m_plot(plot), m_id(std::move(id)), m_spec(std::move(spec)), m_paletteIndex(paletteIndex)
{
    make();
    setDrawn(m_spec.data);
}

PlotCurve::~PlotCurve()
{
    for (QCPAbstractPlottable* part :
         {static_cast<QCPAbstractPlottable*>(m_line), static_cast<QCPAbstractPlottable*>(m_rawLine), static_cast<QCPAbstractPlottable*>(m_low),
          static_cast<QCPAbstractPlottable*>(m_high), static_cast<QCPAbstractPlottable*>(m_bars)})
        if (part)
            m_plot.removePlottable(part);
}

/// The faint parts first: they are drawn below.
void PlotCurve::make()
{
    if (m_spec.style == LineStyle::Bars) {
        m_bars = new QCPBars(m_plot.xAxis, m_plot.yAxis);
        return;
    }
    for (QPointer<QCPGraph>* part : {&m_low, &m_high, &m_rawLine, &m_line}) {
        *part = m_plot.addGraph();
        (*part)->setAdaptiveSampling(true);
        if (part != &m_line)
            (*part)->removeFromLegend();
    }
    m_high->setChannelFillGraph(m_low);
}

QCPAbstractPlottable* PlotCurve::legendOwner() const
{
    return m_bars ? static_cast<QCPAbstractPlottable*>(m_bars) : static_cast<QCPAbstractPlottable*>(m_line);
}

void PlotCurve::replace(PlotSeries spec)
{
    const bool otherKind = (spec.style == LineStyle::Bars) != (m_spec.style == LineStyle::Bars);
    m_spec = std::move(spec);
    if (otherKind) {
        for (QCPGraph* part : {m_line.data(), m_rawLine.data(), m_low.data(), m_high.data()})
            if (part)
                m_plot.removePlottable(part);
        if (m_bars)
            m_plot.removePlottable(m_bars);
        make();
    }
    if (!m_spec.provider)
        setDrawn(m_spec.data);
}

void PlotCurve::append(std::span<const double> x, std::span<const double> y)
{
    for (auto [to, from] : {std::pair(&m_spec.data.x, x), std::pair(&m_spec.data.y, y)})
        to->insert(to->end(), from.begin(), from.end());
    m_raw.x.insert(m_raw.x.end(), x.begin(), x.end());
    m_raw.y.insert(m_raw.y.end(), y.begin(), y.end());
    if (smooths() || hasBand() || m_bars)
        return setDrawn(m_spec.data);
    m_shownY = m_raw.y;
    for (std::size_t i = 0; i < x.size(); ++i)
        m_line->addData(x[i], y[i]);
    markPoints();
}

void PlotCurve::setDrawn(PlotData data)
{
    m_raw = std::move(data);
    fill();
}

PlotData PlotCurve::drawn() const
{
    return {m_raw.x, m_shownY, m_raw.low, m_raw.high};
}

void PlotCurve::fill()
{
    m_shownY = smooths() ? smoothed(m_raw.y, m_smoothing) : m_raw.y;
    if (m_bars) {
        m_bars->setData(QVector<double>(m_raw.x.begin(), m_raw.x.end()), QVector<double>(m_raw.y.begin(), m_raw.y.end()), true);
        const double gap = m_raw.x.size() > 1 ? (m_raw.x.back() - m_raw.x.front()) / double(m_raw.x.size() - 1) : 1;
        m_bars->setWidth(gap * 0.9);
        return;
    }
    setGraphData(*m_line, m_raw.x, m_shownY);
    setGraphData(*m_rawLine, smooths() ? m_raw.x : std::vector<double>(), m_raw.y);
    setGraphData(*m_low, hasBand() ? m_raw.x : std::vector<double>(), m_raw.low);
    setGraphData(*m_high, hasBand() ? m_raw.x : std::vector<double>(), m_raw.high);
    markPoints();
}

void PlotCurve::setSmoothing(double weight)
{
    m_smoothing = weight;
    fill();
}

void PlotCurve::setVisible(bool visible)
{
    m_visible = visible;
    for (QCPAbstractPlottable* part :
         {static_cast<QCPAbstractPlottable*>(m_line), static_cast<QCPAbstractPlottable*>(m_rawLine), static_cast<QCPAbstractPlottable*>(m_low),
          static_cast<QCPAbstractPlottable*>(m_high), static_cast<QCPAbstractPlottable*>(m_bars)})
        if (part)
            part->setVisible(visible);
}

void PlotCurve::setHighlighted(bool highlighted)
{
    m_highlighted = highlighted;
    style();
}

void PlotCurve::applyColors(bool dark)
{
    m_color = m_spec.color.isValid() ? m_spec.color : categoryColor(m_paletteIndex, dark);
    style();
}

void PlotCurve::style()
{
    const QString name = m_spec.title.isEmpty() ? m_id : m_spec.title;
    constexpr int kLongestName = 44;
    const QString shown = name.size() <= kLongestName ? name : name.left(kLongestName / 2 - 1) + QStringLiteral("…") + name.right(kLongestName / 2);
    legendOwner()->setName(shown);
    if (m_bars) {
        m_bars->setPen(Qt::NoPen);
        m_bars->setBrush(faint(m_color, 0.85));
        return;
    }
    QPen pen(m_color, m_highlighted ? m_spec.width + 1.5 : m_spec.width, penStyle(m_spec.style));
    pen.setCosmetic(true);
    pen.setJoinStyle(Qt::RoundJoin);
    m_line->setPen(pen);
    m_line->setLineStyle(m_spec.style == LineStyle::Points ? QCPGraph::lsNone : QCPGraph::lsLine);
    markPoints();
    m_rawLine->setPen(QPen(faint(m_color, kRawAlpha), 1));
    for (QCPGraph* edge : {m_low.data(), m_high.data()})
        edge->setPen(Qt::NoPen);
    m_high->setBrush(faint(m_color, kBandAlpha));
    if (m_highlighted)
        m_line->setLayer(QStringLiteral("overlay"));
    else
        m_line->setLayer(QStringLiteral("main"));
}

/// A line of a single point would not be seen.
void PlotCurve::markPoints()
{
    const bool points = m_spec.style == LineStyle::Points || m_spec.style == LineStyle::LineAndPoints || m_raw.x.size() == 1;
    m_line->setScatterStyle(points ? markStyle(m_spec.style == LineStyle::Points ? m_mark : 0, m_color) : QCPScatterStyle());
}

std::optional<std::size_t> PlotCurve::nearest(double x) const
{
    const std::vector<double>& xs = m_raw.x;
    if (xs.empty() || std::isnan(x))
        return std::nullopt;
    const auto after = std::lower_bound(xs.begin(), xs.end(), x);
    if (after == xs.begin())
        return 0;
    if (after == xs.end())
        return xs.size() - 1;
    const auto before = after - 1;
    return std::size_t((x - *before <= *after - x ? before : after) - xs.begin());
}

void PlotCurve::extend(QCPRange& x, QCPRange& y, bool& any, bool positiveX, bool positiveY) const
{
    const auto add = [&](double px, double py) {
        if (!std::isfinite(px) || !std::isfinite(py) || (positiveX && px <= 0) || (positiveY && py <= 0))
            return;
        if (!std::exchange(any, true)) {
            x = QCPRange(px, px);
            y = QCPRange(py, py);
        }
        x.expand(px);
        y.expand(py);
    };
    for (std::size_t i = 0; i < m_raw.x.size(); ++i) {
        add(m_raw.x[i], m_raw.y[i]);
        if (hasBand()) {
            add(m_raw.x[i], m_raw.low[i]);
            add(m_raw.x[i], m_raw.high[i]);
        }
    }
    if (m_bars && any)
        y.expand(0);
}

}  // namespace orrery::widgets
