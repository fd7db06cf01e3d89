#include "splats_panel.h"

#include <QFileInfo>
#include <QHBoxLayout>
#include <QLabel>
#include <QScrollArea>
#include <QSplitter>
#include <QTabWidget>
#include <QToolBar>
#include <QVBoxLayout>
#include <cmath>

#include <core/base/devices.h>
#include <core/scene/splat/splat_ply.h>
#include <core/scene/splat/synthetic.h>
#include <core/store/workspace.h>
#include <core/train/splat_runs.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/job_bar.h>
#include <widgets/plot_view.h>
#include <widgets/report_item.h>
#include <widgets/session.h>

namespace orrery::plugins {
namespace {

constexpr const char* kRunPrefix = "run:";
constexpr int kGaussianPage = 2;

std::optional<qint64> runOf(const QString& source)
{
    bool isNumber = false;
    const auto run = source.startsWith(QLatin1String(kRunPrefix)) ? source.mid(4).toLongLong(&isNumber) : 0;
    return isNumber ? std::optional(run) : std::nullopt;
}

QString fileNameFor(const OpenSplats& splats, const QString& ending)
{
    const auto base = splats.run ? QStringLiteral("run-%1").arg(*splats.run)
                                 : QFileInfo(splats.source).completeBaseName().replace(QLatin1Char(':'), QLatin1Char('-'));
    return base + ending;
}

void plot(widgets::PlotView& view, const scene::Histogram& histogram)
{
    widgets::PlotSeries series;
    series.style = widgets::LineStyle::Bars;
    series.smoothed = false;
    const double width = histogram.counts.empty() ? 0 : (histogram.high - histogram.low) / double(histogram.counts.size());
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        series.data.x.push_back(histogram.low + (double(i) + 0.5) * width);
        series.data.y.push_back(double(histogram.counts[i]));
    }
    view.setSeries(QStringLiteral("counts"), std::move(series));
}

QString vectorText(const scene::Vector3& v)
{
    return QStringLiteral("%1,%2,%3").arg(v[0], 0, 'g', 8).arg(v[1], 0, 'g', 8).arg(v[2], 0, 'g', 8);
}

}  // namespace

SplatsPanel::SplatsPanel(widgets::Session& session, QWidget* parent)
    : Panel(QStringLiteral("splats"), tr("Splats"), session, parent), m_follower(session), m_memory(core::machineMemory())
{
    makeActions();
    if (const auto problem = viewers::GlView::openGlProblem(); !problem.isEmpty()) {
        updateControls();
        showEmptyState(tr("No OpenGL"), problem);
        return;
    }
    setContent(makeContent());
    connectFollower();
    connect(&session, &widgets::Session::selectionChanged, this, &SplatsPanel::followSelection);
    showNothing();
    followSelection(widgets::SelectionPart::Scene);
    if (m_source.isEmpty())
        followSelection(widgets::SelectionPart::Runs);
}

SplatsPanel::~SplatsPanel() = default;

void SplatsPanel::makeActions()
{
    m_open = new QAction(tr("Open Gaussians…"), this);
    connect(m_open, &QAction::triggered, this, &SplatsPanel::chooseFile);
    m_example = new QAction(tr("Open the example"), this);
    connect(m_example, &QAction::triggered, this, [this] { open(QString::fromLatin1(scene::kRoomName)); });
    m_save = new QAction(tr("Write the Gaussians…"), this);
    connect(m_save, &QAction::triggered, this, &SplatsPanel::saveSplats);
    m_picture = new QAction(tr("Save the picture…"), this);
    connect(m_picture, &QAction::triggered, this, &SplatsPanel::savePicture);
    m_copy = widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); });
    addActions({m_open, m_example, m_save, m_picture, m_copy});
}

QWidget* SplatsPanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(0, 0, 0, 0);
    m_bar = new widgets::JobBar(session(), tr("Progress of the Gaussians"), content);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        addBusy(-1);
        if (m_bar->wasCancelled())
            m_source = m_splats ? m_splats->source : QString();  // asked for again, it is opened again
        updateControls();
    });
    layout->addWidget(m_bar);
    auto* tools = new QToolBar(content);
    tools->setToolButtonStyle(Qt::ToolButtonTextOnly);
    tools->addActions({m_open, m_save, m_picture, m_copy});
    layout->addWidget(tools);
    m_title = new QLabel(content);
    m_title->setObjectName("title");
    m_title->setContentsMargins(8, 2, 8, 2);
    layout->addWidget(m_title);
    auto* splitter = new QSplitter(Qt::Vertical, content);
    m_view = new viewers::SplatView(splitter);
    m_view->setObjectName("view");
    connect(m_view, &viewers::GlView::clicked, this, [this](const QPointF& position) { click(position); });
    connect(m_view, &viewers::PictureView::pictureShown, this, &Panel::idleChanged);
    connect(m_view, &viewers::PictureView::drawFailed, this, &Panel::showError);
    splitter->addWidget(m_view);
    splitter->addWidget(makeTabs());
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 1);
    splitter->setSizes({1800, 1000});  // in proportion: plots are whole in a window of 1280 x 800
    splitter->setChildrenCollapsible(false);
    layout->addWidget(splitter, 1);
    return content;
}

