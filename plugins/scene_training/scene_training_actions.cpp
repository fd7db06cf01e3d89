// What the panel starts, and what it keeps: trainings, files, the command, the state.
#include <QAction>
#include <QComboBox>
#include <QPushButton>
#include <QTabWidget>
#include <algorithm>

#include <core/scene/cloud/formats.h>
#include <viewers/radiance_view.h>
#include <widgets/commands.h>
#include <widgets/export.h>
#include <widgets/job_bar.h>
#include <widgets/model_source.h>
#include <widgets/report_item.h>
#include <widgets/session.h>
#include <widgets/training.h>

#include "scene_training_panel.h"
#include "setup_page.h"
#include "take_page.h"

namespace orrery::plugins {

template <class Work, class Done>
void SceneTrainingPanel::runInQueue(const QString& title, const char* kind, Work work, Done done)
{
    widgets::BackgroundOptions options;
    options.title = title;
    options.lane = widgets::Lane::Queue;
    options.kind = QString::fromLatin1(kind);
    options.threads = 0;
    if (m_run)
        options.run = m_run->run;
    showError({});
    addBusy(1);
    m_bar->follow(session().runInBackground(
        this, std::move(work), std::move(done), [this](const QString& text) { showError(text); }, options));
    updateControls();
}

// A run's own pictures are where its document was; others start from the workspace.
QString SceneTrainingPanel::folderOf(const QString& path) const
{
    const bool isOpen = m_scene && path.toStdString() == m_scene->data.value("path", std::string());
    return isOpen ? m_scene->folder : session().workspaceFolder();
}

void SceneTrainingPanel::start()
{
    const auto workspace = session().workspace();
    if (!workspace)
        return showError(tr("Open a workspace first: the training is kept there."));
    if (m_isStarting || !m_setup->isValid())
        return;
    m_isStarting = true;
    showError({});
    addBusy(1);
    session().runInBackground(
        this,
        [workspace, document = experimentOf(m_setup->setup()), folder = folderOf(m_setup->path())](widgets::BackgroundContext&) {
            return prepareRun(workspace, document, folder);
        },
        [this](PreparedRun prepared) {
            m_isStarting = false;
            addBusy(-1);
            m_job = widgets::submitTraining(session(), std::move(prepared.job));
            showRun(prepared.run);
            m_tabs->setCurrentIndex(1);
            session().selectRuns({prepared.run.run});
        },
        [this](const QString& text) {
            m_isStarting = false;
            addBusy(-1);
            showError(text);
            updateControls();
        });
    updateControls();
}

QString SceneTrainingPanel::statusText() const
{
    if (m_bar->isRunning() && !m_opening.isEmpty())
        return tr("Opening %1…").arg(m_opening);
    if (m_isStarting)
        return tr("Starting…");
    if (m_openingRun && !m_run)
        return tr("Opening run %1…").arg(m_openingRun);
    if (!m_run)
        return m_scene ? tr("Ready to train.") : QString();
    const QString name = tr("Run %1 (%2)").arg(m_run->run).arg(m_run->name);
    if (m_job) {
        const auto snapshot = m_job.snapshot();
        QString text = tr("%1, %2").arg(name, QString::fromLatin1(jobs::statusName(snapshot.status).data()));
        if (snapshot.progress.total > 0 && snapshot.progress.unit == "steps")
            text += tr(": step %1 of %2").arg(snapshot.progress.done).arg(snapshot.progress.total);
        for (const auto& [metric, value] : snapshot.metrics)
            if (metric == "val/psnr")
                text += tr(", validation %1 dB").arg(value, 0, 'f', 2);
        if (m_shownStep >= 0)
            text += tr(", shown: step %1").arg(m_shownStep);
        return text;
    }
    return tr("%1, %2").arg(name, QString::fromLatin1(store::statusName(m_run->status).data()));
}

void SceneTrainingPanel::togglePause()
{
    if (!m_job)
        return;
    const auto snapshot = m_job.snapshot();
    snapshot.status == jobs::JobStatus::Paused || snapshot.pauseAsked ? m_job.resume() : m_job.pause();
    updateControls();
}

void SceneTrainingPanel::stopOrResume()
{
    if (m_job && !jobs::hasEnded(m_job.status()))
        m_job.cancel();
    else
        resumeRun();
    updateControls();
}

void SceneTrainingPanel::resumeRun()
{
    const auto workspace = session().workspace();
    if (!workspace || !m_run)
        return;
    showError({});
    addBusy(1);
    session().runInBackground(
        this, [workspace, run = m_run->run](widgets::BackgroundContext&) { return resumeJob(workspace, run); },
        [this](jobs::JobSpec job) {
            addBusy(-1);
            m_job = widgets::submitTraining(session(), std::move(job));
            m_poll.start();
            updateControls();
        },
        [this](const QString& text) {
            addBusy(-1);
            showError(text);
        });
}

void SceneTrainingPanel::exportSurface()
{
    const auto options = m_take->surface();
    const QString file = widgets::askSaveFile()(this, options.triangles ? QStringLiteral("mesh.ply") : QStringLiteral("points.ply"),
                                                tr("Clouds and meshes (*.ply *.obj)"));
    if (file.isEmpty() || !m_field)
        return;
    runInQueue(
        tr("Surface of run %1").arg(m_run->run), "export",
        [field = m_field, options, file](widgets::BackgroundContext& context) {
            scene::formatForWriting(file.toStdString());
            const auto mesh = scene::fieldSurface(*field, options, context.stopToken(), [&](double done) { context.progress(100 * done, 100, "%"); });
            scene::writeCloud(file.toStdString(), mesh);
            return std::pair(mesh.points.size(), mesh.triangleCount());
        },
        [this, file](const std::pair<std::size_t, std::size_t>& sizes) {
            session().report(tr("%1: %2 points, %3 triangles").arg(file).arg(sizes.first).arg(sizes.second));
        });
}

void SceneTrainingPanel::distil()
{
    const QString file = widgets::askSaveFile()(this, QStringLiteral("student.safetensors"), tr("Models (*.safetensors)"));
    if (file.isEmpty() || !m_run)
        return;
    scene::DistillTask task;
    task.teacherText = "run:" + std::to_string(m_run->run);
    task.parameters = m_take->distillation();
    task.data = m_scene->data;
    task.pictures = m_scene->pictures;
    task.file = file.toStdString();
    task.workspace = session().workspace();
    task.run = m_run->run;
    runInQueue(
        tr("Distil run %1").arg(m_run->run), "distil",
        [task](widgets::BackgroundContext& context) mutable {
            task.teacher = widgets::openModelArgument(QString::fromStdString(task.teacherText), task.workspace);
            auto outcome = scene::runDistillation(task, context.job());
            auto student = std::make_shared<const scene::FieldView>(outcome.student);
            return std::pair(std::move(outcome), std::move(student));
        },
        [this, run = m_run->run](const std::pair<scene::DistillOutcome, std::shared_ptr<const scene::FieldView>>& made) {
            if (!m_run || m_run->run != run)
                return;
            m_student = made.second;
            m_take->showOutcome(made.first);
        });
}

void SceneTrainingPanel::savePicture()
{
    const auto file = widgets::askSaveFile()(this, QStringLiteral("scene.png"), tr("Pictures (*.png)"));
    if (!file.isEmpty() && !m_view->image().save(file))
        showError(tr("%1 could not be written").arg(file));
}

std::optional<widgets::ReportItem> SceneTrainingPanel::reportItem() const
{
    if (!m_field)
        return std::nullopt;
    core::Json inputs{{"step", m_shownStep}};
    if (m_run)
        inputs["run"] = m_run->run;
    return widgets::reportPicture(id(), statusText(), m_view->image(), commandLine(), inputs);
}

QString SceneTrainingPanel::setupCommand() const
{
    if (m_setup->path().isEmpty())
        return {};
    const auto text = QString::fromStdString(experimentOf(m_setup->setup()).dump(2, ' ', false, core::Json::error_handler_t::replace));
    QStringList arguments{"scene", "train", "scene.json"};
    if (!session().workspaceFolder().isEmpty())
        arguments << "--workspace" << session().workspaceFolder();
    return "cat > scene.json <<'END'\n" + text + "\nEND\n" + widgets::cliCommand(arguments);
}

QString SceneTrainingPanel::commandLine() const
{
    if (!m_view || !m_scene)
        return {};
    if (!m_run || m_tabs->currentIndex() == 0)
        return setupCommand();
    const QString run = QStringLiteral("run:%1").arg(m_run->run);
    const QStringList workspace{"--workspace", session().workspaceFolder()};
    if (m_tabs->currentIndex() != 2)
        return widgets::cliCommand(QStringList{"scene", "eval", run, "--data", QString::fromStdString(m_scene->data.value("path", std::string()))} +
                                   workspace);
    const auto options = m_take->surface();
    return widgets::cliCommand(QStringList{"scene", "export", run, "--out", options.triangles ? "mesh.ply" : "points.ply", "--kind",
                                           options.triangles ? "mesh" : "points", "--resolution", QString::number(options.resolution), "--density",
                                           QString::number(options.density)} +
                               workspace);
}

core::Json SceneTrainingPanel::saveState() const
{
    if (!m_view)
        return core::Json::object();
    const auto& settings = m_view->settings();
    core::Json state{{"setup", m_setup->saveState()}, {"camera", m_view->camera().text()}, {"channel", int(settings.channel)},
                     {"cameras", settings.cameras},   {"truth", settings.truth},           {"page", m_tabs->currentIndex()},
                     {"open", m_scene.has_value()}};
    if (m_run)
        state["run"] = m_run->run;
    return state;
}

void SceneTrainingPanel::restoreState(const core::Json& state)
{
    if (!m_view || !state.is_object())
        return;
    const auto number = [&](const char* key, double fallback) {
        return state.contains(key) && state[key].is_number() ? state[key].get<double>() : fallback;
    };
    const auto flag = [&](const char* key, bool fallback) {
        return state.contains(key) && state[key].is_boolean() ? state[key].get<bool>() : fallback;
    };
    if (state.contains("setup"))
        m_setup->restoreState(state["setup"]);
    auto settings = m_view->settings();
    settings.channel = viewers::RadianceChannel(std::clamp(int(number("channel", 0)), 0, 2));
    settings.cameras = flag("cameras", true);
    settings.truth = number("truth", 0.5);
    m_view->setSettings(settings);
    m_tabs->setCurrentIndex(std::clamp(int(number("page", 0)), 0, m_tabs->count() - 1));
    if (state.contains("camera") && state["camera"].is_string())
        m_restoredCamera = state["camera"].get<std::string>();
    const auto run = qint64(number("run", 0));
    if (!m_run && run > 0 && session().workspace() && session().workspace()->findRun(run))
        open(run, false);
    else if (!m_run && flag("open", false) && !m_setup->path().isEmpty())
        openPictures(m_setup->path());
}

}  // namespace orrery::plugins
