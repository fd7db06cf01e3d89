// libtorch before Qt: both have a word for `slots`, and Qt's is switched off.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "radiance_view.h"

#include <QPainter>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <utility>

#include <core/report/colour_map.h>
#include <core/scene/camera/vector.h>
#include <core/scene/field/views.h>

#include "clip_box.h"

namespace orrery::viewers {
namespace {

constexpr int kFirstPixels = 12'000;  ///< of the coarsest picture
constexpr int kCoarsest = 16;
constexpr double kReach = 12;  ///< pixels

/// The camera of a picture of another size.
scene::Camera coarser(const scene::Camera& camera, int level)
{
    return level <= 1 ? camera : scene::scaled(camera, std::max(1, camera.width / level), std::max(1, camera.height / level));
}

/// The coarsest picture is quick.
int firstLevel(double pixels)
{
    int level = 1;
    while (level < kCoarsest && pixels / (level * level) > kFirstPixels)
        level *= 2;
    return level;
}

QImage imageOf(const at::Tensor& colour)
{
    const at::Tensor bytes = (colour * 255).round().clamp(0, 255).to(at::kByte).contiguous();
    const int height = int(bytes.size(0)), width = int(bytes.size(1));
    return QImage(bytes.data_ptr<std::uint8_t>(), width, height, 3 * width, QImage::Format_RGB888).copy();
}

/// Near is bright; where nothing is stays grey.
QImage depthImage(const at::Tensor& depth)
{
    const at::Tensor flat = depth.contiguous();
    const float* const values = flat.data_ptr<float>();
    float low = std::numeric_limits<float>::max(), high = 0;
    for (std::int64_t i = 0; i < flat.numel(); ++i)
        if (std::isfinite(values[i])) {
            low = std::min(low, values[i]);
            high = std::max(high, values[i]);
        }
    QImage image(int(depth.size(1)), int(depth.size(0)), QImage::Format_RGB888);
    for (int y = 0; y < image.height(); ++y)
        for (int x = 0; x < image.width(); ++x) {
            const float value = values[std::int64_t(y) * image.width() + x];
            const report::Rgb colour = std::isfinite(value) ? report::viridis().atScaled(double(high - (value - low)), double(low), double(high))
                                                            : report::Rgb{128, 128, 128};
            std::uint8_t* const to = image.scanLine(y) + 3 * x;
            to[0] = colour.r;
            to[1] = colour.g;
            to[2] = colour.b;
        }
    return image;
}

at::Tensor tensorOf(const QImage& picture)
{
    const QImage rgb = picture.convertToFormat(QImage::Format_RGB888);
    at::Tensor out = at::empty({rgb.height(), rgb.width(), 3}, at::kByte);
    for (int y = 0; y < rgb.height(); ++y)
        std::copy_n(rgb.constScanLine(y), 3 * rgb.width(), out.data_ptr<std::uint8_t>() + std::int64_t(3) * rgb.width() * y);
    return out.to(at::kFloat) / 255;
}

}  // namespace

/// Draws; keeps what pictures are asked about later. `draw` is called on the view's thread, the rest from any.
class RadianceView::Renderer {
public:
    struct Task {
        std::shared_ptr<const scene::FieldView> field;
        std::shared_ptr<const TruePicture> truth;
        RadianceSettings settings;
        QColor background;
        int threads = 1;
    };
    std::atomic<int> level = 1;       ///< of the next picture
    std::atomic<int> fullWidth = 1;   ///< pixels of the view; a picture that is smaller by itself is not made coarser
    std::atomic<int> shownLevel = 1;  ///< of the last picture

