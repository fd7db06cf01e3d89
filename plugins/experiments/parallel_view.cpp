#include "parallel_view.h"

#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <algorithm>
#include <cmath>
#include <set>

#include <widgets/theme.h>

#include "parallel_lines.h"

namespace orrery::plugins {
namespace {

constexpr int kTop = 52, kBottom = 14, kLeastSide = 60;  ///< px around the axes
constexpr int kGrip = 14;                                ///< px beside an axis that count as on it
constexpr qsizetype kMostHighlighted = 20;
constexpr int kFewLines = 300;  ///< up to so many are smoothed
constexpr int kColours = 32;    ///< lines of one colour are drawn in one go
constexpr double kKeyStep = 0.02;

double scaled(const ParallelAxis& axis, double value)
{
    if (!axis.log)
        return value;
    return value > 0 ? std::log10(value) : std::nan("");
}

/// The numbers of an axis where there are only a few of them, none too near to another to be read: its marks stand at them.
std::set<double> fewValues(const ParallelAxis& axis)
{
    constexpr std::size_t kFew = 5;
    std::set<double> found;
    for (const double value : axis.values) {
        if (std::isfinite(scaled(axis, value)))
            found.insert(value);
        if (found.size() > kFew)
            return {};
    }
    const double span = found.empty() ? 0 : scaled(axis, *found.rbegin()) - scaled(axis, *found.begin());
    for (auto next = found.begin(); next != found.end() && std::next(next) != found.end(); ++next)
        if (scaled(axis, *std::next(next)) - scaled(axis, *next) < span / (2 * kFew))
            return {};
    return found;
}

/// One line, or two that are parted at the dot in a path that is nearest to its middle; what is still too long loses its beginning.
QString titleLines(const QFontMetrics& metrics, const QString& title, int room)
{
    qsizetype best = -1;
    for (qsizetype at = title.indexOf('.'); at >= 0; at = title.indexOf('.', at + 1))
        if (best < 0 || std::abs(2 * at - title.size()) < std::abs(2 * best - title.size()))
            best = at;
    if (metrics.horizontalAdvance(title) <= room || best < 0)
        return metrics.elidedText(title, Qt::ElideLeft, room);
    return metrics.elidedText(title.left(best + 1), Qt::ElideLeft, room) + '\n' + metrics.elidedText(title.mid(best + 1), Qt::ElideRight, room);
}

}  // namespace

ParallelView::ParallelView(QWidget* parent) : QWidget(parent)
{
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setAccessibleName(tr("Parallel coordinates of the runs"));
    setToolTip(tr("Drag along an axis to mark a stretch; click beside it to remove it. Click a title for a logarithmic axis."));
}

ParallelView::Placed ParallelView::placed(const ParallelAxis& axis)
{
    Placed out;
    double low = INFINITY, high = -INFINITY;
    for (const double value : axis.values)
        if (const double x = scaled(axis, value); std::isfinite(x)) {
            low = std::min(low, x);
            high = std::max(high, x);
        }
    if (!axis.names.isEmpty()) {
        low = 0;
        high = double(axis.names.size() - 1);
    }
    if (!(low < high)) {  // one value, or none: in the middle
        const double middle = std::isfinite(low) ? low : 0;
        low = middle - 0.5;
        high = middle + 0.5;
    }
    out.low = low;
    out.high = high;
    out.heights.reserve(axis.values.size());
    for (const double value : axis.values) {
        const double x = scaled(axis, value);
        out.heights.push_back(std::isfinite(x) ? float((x - low) / (high - low)) : NAN);
    }
    return out;
}

void ParallelView::setData(std::vector<ParallelAxis> axes, QList<qint64> runs)
{
    std::vector<Placed> all;
    for (const auto& axis : axes) {
        Placed one = placed(axis);
        for (std::size_t old = 0; old < m_axes.size(); ++old)
            if (const auto& before = m_placed[old]; m_axes[old].id == axis.id && before.stretch && m_axes[old].names == axis.names) {
                // The same values are marked, wherever they stand now.
                const auto height = [&](double h) {
                    const double value = valueAt(int(old), h);
                    return std::clamp((scaled(axis, value) - one.low) / (one.high - one.low), 0.0, 1.0);
                };
                const double from = height(before.stretch->first), to = height(before.stretch->second);
                if (std::isfinite(from) && std::isfinite(to))
                    one.stretch = {from, to};
            }
        all.push_back(std::move(one));
    }
    m_axes = std::move(axes);
    m_placed = std::move(all);
    m_runs = std::move(runs);
    m_current = std::clamp(m_current, 0, std::max(0, int(m_axes.size()) - 1));
    m_dragged = -1;
    select();
}

void ParallelView::select()
{
    m_selected.assign(std::size_t(m_runs.size()), 1);
    for (const auto& axis : m_placed) {
        if (!axis.stretch)
            continue;
        const auto [from, to] = *axis.stretch;
        for (std::size_t i = 0; i < m_selected.size(); ++i) {
            const double height = axis.heights[i];
            m_selected[i] = m_selected[i] && height >= from - 1e-6 && height <= to + 1e-6;  // a missing value passes no stretch
        }
    }
    m_lines = {};
    update();
}

bool ParallelView::hasBrush() const
{
    return std::any_of(m_placed.begin(), m_placed.end(), [](const Placed& axis) { return axis.stretch.has_value(); });
}

QList<qint64> ParallelView::brushed() const
{
    QList<qint64> runs;
    for (qsizetype i = 0; i < m_runs.size(); ++i)
        if (m_selected[std::size_t(i)])
            runs << m_runs[i];
    return runs;
}

void ParallelView::setBrush(const QString& id, std::optional<std::pair<double, double>> range)
{
    for (int i = 0; i < int(m_axes.size()); ++i)
        if (m_axes[std::size_t(i)].id == id)
            setStretch(i, range ? Stretch({heightOf(i, range->first), heightOf(i, range->second)}) : std::nullopt);
}

std::optional<std::pair<double, double>> ParallelView::brush(const QString& id) const
{
    for (int i = 0; i < int(m_axes.size()); ++i)
        if (const auto& stretch = m_placed[std::size_t(i)].stretch; m_axes[std::size_t(i)].id == id && stretch)
            return std::pair{valueAt(i, stretch->first), valueAt(i, stretch->second)};
    return std::nullopt;
}

void ParallelView::setStretch(int axis, Stretch stretch)
{
    if (stretch) {
        auto& [from, to] = *stretch;
        if (!std::isfinite(from) || !std::isfinite(to))
            return;
        if (from > to)
            std::swap(from, to);
        from = std::clamp(from, 0.0, 1.0);
        to = std::clamp(to, 0.0, 1.0);
    }
    m_placed[std::size_t(axis)].stretch = stretch;
    select();
}

void ParallelView::setHighlighted(const QList<qint64>& runs)
{
    if (runs == m_highlighted)
        return;
    m_highlighted = runs;
    update();
}

double ParallelView::heightOf(int axis, double value) const
{
    const auto& place = m_placed[std::size_t(axis)];
    return (scaled(m_axes[std::size_t(axis)], value) - place.low) / (place.high - place.low);
}

double ParallelView::valueAt(int axis, double height) const
{
    const auto& place = m_placed[std::size_t(axis)];
    const double x = place.low + height * (place.high - place.low);
    return m_axes[std::size_t(axis)].log ? std::pow(10, x) : x;
}

double ParallelView::xOf(int axis) const
{
    const double room = width() - 2 * m_side;
    return m_axes.size() < 2 ? width() / 2.0 : m_side + room * axis / double(m_axes.size() - 1);
}

double ParallelView::yOf(double share) const
{
    return height() - kBottom - share * (height() - kTop - kBottom);
}

double ParallelView::heightAt(double y) const
{
    return (height() - kBottom - y) / std::max(1.0, double(height() - kTop - kBottom));
}

QPointF ParallelView::toPixel(int axis, double value) const
{
    return {xOf(axis), yOf(heightOf(axis, value))};
}

int ParallelView::axisAt(const QPointF& place) const
{
    for (int i = 0; i < int(m_axes.size()); ++i)
        if (std::abs(place.x() - xOf(i)) <= kGrip)
            return i;
    return -1;
}

/// Segments of the lines by their colour; the last bin: those that do not pass all stretches.
std::vector<QList<QLineF>> ParallelView::binned() const
{
    const auto& last = m_placed.back();
    std::vector<QList<QLineF>> bins(kColours + 1);
    std::vector<double> xs;
    for (int axis = 0; axis < int(m_axes.size()); ++axis)
        xs.push_back(xOf(axis));
    for (std::size_t i = 0; i < m_selected.size(); ++i) {
        const float shade = std::isnan(last.heights[i]) ? 0 : last.heights[i];
        auto& bin = bins[m_selected[i] ? std::size_t(std::clamp(int(shade * kColours), 0, kColours - 1)) : std::size_t(kColours)];
        std::optional<QPointF> before;
        for (std::size_t axis = 0; axis < m_placed.size(); ++axis) {
            const float height = m_placed[axis].heights[i];
            if (std::isnan(height))
                continue;
            const QPointF place(xs[axis], yOf(height));
            if (before)
                bin << QLineF(*before, place);
            before = place;
        }
    }
    return bins;
}

// A few lines are smoothed; QPainter would take seconds for ten thousand.
void ParallelView::drawLines()
{
    const double ratio = devicePixelRatioF();
    m_lines = QImage(size() * ratio, QImage::Format_RGB32);
    m_lines.setDevicePixelRatio(ratio);
    m_lines.fill(palette().color(QPalette::Base));
    if (m_axes.size() < 2)
        return;
    placeSides();
    const bool areFew = m_runs.size() <= kFewLines, dark = widgets::isDark(palette());
    const auto bins = binned();
    const auto draw = [&](const QList<QLineF>& lines, QColor colour, double share) {
        if (areFew) {
            QPainter painter(&m_lines);
            painter.setRenderHint(QPainter::Antialiasing);
            colour.setAlphaF(float(share));
            painter.setPen(QPen(colour, 1.6));
            return painter.drawLines(lines);
        }
        for (const auto& line : lines)
            blendLine(m_lines, line.p1() * ratio, line.p2() * ratio, colour.rgb(), int(share * 256));
    };
    if (hasBrush())
        draw(bins[kColours], widgets::themeColors(palette()).mutedText, 0.15);
    for (int colour = 0; colour < kColours; ++colour) {
        // The brightest end is left out on a light background, the darkest on a dark one.
        const double t = (colour + 0.5) / kColours * (dark ? 0.7 : 0.85) + (dark ? 0.3 : 0.0);
        draw(bins[std::size_t(colour)], widgets::toQColor(report::colourMap("viridis").at(t)), m_runs.size() > 2000 ? 0.35 : !areFew ? 0.6 : 0.9);
    }
}

QStringList ParallelView::ticks(int axis, std::vector<double>& heights) const
{
    const auto& place = m_placed[std::size_t(axis)];
    const auto& names = m_axes[std::size_t(axis)].names;
    QStringList texts;
    if (const std::set<double> few = names.isEmpty() ? fewValues(m_axes[std::size_t(axis)]) : std::set<double>(); !few.empty()) {
        for (const double value : few) {
            texts << QString::number(value, 'g', 3);
            heights.push_back(heightOf(axis, value));
        }
        return texts;
    }
    const int count = names.isEmpty() ? 5 : int(names.size()),
              step = std::max(1, int(std::ceil(count * (fontMetrics().height() + 2) / std::max(1.0, double(height() - kTop - kBottom)))));
    for (int i = 0; i < count; i += names.isEmpty() ? 1 : step) {
        const double height = count < 2 ? 0.5 : double(i) / (count - 1);
        const double x = place.low + height * (place.high - place.low);
        texts << (names.isEmpty() ? QString::number(m_axes[std::size_t(axis)].log ? std::pow(10, x) : x, 'g', 3) : names[i]);
        heights.push_back(height);
    }
    return texts;
}

/// The outer axes' labels stand in the margins: as wide as they need, up to a fifth of the picture.
void ParallelView::placeSides()
{
    int widest = kLeastSide;
    for (const int axis : {0, int(m_axes.size()) - 1}) {
        std::vector<double> heights;
        for (const auto& text : ticks(axis, heights))
            widest = std::max(widest, fontMetrics().horizontalAdvance(text) + 14);
        widest = std::max(widest, fontMetrics().horizontalAdvance(m_axes[std::size_t(axis)].title) / 2 + 10);
    }
    m_side = std::min(double(widest), std::max(double(kLeastSide), width() / 5.0));
}

void ParallelView::drawAxis(QPainter& painter, int axis) const
{
    const auto colours = widgets::themeColors(palette());
    const double x = xOf(axis);
    painter.setPen(
        QPen(axis == m_current && hasFocus() ? palette().color(QPalette::Highlight) : colours.axisLine, axis == m_current && hasFocus() ? 3 : 1.5));
    painter.drawLine(QPointF(x, yOf(0)), QPointF(x, yOf(1)));
    const double room = m_axes.size() < 2 ? width() : (width() - 2 * m_side) / double(m_axes.size() - 1);
    QFont bold = font();
    bold.setBold(true);
    painter.setFont(bold);
    painter.setPen(palette().color(QPalette::WindowText));
    // As far as the middle between two axes; at the ends there is the margin.
    const double half = room / 2 - 4, margin = m_side - 4;
    const double left = std::max(2.0, x - (axis == 0 ? margin : half)),
                 right = std::min(width() - 2.0, x + (axis + 1 == int(m_axes.size()) ? margin : half));
    const auto& one = m_axes[std::size_t(axis)];
    const QString title = titleLines(QFontMetrics(bold), one.log ? tr("%1 (log)").arg(one.title) : one.title, int(right - left));
    painter.drawText(QRectF(left, 2, right - left, kTop - 12), Qt::AlignHCenter | Qt::AlignVCenter, title);
    painter.setFont(font());
    std::vector<double> heights;
    const QStringList texts = ticks(axis, heights);
    const bool isOuter = axis == 0 || axis + 1 == int(m_axes.size());
    const int tickRoom = int(isOuter ? m_side - 10 : std::max(kLeastSide - 10.0, 0.7 * room));  // the lines stay to be seen
    for (int i = 0; i < texts.size(); ++i) {
        const double y = yOf(heights[std::size_t(i)]);
        painter.setPen(colours.axisLine);
        painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y));
        const QString text = fontMetrics().elidedText(texts[i], Qt::ElideMiddle, tickRoom);
        const bool isLast = axis + 1 == int(m_axes.size()) && m_axes.size() > 1;
        const int wide = fontMetrics().horizontalAdvance(text);
        const QRectF box(isLast ? x + 6 : x - 8 - wide, y - fontMetrics().height() / 2.0, wide + 2, fontMetrics().height());
        painter.fillRect(
            box, QColor(palette().color(QPalette::Base).red(), palette().color(QPalette::Base).green(), palette().color(QPalette::Base).blue(), 190));
        painter.setPen(palette().color(QPalette::WindowText));
        painter.drawText(box, Qt::AlignCenter, text);
    }
    if (const auto& stretch = m_placed[std::size_t(axis)].stretch) {
        QColor fill = palette().color(QPalette::Highlight);
        painter.setPen(QPen(fill, 1.5));
        fill.setAlpha(70);
        painter.setBrush(fill);
        painter.drawRect(QRectF(QPointF(x - 7, yOf(stretch->second)), QPointF(x + 7, yOf(stretch->first))));
        painter.setBrush(Qt::NoBrush);
    }
}

