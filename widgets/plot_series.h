#pragma once
#include <QPointer>

#include "plot_view.h"
#include "qcustomplot_header.h"

namespace orrery::widgets {

/// One curve of a `PlotView`: its points and the QCustomPlot objects that draw them.
class PlotCurve {
public:
    PlotCurve(QCustomPlot& plot, QString id, PlotSeries spec, int paletteIndex);
    ~PlotCurve();
    PlotCurve(const PlotCurve&) = delete;
    PlotCurve& operator=(const PlotCurve&) = delete;

    const QString& id() const { return m_id; }
    const PlotSeries& spec() const { return m_spec; }
    int paletteIndex() const { return m_paletteIndex; }
    bool isPoints() const { return m_spec.style == LineStyle::Points; }
    /// Which shape points without a line have; -1: not chosen yet.
    int mark() const { return m_mark; }
    void setMark(int mark) { m_mark = mark; }
    QColor color() const { return m_color; }
    void replace(PlotSeries spec);
    void append(std::span<const double> x, std::span<const double> y);
    /// Points to draw: the series' own, or a provider's answer.
    void setDrawn(PlotData data);
    const PlotData& raw() const { return m_raw; }
    /// As drawn, smoothed.
    PlotData drawn() const;
    const std::vector<double>& shownY() const { return m_shownY; }
    void setSmoothing(double weight);
    void setVisible(bool visible);
    bool isVisible() const { return m_visible; }
    void setHighlighted(bool highlighted);
    void applyColors(bool dark);
    QCPAbstractPlottable* legendOwner() const;
    /// Index of the point nearest in x, nothing if there are no points.
    std::optional<std::size_t> nearest(double x) const;
    /// Grows the ranges by what is drawn. `positiveX`, `positiveY`: only values above 0 count (log axes).
    void extend(QCPRange& x, QCPRange& y, bool& any, bool positiveX, bool positiveY) const;

    quint64 request = 0;   ///< number of the newest request to the provider
    bool waiting = false;  ///< its answer is awaited

private:
    void make();
    void style();
    void markPoints();
    void fill();
    bool smooths() const { return m_smoothing > 0 && m_spec.smoothed && m_spec.style != LineStyle::Bars && m_spec.style != LineStyle::Points; }
    bool hasBand() const { return !m_raw.low.empty(); }

    QCustomPlot& m_plot;
    QString m_id;
    PlotSeries m_spec;
    int m_paletteIndex;
    QColor m_color;
    int m_mark = -1;
    double m_smoothing = 0;
    bool m_visible = true, m_highlighted = false;
    PlotData m_raw;
    std::vector<double> m_shownY;
    QPointer<QCPGraph> m_line, m_rawLine, m_low, m_high;
    QPointer<QCPBars> m_bars;
};

}  // namespace orrery::widgets
