#include "scene_training_panel.h"

#include <QAction>
#include <QComboBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QSplitter>
#include <QTabWidget>
#include <QVBoxLayout>
#include <algorithm>
#include <cmath>

#include <core/scene/field/synthesis.h>
#include <viewers/camera_form.h>
#include <viewers/radiance_view.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/job_bar.h>
#include <widgets/model_source.h>
#include <widgets/plot_view.h>
#include <widgets/session.h>

#include "setup_page.h"
#include "take_page.h"

namespace orrery::plugins {
namespace {

constexpr int kPoll = 250;  ///< ms between two looks at a training

const char* partName(scene::Part part)
{
    return part == scene::Part::Train ? "training" : part == scene::Part::Val ? "validation" : "test";
}

viewers::TruePicture truthOf(const data::PosedPictures& pictures, std::size_t view)
{
    const auto& camera = pictures.cameras[view];
    const QImage image(pictures.pixels.data() + 3 * pictures.begins[view], camera.width, camera.height, 3 * camera.width, QImage::Format_RGB888);
    return {camera, image.copy()};
}

QString describeScene(const OpenScene& scene)
{
    const auto& pictures = *scene.pictures;
    std::array<int, 3> counts{};
    for (const auto part : pictures.parts)
        ++counts[std::size_t(part)];
    return SceneTrainingPanel::tr("%1 pictures of %2 × %3 pixels: %4 for training, %5 for validation, %6 for testing.")
        .arg(pictures.cameras.size())
        .arg(pictures.cameras[0].width)
        .arg(pictures.cameras[0].height)
        .arg(counts[0])
        .arg(counts[1])
        .arg(counts[2]);
}

}  // namespace

SceneTrainingPanel::SceneTrainingPanel(widgets::Session& session, QWidget* parent) : Panel("scene_training", tr("Scene training"), session, parent)
{
    makeActions();
    if (const auto problem = viewers::GlView::openGlProblem(); !problem.isEmpty()) {
        setContent(new QWidget(this));
        showEmptyState(tr("Scenes cannot be shown"), problem);
        return;
    }
    setContent(makeContent());
    connectPages();
    m_poll.setInterval(kPoll);
    connect(&m_poll, &QTimer::timeout, this, &SceneTrainingPanel::look);
    connect(&session, &widgets::Session::selectionChanged, this, &SceneTrainingPanel::followSelection);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        m_run.reset();
        m_job = {};
        m_field = m_student = nullptr;
        m_poll.stop();
        showField();
        updateControls();
    });
    showNothing();
    followSelection(widgets::SelectionPart::Runs);
    if (!m_openingRun)
        followSelection(widgets::SelectionPart::Model);
}

SceneTrainingPanel::~SceneTrainingPanel() = default;

void SceneTrainingPanel::makeActions()
{
    const auto add = [this](const QString& text, auto call) {
        auto* action = new QAction(text, this);
        connect(action, &QAction::triggered, this, call);
        addAction(action);
        return action;
    };
    m_example = add(tr("Open the example"), [this] { openPictures(QString::fromLatin1(scene::kShapesName)); });
    m_file = add(tr("Open a transforms.json…"), [this] { browse(false); });
    m_folder = add(tr("Open a folder of pictures…"), [this] { browse(true); });
    m_picture = add(tr("Save the picture…"), [this] { savePicture(); });
    addAction(widgets::makeCopyAsCommandAction(this, [this] { return commandLine(); }));
}

QWidget* SceneTrainingPanel::makeContent()
{
    auto* content = new QWidget(this);
    auto* layout = new QVBoxLayout(content);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(2);
    m_bar = new widgets::JobBar(session(), tr("Progress of the scene"), content);
    connect(m_bar, &widgets::JobBar::ended, this, [this] {
        addBusy(-1);
        m_opening.clear();
        m_openingRun = 0;
        updateControls();
    });
    layout->addWidget(m_bar);
    layout->addWidget(makeTop());
    auto* splitter = new QSplitter(Qt::Vertical, content);
    m_view = new viewers::RadianceView(splitter);
    m_view->setObjectName("view");
    m_tabs = new QTabWidget(splitter);
    m_tabs->setObjectName("pages");
    m_setup = new SetupPage;
    m_tabs->addTab(m_setup, tr("Setup"));
    m_plot = new widgets::PlotView(m_tabs);
    m_plot->setObjectName("curves");
    m_plot->setAxisTitle(widgets::PlotAxis::X, tr("step"));
    m_plot->setWhole(widgets::PlotAxis::X);
    m_plot->setAxisTitle(widgets::PlotAxis::Y, tr("PSNR, dB"));
    m_plot->setSmoothing(0.9);
    m_tabs->addTab(m_plot, tr("Progress"));
    m_take = new TakePage;
    m_tabs->addTab(m_take, tr("Take away"));
    m_camera = new viewers::CameraForm(*m_view);
    connect(m_camera, &viewers::CameraForm::rejected, this, &Panel::showError);
    addPage(m_camera, tr("Camera"));
    splitter->addWidget(m_view);
    splitter->addWidget(m_tabs);
    splitter->setStretchFactor(0, 3);
    splitter->setStretchFactor(1, 1);
    splitter->setSizes({560, 370});
    splitter->setChildrenCollapsible(false);
    layout->addWidget(splitter, 1);
    return content;
}

