#include "vtk_scene.h"

#include <QOpenGLContext>
#include <QOpenGLExtraFunctions>
#include <QOpenGLFramebufferObject>
#include <cmath>
#include <vector>
#include <vtkActor.h>
#include <vtkAutoInit.h>
#include <vtkCallbackCommand.h>
#include <vtkCamera.h>
#include <vtkCellArray.h>
#include <vtkCommand.h>
#include <vtkFloatArray.h>
#include <vtkGenericOpenGLRenderWindow.h>
#include <vtkNew.h>
#include <vtkObject.h>
#include <vtkOpenGLFramebufferObject.h>
#include <vtkOpenGLState.h>
#include <vtkPlane.h>
#include <vtkPlaneCollection.h>
#include <vtkPointData.h>
#include <vtkPoints.h>
#include <vtkPolyData.h>
#include <vtkPolyDataMapper.h>
#include <vtkProperty.h>
#include <vtkRenderer.h>
#include <vtkTextureObject.h>
#include <vtkTypeInt32Array.h>
#include <vtkUnsignedCharArray.h>

#include <core/scene/camera/vector.h>

#include "edl_pass.h"

// VTK's own CMake would do this for targets it knows of; Qt's AUTOMOC and VTK's autoinit do not go together here.
VTK_MODULE_INIT(vtkRenderingOpenGL2)

namespace orrery::viewers {
namespace {

// Blocks of the drawing order: small ones first, so that a budget is met to within a quarter.
constexpr std::size_t kSmallestBlock = 16384;

enum class Kind { Points, Faces, Edges };

struct Part {
    Kind kind = Kind::Points;
    std::size_t count = 0;
    vtkNew<vtkPolyData> data;
    vtkNew<vtkPolyDataMapper> mapper;
    vtkNew<vtkActor> actor;
};

// The array is VTK's view of ours: the picture outlives it.
vtkNew<vtkFloatArray> coordinates(const CloudPicture& picture, std::size_t first, std::size_t count)
{
    vtkNew<vtkFloatArray> array;
    array->SetNumberOfComponents(3);
    array->SetArray(const_cast<float*>(picture.positions.data() + 3 * first), vtkIdType(3 * count), 1);
    return array;
}

void setColours(vtkPolyData& data, const CloudColours& colours, std::size_t first, std::size_t count)
{
    vtkNew<vtkUnsignedCharArray> array;
    array->SetNumberOfComponents(3);
    array->SetArray(const_cast<unsigned char*>(colours.rgb.data() + 3 * first), vtkIdType(3 * count), 1);
    data.GetPointData()->SetScalars(array);
}

vtkNew<vtkCellArray> cells(std::size_t count, std::size_t size, const std::uint32_t* indices)
{
    vtkNew<vtkTypeInt32Array> offsets, points;
    offsets->SetNumberOfValues(vtkIdType(count + 1));
    for (std::size_t i = 0; i <= count; ++i)
        offsets->SetValue(vtkIdType(i), int(i * size));
    points->SetNumberOfValues(vtkIdType(count * size));
    for (std::size_t i = 0; i < count * size; ++i)
        points->SetValue(vtkIdType(i), indices ? int(indices[i]) : int(i));
    vtkNew<vtkCellArray> cells;
    cells->SetData(offsets, points);
    return cells;
}

std::unique_ptr<Part> makePart(const CloudPicture& picture, const CloudColours& colours, Kind kind, std::size_t first, std::size_t count)
{
    auto part = std::make_unique<Part>();
    part->kind = kind;
    part->count = kind == Kind::Points ? count : 0;
    vtkNew<vtkPoints> points;
    points->SetData(coordinates(picture, first, count));
    part->data->SetPoints(points);
    setColours(*part->data, colours, first, count);
    if (kind == Kind::Points)
        part->data->SetVerts(cells(1, count, nullptr));
    else if (kind == Kind::Faces)
        part->data->SetPolys(cells(picture.triangles.size() / 3, 3, picture.triangles.data()));
    else
        part->data->SetLines(cells(picture.edges.size() / 2, 2, picture.edges.data()));
    part->mapper->SetInputData(part->data);
    part->mapper->SetColorModeToDirectScalars();
    part->mapper->SetStatic(1);
    part->actor->SetMapper(part->mapper);
    part->actor->GetProperty()->SetLighting(kind == Kind::Faces);
    part->actor->GetProperty()->SetInterpolationToFlat();
    part->actor->GetProperty()->SetAmbient(kind == Kind::Faces ? 0.35 : 1);
    part->actor->GetProperty()->SetDiffuse(kind == Kind::Faces ? 0.65 : 0);
    return part;
}

std::vector<std::unique_ptr<Part>> makeParts(const CloudPicture& picture, const CloudColours& colours)
{
    std::vector<std::unique_ptr<Part>> parts;
    const std::size_t all = picture.positions.size() / 3;
    for (std::size_t first = 0; first < all;) {
        const auto count = std::min(all - first, std::max(kSmallestBlock, first / 4));
        parts.push_back(makePart(picture, colours, Kind::Points, first, count));
        first += count;
    }
    if (!picture.triangles.empty())
        parts.push_back(makePart(picture, colours, Kind::Faces, 0, all));
    if (!picture.edges.empty())
        parts.push_back(makePart(picture, colours, Kind::Edges, 0, all));
    return parts;
}

QSize drawnPixels(const VtkScene::Frame& frame)
{
    const auto share = [&](int edge) { return (edge + frame.shrink - 1) / frame.shrink; };
    return {share(frame.pixels.width()), share(frame.pixels.height())};
}

void answer(vtkObject*, unsigned long event, void* context, void* data)
{
    // QOpenGLWidget::makeCurrent would bind the widget's framebuffer in the middle of VTK's set-up.
    auto* own = static_cast<QOpenGLContext*>(context);
    if (event == vtkCommand::WindowMakeCurrentEvent && QOpenGLContext::currentContext() != own)
        own->makeCurrent(own->surface());
    if (event == vtkCommand::WindowIsCurrentEvent)
        *static_cast<bool*>(data) = QOpenGLContext::currentContext() == own;
}

}  // namespace

struct VtkScene::Private {
    vtkNew<vtkGenericOpenGLRenderWindow> window;
    vtkNew<vtkRenderer> renderer;
    std::shared_ptr<const CloudPicture> picture;
    std::shared_ptr<const CloudColours> colours;
    std::vector<std::unique_ptr<Part>> parts;
    std::optional<std::array<double, 6>> clip;
    EdlPass edl;
    std::unique_ptr<QOpenGLFramebufferObject> small;  ///< what the lighting writes before it is stretched; null until it is needed