QWidget* SplatsPanel::makeTabs()
{
    auto* const tabs = m_tabs = new QTabWidget;
    tabs->setObjectName("tabs");
    const auto addPage = [&](QWidget* page, const QString& title) {
        auto* scroll = new QScrollArea(tabs);
        scroll->setFrameShape(QFrame::NoFrame);
        scroll->setWidgetResizable(true);
        scroll->setWidget(page);
        tabs->addTab(scroll, title);
    };
    const auto makeText = [&](const char* name) {
        auto* label = new QLabel;
        label->setObjectName(name);
        label->setWordWrap(true);
        label->setMargin(8);
        label->setAlignment(Qt::AlignTop | Qt::AlignLeft);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
        return label;
    };
    addPage(m_info = makeText("info"), tr("Scene"));
    addPage(makeStatisticsPage(), tr("Statistics"));
    addPage(m_gaussian = makeText("gaussian"), tr("Gaussian"));
    auto* camera = new viewers::CameraForm(*m_view);
    connect(camera, &viewers::CameraForm::rejected, this, &Panel::showError);
    addPage(camera, tr("Camera"));
    return tabs;
}

QWidget* SplatsPanel::makeStatisticsPage()
{
    auto* page = new QWidget;
    auto* layout = new QHBoxLayout(page);
    layout->setContentsMargins(4, 4, 4, 4);
    const auto addPlot = [&](const char* name, const QString& axis) {
        auto* view = new widgets::PlotView(page);
        view->setObjectName(name);
        view->setAxisTitle(widgets::PlotAxis::X, axis);
        view->setAxisTitle(widgets::PlotAxis::Y, tr("Gaussians"));
        view->setLegendVisible(false);
        layout->addWidget(view);
        return view;
    };
    m_opacities = addPlot("opacities", tr("opacity"));
    m_sizes = addPlot("sizes", tr("log10 of the largest deviation"));
    return page;
}

void SplatsPanel::connectFollower()
{
    m_follower.arrived = [this](const OpenSplats& splats) { showSplats(splats); };
    m_follower.failed = [this](const QString& text) {
        m_source = m_splats ? m_splats->source : QString();
        showError(text);
        updateControls();
    };
    m_follower.changed = [this] {
        updateControls();
        Q_EMIT idleChanged();
    };
}

void SplatsPanel::showNothing()
{
    showEmptyState(tr("No Gaussians"),
                   tr("Open a PLY of 3D Gaussian splatting, drop one on the window, or select a run that trains splats (projects/splats): it is "
                      "shown while it trains."),
                   {m_open, m_example});
    updateControls();
}

void SplatsPanel::followSelection(widgets::SelectionParts parts)
{
    const auto& selection = session().selection();
    if (parts & widgets::SelectionPart::Scene && !selection.sceneObject.isEmpty() && selection.sceneObject != m_source)
        openIfSplats(selection.sceneObject);
    if (parts & widgets::SelectionPart::Runs && !selection.runs.isEmpty() && selection.runs.first() != m_follower.run())
        followIfSplats(selection.runs.first());
}

// A scene that is selected may be a cloud, which another panel shows; what is there stays then.
void SplatsPanel::openIfSplats(const QString& file)
{
    addBusy(1);
    session().runInBackground(
        this, [file](widgets::BackgroundContext&) { return scene::holdsSplats(file.toStdString()); },
        [this, file](bool holds) {
            addBusy(-1);
            if (holds && session().selection().sceneObject == file)
                open(file);
        },
        [this](const QString&) { addBusy(-1); });
}

void SplatsPanel::followIfSplats(qint64 run)
{
    const auto workspace = session().workspace();
    if (!workspace)
        return;
    addBusy(1);
    session().runInBackground(
        this, [workspace, run](widgets::BackgroundContext&) { return train::isSplatRun(*workspace, run); },
        [this, run](bool trainsSplats) {
            addBusy(-1);
            if (trainsSplats && !session().selection().runs.isEmpty() && session().selection().runs.first() == run)
                followRun(run);
        },
        [this](const QString&) { addBusy(-1); });
}