    QImage draw(const Task& task, const scene::Camera& view, const std::stop_token& stop)
    {
        at::set_num_threads(task.threads);
        if (task.truth)
            return drawCompared(task, view, stop);
        const int now = 2 * view.width > fullWidth ? level.load() : 1;
        const scene::Camera camera = coarser(view, now);
        const auto picture = render(task, camera, stop);
        keep(camera, picture, {});
        shownLevel = now;
        return channel(task, picture);
    }
    std::optional<double> psnr() const
    {
        const std::scoped_lock lock(m_mutex);
        return m_psnr;
    }
    void forget()
    {
        const std::scoped_lock lock(m_mutex);
        m_psnr.reset();
    }
    /// @param x, y  In 0..1 of the picture.
    std::optional<scene::Vector3> pointAt(double x, double y) const
    {
        using scene::operator+, scene::operator*;
        const std::scoped_lock lock(m_mutex);
        const int column = int(std::floor(x * m_camera.width)), row = int(std::floor(y * m_camera.height));
        if (!m_depth.defined() || column < 0 || column >= m_camera.width || row < 0 || row >= m_camera.height)
            return std::nullopt;
        const double depth = m_depth[row][column].item<double>();
        if (!std::isfinite(depth))
            return std::nullopt;
        const auto ray = scene::rayThrough(m_camera, column + 0.5, row + 0.5);
        const auto forward = -1.0 * scene::axis(m_camera.cameraToWorld, 2);
        return ray.origin + depth / scene::dot(ray.direction, forward) * ray.direction;
    }

private:
    static scene::FieldView::Picture render(const Task& task, const scene::Camera& camera, const std::stop_token& stop)
    {
        return task.field->render(camera, stop, {}, task.settings.crops ? std::optional(task.settings.crop) : std::nullopt);
    }
    static QImage channel(const Task& task, const scene::FieldView::Picture& picture)
    {
        if (task.settings.channel == RadianceChannel::Depth && picture.depth.defined())
            return depthImage(picture.depth);
        if (task.settings.channel == RadianceChannel::Opacity && picture.opacity.defined())
            return imageOf(picture.opacity.unsqueeze(2).expand({-1, -1, 3}));
        return imageOf(picture.colour);
    }
    void keep(const scene::Camera& camera, const scene::FieldView::Picture& picture, std::optional<double> psnr)
    {
        const std::scoped_lock lock(m_mutex);
        m_camera = camera;
        m_depth = picture.depth;
        m_psnr = psnr;
    }
    /// What a compared picture depends on; the place of the wipe is not among it.
    struct Key {
        const void *field = nullptr, *truth = nullptr;
        RadianceSettings settings;
        int level = 0;
        bool operator==(const Key&) const = default;
    };
    QImage drawCompared(const Task& task, const scene::Camera& view, const std::stop_token& stop)
    {
        const int now = level;
        Key key{task.field.get(), task.truth.get(), task.settings, now};
        key.settings.truth = 0;
        if (!(key == m_key) || m_compared.isNull()) {
            const scene::Camera camera = coarser(task.truth->camera, now);
            const auto picture = render(task, camera, stop);
            const bool isWhole = now == 1 && !task.settings.crops;
            keep(camera, {}, isWhole ? std::optional(scene::psnr(picture.colour, tensorOf(task.truth->picture))) : std::nullopt);
            m_compared = channel(task, picture);
            m_key = key;
        }
        shownLevel = now;
        return wiped(task, QSize(view.width, view.height));
    }
    /// Left of the wipe the truth, right of it the field's picture, as large as the view holds.
    QImage wiped(const Task& task, QSize size) const
    {
        QImage canvas(size, QImage::Format_RGB888);
        canvas.fill(task.background);
        const QSize inner = task.truth->picture.size().scaled(size, Qt::KeepAspectRatio);
        const QRect place(QPoint((size.width() - inner.width()) / 2, (size.height() - inner.height()) / 2), inner);
        const int split = place.left() + qRound(task.settings.truth * place.width());
        QPainter painter(&canvas);
        painter.drawImage(place, m_compared);
        painter.setClipRect(QRect(place.left(), place.top(), split - place.left(), place.height()));
        painter.drawImage(place, task.truth->picture);
        painter.setClipping(false);
        if (split > place.left() && split < place.right())
            painter.fillRect(QRect(split - 1, place.top(), 2, place.height()), QColor(230, 120, 20));
        return canvas;
    }

    // Of the view's thread.
    Key m_key;
    QImage m_compared;

