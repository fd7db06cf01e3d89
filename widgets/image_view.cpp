#include "image_view.h"

#include <QAction>
#include <QContextMenuEvent>
#include <QHelpEvent>
#include <QKeyEvent>
#include <QMenu>
#include <QMouseEvent>
#include <QPainter>
#include <QToolTip>
#include <QWheelEvent>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include <core/base/error.h>
#include <core/base/text.h>

#include "export.h"
#include "theme.h"

namespace orrery::widgets {
namespace {

constexpr double kBarWidth = 12, kGap = 8, kBarText = 52;

}  // namespace

struct ImageView::Private {
    explicit Private(ImageView& view) : q(view) {}

    QSizeF pictureSize() const;
    bool barShown() const { return hasOverlay() && bar; }
    bool hasOverlay() const { return !overlay.empty(); }
    QRectF room(QSize size) const;
    QRectF target(QSize size) const;
    double scale(QSize size) const;
    double magnitude() const;
    report::Rgb colorOf(double value) const;
    QImage overlayImage() const;
    void paint(QPainter& painter, QSize size, const QPalette& palette) const;
    void paintBar(QPainter& painter, const QRectF& picture, QSize size, const QPalette& palette) const;
    double overlayAt(int x, int y) const;
    QString tooltip(QPoint pixel) const;

