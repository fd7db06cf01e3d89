#pragma once
#include <QImage>
#include <functional>
#include <memory>
#include <stop_token>

#include "gl_view.h"

namespace orrery::viewers {

/// A view whose pictures are drawn by a function on a thread of the view's own and shown when they are finished: for renderers of core. The window never waits.
/// While the camera moves, pictures are drawn smaller by a power of two so that each takes about 33 ms; when it rests, at full size. UI thread.
class PictureView : public GlView {
    Q_OBJECT
public:
    explicit PictureView(QWidget* parent = nullptr);
    ~PictureView() override;

    /// Draws a picture of the camera's size. Called on the view's thread, one call at a time; it must not touch the view. May throw core::Cancelled when asked to stop.
    using Draw = std::function<QImage(const scene::Camera& camera, const std::stop_token& stop)>;
    /// Null: nothing to draw. Every call draws anew: what the picture depends on besides the camera is in the function.
    void setDraw(Draw draw);
    /// The last finished picture, as it was drawn; null if there is none.
    const QImage& picture() const;
    /// The picture that is shown is that of the camera, the size and the function that are set.
    bool isCurrent() const;
    /// Milliseconds that the last picture took, and how much smaller than the view it was.
    double drawTime() const;
    int shrink() const;

Q_SIGNALS:
    void pictureShown();
    /// What the function threw, once a function.
    void drawFailed(const QString& text);

protected:
    void startScene() override;
    void stopScene() override;
    void drawScene(QSize pixels) override;

private:
    struct Private;
    void take(QImage picture, double milliseconds, const QString& error);
    std::unique_ptr<Private> d;
};

}  // namespace orrery::viewers