void ParallelView::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    if (m_lines.isNull())
        drawLines();
    painter.drawImage(0, 0, m_lines);
    painter.setRenderHint(QPainter::Antialiasing);
    // Where most lines are chosen, their colours say more.
    const qsizetype most = std::clamp<qsizetype>(m_runs.size() / 2, 1, kMostHighlighted);
    if (!m_highlighted.isEmpty() && m_highlighted.size() <= most && m_axes.size() > 1) {
        painter.setPen(QPen(palette().color(QPalette::WindowText), 2));
        for (qsizetype i = 0; i < m_runs.size(); ++i) {
            if (!m_highlighted.contains(m_runs[i]))
                continue;
            QPolygonF line;
            for (int axis = 0; axis < int(m_axes.size()); ++axis)
                if (const float height = m_placed[std::size_t(axis)].heights[std::size_t(i)]; !std::isnan(height))
                    line << QPointF(xOf(axis), yOf(height));
            painter.drawPolyline(line);
        }
    }
    for (int axis = 0; axis < int(m_axes.size()); ++axis)
        drawAxis(painter, axis);
}

void ParallelView::resizeEvent(QResizeEvent*)
{
    m_lines = {};
}

void ParallelView::changeEvent(QEvent* event)
{
    if (event->type() == QEvent::PaletteChange || event->type() == QEvent::FontChange) {
        m_lines = {};
        update();
    }
    QWidget::changeEvent(event);
}

