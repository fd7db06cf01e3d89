#include "flame_view.h"

#include <QHelpEvent>
#include <QKeyEvent>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <algorithm>

#include <widgets/export.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr double kEdge = 4;

QString timeText(double seconds)
{
    return seconds >= 1      ? FlameView::tr("%1 s").arg(seconds, 0, 'g', 4)
           : seconds >= 1e-3 ? FlameView::tr("%1 ms").arg(seconds * 1e3, 0, 'g', 4)
                             : FlameView::tr("%1 µs").arg(seconds * 1e6, 0, 'g', 4);
}

}  // namespace

FlameView::FlameView(QWidget* parent) : QWidget(parent)
{
    setObjectName(QStringLiteral("flame"));
    setAccessibleName(tr("Flame chart"));
    setFocusPolicy(Qt::StrongFocus);
    setMouseTracking(true);
    setContextMenuPolicy(Qt::ActionsContextMenu);
    const auto csv = [this] {
        QString text = QStringLiteral("name,depth,start,seconds\n");
        for (const auto& bar : m_bars)
            text += QStringLiteral("%1,%2,%3,%4\n")
                        .arg(QString::fromStdString(bar.name))
                        .arg(bar.depth)
                        .arg(bar.start, 0, 'g', 9)
                        .arg(bar.seconds, 0, 'g', 9);
        return text;
    };
    m_actions = widgets::makeExportActions(
        this,
        [this, csv](const QString& file) {
            widgets::exportPainted(
                file, size(), [this](QPainter& painter, QSize size, const QPalette& palette) { paint(painter, size, palette); }, csv);
        },
        csv);
    addActions(m_actions);
}

void FlameView::setProfile(const debug::Profile& profile, const QString& title)
{
    m_profile = profile;
    m_title = title;
    m_bars = debug::flameBars(profile, title.toStdString());
    m_groups = debug::flameGroups(m_bars, profile);
    m_zoom = 0;
    m_current = -1;
    update();
}

void FlameView::clear()
{
    m_profile.reset();
    m_bars.clear();
    m_groups.clear();
    update();
}

QRectF FlameView::rectIn(int index, QSize size) const
{
    const auto &bar = m_bars[std::size_t(index)], &zoom = m_bars[std::size_t(m_zoom)];
    int deepest = 1;
    for (const auto& each : m_bars)
        deepest = std::max(deepest, each.depth);
    const double height = std::clamp((size.height() - 2 * kEdge) / double(deepest + 1), 6.0, 24.0);
    const double scale = zoom.seconds > 0 ? (size.width() - 2 * kEdge) / zoom.seconds : 0;
    const double from = std::max(0.0, (bar.start - zoom.start) * scale),
                 to = std::min(size.width() - 2 * kEdge, (bar.start + bar.seconds - zoom.start) * scale);
    if (to <= from)
        return {};
    return {kEdge + from, kEdge + bar.depth * height, to - from, height - 1};
}

QRectF FlameView::barRect(int index) const
{
    return rectIn(index, size());
}

void FlameView::paint(QPainter& painter, QSize size, const QPalette& palette) const
{
    painter.fillRect(QRect(QPoint(0, 0), size), palette.color(QPalette::Base));
    if (m_bars.empty())
        return;
    QFont small = font();
    small.setPointSizeF(std::max(7.0, small.pointSizeF() - 1.5));
    painter.setFont(small);
    const QFontMetricsF metrics(small);
    const bool dark = widgets::isDark(palette);
    for (int i = 0; i < int(m_bars.size()); ++i) {
        const auto& bar = m_bars[std::size_t(i)];
        const QRectF rect = rectIn(i, size);
        if (rect.width() < 0.3)
            continue;
        QColor fill = bar.depth == 0 ? palette.color(QPalette::AlternateBase) : widgets::categoryColor(int(m_groups[std::size_t(i)] % 7), dark);
        if (m_groups[std::size_t(i)] >= 7 && bar.depth > 0)
            fill = widgets::themeColors(palette).axisLine;
        if (bar.node < 0 && bar.depth > 0)
            fill = QColor::fromRgbF(float(0.4 * fill.redF() + 0.6 * palette.base().color().redF()),
                                    float(0.4 * fill.greenF() + 0.6 * palette.base().color().greenF()),
                                    float(0.4 * fill.blueF() + 0.6 * palette.base().color().blueF()));
        painter.fillRect(rect, fill);
        if (i == m_current) {
            painter.setPen(QPen(palette.color(QPalette::Highlight), 2));
            painter.drawRect(rect.adjusted(1, 1, -1, -1));
        }
        if (rect.width() < 24 || rect.height() < 9)
            continue;
        const QString name = QString::fromStdString(bar.name);
        const QString last = bar.depth == 0 ? name : name.section(QLatin1Char('.'), -1);
        painter.setPen(widgets::textColorOn(fill));
        painter.drawText(rect.adjusted(3, 0, -2, 0), Qt::AlignLeft | Qt::AlignVCenter,
                         metrics.elidedText(last + QStringLiteral("  ") + timeText(bar.seconds), Qt::ElideRight, rect.width() - 5));
    }
}