    ImageView& q;
    QImage image;
    std::vector<double> overlay;
    int overlayWidth = 0, overlayHeight = 0;
    MapKind kind = MapKind::Diverging;
    double opacity = 0.7, zoom = 0;
    std::optional<double> range;
    bool bar = true;
    QPointF offset, dragFrom;
    QList<QAction*> exports;
    std::function<QString(QPoint)> tooltipText;
};

QSizeF ImageView::Private::pictureSize() const
{
    return image.isNull() ? QSizeF(overlayWidth, overlayHeight) : QSizeF(image.size());
}

QRectF ImageView::Private::room(QSize size) const
{
    return {kGap / 2, kGap / 2, std::max(1.0, size.width() - kGap - (barShown() ? kBarWidth + kGap + kBarText : 0)),
            std::max(1.0, size.height() - kGap)};
}

/// Whole screen pixels for each picture pixel where that is possible, so that all squares are equal.
double ImageView::Private::scale(QSize size) const
{
    const QSizeF picture = pictureSize();
    if (picture.isEmpty())
        return 1;
    if (zoom > 0)
        return zoom;
    const QRectF inside = room(size);
    const double fit = std::min(inside.width() / picture.width(), inside.height() / picture.height());
    return fit > 1 ? std::floor(fit) : fit;
}

QRectF ImageView::Private::target(QSize size) const
{
    const QSizeF drawn = pictureSize() * scale(size);
    const QPointF corner = room(size).center() - QPointF(drawn.width(), drawn.height()) / 2 + (zoom > 0 ? offset : QPointF());
    return {QPointF(std::round(corner.x()), std::round(corner.y())), drawn};
}

double ImageView::Private::magnitude() const
{
    if (range)
        return *range;
    double largest = 0;
    for (const double value : overlay)
        if (std::isfinite(value))
            largest = std::max(largest, std::abs(value));
    return largest;
}

report::Rgb ImageView::Private::colorOf(double value) const
{
    if (kind == MapKind::Diverging)
        return report::coolwarm().atSymmetric(value, magnitude());
    return report::viridis().atScaled(value, 0, magnitude());
}

QImage ImageView::Private::overlayImage() const
{
    QImage out(overlayWidth, overlayHeight, QImage::Format_ARGB32);
    const report::ColourMap& map = kind == MapKind::Diverging ? report::coolwarm() : report::viridis();
    const double largest = magnitude();
    for (int y = 0; y < overlayHeight; ++y) {
        auto* line = reinterpret_cast<QRgb*>(out.scanLine(y));
        for (int x = 0; x < overlayWidth; ++x) {
            const double value = overlay[std::size_t(y) * std::size_t(overlayWidth) + std::size_t(x)];
            const report::Rgb color = kind == MapKind::Diverging ? map.atSymmetric(value, largest) : map.atScaled(value, 0, largest);
            line[x] = qRgb(color.r, color.g, color.b);
        }
    }
    return out;
}

void ImageView::Private::paint(QPainter& painter, QSize size, const QPalette& palette) const
{
    painter.fillRect(QRect(QPoint(0, 0), size), palette.color(QPalette::Base));
    if (pictureSize().isEmpty())
        return;
    const QRectF picture = target(size);
    painter.save();
    painter.setClipRect(room(size));
    painter.setRenderHint(QPainter::SmoothPixmapTransform, scale(size) < 1);
    if (!image.isNull())
        painter.drawImage(picture, image);
    if (hasOverlay()) {
        painter.setOpacity(image.isNull() ? 1 : opacity);
        painter.drawImage(picture, overlayImage());
        painter.setOpacity(1);
    }
    painter.restore();
    if (barShown())
        paintBar(painter, picture, size, palette);
}

void ImageView::Private::paintBar(QPainter& painter, const QRectF& picture, QSize size, const QPalette& palette) const
{
    const QRectF inside = room(size);
    const double top = std::max(picture.top(), inside.top()), bottom = std::min(picture.bottom(), inside.bottom());
    const double left = std::min(picture.right(), inside.right()) + kGap;
    const QRectF rect(left, top, kBarWidth, std::max(1.0, bottom - top));
    const double largest = magnitude(), smallest = kind == MapKind::Diverging ? -largest : 0;
    const int steps = std::max(2, int(rect.height()));
    for (int i = 0; i < steps; ++i)
        painter.fillRect(QRectF(rect.left(), rect.top() + i * rect.height() / steps, rect.width(), rect.height() / steps + 1),
                         toQColor(colorOf(largest + (i + 0.5) / steps * (smallest - largest))));
    painter.setFont(q.font());
    painter.setPen(palette.color(QPalette::Text));
    const double line = QFontMetricsF(q.font()).height();
    for (const double share : {0.0, 0.5, 1.0}) {
        const double y = std::clamp(rect.bottom() - share * rect.height() - line / 2, rect.top(), std::max(rect.top(), rect.bottom() - line));
        const double value = smallest + share * (largest - smallest);
        painter.drawText(QRectF(rect.right() + 4, y, kBarText, line), Qt::AlignLeft | Qt::AlignVCenter,
                         QString::number(std::abs(value) < largest * 1e-9 ? 0 : value, 'g', 2));
    }
}

double ImageView::Private::overlayAt(int x, int y) const
{
    const QSizeF size = pictureSize();
    const int ox = std::clamp(int((x + 0.5) * overlayWidth / size.width()), 0, overlayWidth - 1);
    const int oy = std::clamp(int((y + 0.5) * overlayHeight / size.height()), 0, overlayHeight - 1);
    return overlay[std::size_t(oy) * std::size_t(overlayWidth) + std::size_t(ox)];
}

QString ImageView::Private::tooltip(QPoint pixel) const
{
    if (tooltipText)
        return tooltipText(pixel);
    QString text = QStringLiteral("x %1, y %2").arg(pixel.x()).arg(pixel.y());
    if (!image.isNull()) {
        const QColor color = image.pixelColor(pixel);
        text += image.isGrayscale() ? QStringLiteral(": %1").arg(color.red())
                                    : QStringLiteral(": %1, %2, %3").arg(color.red()).arg(color.green()).arg(color.blue());
    }
    if (hasOverlay())
        text += QStringLiteral("\n%1").arg(QString::number(overlayAt(pixel.x(), pixel.y()), 'g', 5));
    return text;
}

ImageView::ImageView(QWidget* parent) : QWidget(parent), d(std::make_unique<Private>(*this))
{
    setFocusPolicy(Qt::StrongFocus);
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Expanding);
    d->exports = makeExportActions(
        this, [this](const QString& file) { exportTo(file); }, [this] { return toCsv(); });
}

ImageView::~ImageView() = default;