void SceneTrainingPanel::addPage(QWidget* page, const QString& title)
{
    auto* scroll = new QScrollArea(m_tabs);
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setWidgetResizable(true);
    scroll->setWidget(page);
    m_tabs->addTab(scroll, title);
}

QWidget* SceneTrainingPanel::makeTop()
{
    auto* top = new QWidget(this);
    auto* row = new QHBoxLayout(top);
    row->setContentsMargins(6, 2, 6, 2);
    m_status = new QLabel(top);
    m_status->setObjectName("status");
    m_status->setWordWrap(true);
    row->addWidget(m_status, 1);
    m_views = new QComboBox(top);
    m_views->setObjectName("shown_view");
    m_views->setAccessibleName(tr("View"));
    m_views->setToolTip(tr("A held-out picture beside the field's own from the same camera"));
    m_views->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    m_views->setMinimumContentsLength(14);
    row->addWidget(m_views);
    m_pause = new QPushButton(tr("Pause"), top);
    m_pause->setObjectName("pause");
    row->addWidget(m_pause);
    m_stop = new QPushButton(tr("Stop"), top);
    m_stop->setObjectName("stop");
    row->addWidget(m_stop);
    return top;
}

void SceneTrainingPanel::connectPages()
{
    connect(m_setup, &SetupPage::openRequested, this, [this] { openPictures(m_setup->path()); });
    connect(m_setup, &SetupPage::browseRequested, this, &SceneTrainingPanel::browse);
    connect(m_setup, &SetupPage::startRequested, this, &SceneTrainingPanel::start);
    connect(m_setup, &SetupPage::changed, this, &SceneTrainingPanel::updateControls);
    connect(m_take, &TakePage::exportRequested, this, &SceneTrainingPanel::exportSurface);
    connect(m_take, &TakePage::distillRequested, this, &SceneTrainingPanel::distil);
    connect(m_take, &TakePage::studentToggled, this, &SceneTrainingPanel::showField);
    connect(m_pause, &QPushButton::clicked, this, &SceneTrainingPanel::togglePause);
    connect(m_stop, &QPushButton::clicked, this, &SceneTrainingPanel::stopOrResume);
    connect(m_views, &QComboBox::activated, this, &SceneTrainingPanel::chooseView);
    connect(m_view, &viewers::RadianceView::comparisonLeft, this, [this] { m_views->setCurrentIndex(0); });
    connect(m_view, &viewers::PictureView::drawFailed, this, &Panel::showError);
    connect(m_view, &viewers::PictureView::pictureShown, this, &Panel::idleChanged);
    connect(m_view, &viewers::GlView::clicked, this, [this](const QPointF& position) {
        const auto camera = m_view->isComparing() ? std::nullopt : m_view->cameraAt(position);
        if (!camera)
            return;
        const int index = m_views->findData(int(*camera));
        m_views->setCurrentIndex(index);
        chooseView(index);
    });
}

void SceneTrainingPanel::showNothing()
{
    showEmptyState(
        tr("No scene"),
        tr("Open pictures with their cameras (a transforms.json of nerfstudio, instant-ngp or Blender, a COLMAP model), or the small example, and "
           "start the training. A run on such pictures that is selected is shown, too."),
        {m_example, m_file, m_folder});
    updateControls();
}

bool SceneTrainingPanel::isIdle() const
{
    const bool isLive = m_job && !jobs::hasEnded(m_job.status());
    return Panel::isIdle() && (!m_view || isLive || !m_view->isVisible() || m_view->isRefined());
}

void SceneTrainingPanel::browse(bool folder)
{
    const QString chosen = folder ? QFileDialog::getExistingDirectory(this, tr("Open a folder of pictures"))
                                  : widgets::askOpenFile()(this, tr("Open cameras"), tr("Cameras (transforms*.json);;All files (*)"));
    if (!chosen.isEmpty())
        openPictures(chosen);
}

