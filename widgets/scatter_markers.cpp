#include "scatter_markers.h"

#include <QCoreApplication>
#include <QPaintDevice>
#include <QPainter>
#include <QPolygonF>
#include <algorithm>
#include <cmath>
#include <numbers>

#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr int kShades = 64;

QPolygonF regular(QPointF centre, double radius, int corners, double turn)
{
    QPolygonF polygon;
    for (int i = 0; i < corners; ++i) {
        const double angle = turn + 2 * std::numbers::pi * i / corners;
        polygon << centre + radius * QPointF(std::sin(angle), -std::cos(angle));
    }
    return polygon;
}

void drawCross(QPainter& painter, QPointF centre, double radius, bool upright, const QColor& colour)
{
    painter.setPen(QPen(colour, std::max(1.5, radius * 0.6), Qt::SolidLine, Qt::FlatCap));
    const double arm = upright ? radius * 1.1 : radius * 0.85;
    if (upright) {
        painter.drawLine(centre - QPointF(arm, 0), centre + QPointF(arm, 0));
        painter.drawLine(centre - QPointF(0, arm), centre + QPointF(0, arm));
    } else {
        painter.drawLine(centre - QPointF(arm, arm), centre + QPointF(arm, arm));
        painter.drawLine(centre - QPointF(arm, -arm), centre + QPointF(arm, -arm));
    }
}

double sharedPosition(const MarkerColours& colours, double number)
{
    return colours.high > colours.low ? (number - colours.low) / (colours.high - colours.low) : 0.5;
}

void paintColourBar(QPainter& painter, const QRectF& area, const MarkerColours& colours, const QPalette& palette, const QFontMetrics& metrics)
{
    const double top = area.top() + metrics.height() + 4, height = std::min(area.height() - metrics.height() - 4, 220.0);
    for (int i = 0; i < int(height); ++i)
        painter.fillRect(QRectF(area.left(), top + i, 14, 1.5), toQColor(report::viridis().at(1 - i / height)));
    painter.setPen(palette.text().color());
    painter.drawText(QRectF(area.left(), area.top(), area.width(), metrics.height()), Qt::AlignLeft, colours.title);
    painter.drawText(QPointF(area.left() + 18, top + metrics.ascent()), QString::number(colours.high, 'g', 4));
    painter.drawText(QPointF(area.left() + 18, top + height), QString::number(colours.low, 'g', 4));
}

}  // namespace

QStringList legendNames(const MarkerColours& colours)
{
    QStringList names = colours.names;
    if (std::any_of(colours.categories.begin(), colours.categories.end(), [](int category) { return category < 0; }))
        names << QCoreApplication::translate("ScatterView", "others");
    return names;
}

QColor markerColour(const MarkerColours& colours, int index, bool dark)
{
    const auto at = std::size_t(index);
    if (!colours.numbers.empty())
        return std::isfinite(colours.numbers.at(at)) ? toQColor(report::viridis().at(sharedPosition(colours, colours.numbers.at(at))))
                                                     : toQColor(report::kNoValue);
    if (!colours.categories.empty())
        return colours.categories.at(at) < 0 ? toQColor(report::kNoValue) : categoryColor(colours.categories.at(at), dark);
    return categoryColor(0, dark);
}

void drawMarker(QPainter& painter, QPointF centre, double radius, int category, const QColor& colour)
{
    painter.setPen(Qt::NoPen);
    painter.setBrush(colour);
    if (category < 0)  // smaller: as large as a category's disc it would look like a green one to people who do not tell green from grey
        return painter.drawEllipse(centre, radius * 0.55, radius * 0.55);
    // After seven colours the shapes move on by one.
    switch ((category + category / 7) % 7) {
    case 0: painter.drawEllipse(centre, radius, radius); break;
    case 1: painter.drawRect(QRectF(centre - QPointF(radius, radius) * 0.85, QSizeF(radius, radius) * 1.7)); break;
    case 2: painter.drawPolygon(regular(centre, radius * 1.25, 3, 0)); break;
    case 3: painter.drawPolygon(regular(centre, radius * 1.2, 4, 0)); break;
    case 4: drawCross(painter, centre, radius, true, colour); break;
    case 5: drawCross(painter, centre, radius, false, colour); break;
    default: painter.drawPolygon(regular(centre, radius * 1.25, 3, std::numbers::pi)); break;
    }
}

