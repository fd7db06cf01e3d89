#pragma once
#include <QImage>
#include <QList>
#include <QString>
#include <QWidget>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <core/report/colour_map.h>

class QAction;

namespace orrery::widgets {

using MapKind = report::MapKind;

/// A small picture enlarged without smoothing (each pixel a square), fitted to the view or zoomed by hand, with an optional overlay of numbers
/// drawn by a colour map with a colour bar: attributions over their input. UI thread.
class ImageView : public QWidget {
    Q_OBJECT
public:
    explicit ImageView(QWidget* parent = nullptr);
    ~ImageView() override;

    void setImage(const QImage& image);
    const QImage& image() const;
    /// A tensor as picture: [channels, height, width] row-major with 1 (grey) or 3 (RGB) channels; `low` becomes black and `high` white (nothing:
    /// smallest and largest value).
    /// @throws core::ShapeError if the count does not fit or channels is neither 1 nor 3.
    void setPixels(const std::vector<float>& values, int channels, int height, int width, std::optional<float> low = {},
                   std::optional<float> high = {});
    /// Numbers over the picture, [height, width] row-major, of any size: stretched over the whole picture. Diverging maps are symmetric around zero.
    /// @throws core::ShapeError if the count does not fit.
    void setOverlay(std::vector<double> values, int height, int width);
    void clearOverlay();
    bool hasOverlay() const;
    void setOverlayMap(MapKind kind);
    /// 0..1, default 0.7.
    void setOverlayOpacity(double opacity);
    double overlayOpacity() const;
    /// Largest magnitude of the colour bar; nothing: the largest of the values.
    void setOverlayRange(std::optional<double> magnitude);
    double overlayRange() const;
    void setColorBarVisible(bool visible);
    /// What the tooltip says of a pixel of the picture, where that is not its place and colour; empty text: nothing. An empty function: the usual again.
    void setToolTipText(std::function<QString(QPoint pixel)> text);
    /// Screen pixels per picture pixel; 0 fits the view (default).
    void setZoom(double zoom);
    double zoom() const;
    /// Picture pixel under a point of this widget; nothing outside.
    std::optional<QPoint> pixelAt(QPointF position) const;
    /// Where a picture pixel is drawn, in this widget's coordinates.
    QRectF pixelRect(int x, int y) const;
    /// Colour of the overlay at a picture pixel, without opacity.
    QColor overlayColor(int x, int y) const;

    /// png, svg, pdf; csv: the overlay's numbers (or grey values). @throws as `PlotView::exportTo`.
    void exportTo(const QString& file, QSize size = {}) const;
    QString toCsv() const;
    QList<QAction*> exportActions() const;
    QSize sizeHint() const override { return {320, 300}; }
    QSize minimumSizeHint() const override { return {80, 80}; }

Q_SIGNALS:
    void pixelClicked(int x, int y);

protected:
    void paintEvent(QPaintEvent* event) override;
    void mousePressEvent(QMouseEvent* event) override;
    void mouseMoveEvent(QMouseEvent* event) override;
    void wheelEvent(QWheelEvent* event) override;
    void keyPressEvent(QKeyEvent* event) override;
    bool event(QEvent* event) override;
    void contextMenuEvent(QContextMenuEvent* event) override;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

}  // namespace orrery::widgets
