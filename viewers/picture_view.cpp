#include "picture_view.h"

#include <QOpenGLContext>
#include <QOpenGLExtraFunctions>
#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <core/base/error.h>

namespace orrery::viewers {
namespace {

constexpr double kMovingPictureGoal = 33;  ///< ms a picture while the camera moves
constexpr int kMostShrink = 8;

/// What decides a picture.
struct Wanted {
    OrbitCamera camera;
    QSize pixels;
    std::uint64_t generation = 0;  ///< of the function
    bool operator==(const Wanted&) const = default;
};

struct Order {
    scene::Camera camera;
    PictureView::Draw draw;
    std::stop_source stop;
};

struct Outcome {
    QImage picture;
    double milliseconds = 0;
    QString error;
};

Outcome carryOut(const Order& order)
{
    Outcome out;
    const auto begin = std::chrono::steady_clock::now();
    try {
        out.picture = order.draw(order.camera, order.stop.get_token());
    } catch (const core::Cancelled&) {
    } catch (const std::exception& error) {
        out.error = QString::fromUtf8(error.what());
    }
    out.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    return out;
}

/// A picture in OpenGL, stretched over the view.
class Screen {
public:
    void start(QOpenGLExtraFunctions& gl)
    {
        gl.glGenTextures(1, &m_texture);
        gl.glGenFramebuffers(1, &m_frame);
    }
    void stop(QOpenGLExtraFunctions& gl)
    {
        gl.glDeleteFramebuffers(1, &m_frame);
        gl.glDeleteTextures(1, &m_texture);
        m_texture = m_frame = 0;
        m_size = {};
    }
    void upload(QOpenGLExtraFunctions& gl, const QImage& picture)
    {
        const QImage pixels = picture.convertToFormat(QImage::Format_RGBA8888);
        gl.glBindTexture(GL_TEXTURE_2D, m_texture);
        gl.glPixelStorei(GL_UNPACK_ALIGNMENT, 4);
        gl.glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, pixels.width(), pixels.height(), 0, GL_RGBA, GL_UNSIGNED_BYTE, pixels.constBits());
        gl.glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_LINEAR);
        gl.glBindTexture(GL_TEXTURE_2D, 0);
        m_size = pixels.size();
    }
    void show(QOpenGLExtraFunctions& gl, QSize pixels, unsigned target) const
    {
        if (m_size.isEmpty())
            return;
        gl.glBindFramebuffer(GL_READ_FRAMEBUFFER, m_frame);
        gl.glFramebufferTexture2D(GL_READ_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, m_texture, 0);
        gl.glBindFramebuffer(GL_DRAW_FRAMEBUFFER, target);
        // The first row of a picture is its top, that of OpenGL the bottom.
        gl.glBlitFramebuffer(0, m_size.height(), m_size.width(), 0, 0, 0, pixels.width(), pixels.height(), GL_COLOR_BUFFER_BIT,
                             m_size == pixels ? GL_NEAREST : GL_LINEAR);
        gl.glBindFramebuffer(GL_FRAMEBUFFER, target);
    }

private:
    unsigned m_texture = 0, m_frame = 0;
    QSize m_size;
};

}  // namespace

struct PictureView::Private {
    // Of the UI thread.
    Draw draw;
    std::uint64_t generation = 0;
    std::optional<Wanted> asked, shown;
    int askedShrink = 1, shownShrink = 1;
    std::optional<std::stop_source> underWay;
    QImage picture;
    bool isFresh = false, hasFailed = false;
    double milliseconds = 0, perPixel = 0;
    Screen screen;

    // Of both threads, guarded by `mutex`.
    std::mutex mutex;
    std::condition_variable_any changed;
    std::optional<Order> order;

    std::jthread thread;  // last: it ends before what it uses

