#include "graph_painter.h"

#include <QFontMetricsF>
#include <QPaintEngine>
#include <QPainter>
#include <QPainterPath>
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kTextFrom = 0.45, kShapesFrom = 0.6, kCurvesFrom = 0.2, kRound = 5;
constexpr double kMarkRoom = 14;  ///< pixels that a mark may stand out of its box

QColor mixed(const QColor& a, const QColor& b, double share)
{
    const auto part = [share](int x, int y) { return int(std::lround(x + (y - x) * share)); };
    return QColor(part(a.red(), b.red()), part(a.green(), b.green()), part(a.blue(), b.blue()));
}

QPointF toPoint(layout::Point point)
{
    return {point.x, point.y};
}

QPainterPath pathOf(const layout::PlacedRoute& route)
{
    QPainterPath path(toPoint(route.points.front()));
    for (std::size_t i = 1; i < route.points.size(); ++i) {
        const QPointF from = toPoint(route.points[i - 1]), to = toPoint(route.points[i]);
        const double bend = (to.y() - from.y()) / 2;
        if (std::abs(from.x() - to.x()) < 0.5)
            path.lineTo(to);
        else
            path.cubicTo(from + QPointF(0, bend), to - QPointF(0, bend), to);
    }
    return path;
}

/// One pass over a scene.
class GraphPainter {
public:
    GraphPainter(QPainter& painter, const GraphScene& scene, const QRectF& visible, double scale, const QFont& font, const QPalette& palette)
        : m_painter(painter), m_scene(scene), m_visible(visible), m_scale(scale), m_font(font), m_palette(palette), m_theme(themeColors(palette)),
          m_dark(isDark(palette))
    {
        m_bold = m_font;
        m_bold.setBold(true);
        m_line = mixed(m_palette.base().color(), m_palette.text().color(), m_dark ? 0.55 : 0.5);
        m_outline = mixed(m_palette.base().color(), m_palette.text().color(), 0.35);
    }
    void paint()
    {
        findVisible();
        m_painter.setRenderHint(QPainter::Antialiasing, !isFar());
        for (const auto* placed : m_seen)
            if (placed->open)
                paintFrame(*placed);
        if (isFar())
            paintFarRoutes();
        else
            paintRoutes();
        for (const auto* placed : m_seen)
            if (placed->open && m_scale >= kTextFrom * 0.8)
                paintFrameTitle(*placed);
        for (const auto* placed : m_seen)
            if (!placed->open)
                paintBox(*placed);
        paintMarks();
    }

private:
    bool isFar() const { return m_scale < kCurvesFrom; }
    // With what stands out of a box at the edge: a part of the picture that is painted by itself must meet the rest.
    void findVisible()
    {
        const double room = kMarkRoom / m_scale;
        m_visible.adjust(-room, -room, room, room);
        for (const auto& placed : m_scene.picture->items)
            if (m_visible.intersects(rect(placed)))
                m_seen.push_back(&placed);
    }
    static QRectF rect(const layout::PlacedItem& placed) { return {placed.left, placed.top, placed.width, placed.height}; }
    bool isDimmed(int item) const { return !m_scene.onPath.empty() && !m_scene.onPath[std::size_t(item)]; }
    double hair(double width) const { return std::max(width, 1.0 / m_scale); }
    int depth(int item) const
    {
        int levels = 0;
        for (int at = m_scene.content->tree->item(item).parent; at > 0; at = m_scene.content->tree->item(at).parent)
            ++levels;
        return levels;
    }
    void paintFrame(const layout::PlacedItem& placed)
    {
        m_painter.setPen(isFar() ? farPen(m_outline) : QPen(m_outline, hair(1)));
        m_painter.setBrush(frameFill(placed.item));
        if (isFar())
            m_painter.drawRect(rect(placed));
        else
            m_painter.drawRoundedRect(rect(placed), kRound, kRound);
    }
    // On a plate of the frame's colour: lines come in at the same edge.
    void paintFrameTitle(const layout::PlacedItem& placed)
    {
        const auto& text = m_scene.content->texts[std::size_t(placed.item)];
        const QRectF head(placed.left + 10, placed.top + 2, placed.width - 20, layout::kFrameTitle - 4);
        m_painter.setFont(m_bold);
        m_painter.setPen(isDimmed(placed.item) ? m_theme.mutedText : m_palette.text().color());
        const QFontMetricsF metrics(m_bold);
        const QString title = metrics.elidedText(QStringLiteral("\u2212 ") + text.title, Qt::ElideMiddle, head.width());
        const double left = metrics.horizontalAdvance(title) + 10;
        const QString type = left + 30 > head.width() ? QString() : QFontMetricsF(m_font).elidedText(text.type, Qt::ElideRight, head.width() - left);
        const double used = type.isEmpty() ? left - 8 : left + QFontMetricsF(m_font).horizontalAdvance(type) + 2;
        m_painter.fillRect(QRectF(head.left() - 3, head.top() + 1, used + 3, head.height() - 2), frameFill(placed.item));
        m_painter.drawText(head, Qt::AlignLeft | Qt::AlignVCenter, title);
        m_painter.setFont(m_font);
        m_painter.setPen(m_theme.mutedText);
        m_painter.drawText(head.adjusted(left, 0, 0, 0), Qt::AlignLeft | Qt::AlignVCenter, type);
    }
    // A pen of no width is by far the quickest on the screen; on paper it would hardly be seen.
    QPen farPen(const QColor& colour) const
    {
        const auto* engine = m_painter.paintEngine();
        return QPen(colour, engine && engine->type() == QPaintEngine::Raster ? 0.0 : hair(1));
    }
    // Far away every line is a hair: those of one colour are drawn together, and what moves on by less than a pixel is left out.
    void paintFarRoutes()
    {
        std::map<std::pair<bool, QRgb>, QList<QLineF>> lines;  // those of the chosen box last
        const auto& routes = m_scene.picture->routes;
        const double step = 1 / m_scale;
        for (std::size_t i = 0; i < routes.size(); ++i) {
            if (!m_visible.intersects(m_scene.routeBounds[i]))
                continue;
            const bool lit = i < m_scene.litRoute.size() && m_scene.litRoute[i];
            auto& list = lines[{lit, routeColour(routes[i], lit).rgba()}];
            QPointF last = toPoint(routes[i].points.front());
            for (std::size_t k = 1; k < routes[i].points.size(); ++k) {
                const QPointF next = toPoint(routes[i].points[k]);
                if (k + 1 < routes[i].points.size() && (next - last).manhattanLength() < step)
                    continue;
                list << QLineF(last, next);
                last = next;
            }
        }
        for (const auto& [kind, list] : lines) {
            m_painter.setPen(farPen(QColor::fromRgba(kind.second)));
            m_painter.drawLines(list);
        }
    }
    void paintRoutes()
    {
        const auto& routes = m_scene.picture->routes;
        for (const bool lit : {false, true})
            for (std::size_t i = 0; i < routes.size(); ++i) {
                const bool isLit = i < m_scene.litRoute.size() && m_scene.litRoute[i];
                if (isLit == lit && m_visible.intersects(m_scene.routeBounds[i]))
                    paintRoute(routes[i], isLit);
            }
        for (std::size_t i = 0; i < routes.size() && m_scale >= kShapesFrom; ++i)
            if (routes[i].from >= 0 && !routes[i].upward && m_visible.intersects(m_scene.routeBounds[i]))
                paintShape(routes[i]);
    }
    bool isOnPath(const layout::PlacedRoute& route) const
    {
        const auto on = [&](int item) { return item < 0 || m_scene.onPath[std::size_t(item)]; };
        return m_scene.onPath.empty() || (on(route.from) && on(route.to) && on(route.group > 0 ? route.group : -1));
    }
    QColor routeColour(const layout::PlacedRoute& route, bool lit) const
    {
        QColor colour = lit ? m_palette.highlight().color() : m_line;
        if (!isOnPath(route))
            colour.setAlphaF(0.2f);
        else if (!m_scene.onPath.empty())
            colour = m_palette.highlight().color();
        return colour;
    }
    void paintRoute(const layout::PlacedRoute& route, bool lit)
    {
        const QColor colour = routeColour(route, lit);
        QPen pen(colour, hair(lit ? 2 : 1.1));
        if (route.upward)
            pen.setStyle(Qt::DashLine);
        m_painter.setPen(pen);
        m_painter.setBrush(Qt::NoBrush);
        m_painter.drawPath(pathOf(route));
        if (route.to >= 0)
            paintHead(route, colour);
    }
    void paintHead(const layout::PlacedRoute& route, const QColor& colour)
    {
        const QPointF tip = toPoint(route.points.back());
        const double down = route.upward ? -1 : 1;
        m_painter.setPen(Qt::NoPen);
        m_painter.setBrush(colour);
        m_painter.drawPolygon(QPolygonF{tip, tip + QPointF(-3.2, -6.5 * down), tip + QPointF(3.2, -6.5 * down)});
    }
    // Once a value and box, on a plate over the line's start.
    void paintShape(const layout::PlacedRoute& route)
    {
        const auto& place = m_scene.picture->items[std::size_t(m_scene.picture->placeOf[std::size_t(route.from)])];
        if (place.open || std::size_t(route.value) >= m_scene.content->shapes.size() || !m_shaped.insert({route.from, route.value}).second)
            return;
        const QString& shape = m_scene.content->shapes[std::size_t(route.value)];
        if (shape.isEmpty())
            return;
        QFont small = m_font;
        small.setPointSizeF(std::max(5.0, m_font.pointSizeF() * 0.82));
        const QFontMetricsF metrics(small);
        const double width = metrics.horizontalAdvance(shape) + 6, height = metrics.height();
        if (width > place.width + 12)
            return;
        const QRectF plate(route.points.front().x - width / 2, route.points.front().y + 5, width, height);
        m_painter.fillRect(plate, frameFill(route.group));
        m_painter.setFont(small);
        m_painter.setPen(isOnPath(route) ? m_theme.mutedText : m_theme.gridLine);
        m_painter.drawText(plate, Qt::AlignCenter, shape);
    }
    QColor frameFill(int group)
    {
        const QColor base = m_palette.base().color();
        if (group <= 0)
            return base;
        QColor& fill = m_fills[std::size_t(std::min(depth(group), 5))];
        if (!fill.isValid())
            fill = mixed(base, m_palette.text().color(), 0.035 + 0.03 * std::min(depth(group), 5));
        const QColor colour = m_scene.colours.kind == GraphColours::Kind::Changes ? boxColour(m_scene.colours, group, m_dark) : QColor();
        return colour.isValid() ? mixed(fill, colour, 0.12) : fill;
    }
    // Thousands of boxes have the colours of a few families.
    QColor colourOf(int item)
    {
        const auto& colours = m_scene.colours;
        if (colours.kind == GraphColours::Kind::Numbers)
            return boxColour(colours, item, m_dark);
        const auto [found, isNew] = m_families.try_emplace(std::size_t(item) < colours.families.size() ? colours.families[std::size_t(item)] : -1);
        if (isNew)
            found->second = boxColour(colours, item, m_dark);
        return found->second;
    }
    void paintFarBox(const layout::PlacedItem& placed)
    {
        const QColor colour = colourOf(placed.item), base = m_palette.base().color();
        if (colour.isValid() && !isDimmed(placed.item))
            return m_painter.fillRect(rect(placed), colour);
        const QColor fill = colour.isValid() ? mixed(base, colour, m_dark ? 0.35 : 0.28) : mixed(base, m_palette.text().color(), 0.1);
        m_painter.fillRect(rect(placed), mixed(isDimmed(placed.item) ? mixed(fill, base, 0.7) : fill, m_palette.text().color(), 0.15));
    }
    void paintBox(const layout::PlacedItem& placed)
    {
        if (isFar())
            return paintFarBox(placed);
        const auto& item = m_scene.content->tree->item(placed.item);
        const QRectF box = rect(placed);
        const QColor colour = colourOf(placed.item);
        const bool isNumber = m_scene.colours.kind == GraphColours::Kind::Numbers;
        const QColor base = m_palette.base().color(), grey = mixed(base, m_palette.text().color(), 0.1);
        QColor fill = !colour.isValid() ? grey : isNumber ? colour : mixed(base, colour, m_dark ? 0.35 : 0.28);
        const bool dimmed = isDimmed(placed.item);
        if (dimmed)
            fill = mixed(fill, base, 0.7);
        const bool isEnd = item.kind == layout::Item::Kind::Input || item.kind == layout::Item::Kind::Output;
        const double round = isEnd ? box.height() / 2 : kRound;
        m_painter.setPen(QPen(dimmed ? m_theme.gridLine : m_outline, hair(item.isGroup() ? 1.4 : 1)));
        m_painter.setBrush(fill);
        m_painter.drawRoundedRect(box, round, round);
        if (!isNumber && colour.isValid() && !dimmed && !isEnd)
            m_painter.fillRect(QRectF(box.left() + 1, box.top() + kRound, 4, box.height() - 2 * kRound), colour);
        if (item.isGroup() && !dimmed)
            paintShares(placed);
        if (m_scale >= kTextFrom)
            paintTexts(placed,
                       isNumber && colour.isValid() && !dimmed ? textColorOn(fill)
                       : dimmed                                ? m_theme.mutedText
                                                               : m_palette.text().color(),
                       isNumber && colour.isValid() && !dimmed);
    }
    // A strip along the lower edge: what kinds of operators are inside.
    void paintShares(const layout::PlacedItem& placed)
    {
        if (std::size_t(placed.item) >= m_scene.colours.shares.size())
            return;
        const auto& shares = m_scene.colours.shares[std::size_t(placed.item)];
        int total = 0;
        for (const int share : shares)
            total += share;
        double left = placed.left + kRound;
        const double width = placed.width - 2 * kRound;
        for (std::size_t i = 0; i < shares.size() && total; ++i) {
            const double part = width * shares[i] / total;
            m_painter.fillRect(QRectF(left, placed.top + placed.height - 4, part, 3), legendColour(m_scene.colours, int(i), m_dark));
            left += part;
        }
    }
    void paintTexts(const layout::PlacedItem& placed, const QColor& colour, bool strong)
    {
        const auto& text = m_scene.content->texts[std::size_t(placed.item)];
        const bool isGroup = m_scene.content->tree->item(placed.item).isGroup();
        const QRectF inside = rect(placed).adjusted(8, 3, -8, -4);
        const QString title = isGroup ? QStringLiteral("+ ") + text.title : text.title;
        m_painter.setPen(colour);
        m_painter.setFont(m_bold);
        const double half = text.type.isEmpty() ? inside.height() : inside.height() / 2;
        m_painter.drawText(QRectF(inside.left(), inside.top(), inside.width(), half), Qt::AlignCenter,
                           QFontMetricsF(m_bold).elidedText(title, Qt::ElideMiddle, inside.width()));
        if (text.type.isEmpty())
            return;
        m_painter.setFont(m_font);
        m_painter.setPen(strong ? colour : m_theme.mutedText);
        m_painter.drawText(QRectF(inside.left(), inside.top() + half, inside.width(), half), Qt::AlignCenter,
                           QFontMetricsF(m_font).elidedText(text.type, Qt::ElideRight, inside.width()));
    }
    void paintMarks()
    {
        const QColor found = toQColor(report::okabeIto()[1]);
        m_painter.setBrush(Qt::NoBrush);
        for (const auto* seen : m_seen) {
            const auto& placed = *seen;
            const QRectF box = rect(placed);
            const double out = hair(2);
            if (!m_scene.matches.empty() && m_scene.matches[std::size_t(placed.item)] && !placed.open) {
                m_painter.setPen(QPen(found, hair(2.5)));
                m_painter.drawRoundedRect(box.adjusted(-out, -out, out, out), kRound, kRound);
            }
            if (placed.item == m_scene.current) {
                m_painter.setPen(QPen(m_palette.highlight().color(), hair(3)));
                m_painter.drawRoundedRect(box.adjusted(-out, -out, out, out), kRound, kRound);
            }
            if (m_scene.bookmarks.count(placed.item))
                paintBookmark(box);
        }
    }
    void paintBookmark(const QRectF& box)
    {
        const double size = std::max(9.0, 7 / m_scale);
        const QPointF corner(box.right() - size * 1.1, box.top() - 2);
        m_painter.setPen(Qt::NoPen);
        m_painter.setBrush(m_palette.highlight());
        m_painter.drawPolygon(QPolygonF{corner, corner + QPointF(size * 0.7, 0), corner + QPointF(size * 0.7, size),
                                        corner + QPointF(size * 0.35, size * 0.65), corner + QPointF(0, size)});
        m_painter.setBrush(Qt::NoBrush);
    }