void SceneTrainingPanel::openPictures(const QString& path)
{
    if (!m_view || m_bar->isRunning())
        return;
    if (path.isEmpty())
        return showError(tr("Pictures: expected a transforms.json, a folder, or synthetic:shapes"));
    m_opening = path;
    m_setup->setPath(path);
    showError({});
    showContent();
    addBusy(1);
    core::Json data{{"id", "rays"}, {"path", path.toStdString()}};
    if (const auto shrink = m_setup->setup().training["shrink"]; shrink.is_number() && shrink != 1)
        data["shrink"] = shrink;
    m_bar->follow(session().runInBackground(
        this, [data, folder = folderOf(path)](widgets::BackgroundContext&) { return openScene(data, folder); },
        [this](const OpenScene& scene) {
            m_run.reset();
            m_job = {};
            m_poll.stop();
            m_field = m_student = nullptr;
            m_take->forgetStudent();
            m_shownStep = -1;
            showScene(scene);
            showField();
        },
        [this](const QString& text) { showError(text); }));
    updateControls();
}

void SceneTrainingPanel::showScene(const OpenScene& scene)
{
    m_scene = scene;
    m_setup->describe(describeScene(scene));
    const auto& pictures = *scene.pictures;
    std::vector<viewers::PictureCamera> cameras;
    for (std::size_t v = 0; v < pictures.cameras.size(); ++v)
        cameras.push_back({pictures.cameras[v], pictures.parts[v] != scene::Part::Train});
    m_view->compare({});
    m_view->setBox(pictures.box);
    m_view->setCameras(std::move(cameras));
    auto settings = m_view->settings();
    settings.crops = false;
    settings.crop = pictures.box;
    m_view->setSettings(settings);
    m_view->look(viewers::StandardView::Oblique);
    m_view->fit();
    fillViews();
    showContent();
}

void SceneTrainingPanel::fillViews()
{
    m_views->clear();
    m_views->addItem(tr("Free camera"), -1);
    const auto& pictures = *m_scene->pictures;
    for (const auto part : {scene::Part::Test, scene::Part::Val, scene::Part::Train})
        for (std::size_t v = 0; v < pictures.cameras.size(); ++v)
            if (pictures.parts[v] == part) {
                const QString name = QFileInfo(QString::fromStdString(pictures.cameras[v].image)).completeBaseName();
                m_views->addItem(tr("%1 (%2)").arg(name.isEmpty() ? QString::number(v) : name, QString::fromLatin1(partName(part))), int(v));
            }
}

void SceneTrainingPanel::chooseView(int index)
{
    const int view = index >= 0 ? m_views->itemData(index).toInt() : -1;
    if (view < 0)
        return m_view->compare({});
    m_view->compare(truthOf(*m_scene->pictures, std::size_t(view)));
}

void SceneTrainingPanel::followSelection(widgets::SelectionParts parts)
{
    using widgets::SelectionPart;
    if (!session().workspace())
        return;
    const auto& selection = session().selection();
    std::optional<qint64> run;
    if (parts & SelectionPart::Runs && !selection.runs.isEmpty())
        run = selection.runs.first();
    else if (parts & (SelectionPart::Model | SelectionPart::Weights))
        run = widgets::runOfSelection(selection);
    if (run && !(m_run && m_run->run == *run) && m_openingRun != *run)
        open(*run, true);
}

// A run that is followed may be one of something else: then nothing happens.
void SceneTrainingPanel::open(qint64 run, bool isFollowed)
{
    if (!m_view)
        return;
    m_openingRun = run;
    if (!isFollowed && !m_scene)
        showContent();
    updateControls();
    addBusy(1);
    session().runInBackground(
        this, [workspace = session().workspace(), run](widgets::BackgroundContext&) { return openRun(workspace, run); },
        [this, run, isFollowed](const std::optional<OpenRun>& opened) {
            addBusy(-1);
            if (m_openingRun != run)
                return;
            m_openingRun = 0;
            if (opened)
                return showRun(*opened);
            if (!isFollowed)
                showError(tr("Run %1 was not trained on posed pictures.").arg(run));
            updateControls();
        },
        [this](const QString& text) {
            addBusy(-1);
            m_openingRun = 0;
            showError(text);
            updateControls();
        });
}

void SceneTrainingPanel::showRun(const OpenRun& run)
{
    const bool isSame = m_run && m_run->run == run.run;
    m_run = run;
    m_field = run.field ? run.field : isSame ? m_field : nullptr;
    if (!isSame) {
        m_student = nullptr;
        m_take->forgetStudent();
        m_shownStep = -1;
        m_setup->setDocument(run.document);
        showScene(run.scene);
        m_plot->clear();
        if (m_restoredCamera)
            if (const auto camera = viewers::OrbitCamera::fromText(*m_restoredCamera))
                m_view->setCamera(*camera);
        m_restoredCamera.reset();
    }
    if (run.field)
        m_shownStep = -1;
    showField();
    watch();
    refreshCurves();
    updateControls();
}