    void work(const std::stop_token& stop, PictureView* view)
    {
        while (true) {
            std::optional<Order> next;
            {
                std::unique_lock lock(mutex);
                if (!changed.wait(lock, stop, [&] { return order.has_value(); }))
                    return;
                next.swap(order);
            }
            // The call is dropped when the view is gone; the view waits for this thread before it goes.
            QMetaObject::invokeMethod(
                view, [view, out = carryOut(*next)] { view->take(out.picture, out.milliseconds, out.error); }, Qt::QueuedConnection);
        }
    }
    int shrinkFor(QSize pixels, bool moving) const
    {
        int shrink = 1;
        const double whole = perPixel * pixels.width() * pixels.height();
        while (moving && shrink < kMostShrink && whole / (shrink * shrink) > kMovingPictureGoal)
            shrink *= 2;
        return shrink;
    }
    void submit(const Wanted& wanted, int shrink)
    {
        asked = wanted;
        askedShrink = shrink;
        const QSize size(std::max(1, wanted.pixels.width() / shrink), std::max(1, wanted.pixels.height() / shrink));
        underWay.emplace();
        {
            const std::scoped_lock lock(mutex);
            order = Order{wanted.camera.camera(size.width(), size.height()), draw, *underWay};
        }
        changed.notify_one();
    }
};

PictureView::PictureView(QWidget* parent) : GlView(parent), d(std::make_unique<Private>())
{
    d->thread = std::jthread([this](const std::stop_token& stop) { d->work(stop, this); });
}

PictureView::~PictureView()
{
    if (d->underWay)
        d->underWay->request_stop();
    d->thread.request_stop();
    d->thread.join();
    if (!context())
        return;
    disconnect(context(), nullptr, this, nullptr);
    makeCurrent();
    PictureView::stopScene();
    doneCurrent();
}

void PictureView::setDraw(Draw draw)
{
    d->draw = std::move(draw);
    ++d->generation;
    d->hasFailed = false;
    if (!d->draw) {
        d->picture = {};
        d->shown.reset();
    }
    update();
}

const QImage& PictureView::picture() const
{
    return d->picture;
}

bool PictureView::isCurrent() const
{
    if (!d->draw || d->hasFailed)
        return true;
    return d->shown && d->shown->camera == camera() && d->shown->generation == d->generation && d->shownShrink == 1 && !d->underWay && !d->isFresh;
}

double PictureView::drawTime() const
{
    return d->milliseconds;
}

int PictureView::shrink() const
{
    return d->shownShrink;
}

void PictureView::take(QImage picture, double milliseconds, const QString& error)
{
    d->underWay.reset();
    const bool isOld = d->asked->generation != d->generation;
    if (!error.isEmpty() && !isOld) {
        d->hasFailed = true;
        Q_EMIT drawFailed(error);
    } else if (!picture.isNull() && d->draw) {
        d->milliseconds = milliseconds;
        d->perPixel = milliseconds / std::max(1.0, double(picture.width()) * picture.height());
        d->picture = std::move(picture);
        d->shown = d->asked;
        d->shownShrink = d->askedShrink;
        d->isFresh = true;
    }
    update();
}

void PictureView::startScene()
{
    d->screen.start(*context()->extraFunctions());
    d->isFresh = !d->picture.isNull();
}

void PictureView::stopScene()
{
    d->screen.stop(*context()->extraFunctions());
}

void PictureView::drawScene(QSize pixels)
{
    auto& gl = *context()->extraFunctions();
    const auto background = backgroundColor();
    gl.glClearColor(float(background.redF()), float(background.greenF()), float(background.blueF()), 1);
    gl.glClear(GL_COLOR_BUFFER_BIT);
    const Wanted wanted{camera(), pixels, d->generation};
    const int shrink = d->shrinkFor(pixels, isMoving());
    const bool isShown = d->shown == wanted && d->shownShrink <= shrink;
    if (d->draw && !d->hasFailed && !isShown) {
        if (!d->underWay)
            d->submit(wanted, shrink);
        else if (d->asked->generation != wanted.generation || d->askedShrink < shrink)
            d->underWay->request_stop();  // nobody wants it any more, or so finely; the next frame asks anew
    }
    if (!d->draw)
        return;
    if (d->isFresh) {
        d->screen.upload(gl, d->picture);
        d->isFresh = false;
        QMetaObject::invokeMethod(this, &PictureView::pictureShown, Qt::QueuedConnection);
    }
    d->screen.show(gl, pixels, defaultFramebufferObject());
}

}  // namespace orrery::viewers