    QPainter& m_painter;
    const GraphScene& m_scene;
    QRectF m_visible;
    double m_scale;
    QFont m_font, m_bold;
    QPalette m_palette;
    ThemeColors m_theme;
    bool m_dark;
    QColor m_line, m_outline;
    std::vector<const layout::PlacedItem*> m_seen;  ///< those in view
    std::array<QColor, 6> m_fills;                  ///< of frames by their depth
    std::map<int, QColor> m_families;
    std::set<std::pair<int, graph::ValueId>> m_shaped;
};

}  // namespace

QRectF GraphScene::bounds() const
{
    return picture ? QRectF(0, 0, picture->size.width, picture->size.height) : QRectF();
}

int GraphScene::itemAt(QPointF point) const
{
    if (picture)
        for (auto it = picture->items.rbegin(); it != picture->items.rend(); ++it)
            if (it->contains({point.x(), point.y()}))
                return it->item;
    return -1;
}

int GraphScene::routeAt(QPointF point, double reach) const
{
    int best = -1;
    double nearest = reach;
    for (std::size_t i = 0; picture && i < picture->routes.size(); ++i) {
        if (!routeBounds[i].adjusted(-reach, -reach, reach, reach).contains(point))
            continue;
        const auto& points = picture->routes[i].points;
        for (std::size_t k = 1; k < points.size(); ++k) {
            const QPointF a = toPoint(points[k - 1]), along = toPoint(points[k]) - a, to = point - a;
            const double length = QPointF::dotProduct(along, along);
            const double share = length > 0 ? std::clamp(QPointF::dotProduct(to, along) / length, 0.0, 1.0) : 0;
            const QPointF off = to - share * along;
            if (const double distance = std::hypot(off.x(), off.y()); distance < nearest) {
                nearest = distance;
                best = int(i);
            }
        }
    }
    return best;
}