/// The training of the shown run, if this window's queue holds it.
void SceneTrainingPanel::watch()
{
    if (!m_job || m_job.snapshot().run != m_run->run) {
        m_job = {};
        for (const auto& job : session().jobs().jobs())
            if (job.run == m_run->run && !jobs::hasEnded(job.status))
                m_job = session().jobs().find(job.id);
    }
    if (m_job && !jobs::hasEnded(m_job.status()))
        m_poll.start();
}

void SceneTrainingPanel::look()
{
    if (!m_run || !m_job)
        return m_poll.stop();
    refreshCurves();
    updateControls();
    if (jobs::hasEnded(m_job.status())) {
        m_poll.stop();
        const auto snapshot = m_job.snapshot();
        m_job = {};
        if (snapshot.status == jobs::JobStatus::Failed)
            showError(QString::fromStdString(snapshot.error));
        return open(m_run->run, false);
    }
    const auto partial = std::static_pointer_cast<const train::Snapshot>(m_job.partial());
    if (!partial || m_isMakingField || partial->step == m_shownStep)
        return;
    m_isMakingField = true;
    session().runInBackground(
        this, [partial, card = m_run->card](widgets::BackgroundContext&) { return fieldOf(*partial, *card); },
        [this, run = m_run->run, step = partial->step](const std::shared_ptr<const scene::FieldView>& field) {
            m_isMakingField = false;
            if (!m_run || m_run->run != run || !m_job)
                return;
            m_field = field;
            m_shownStep = step;
            showField();
        },
        [this](const QString& text) {
            m_isMakingField = false;
            showError(text);
        });
}

void SceneTrainingPanel::showField()
{
    if (!m_view)
        return;
    const bool isLive = m_job && !jobs::hasEnded(m_job.status());
    m_view->setThreads(isLive ? 1 : std::max(1, session().jobs().limit()));
    m_view->setField(m_take->wantsStudent() && m_student ? m_student : m_field);
    updateControls();
    Q_EMIT idleChanged();
}

void SceneTrainingPanel::refreshCurves()
{
    const auto workspace = session().workspace();
    if (!workspace || !m_run)
        return;
    for (const char* metric : {"train/psnr", "val/psnr"}) {
        const QString id = QString::fromLatin1(metric);
        if (m_plot->seriesIds().contains(id)) {
            m_plot->refresh(id);
            continue;
        }
        widgets::PlotSeries series;
        series.title = id;
        series.smoothed = id.startsWith("train");
        series.style = series.smoothed ? widgets::LineStyle::Line : widgets::LineStyle::LineAndPoints;
        series.provider = [this, run = m_run->run, name = id.toStdString()](const widgets::PlotRequest& request, const widgets::PlotReply& reply) {
            const auto source = session().workspace();
            if (!source)
                return reply({});
            session().runInBackground(
                this,
                [source, run, name, buckets = std::size_t(std::max(request.buckets, 10))](widgets::BackgroundContext&) {
                    widgets::PlotData points;
                    for (const auto& bucket :
                         source->metricSeries(run, name, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), buckets)
                             .buckets) {
                        points.x.push_back(0.5 * (double(bucket.firstStep) + double(bucket.lastStep)));
                        points.y.push_back(bucket.mean);
                    }
                    return points;
                },
                reply);
        };
        m_plot->setSeries(id, std::move(series));
    }
}

void SceneTrainingPanel::updateControls()
{
    if (!m_view || !m_take)
        return;
    const bool isLive = m_job && !jobs::hasEnded(m_job.status()), isFree = !m_bar->isRunning();
    const bool isPaused = isLive && (m_job.status() == jobs::JobStatus::Paused || m_job.snapshot().pauseAsked);
    m_pause->setEnabled(isLive);
    m_pause->setText(isPaused ? tr("Continue") : tr("Pause"));
    const bool canResume = !isLive && m_run && m_run->status != store::RunStatus::Finished && m_run->status != store::RunStatus::Running;
    m_stop->setEnabled(isLive || canResume);
    m_stop->setText(canResume ? tr("Resume") : tr("Stop"));
    m_stop->setToolTip(canResume ? tr("Goes on from the last checkpoint") : tr("Stops after the step; the run can be resumed"));
    m_views->setEnabled(m_scene.has_value() && m_field);
    m_picture->setEnabled(m_field != nullptr);
    m_take->setEnabledFor(m_field && m_run, isFree);
    m_setup->setStartEnabled(m_setup->isValid() && !m_isStarting && !isLive && isFree && !m_setup->path().isEmpty(),
                             isLive ? tr("A training of this panel is under way") : QString());
    m_status->setText(statusText());
    if (!m_scene && isFree && !m_isStarting && !m_openingRun && !isShowingEmptyState() && errorText().isEmpty())
        showNothing();
}

}  // namespace orrery::plugins