void ParallelView::mousePressEvent(QMouseEvent* event)
{
    const int axis = axisAt(event->position());
    if (event->button() != Qt::LeftButton || axis < 0)
        return;
    m_current = axis;
    if (event->position().y() < kTop - 6) {
        Q_EMIT logToggled(m_axes[std::size_t(axis)].id);
        return;
    }
    m_dragged = axis;
    m_hasMoved = false;
    m_dragStart = std::clamp(heightAt(event->position().y()), 0.0, 1.0);
}

void ParallelView::mouseMoveEvent(QMouseEvent* event)
{
    setCursor(axisAt(event->position()) >= 0 ? Qt::SizeVerCursor : Qt::ArrowCursor);
    if (m_dragged < 0)
        return;
    const double here = heightAt(event->position().y());
    if (!m_hasMoved && std::abs(yOf(here) - yOf(m_dragStart)) < 4)
        return;
    m_hasMoved = true;
    setStretch(m_dragged, Stretch({m_dragStart, here}));
}

void ParallelView::mouseReleaseEvent(QMouseEvent*)
{
    if (m_dragged < 0)
        return;
    if (!m_hasMoved)
        setStretch(m_dragged, std::nullopt);
    m_dragged = -1;
    finishBrush();
}

void ParallelView::finishBrush()
{
    Q_EMIT brushChanged(brushed());
}

