#include "channels_view.h"

#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <cmath>

#include <core/report/colour_map.h>
#include <widgets/export.h>
#include <widgets/numbers.h>
#include <widgets/theme.h>

namespace orrery::plugins {
namespace {

constexpr double kGap = 4;

/// Columns of the grid that give the largest maps.
int gridColumns(int maps, QSizeF size, double aspect)
{
    int best = 1;
    double largest = 0;
    for (int columns = 1; columns <= maps; ++columns) {
        const int rows = (maps + columns - 1) / columns;
        const double width = std::min((size.width() - kGap) / columns - kGap, ((size.height() - kGap) / rows - kGap) * aspect);
        if (width > largest)
            largest = width, best = columns;
    }
    return best;
}

}  // namespace

ChannelsView::ChannelsView(QWidget* parent) : QWidget(parent)
{
    setFocusPolicy(Qt::StrongFocus);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
    setAccessibleName(tr("Attribution of the channels"));
    m_exports = widgets::makeExportActions(
        this,
        [this](const QString& file) {
            widgets::exportPainted(
                file, size(), [this](QPainter& painter, QSize size, const QPalette& palette) { paintOn(painter, size, palette); },
                [this] { return toCsv(); });
        },
        [this] { return toCsv(); });
}

void ChannelsView::setValues(std::vector<double> values, int channels, int rows, int columns)
{
    m_values = std::move(values);
    m_channels = channels;
    m_rows = rows;
    m_columns = columns;
    reduce();
}

void ChannelsView::setChoice(const ChannelChoice& choice)
{
    m_choice = choice;
    reduce();
}

void ChannelsView::setRange(std::optional<double> magnitude)
{
    m_range = magnitude;
    m_images.clear();
    update();
}

void ChannelsView::reduce()
{
    const std::size_t plane = std::size_t(m_rows) * std::size_t(m_columns);
    m_single.assign(m_channels > 0 ? plane : 0, 0);
    const int one = std::clamp(m_choice.index, 0, std::max(0, m_channels - 1));
    for (std::size_t i = 0; i < m_single.size(); ++i) {
        if (m_choice.mode == ChannelChoice::Mode::One) {
            m_single[i] = m_values[std::size_t(one) * plane + i];
            continue;
        }
        for (int channel = 0; channel < m_channels; ++channel)
            m_single[i] += m_values[std::size_t(channel) * plane + i] / m_channels;
    }
    m_images.clear();
    update();
}

double ChannelsView::range() const
{
    if (m_range)
        return *m_range;
    double most = 0;
    for (const double value : shown())
        if (std::isfinite(value))
            most = std::max(most, std::abs(value));
    return most;
}

double ChannelsView::value(int channel, int row, int column) const
{
    const int map = m_choice.mode == ChannelChoice::Mode::Grid ? channel : 0;
    return shown().at((std::size_t(map) * std::size_t(m_rows) + std::size_t(row)) * std::size_t(m_columns) + std::size_t(column));
}

QRectF ChannelsView::mapRectIn(QSizeF size, int map) const
{
    if (map < 0 || map >= maps())
        return {};
    const double aspect = double(m_columns) / m_rows;
    const int columns = gridColumns(maps(), size, aspect), rows = (maps() + columns - 1) / columns;
    const double width = (size.width() - kGap) / columns - kGap, height = (size.height() - kGap) / rows - kGap;
    const QSizeF drawn(std::max(1.0, std::min(width, height * aspect)), std::max(1.0, std::min(height, width / aspect)));
    return {QPointF(kGap + map % columns * (drawn.width() + kGap), kGap + map / columns * (drawn.height() + kGap)), drawn};
}

QRectF ChannelsView::mapRect(int channel) const
{
    return mapRectIn(size(), m_choice.mode == ChannelChoice::Mode::Grid ? channel : 0);
}

const std::vector<QImage>& ChannelsView::images() const
{
    if (!m_images.empty())
        return m_images;
    const double magnitude = range();
    for (int i = 0; i < maps(); ++i) {
        QImage map(m_columns, m_rows, QImage::Format_RGB32);
        for (int row = 0; row < m_rows; ++row) {
            auto* line = reinterpret_cast<QRgb*>(map.scanLine(row));
            for (int column = 0; column < m_columns; ++column) {
                const auto color = report::coolwarm().atSymmetric(value(i, row, column), magnitude);
                line[column] = qRgb(color.r, color.g, color.b);
            }
        }
        m_images.push_back(std::move(map));
    }
    return m_images;
}

void ChannelsView::paintOn(QPainter& painter, QSize size, const QPalette& palette) const
{
    painter.fillRect(QRect(QPoint(0, 0), size), palette.color(QPalette::Base));
    for (int i = 0; i < maps(); ++i) {
        const QRectF rect = mapRectIn(size, i);
        painter.setRenderHint(QPainter::SmoothPixmapTransform, rect.width() < m_columns);
        painter.drawImage(rect, images()[std::size_t(i)]);
        painter.setPen(widgets::themeColors(palette).gridLine);
        painter.drawRect(rect);
    }
    if (m_choice.mode == ChannelChoice::Mode::Grid && m_choice.index < maps() && m_channels > 1) {
        painter.setPen(QPen(palette.color(QPalette::Text), 2));
        painter.drawRect(mapRectIn(size, m_choice.index));
    }
}

QString ChannelsView::tooltipAt(QPointF position) const
{
    for (int map = 0; map < maps(); ++map) {
        const QRectF rect = mapRectIn(size(), map);
        if (!rect.contains(position))
            continue;
        const int row = std::min(m_rows - 1, int((position.y() - rect.top()) / rect.height() * m_rows));
        const int column = std::min(m_columns - 1, int((position.x() - rect.left()) / rect.width() * m_columns));
        const int channel = m_choice.mode == ChannelChoice::Mode::Grid ? map : m_choice.index;
        const QString of = m_choice.mode == ChannelChoice::Mode::Mean ? tr("mean of %1 channels").arg(m_channels) : tr("channel %1").arg(channel);
        return tr("%1, row %2, column %3\n%4").arg(of).arg(row).arg(column).arg(widgets::shownNumber(value(map, row, column)));
    }
    return {};
}

QString ChannelsView::toCsv() const
{
    QString csv = QStringLiteral("channel,row,column,value\n");
    for (int map = 0; map < maps(); ++map)
        for (int row = 0; row < m_rows; ++row)
            for (int column = 0; column < m_columns; ++column)
                csv += QStringLiteral("%1,%2,%3,%4\n")
                           .arg(m_choice.mode == ChannelChoice::Mode::Mean  ? tr("mean")
                                : m_choice.mode == ChannelChoice::Mode::One ? QString::number(m_choice.index)
                                                                            : QString::number(map))
                           .arg(row)
                           .arg(column)
                           .arg(fullNumber(value(map, row, column)));
    return csv;
}

void ChannelsView::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    paintOn(painter, size(), palette());
    if (!hasFocus())
        return;
    painter.setPen(palette().color(QPalette::Highlight));
    painter.drawRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5));
}

void ChannelsView::mousePressEvent(QMouseEvent* event)
{
    if (event->button() == Qt::LeftButton && m_choice.mode == ChannelChoice::Mode::Grid)
        for (int map = 0; map < maps(); ++map)
            if (mapRectIn(size(), map).contains(event->position()))
                Q_EMIT channelChosen(map);
}

void ChannelsView::keyPressEvent(QKeyEvent* event)
{
    const int change = event->key() == Qt::Key_Left ? -1 : event->key() == Qt::Key_Right ? 1 : 0;
    if (change == 0 || m_channels == 0)
        return QWidget::keyPressEvent(event);
    Q_EMIT channelChosen(std::clamp(m_choice.index + change, 0, m_channels - 1));
}

bool ChannelsView::event(QEvent* event)
{
    if (event->type() == QEvent::ToolTip) {
        auto* help = static_cast<QHelpEvent*>(event);
        QToolTip::showText(help->globalPos(), tooltipAt(help->pos()), this);
        return true;
    }
    return QWidget::event(event);
}

void ChannelsView::contextMenuEvent(QContextMenuEvent* event)
{
    QMenu menu(this);
    menu.addActions(m_exports);
    menu.exec(event->globalPos());
}

}  // namespace orrery::plugins
