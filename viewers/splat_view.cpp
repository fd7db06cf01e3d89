#include "splat_view.h"

#include <QEvent>
#include <algorithm>
#include <cmath>
#include <mutex>

#include <core/report/colour_map.h>
#include <core/scene/camera/vector.h>

#include "clip_box.h"

namespace orrery::viewers {
namespace {

constexpr double kMiddleShare = 0.98;

QImage imageOf(int width, int height, const auto& colourAt)
{
    QImage image(width, height, QImage::Format_RGBA8888);
    for (int row = 0; row < height; ++row) {
        auto* to = image.scanLine(row);
        for (int column = 0; column < width; ++column, to += 4) {
            const report::Rgb colour = colourAt(std::size_t(row) * std::size_t(width) + std::size_t(column));
            to[0] = colour.r;
            to[1] = colour.g;
            to[2] = colour.b;
            to[3] = 255;
        }
    }
    return image;
}

std::uint8_t byteOf(float value)
{
    return std::uint8_t(std::clamp(value, 0.0f, 1.0f) * 255 + 0.5f);
}

QImage colourImage(const scene::SplatImage& picture)
{
    return imageOf(picture.width, picture.height, [&](std::size_t i) {
        return report::Rgb{byteOf(picture.rgb[3 * i]), byteOf(picture.rgb[3 * i + 1]), byteOf(picture.rgb[3 * i + 2])};
    });
}

QImage alphaImage(const scene::SplatImage& picture)
{
    return imageOf(picture.width, picture.height, [&](std::size_t i) {
        const auto grey = byteOf(picture.alpha[i]);
        return report::Rgb{grey, grey, grey};
    });
}

/// The nearest is bright; what is mostly air is the background.
QImage depthImage(const scene::SplatImage& picture, report::Rgb background)
{
    float low = std::numeric_limits<float>::max(), high = 0;
    for (std::size_t i = 0; i < picture.depth.size(); ++i)
        if (picture.alpha[i] >= 0.5f) {
            low = std::min(low, picture.depth[i]);
            high = std::max(high, picture.depth[i]);
        }
    return imageOf(picture.width, picture.height, [&](std::size_t i) {
        return picture.alpha[i] >= 0.5f ? report::viridis().atScaled(double(high - (picture.depth[i] - low)), double(low), double(high)) : background;
    });
}

}  // namespace

std::shared_ptr<const SplatScene> makeSplatScene(scene::Splats splats)
{
    auto out = std::make_shared<SplatScene>();
    out->whole = scene::splatBounds(splats);
    out->middle = scene::splatBounds(splats, kMiddleShare);
    out->splats = std::move(splats);
    return out;
}

/// Draws; keeps its buffers and the last crop. `draw` is called on the view's thread; the rest from any.
class SplatView::Renderer {
public:
    struct Task {
        std::shared_ptr<const SplatScene> scene;
        SplatSettings settings;
        scene::SplatRenderOptions options;
    };

    QImage draw(const Task& task, const scene::Camera& camera)
    {
        crop(task);
        const auto& splats = task.settings.crops ? m_cropped : task.scene->splats;
        const auto& picture = m_rasterizer.render(splats.view(), camera, task.options);
        {
            const std::scoped_lock lock(m_mutex);
            m_counts = {task.scene->splats.size(), splats.size(), m_rasterizer.frame().visible};
            m_width = picture.width;
            m_height = picture.height;
            m_ids = picture.ids;
            if (task.settings.crops)
                for (auto& id : m_ids)
                    id = id < 0 ? -1 : std::int32_t(m_indices[std::size_t(id)]);
        }
        const auto& b = task.options.background;
        return task.settings.channel == SplatChannel::Alpha   ? alphaImage(picture)
               : task.settings.channel == SplatChannel::Depth ? depthImage(picture, {byteOf(b[0]), byteOf(b[1]), byteOf(b[2])})
                                                              : colourImage(picture);
    }

    SplatCounts counts() const
    {
        const std::scoped_lock lock(m_mutex);
        return m_counts;
    }
    /// @param x, y  In 0..1 of the picture.
    std::optional<std::uint32_t> at(double x, double y) const
    {
        const std::scoped_lock lock(m_mutex);
        const int column = int(std::floor(x * m_width)), row = int(std::floor(y * m_height));
        if (column < 0 || column >= m_width || row < 0 || row >= m_height || m_ids.empty())
            return std::nullopt;
        const auto id = m_ids[std::size_t(row) * std::size_t(m_width) + std::size_t(column)];
        return id < 0 ? std::nullopt : std::optional(std::uint32_t(id));
    }

private:
    void crop(const Task& task)
    {
        if (!task.settings.crops || (m_croppedFrom == task.scene && m_box == task.settings.crop))
            return;
        m_indices = scene::splatsInBox(task.scene->splats, task.settings.crop);
        m_cropped = scene::selectSplats(task.scene->splats, m_indices);
        m_croppedFrom = task.scene;
        m_box = task.settings.crop;
    }