void ParallelView::keyPressEvent(QKeyEvent* event)
{
    if (m_axes.empty())
        return QWidget::keyPressEvent(event);
    auto& place = m_placed[std::size_t(m_current)];
    const double up = event->key() == Qt::Key_Up ? kKeyStep : -kKeyStep;
    const bool isGrow = event->modifiers() & Qt::ShiftModifier;
    switch (event->key()) {
    case Qt::Key_Left:
    case Qt::Key_Right: m_current = std::clamp(m_current + (event->key() == Qt::Key_Left ? -1 : 1), 0, int(m_axes.size()) - 1); return update();
    case Qt::Key_Up:
    case Qt::Key_Down: {
        auto [from, to] = place.stretch.value_or(std::pair{0.0, 1.0});
        setStretch(m_current, isGrow || !place.stretch ? Stretch({from, std::max(from, to + up)}) : Stretch({from + up, to + up}));
        return finishBrush();
    }
    case Qt::Key_Delete: setStretch(m_current, std::nullopt); return finishBrush();
    case Qt::Key_Escape:
        for (auto& axis : m_placed)
            axis.stretch.reset();
        select();
        return finishBrush();
    case Qt::Key_L: Q_EMIT logToggled(m_axes[std::size_t(m_current)].id); return;
    default: QWidget::keyPressEvent(event);
    }
}

}  // namespace orrery::plugins
