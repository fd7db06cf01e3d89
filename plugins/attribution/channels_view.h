#pragma once
#include <QImage>
#include <QList>
#include <QWidget>
#include <vector>

#include "explanation.h"

class QAction;

namespace orrery::plugins {

/// How the channels of an inner value are looked at.
struct ChannelChoice {
    enum class Mode { Grid, Mean, One };
    Mode mode = Mode::Grid;
    int index = 0;  ///< One: the channel
    bool operator==(const ChannelChoice&) const = default;
};

/// The attribution of an inner value, [channel, row, column], as coloured maps: every channel in a grid, their mean, or one of them, on one scale
/// symmetric around zero. Value under the pointer as tooltip; a click or the arrow keys choose a channel of the grid. UI thread.
class ChannelsView : public QWidget {
    Q_OBJECT
public:
    explicit ChannelsView(QWidget* parent = nullptr);
    void setValues(std::vector<double> values, int channels, int rows, int columns);
    void clear() { setValues({}, 0, 0, 0); }
    void setChoice(const ChannelChoice& choice);
    /// Magnitude at the ends of the colours; nothing: the largest of what is shown.
    void setRange(std::optional<double> magnitude);
    double range() const;
    int channels() const { return m_channels; }
    /// The number drawn at a place of what is shown: of the chosen channel or the mean; of channel `channel` in a grid.
    double value(int channel, int row, int column) const;
    /// Where a channel's map is drawn.
    QRectF mapRect(int channel) const;
    QString tooltipAt(QPointF position) const;
    QString toCsv() const;
    QSize sizeHint() const override { return {300, 260}; }
    QSize minimumSizeHint() const override { return {80, 80}; }

Q_SIGNALS:
    void channelChosen(int channel);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

private:
    int maps() const { return m_choice.mode == ChannelChoice::Mode::Grid ? m_channels : std::min(m_channels, 1); }
    const std::vector<double>& shown() const { return m_choice.mode == ChannelChoice::Mode::Grid ? m_values : m_single; }
    void reduce();
    QRectF mapRectIn(QSizeF size, int map) const;
    void paintOn(QPainter& painter, QSize size, const QPalette& palette) const;
    const std::vector<QImage>& images() const;

    std::vector<double> m_values, m_single;  ///< m_single: the mean or the chosen channel
    int m_channels = 0, m_rows = 0, m_columns = 0;
    ChannelChoice m_choice;
    std::optional<double> m_range;
    mutable std::vector<QImage> m_images;  ///< one a map; empty: to be made when painted
    QList<QAction*> m_exports;
};

}  // namespace orrery::plugins