    // Of the view's thread.
    scene::SplatRasterizer m_rasterizer;
    std::shared_ptr<const SplatScene> m_croppedFrom;
    std::array<double, 6> m_box{};
    std::vector<std::uint32_t> m_indices;
    scene::Splats m_cropped;

    // Of the last picture, guarded by `m_mutex`.
    mutable std::mutex m_mutex;
    SplatCounts m_counts;
    int m_width = 0, m_height = 0;
    std::vector<std::int32_t> m_ids;
};

SplatView::SplatView(QWidget* parent) : PictureView(parent), m_renderer(std::make_shared<Renderer>())
{
}

SplatView::~SplatView() = default;

void SplatView::setScene(std::shared_ptr<const SplatScene> scene)
{
    const bool isFirst = !m_scene;
    m_scene = std::move(scene);
    if (m_scene && isFirst && !m_settings.crops)
        m_settings.crop = m_scene->middle;
    if (m_marked && (!m_scene || *m_marked >= m_scene->splats.size()))
        m_marked.reset();
    redraw();
}

void SplatView::setSettings(SplatSettings settings)
{
    settings.degree = std::clamp(settings.degree, 0, 3);
    for (std::size_t axis = 0; axis < 3; ++axis)
        if (settings.crop[axis] > settings.crop[axis + 3])
            std::swap(settings.crop[axis], settings.crop[axis + 3]);
    if (settings == m_settings)
        return;
    m_settings = settings;
    redraw();
    Q_EMIT settingsChanged();
}

void SplatView::redraw()
{
    if (!m_scene)
        return setDraw(nullptr);
    Renderer::Task task{m_scene, m_settings, {}};
    task.options.background = backgroundRgb();
    task.options.degree = m_settings.degree;
    task.options.antialias = m_settings.antialias;
    task.options.shape = m_settings.shape;
    task.options.wantIds = true;
    setDraw([renderer = m_renderer, task](const scene::Camera& camera, const std::stop_token&) { return renderer->draw(task, camera); });
}

std::array<float, 3> SplatView::backgroundRgb() const
{
    const auto theme = backgroundColor();
    switch (m_settings.background) {
    case SplatBackground::Black: return {0, 0, 0};
    case SplatBackground::White: return {1, 1, 1};
    case SplatBackground::Theme: break;
    }
    return {float(theme.redF()), float(theme.greenF()), float(theme.blueF())};
}

SplatCounts SplatView::counts() const
{
    return m_renderer->counts();
}

scene::Vector3 SplatView::centreOf(std::uint32_t gaussian) const
{
    const float* const mean = m_scene->splats.means.data() + 3 * std::size_t(gaussian);
    return {mean[0], mean[1], mean[2]};
}

std::optional<std::uint32_t> SplatView::pick(const QPointF& position) const
{
    if (!m_scene)
        return std::nullopt;
    const auto found = m_renderer->at(position.x() / std::max(1, width()), position.y() / std::max(1, height()));
    // The picture may be of a scene that was there before.
    return found && *found < m_scene->splats.size() ? found : std::nullopt;
}

void SplatView::setMarked(std::optional<std::uint32_t> gaussian)
{
    m_marked = gaussian;
    update();
}

GlView::Sphere SplatView::sceneSphere() const
{
    using scene::operator+, scene::operator-, scene::operator*;
    if (!m_scene)
        return {};
    const auto& box = m_scene->middle;
    const scene::Vector3 low{box[0], box[1], box[2]}, high{box[3], box[4], box[5]};
    return {0.5 * (low + high), std::max(1e-6, 0.5 * scene::length(high - low))};
}

std::optional<scene::Vector3> SplatView::pointUnder(const QPointF& position) const
{
    const auto found = pick(position);
    return found ? std::optional(centreOf(*found)) : std::nullopt;
}

bool SplatView::beginDrag(const QPointF& position)
{
    m_dragSide = m_settings.crops ? clipHandleAt(m_settings.crop, *this, position) : -1;
    m_dragLast = position;
    return m_dragSide >= 0;
}

void SplatView::dragTo(const QPointF& position)
{
    const auto moved = clipDragged(m_settings.crop, m_dragSide, m_scene->middle, *this, m_dragLast, position);
    if (!moved)
        return;
    m_dragLast = position;
    auto settings = m_settings;
    settings.crop = *moved;
    setSettings(settings);
}

void SplatView::changeEvent(QEvent* event)
{
    PictureView::changeEvent(event);
    if (event->type() == QEvent::PaletteChange)
        redraw();  // on another background
}

}  // namespace orrery::viewers