    // Of the last picture, guarded by `m_mutex`.
    mutable std::mutex m_mutex;
    scene::Camera m_camera;
    at::Tensor m_depth;
    std::optional<double> m_psnr;
};

RadianceView::RadianceView(QWidget* parent) : PictureView(parent), m_renderer(std::make_shared<Renderer>())
{
    connect(this, &PictureView::pictureShown, this, [this] {
        m_isFirstShown = true;
        refine();
    });
    // A coarse picture that was good enough for a moving camera is made finer when it rests.
    connect(this, &GlView::framePainted, this, &RadianceView::refine);
    connect(this, &PictureView::drawFailed, this, [this] { m_isFirstShown = true; });
    connect(this, &GlView::cameraChanged, this, [this] {
        if (m_truth)
            leaveComparison();
        m_renderer->level = firstLevel(double(width()) * height());
        m_isFirstShown = false;
    });
}

RadianceView::~RadianceView() = default;

void RadianceView::setField(std::shared_ptr<const scene::FieldView> field)
{
    m_next = std::move(field);
    request();
}

// A chain that is cut short before its first picture, again and again, would show nothing.
void RadianceView::request()
{
    m_isWaiting = m_next && m_field && !m_isFirstShown;
    if (!m_isWaiting)
        start();
}

/// Begins a chain of pictures: the coarsest first.
void RadianceView::start()
{
    m_field = m_next;
    m_isWaiting = false;
    const double pixels = m_truth ? double(m_truth->camera.width) * m_truth->camera.height : double(width()) * height();
    m_renderer->level = firstLevel(pixels);
    m_isFirstShown = false;
    redraw();
}

void RadianceView::redraw()
{
    if (!m_field) {
        m_renderer->forget();
        m_isFirstShown = true;
        return setDraw(nullptr);
    }
    m_renderer->fullWidth = qRound(width() * devicePixelRatioF());
    const Renderer::Task task{m_field, m_truth, m_settings, backgroundColor(), m_threads};
    setDraw([renderer = m_renderer, task](const scene::Camera& camera, const std::stop_token& stop) { return renderer->draw(task, camera, stop); });
}

// A newer field comes first; a picture that is shown already is made finer by half until it is whole.
void RadianceView::refine()
{
    if (m_isWaiting && m_isFirstShown)
        return start();
    const int shown = m_renderer->shownLevel;
    if (!m_field || isMoving() || shrink() > 1 || shown <= 1 || !isCurrent())
        return;
    m_renderer->level = shown / 2;
    redraw();
}

bool RadianceView::isRefined() const
{
    return !m_field || (isCurrent() && !m_isWaiting && m_renderer->shownLevel == 1 && m_renderer->level == 1);
}

int RadianceView::level() const
{
    return m_renderer->shownLevel * shrink();
}

void RadianceView::setBox(const std::array<double, 6>& box)
{
    m_box = box;
    if (!m_settings.crops)
        m_settings.crop = box;
}

void RadianceView::setCameras(std::vector<PictureCamera> cameras)
{
    m_cameras = std::move(cameras);
    update();
}

std::optional<std::size_t> RadianceView::cameraAt(const QPointF& position) const
{
    std::optional<std::size_t> found;
    double nearest = kReach;
    for (std::size_t i = 0; m_settings.cameras && i < m_cameras.size(); ++i) {
        const auto& pose = m_cameras[i].camera.cameraToWorld;
        const auto place = project({pose[3], pose[7], pose[11]});
        const double distance = place ? std::hypot(place->x() - position.x(), place->y() - position.y()) : kReach;
        if (distance < nearest) {
            nearest = distance;
            found = i;
        }
    }
    return found;
}

void RadianceView::compare(std::optional<TruePicture> truth)
{
    m_truth = truth ? std::make_shared<const TruePicture>(std::move(*truth)) : nullptr;
    m_renderer->forget();
    start();
}

void RadianceView::leaveComparison()
{
    m_truth.reset();
    m_renderer->forget();
    redraw();
    Q_EMIT comparisonLeft();
}

std::optional<double> RadianceView::psnr() const
{
    return m_truth ? m_renderer->psnr() : std::nullopt;
}

void RadianceView::setThreads(int threads)
{
    m_threads = std::max(1, threads);
}

void RadianceView::setSettings(RadianceSettings settings)
{
    for (std::size_t axis = 0; axis < 3; ++axis)
        if (settings.crop[axis] > settings.crop[axis + 3])
            std::swap(settings.crop[axis], settings.crop[axis + 3]);
    settings.truth = std::isfinite(settings.truth) ? std::clamp(settings.truth, 0.0, 1.0) : 0.5;
    if (settings == m_settings)
        return;
    auto same = m_settings;
    same.truth = settings.truth;
    same.cameras = settings.cameras;
    const bool isOnlyLaidOver = same == settings;
    m_settings = settings;
    isOnlyLaidOver ? redraw() : request();
    Q_EMIT settingsChanged();
}

GlView::Sphere RadianceView::sceneSphere() const
{
    using scene::operator+, scene::operator-, scene::operator*;
    const scene::Vector3 low{m_box[0], m_box[1], m_box[2]}, high{m_box[3], m_box[4], m_box[5]};
    return {0.5 * (low + high), std::max(1e-6, 0.5 * scene::length(high - low))};
}

std::optional<scene::Vector3> RadianceView::pointUnder(const QPointF& position) const
{
    if (m_truth || !m_field)
        return std::nullopt;
    return m_renderer->pointAt(position.x() / std::max(1, width()), position.y() / std::max(1, height()));
}

bool RadianceView::beginDrag(const QPointF& position)
{
    m_dragSide = m_settings.crops && !m_truth ? clipHandleAt(m_settings.crop, *this, position) : -1;
    m_dragLast = position;
    return m_dragSide >= 0;
}

void RadianceView::dragTo(const QPointF& position)
{
    const auto moved = clipDragged(m_settings.crop, m_dragSide, m_box, *this, m_dragLast, position);
    if (!moved)
        return;
    m_dragLast = position;
    auto settings = m_settings;
    settings.crop = *moved;
    setSettings(settings);
}

void RadianceView::resizeEvent(QResizeEvent* event)
{
    PictureView::resizeEvent(event);
    m_renderer->fullWidth = qRound(width() * devicePixelRatioF());
}

}  // namespace orrery::viewers