QRectF GraphScene::rectOf(int item) const
{
    if (!picture || item < 0 || std::size_t(item) >= picture->placeOf.size() || picture->placeOf[std::size_t(item)] < 0)
        return {};
    const auto& placed = picture->items[std::size_t(picture->placeOf[std::size_t(item)])];
    return {placed.left, placed.top, placed.width, placed.height};
}

void paintGraph(QPainter& painter, const GraphScene& scene, const QRectF& visible, double scale, const QFont& font, const QPalette& palette)
{
    if (!scene.isEmpty())
        GraphPainter(painter, scene, visible, scale, font, palette).paint();
}

std::vector<bool> routesOf(const layout::ItemTree& tree, const layout::Picture& picture, int item)
{
    std::vector<bool> lit(picture.routes.size(), false);
    if (item <= 0)
        return lit;
    std::set<graph::ValueId> given;
    std::map<graph::ValueId, std::vector<int>> read;  // value -> who makes it
    for (const auto* list : {&tree.outgoing(item), &tree.leaving(item)})
        for (const int edge : *list)
            given.insert(tree.edges()[std::size_t(edge)].value);
    for (const auto* list : {&tree.incoming(item), &tree.entering(item)})
        for (const int edge : *list)
            read[tree.edges()[std::size_t(edge)].value].push_back(tree.edges()[std::size_t(edge)].from);
    for (std::size_t i = 0; i < lit.size(); ++i) {
        const auto& route = picture.routes[i];
        if (given.count(route.value) && !tree.isInside(route.group, item))
            lit[i] = true;
        const auto found = read.find(route.value);
        if (found == read.end() || tree.isInside(route.group, item))
            continue;
        lit[i] = lit[i] || (route.to >= 0 ? tree.isInside(item, route.to)
                                          : std::any_of(found->second.begin(), found->second.end(),
                                                        [&](int from) { return tree.isInside(from, route.group); }) &&
                                                !tree.isInside(item, route.group));
    }
    return lit;
}

std::vector<bool> withGroups(const layout::ItemTree& tree, std::vector<bool> flags)
{
    for (std::size_t i = flags.size(); i-- > 1;)
        if (flags[i])
            flags[std::size_t(tree.items()[i].parent)] = true;
    return flags;
}

}  // namespace orrery::widgets
