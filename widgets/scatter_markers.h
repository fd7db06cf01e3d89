#pragma once
#include <QColor>
#include <QFontMetrics>
#include <QPalette>
#include <QPixmap>
#include <QRectF>
#include <QString>
#include <QStringList>
#include <map>
#include <vector>

class QPainter;

namespace orrery::widgets {

/// How the points of a `ScatterView` are told apart: by category, by number, or not at all.
struct MarkerColours {
    std::vector<int> categories;  ///< one a point, -1: none
    QStringList names;
    std::vector<double> numbers;  ///< one a point
    QString title;
    double low = 0, high = 0;  ///< of the numbers
};

QColor markerColour(const MarkerColours& colours, int index, bool dark);
/// Of the categories, and "others" where some points have none.
QStringList legendNames(const MarkerColours& colours);
/// Seven shapes and seven colours whose pairs repeat after 49 categories; a small dot for none (-1).
void drawMarker(QPainter& painter, QPointF centre, double radius, int category, const QColor& colour);
/// Width that a legend needs, at most a third of the whole; 0 without colours.
double legendWidth(const MarkerColours& colours, const QFontMetrics& metrics, int whole);
/// Names that do not fit are counted in the last line.
void paintLegend(QPainter& painter, const QRectF& area, const MarkerColours& colours, const QPalette& palette, const QFontMetrics& metrics);

/// Markers drawn once each and stamped: ten thousand points in a few milliseconds. On devices that keep shapes (SVG, PDF) they are drawn.
class MarkerStamps {
public:
    MarkerStamps(bool dark, const MarkerColours& colours, double radius) : m_dark(dark), m_colours(colours), m_radius(radius) {}
    void draw(QPainter& painter, QPointF centre, int index);

private:
    bool m_dark;
    const MarkerColours& m_colours;
    double m_radius;
    std::map<int, QPixmap> m_stamps;
};

}  // namespace orrery::widgets