double legendWidth(const MarkerColours& colours, const QFontMetrics& metrics, int whole)
{
    double width = 0;
    if (!colours.numbers.empty())
        width = std::max(metrics.horizontalAdvance(colours.title), 24 + metrics.horizontalAdvance(QStringLiteral("-0.0000")));
    else if (!colours.categories.empty()) {
        width = metrics.horizontalAdvance(colours.title);
        for (const QString& name : legendNames(colours))
            width = std::max(width, 18.0 + metrics.horizontalAdvance(name));
    }
    return width > 0 ? std::min(width + 8, whole / 3.0) : 0;
}

void paintLegend(QPainter& painter, const QRectF& area, const MarkerColours& colours, const QPalette& palette, const QFontMetrics& metrics)
{
    if (!colours.numbers.empty())
        return paintColourBar(painter, area, colours, palette, metrics);
    if (colours.categories.empty())
        return;
    painter.setPen(palette.text().color());
    const double line = metrics.height() + 2;
    painter.drawText(QRectF(area.left(), area.top(), area.width(), line), Qt::AlignLeft,
                     metrics.elidedText(colours.title, Qt::ElideRight, int(area.width())));
    const QStringList names = legendNames(colours);
    const int fits = std::max(1, int(area.height() / line) - 1), all = int(names.size());
    const int shown = all <= fits ? all : fits - 1;
    painter.setRenderHint(QPainter::Antialiasing);
    for (int i = 0; i < shown; ++i) {
        const double top = area.top() + line * (i + 1);
        const bool isCategory = i < int(colours.names.size());
        drawMarker(painter, QPointF(area.left() + 6, top + line / 2), 4, isCategory ? i : -1,
                   isCategory ? categoryColor(i, isDark(palette)) : toQColor(report::kNoValue));
        painter.setPen(palette.text().color());
        painter.drawText(QRectF(area.left() + 16, top, area.width() - 16, line), Qt::AlignLeft | Qt::AlignVCenter,
                         metrics.elidedText(names[i], Qt::ElideRight, int(area.width() - 16)));
    }
    if (shown < all)
        painter.drawText(QRectF(area.left(), area.top() + line * (shown + 1), area.width(), line), Qt::AlignLeft | Qt::AlignVCenter,
                         QStringLiteral("… %1").arg(all - shown));
}

void MarkerStamps::draw(QPainter& painter, QPointF centre, int index)
{
    const auto at = std::size_t(index);
    const int category = m_colours.categories.empty() ? 0 : m_colours.categories[at];
    const auto kind = painter.device()->devType();
    if (kind != QInternal::Pixmap && kind != QInternal::Image && kind != QInternal::Widget)
        return drawMarker(painter, centre, m_radius, category, markerColour(m_colours, index, m_dark));
    const bool numbers = !m_colours.numbers.empty() && std::isfinite(m_colours.numbers[at]);
    const int shade = numbers ? int(std::lround(std::clamp(sharedPosition(m_colours, m_colours.numbers[at]), 0.0, 1.0) * kShades)) : 0;
    QPixmap& stamp = m_stamps[numbers ? 1000 + shade : !m_colours.numbers.empty() ? 999 : category];
    const double ratio = painter.device()->devicePixelRatioF(), half = std::ceil(m_radius * 1.5) + 1;
    if (stamp.isNull()) {
        stamp = QPixmap(int(std::ceil(2 * half * ratio)), int(std::ceil(2 * half * ratio)));
        stamp.setDevicePixelRatio(ratio);
        stamp.fill(Qt::transparent);
        QPainter inner(&stamp);
        inner.setRenderHint(QPainter::Antialiasing);
        drawMarker(inner, QPointF(half, half), m_radius, category, markerColour(m_colours, index, m_dark));
    }
    painter.drawPixmap(centre - QPointF(half, half), stamp);
}

}  // namespace orrery::widgets