void SplatsPanel::followRun(qint64 run)
{
    if (!m_view)
        return;
    m_bar->cancel();
    m_source = QString::fromLatin1(kRunPrefix) + QString::number(run);
    showError({});
    showContent();
    m_follower.follow(run);
    updateControls();
}

void SplatsPanel::chooseFile()
{
    const auto file = widgets::askOpenFile()(this, tr("Open Gaussians"), tr("Gaussians (*.ply);;All files (*)"));
    if (!file.isEmpty())
        open(file);
}

void SplatsPanel::open(const QString& file)
{
    if (!m_view)
        return;
    m_follower.leave();
    m_source = file;
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Open %1").arg(QFileInfo(file).fileName());
    m_bar->follow(session().runInBackground(
        this, [file, memory = m_memory](widgets::BackgroundContext&) { return openSplatFile(file, memory); },
        [this](const OpenSplats& splats) { showSplats(splats); },
        [this](const QString& text) {
            m_source = m_splats ? m_splats->source : QString();
            showError(text);
        },
        options));
    addBusy(1);
    if (!m_splats)
        showContent();
    updateControls();
}

void SplatsPanel::showSplats(const OpenSplats& splats)
{
    const bool isOther = !m_splats || m_splats->source != splats.source;
    m_splats = splats;
    m_source = splats.source;
    if (isOther) {
        auto settings = m_view->settings();
        settings.crops = false;
        settings.crop = splats.scene->middle;
        m_view->setSettings(settings);
        m_picked.reset();
    }
    m_view->setScene(splats.scene);
    if (isOther) {
        m_view->look(viewers::StandardView::Oblique);
        m_view->fit();
        if (const auto camera = std::exchange(m_restored, std::nullopt))
            m_view->setCamera(*camera);
    }
    showContent();
    showStatistics();
    // Gaussians of a training come, go and move: a number means another one after it.
    showGaussian(m_picked && *m_picked < splats.statistics.count ? m_picked : std::nullopt);
    updateControls();
}

void SplatsPanel::showStatistics()
{
    plot(*m_opacities, m_splats->statistics.opacity);
    plot(*m_sizes, m_splats->statistics.size);
}

void SplatsPanel::showGaussian(std::optional<std::uint32_t> gaussian)
{
    m_picked = gaussian;
    m_view->setMarked(gaussian);
    m_gaussian->setText(gaussian ? describeGaussian(m_splats->scene->splats, *gaussian) : tr("Click a Gaussian in the picture to see its values."));
}

void SplatsPanel::click(const QPointF& position)
{
    if (!m_splats)
        return;
    showGaussian(m_view->pick(position));
    if (m_picked)
        m_tabs->setCurrentIndex(kGaussianPage);
    else
        m_gaussian->setText(tr("There is no Gaussian under the mouse."));
}

void SplatsPanel::updateControls()
{
    m_save->setEnabled(m_splats.has_value());
    m_picture->setEnabled(m_splats.has_value());
    if (!m_view)
        return;
    const bool waits = m_follower.run() && (!m_splats || m_splats->run != m_follower.run());
    m_title->setText(waits      ? tr("Run %1 has no Gaussians yet: they are shown as soon as it trains.").arg(*m_follower.run())
                     : m_splats ? titleOf(*m_splats)
                                : QString());
    m_info->setText(m_splats ? describeSplats(*m_splats) : tr("Nothing is open."));
    if (!m_splats && !m_bar->isRunning() && !m_follower.run() && !isShowingEmptyState())
        showNothing();
}

void SplatsPanel::saveSplats()
{
    const auto file = widgets::askSaveFile()(this, fileNameFor(*m_splats, QStringLiteral(".ply")), tr("Gaussians (*.ply)"));
    if (file.isEmpty())
        return;
    showError({});
    widgets::BackgroundOptions options;
    options.title = tr("Write %1").arg(QFileInfo(file).fileName());
    addBusy(1);
    session().runInBackground(
        this,
        [scene = m_splats->scene, settings = m_view->settings(), file](widgets::BackgroundContext&) {
            scene::SplatFile content;
            content.splats = settings.crops ? scene::selectSplats(scene->splats, scene::splatsInBox(scene->splats, settings.crop)) : scene->splats;
            scene::writeSplatPly(file.toStdString(), content);
            return qulonglong(content.splats.size());
        },
        [this, file](qulonglong count) {
            addBusy(-1);
            session().report(tr("%1 written: %2 Gaussians").arg(file).arg(count));
        },
        [this](const QString& text) {
            addBusy(-1);
            showError(text);
        },
        options);
}