void ImageView::setImage(const QImage& image)
{
    d->image = image;
    update();
}

const QImage& ImageView::image() const
{
    return d->image;
}

void ImageView::setPixels(const std::vector<float>& values, int channels, int height, int width, std::optional<float> low, std::optional<float> high)
{
    if ((channels != 1 && channels != 3) || height < 1 || width < 1 ||
        values.size() != std::size_t(channels) * std::size_t(height) * std::size_t(width))
        throw core::ShapeError(fmt::format("expected [1 or 3, height, width] with as many values, got [{}, {}, {}] with {} values", channels, height,
                                           width, values.size()));
    const auto [smallest, largest] = std::minmax_element(values.begin(), values.end());
    const float from = low.value_or(*smallest), to = high.value_or(*largest);
    const std::size_t plane = std::size_t(height) * std::size_t(width);
    const auto byte = [&](std::size_t i) {
        const float share = to > from ? (values[i] - from) / (to - from) : 0.0F;
        return std::isnan(share) ? 0 : int(std::lround(std::clamp(share, 0.0F, 1.0F) * 255));
    };
    QImage image(width, height, QImage::Format_RGB32);
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            const std::size_t i = std::size_t(y) * std::size_t(width) + std::size_t(x);
            const int r = byte(i);
            image.setPixel(x, y, channels == 1 ? qRgb(r, r, r) : qRgb(r, byte(plane + i), byte(2 * plane + i)));
        }
    setImage(image);
}

void ImageView::setOverlay(std::vector<double> values, int height, int width)
{
    if (height < 1 || width < 1 || values.size() != std::size_t(height) * std::size_t(width))
        throw core::ShapeError(fmt::format("expected {} values for [{}, {}], got {}", std::int64_t(height) * width, height, width, values.size()));
    d->overlay = std::move(values);
    d->overlayHeight = height;
    d->overlayWidth = width;
    update();
}

void ImageView::clearOverlay()
{
    d->overlay.clear();
    d->overlayWidth = d->overlayHeight = 0;
    update();
}

bool ImageView::hasOverlay() const
{
    return d->hasOverlay();
}

void ImageView::setOverlayMap(MapKind kind)
{
    d->kind = kind;
    update();
}

void ImageView::setOverlayOpacity(double opacity)
{
    d->opacity = std::clamp(opacity, 0.0, 1.0);
    update();
}

double ImageView::overlayOpacity() const
{
    return d->opacity;
}

void ImageView::setOverlayRange(std::optional<double> magnitude)
{
    d->range = magnitude;
    update();
}

double ImageView::overlayRange() const
{
    return d->magnitude();
}

void ImageView::setToolTipText(std::function<QString(QPoint pixel)> text)
{
    d->tooltipText = std::move(text);
}

void ImageView::setColorBarVisible(bool visible)
{
    d->bar = visible;
    update();
}

void ImageView::setZoom(double zoom)
{
    d->zoom = zoom <= 0 ? 0 : std::clamp(zoom, 0.05, 400.0);
    if (d->zoom == 0)
        d->offset = {};
    update();
}

double ImageView::zoom() const
{
    return d->zoom;
}

std::optional<QPoint> ImageView::pixelAt(QPointF position) const
{
    const QRectF picture = d->target(size());
    if (d->pictureSize().isEmpty() || !picture.contains(position))
        return std::nullopt;
    const double scale = d->scale(size());
    return QPoint(std::min(int((position.x() - picture.left()) / scale), int(d->pictureSize().width()) - 1),
                  std::min(int((position.y() - picture.top()) / scale), int(d->pictureSize().height()) - 1));
}

QRectF ImageView::pixelRect(int x, int y) const
{
    const double scale = d->scale(size());
    return {d->target(size()).topLeft() + QPointF(x, y) * scale, QSizeF(scale, scale)};
}

QColor ImageView::overlayColor(int x, int y) const
{
    return toQColor(d->colorOf(d->overlayAt(x, y)));
}