void FlameView::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    paint(painter, size(), palette());
    if (m_bars.empty()) {
        painter.setPen(widgets::themeColors(palette()).mutedText);
        painter.drawText(rect(), Qt::AlignCenter, tr("Press Profile to see where the time goes."));
    }
}

int FlameView::barAt(QPointF position) const
{
    for (int i = 0; i < int(m_bars.size()); ++i)
        if (barRect(i).contains(position))
            return i;
    return -1;
}

void FlameView::choose(int bar)
{
    if (bar < 0 || bar >= int(m_bars.size()))
        return;
    m_current = bar;
    update();
    Q_EMIT barChosen(bar == 0 ? QString() : QString::fromStdString(m_bars[std::size_t(bar)].name), m_bars[std::size_t(bar)].node >= 0);
}

void FlameView::zoomTo(int bar)
{
    m_zoom = bar < 0 || bar == m_zoom ? 0 : bar;
    update();
}

void FlameView::mousePressEvent(QMouseEvent* event)
{
    choose(barAt(event->position()));
}

void FlameView::mouseDoubleClickEvent(QMouseEvent* event)
{
    zoomTo(barAt(event->position()));
}

void FlameView::keyPressEvent(QKeyEvent* event)
{
    if (m_bars.empty())
        return QWidget::keyPressEvent(event);
    const int current = std::max(0, m_current);
    const int depth = m_bars[std::size_t(current)].depth;
    const auto walk = [&](int direction, int wantedDepth) {
        for (int i = current + direction; i >= 0 && i < int(m_bars.size()); i += direction)
            if (m_bars[std::size_t(i)].depth == wantedDepth)
                return choose(i);
    };
    switch (event->key()) {
    case Qt::Key_Right: return walk(1, depth);
    case Qt::Key_Left: return walk(-1, depth);
    case Qt::Key_Up: return walk(-1, depth - 1);
    case Qt::Key_Down: return walk(1, depth + 1);
    case Qt::Key_Return:
    case Qt::Key_Enter: return zoomTo(current);
    case Qt::Key_Escape: return zoomTo(0);
    default: QWidget::keyPressEvent(event);
    }
}

QString FlameView::tooltip(int bar) const
{
    const auto& each = m_bars[std::size_t(bar)];
    QString text = QStringLiteral("%1\n%2, %3 %")
                       .arg(QString::fromStdString(each.name), timeText(each.seconds))
                       .arg(100 * each.seconds / std::max(m_bars[0].seconds, 1e-12), 0, 'f', 1);
    if (each.node >= 0) {
        const auto& node = m_profile->nodes[std::size_t(each.node)];
        text += QStringLiteral("\n%1, %L2 FLOPs, %L3 bytes").arg(QString::fromStdString(node.op)).arg(node.flops).arg(node.bytes());
    }
    return text;
}

bool FlameView::event(QEvent* event)
{
    if (event->type() != QEvent::ToolTip)
        return QWidget::event(event);
    const auto* help = static_cast<QHelpEvent*>(event);
    const int bar = barAt(help->pos());
    bar < 0 ? QToolTip::hideText() : QToolTip::showText(help->globalPos(), tooltip(bar), this);
    return true;
}

}  // namespace orrery::plugins