void SplatsPanel::savePicture()
{
    const auto file = widgets::askSaveFile()(this, fileNameFor(*m_splats, QStringLiteral(".png")), tr("Pictures (*.png)"));
    if (!file.isEmpty() && !m_view->picture().save(file))
        showError(tr("%1 could not be written").arg(file));
}

std::optional<widgets::ReportItem> SplatsPanel::reportItem() const
{
    if (!m_splats)
        return std::nullopt;
    return widgets::reportPicture(id(), m_title->text(), m_view->picture(), commandLine(), {{"scene", m_splats->source.toStdString()}});
}

QString SplatsPanel::commandLine() const
{
    if (!m_splats)
        return {};
    const auto& camera = m_view->camera();
    const auto& settings = m_view->settings();
    const char* const shapes[] = {"splat", "ellipsoid", "centre"};
    const char* const outputs[] = {"rgb", "alpha", "depth"};
    QStringList arguments{"scene",
                          "render",
                          m_splats->source,
                          "--eye",
                          vectorText(camera.position()),
                          "--target",
                          vectorText(camera.target()),
                          "--up",
                          camera.upAxis() == viewers::UpAxis::Z   ? "0,0,1"
                          : camera.upAxis() == viewers::UpAxis::Y ? "0,1,0"
                                                                  : "0,-1,0",
                          "--fov",
                          QString::number(camera.fov(), 'g', 8),
                          "--width",
                          QString::number(m_view->width()),
                          "--height",
                          QString::number(m_view->height()),
                          "--degree",
                          QString::number(settings.degree),
                          "--shape",
                          shapes[std::size_t(settings.shape)],
                          "--outputs",
                          outputs[std::size_t(settings.channel)]};
    const auto behind = m_view->backgroundRgb();
    arguments << "--background" << vectorText({behind[0], behind[1], behind[2]});
    if (settings.crops)
        arguments << "--crop"
                  << vectorText({settings.crop[0], settings.crop[1], settings.crop[2]}) + QLatin1Char(',') +
                         vectorText({settings.crop[3], settings.crop[4], settings.crop[5]});
    if (settings.antialias)
        arguments << "--antialias";
    arguments << "--out" << QStringLiteral("pictures");
    if (m_splats->run)
        arguments << "--workspace" << session().workspaceFolder();
    return widgets::cliCommand(arguments);
}

bool SplatsPanel::isIdle() const
{
    return Panel::isIdle() && !m_follower.isReading() && (!m_view || !m_view->isVisible() || m_view->isCurrent());
}

core::Json SplatsPanel::saveState() const
{
    if (!m_view)
        return core::Json::object();
    const auto& settings = m_view->settings();
    return {{"source", m_source.toStdString()}, {"camera", m_view->camera().text()},      {"shape", int(settings.shape)},
            {"channel", int(settings.channel)}, {"background", int(settings.background)}, {"degree", settings.degree},
            {"tab", m_tabs->currentIndex()},    {"antialias", settings.antialias}};
}

void SplatsPanel::restoreState(const core::Json& state)
{
    if (!m_view || !state.is_object())
        return;
    const auto text = [&](const char* key) { return state.contains(key) && state[key].is_string() ? state[key].get<std::string>() : std::string(); };
    const auto whole = [&](const char* key, int fallback, int most) {
        return state.contains(key) && state[key].is_number_integer() ? std::clamp(state[key].get<int>(), 0, most) : fallback;
    };
    auto settings = m_view->settings();
    settings.shape = scene::SplatShape(whole("shape", int(settings.shape), 2));
    settings.channel = viewers::SplatChannel(whole("channel", int(settings.channel), 2));
    settings.background = viewers::SplatBackground(whole("background", int(settings.background), 2));
    settings.degree = whole("degree", settings.degree, 3);
    if (state.contains("antialias") && state["antialias"].is_boolean())
        settings.antialias = state["antialias"].get<bool>();
    m_view->setSettings(settings);
    m_tabs->setCurrentIndex(whole("tab", m_tabs->currentIndex(), m_tabs->count() - 1));
    const auto source = QString::fromStdString(text("source"));
    if (!m_source.isEmpty() || source.isEmpty())
        return;
    m_restored = viewers::OrbitCamera::fromText(text("camera"));
    if (const auto run = runOf(source); run && session().hasWorkspace())
        followRun(*run);
    else if (source == QLatin1String(scene::kRoomName) || QFileInfo::exists(source))
        open(source);
}

}  // namespace orrery::plugins
