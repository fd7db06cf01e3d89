#include <QFontMetricsF>
#include <QLinearGradient>
#include <QLocale>
#include <QPainter>
#include <algorithm>

#include <core/report/colour_map.h>

#include "graph_painter.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kLegendMargin = 8, kSwatch = 10, kLegendBarWidth = 110, kLegendBarHeight = 9;

QString legendNumber(double value, QString unit)
{
    if (unit == QStringLiteral("\u00b5s") && value >= 1000) {
        value /= 1000;
        unit = QStringLiteral("ms");
    }
    static constexpr std::pair<double, const char*> kUnits[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    QString text = QString::number(value, 'g', 3);
    for (const auto& [size, name] : kUnits)
        if (value >= size) {
            text = QString::number(value / size, 'g', 3) + QLatin1String(name);
            break;
        }
    return unit.isEmpty() ? text : text + QStringLiteral(" ") + unit;
}

QSizeF legendSize(const GraphColours& colours, const QFontMetricsF& metrics)
{
    const double line = metrics.height() + 2;
    if (colours.kind != GraphColours::Kind::Numbers && colours.names.isEmpty())
        return {0, 0};
    if (colours.kind == GraphColours::Kind::Numbers)
        return {std::max(kLegendBarWidth, metrics.horizontalAdvance(colours.title)) + 2 * kLegendMargin,
                2 * line + kLegendBarHeight + 2 * kLegendMargin};
    double width = metrics.horizontalAdvance(colours.title);
    for (const auto& name : colours.names)
        width = std::max(width, metrics.horizontalAdvance(name) + kSwatch + 6);
    if (!colours.other.isEmpty())
        width = std::max(width, metrics.horizontalAdvance(colours.other) + kSwatch + 6);
    return {width + 2 * kLegendMargin, line * double(colours.names.size() + 1 + (colours.other.isEmpty() ? 0 : 1)) + 2 * kLegendMargin};
}

void paintBar(QPainter& painter, QPointF corner, double line, const GraphColours& colours, const QPalette& palette)
{
    const QRectF bar(corner.x() + kLegendMargin, corner.y() + kLegendMargin + line, kLegendBarWidth, kLegendBarHeight);
    QLinearGradient gradient(bar.topLeft(), bar.topRight());
    for (int i = 0; i <= 16; ++i)
        gradient.setColorAt(i / 16.0, toQColor(report::viridis().at(i / 16.0)));
    painter.fillRect(bar, gradient);
    painter.setPen(palette.text().color());
    const QRectF below(bar.left(), bar.bottom() + 1, bar.width(), line);
    if (!colours.isKnown) {
        painter.drawText(below, Qt::AlignLeft | Qt::AlignVCenter, QObject::tr("not known"));
        return;
    }
    // The unit stands once, unless the two ends have different ones.
    const bool isTime = colours.unit == QStringLiteral("\u00b5s") && colours.high >= 1000;
    painter.drawText(below, Qt::AlignLeft | Qt::AlignVCenter, legendNumber(colours.low, isTime ? colours.unit : QString()));
    painter.drawText(below, Qt::AlignRight | Qt::AlignVCenter, legendNumber(colours.high, colours.unit));
}

}  // namespace

QSizeF paintGraphLegend(QPainter* painter, QPointF corner, const GraphColours& colours, const QFont& font, const QPalette& palette)
{
    const QFontMetricsF metrics(font);
    const QSizeF size = legendSize(colours, metrics);
    if (!painter || size.isEmpty())
        return size;
    const double line = metrics.height() + 2;
    QColor plate = palette.base().color();
    plate.setAlpha(230);
    painter->setPen(themeColors(palette).gridLine);
    painter->setBrush(plate);
    painter->drawRoundedRect(QRectF(corner, size), 4, 4);
    painter->setFont(font);
    painter->setPen(palette.text().color());
    QRectF row(corner.x() + kLegendMargin, corner.y() + kLegendMargin, size.width() - 2 * kLegendMargin, line);
    painter->drawText(row, Qt::AlignLeft | Qt::AlignVCenter, colours.title);
    if (colours.kind == GraphColours::Kind::Numbers) {
        paintBar(*painter, corner, line, colours, palette);
        return size;
    }
    const QStringList names = colours.other.isEmpty() ? colours.names : colours.names + QStringList(colours.other);
    for (int i = 0; i < names.size(); ++i) {
        row.translate(0, line);
        QColor swatch = legendColour(colours, i < colours.names.size() ? i : -1, isDark(palette));
        if (!swatch.isValid())
            swatch = themeColors(palette).gridLine;
        const QRectF square(row.left(), row.center().y() - kSwatch / 2, kSwatch, kSwatch);
        painter->fillRect(square, swatch);
        painter->setPen(themeColors(palette).mutedText);
        painter->setBrush(Qt::NoBrush);
        painter->drawRect(square);
        painter->setPen(palette.text().color());
        painter->drawText(row.adjusted(kSwatch + 6, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter, names[i]);
    }
    return size;
}

}  // namespace orrery::widgets