    void applyClip();
    std::size_t choose(const Frame& frame);
    void aim(const OrbitCamera& camera);
    void show(const Frame& frame, unsigned framebuffer);
    void light(const Frame& frame, QSize pixels, unsigned framebuffer);
};

VtkScene::VtkScene(QOpenGLContext* context) : d(std::make_unique<Private>())
{
    vtkObject::GlobalWarningDisplayOff();  // our own messages name what went wrong
    d->window->SetFrameBlitModeToNoBlit();
    d->window->SetMultiSamples(0);
    d->window->AddRenderer(d->renderer);
    d->renderer->SetAutomaticLightCreation(true);
    vtkNew<vtkCallbackCommand> command;
    command->SetClientData(context);
    command->SetCallback(answer);
    d->window->AddObserver(vtkCommand::WindowMakeCurrentEvent, command);
    d->window->AddObserver(vtkCommand::WindowIsCurrentEvent, command);
    d->window->GetState()->Reset();
    d->window->GetState()->vtkglDepthFunc(GL_LEQUAL);
    d->window->SetForceMaximumHardwareLineWidth(1);
    d->window->SetReadyForRendering(true);
    d->window->SetOwnContext(0);
    d->window->OpenGLInitContext();
}

VtkScene::~VtkScene()
{
    d->renderer->RemoveAllViewProps();
    d->window->Finalize();
}

void VtkScene::setPicture(std::shared_ptr<const CloudPicture> picture, std::shared_ptr<const CloudColours> colours)
{
    if (picture && picture == d->picture && colours) {
        std::size_t first = 0;
        const std::size_t all = picture->positions.size() / 3;
        for (const auto& part : d->parts) {
            const bool isPoints = part->kind == Kind::Points;
            setColours(*part->data, *colours, isPoints ? first : 0, isPoints ? part->count : all);
            first += part->count;
            part->data->Modified();
        }
        d->colours = std::move(colours);
        return;
    }
    d->renderer->RemoveAllViewProps();
    d->parts.clear();
    d->picture = std::move(picture);
    d->colours = std::move(colours);
    if (d->picture && d->colours)
        d->parts = makeParts(*d->picture, *d->colours);
    for (const auto& part : d->parts)
        d->renderer->AddActor(part->actor);
    d->applyClip();
}

void VtkScene::Private::applyClip()
{
    for (const auto& part : parts) {
        part->mapper->RemoveAllClippingPlanes();
        if (!clip)
            continue;
        for (int side = 0; side < 6; ++side) {
            double normal[3] = {0, 0, 0}, origin[3] = {0, 0, 0};
            normal[side % 3] = side < 3 ? 1 : -1;
            origin[side % 3] = (*clip)[std::size_t(side)];
            vtkNew<vtkPlane> plane;
            plane->SetOrigin(origin);
            plane->SetNormal(normal);
            part->mapper->AddClippingPlane(plane);
        }
    }
}

std::size_t VtkScene::Private::choose(const Frame& frame)
{
    std::size_t drawn = 0;
    for (const auto& part : parts) {
        bool isShown = part->kind == Kind::Faces ? frame.look.faces : frame.look.edges;
        if (part->kind == Kind::Points) {
            isShown = frame.look.points && (drawn == 0 || drawn + part->count <= frame.budget);
            drawn += isShown             ? part->count
                     : frame.look.points ? frame.budget
                                         : 0;  // a gap would be uneven: nothing after the first block that is left out
        }
        part->actor->SetVisibility(isShown);
    }
    std::size_t count = 0, all = 0;
    for (const auto& part : parts) {
        count += part->actor->GetVisibility() ? part->count : 0;
        all += part->count;
    }
    // A part of the points stands for all: larger ones leave as few holes.
    const double larger = frame.isFast && count > 0 ? std::min(2.0, std::sqrt(double(all) / double(count))) : 1;
    for (const auto& part : parts)
        part->actor->GetProperty()->SetPointSize(std::max(1.0f, float(frame.look.pointSize * larger / frame.shrink)));
    return count;
}

void VtkScene::Private::aim(const OrbitCamera& camera)
{
    auto* own = renderer->GetActiveCamera();
    own->SetPosition(camera.position().data());
    own->SetFocalPoint(camera.target().data());
    own->SetViewUp(camera.up().data());
    own->SetViewAngle(camera.fov());
    if (!picture)
        return;
    // The sphere around everything, seen from the camera.
    using scene::operator-, scene::operator+, scene::operator*;
    const auto& bounds = picture->bounds;
    const double radius = std::max(1e-6, bounds.diagonal() / 2);
    const double ahead = scene::dot(0.5 * (bounds.low + bounds.high) - camera.position(), camera.forward());
    const double farPlane = std::max(ahead + 1.01 * radius, 1e-3 * radius);
    own->SetClippingRange(std::max(ahead - 1.01 * radius, 2e-4 * farPlane), farPlane);
}

// What was drawn, with eye-dome lighting, into a framebuffer of the same size.
void VtkScene::Private::light(const Frame& frame, QSize pixels, unsigned framebuffer)
{
    auto* gl = QOpenGLContext::currentContext()->extraFunctions();
    auto* source = window->GetRenderFramebuffer();
    gl->glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
    gl->glViewport(0, 0, pixels.width(), pixels.height());
    gl->glDisable(GL_SCISSOR_TEST);
    const auto* range = renderer->GetActiveCamera()->GetClippingRange();
    edl.draw({source->GetColorAttachmentAsTextureObject(0)->GetHandle(), source->GetDepthAttachmentAsTextureObject()->GetHandle(), range[0], range[1],
              frame.look.edlStrength, frame.isFast ? 4 : 8, std::max(1, 2 / frame.shrink), pixels});
}

void VtkScene::Private::show(const Frame& frame, unsigned framebuffer)
{
    auto* gl = QOpenGLContext::currentContext()->extraFunctions();
    auto* source = window->GetRenderFramebuffer();
    auto* state = window->GetState();
    const QSize drawn = drawnPixels(frame);
    const bool isLit =
        frame.look.edl && !parts.empty() && source->GetColorAttachmentAsTextureObject(0) && source->GetDepthAttachmentAsTextureObject();
    if (isLit && drawn == frame.pixels)
        return light(frame, drawn, framebuffer);
    if (isLit) {
        if (!small || small->size() != drawn)
            small = std::make_unique<QOpenGLFramebufferObject>(drawn);
        light(frame, drawn, small->handle());
        gl->glBindFramebuffer(GL_READ_FRAMEBUFFER, small->handle());
    }
    const GLenum buffers[] = {GL_COLOR_ATTACHMENT0};
    gl->glBindFramebuffer(GL_DRAW_FRAMEBUFFER, framebuffer);
    gl->glDrawBuffers(1, buffers);
    state->vtkglDisable(GL_SCISSOR_TEST);
    gl->glDisable(GL_SCISSOR_TEST);
    const int width = frame.pixels.width(), height = frame.pixels.height();
    const GLenum filter = drawn == frame.pixels ? GL_NEAREST : GL_LINEAR;
    if (isLit)
        gl->glBlitFramebuffer(0, 0, drawn.width(), drawn.height(), 0, 0, width, height, GL_COLOR_BUFFER_BIT, filter);
    else
        window->BlitDisplayFramebuffer(0, 0, 0, drawn.width(), drawn.height(), 0, 0, width, height, GL_COLOR_BUFFER_BIT, int(filter));
}

std::size_t VtkScene::draw(const Frame& frame, unsigned framebuffer)
{
    if (frame.look.clip != d->clip) {
        d->clip = frame.look.clip;
        d->applyClip();
    }
    const auto drawn = d->choose(frame);
    d->aim(frame.camera);
    d->renderer->SetBackground(frame.background.redF(), frame.background.greenF(), frame.background.blueF());
    d->renderer->SetBackgroundAlpha(1);  // else the window behind shines through
    d->window->SetSize(drawnPixels(frame).width(), drawnPixels(frame).height());
    auto* state = d->window->GetState();
    state->Reset();
    state->Push();
    state->vtkglDepthFunc(GL_LEQUAL);
    d->window->Render();
    d->show(frame, framebuffer);
    state->Pop();
    return drawn;
}

}  // namespace orrery::viewers