void ImageView::exportTo(const QString& file, QSize size) const
{
    exportPainted(
        file, size.isEmpty() ? this->size() : size,
        [this](QPainter& painter, QSize wanted, const QPalette& palette) { d->paint(painter, wanted, palette); }, [this] { return toCsv(); });
}

QString ImageView::toCsv() const
{
    const bool overlay = hasOverlay();
    const int width = overlay ? d->overlayWidth : d->image.width(), height = overlay ? d->overlayHeight : d->image.height();
    QString csv;
    for (int y = 0; y < height; ++y) {
        QStringList cells;
        for (int x = 0; x < width; ++x)
            cells << (overlay ? QString::fromStdString(core::formatNumber(d->overlay[std::size_t(y) * std::size_t(width) + std::size_t(x)]))
                              : QString::number(qGray(d->image.pixel(x, y))));
        csv += cells.join(QLatin1Char(',')) + QLatin1Char('\n');
    }
    return csv;
}

QList<QAction*> ImageView::exportActions() const
{
    return d->exports;
}

void ImageView::paintEvent(QPaintEvent*)
{
    QPainter painter(this);
    d->paint(painter, size(), palette());
    if (!hasFocus())
        return;
    painter.setPen(QPen(palette().color(QPalette::Highlight)));
    painter.drawRect(QRectF(rect()).adjusted(0.5, 0.5, -0.5, -0.5));
}

void ImageView::mousePressEvent(QMouseEvent* event)
{
    d->dragFrom = event->position();
    if (const auto pixel = pixelAt(event->position()); pixel && event->button() == Qt::LeftButton)
        Q_EMIT pixelClicked(pixel->x(), pixel->y());
}

void ImageView::mouseMoveEvent(QMouseEvent* event)
{
    if (d->zoom == 0 || !(event->buttons() & (Qt::LeftButton | Qt::MiddleButton)))
        return;
    d->offset += event->position() - d->dragFrom;
    d->dragFrom = event->position();
    update();
}

/// The picture pixel under the pointer stays there.
void ImageView::wheelEvent(QWheelEvent* event)
{
    if (event->angleDelta().y() == 0 || d->pictureSize().isEmpty())
        return event->ignore();
    const QPointF before = (event->position() - d->target(size()).topLeft()) / d->scale(size());
    setZoom(d->scale(size()) * std::pow(1.2, event->angleDelta().y() / 120.0));
    d->offset += event->position() - (d->target(size()).topLeft() + before * d->scale(size()));
    update();
    event->accept();
}

void ImageView::keyPressEvent(QKeyEvent* event)
{
    constexpr double kStep = 24;
    switch (event->key()) {
    case Qt::Key_Plus:
    case Qt::Key_Equal: return setZoom(d->scale(size()) * 1.25);
    case Qt::Key_Minus: return setZoom(d->scale(size()) / 1.25);
    case Qt::Key_0:
    case Qt::Key_Home: return setZoom(0);
    case Qt::Key_Left: d->offset += QPointF(kStep, 0); break;
    case Qt::Key_Right: d->offset -= QPointF(kStep, 0); break;
    case Qt::Key_Up: d->offset += QPointF(0, kStep); break;
    case Qt::Key_Down: d->offset -= QPointF(0, kStep); break;
    default: return QWidget::keyPressEvent(event);
    }
    update();
}

bool ImageView::event(QEvent* event)
{
    if (event->type() == QEvent::ToolTip) {
        auto* help = static_cast<QHelpEvent*>(event);
        const auto pixel = pixelAt(help->pos());
        QToolTip::showText(help->globalPos(), pixel ? d->tooltip(*pixel) : QString(), this);
        return true;
    }
    return QWidget::event(event);
}

void ImageView::contextMenuEvent(QContextMenuEvent* event)
{
    QMenu menu(this);
    QAction* fit = menu.addAction(tr("Fit to the view"));
    connect(fit, &QAction::triggered, this, [this] { setZoom(0); });
    menu.addSeparator();
    menu.addActions(d->exports);
    menu.exec(event->globalPos());
}

}  // namespace orrery::widgets
