#include <iostream>

#include <core/base/log.h>
#include <core/scene/distill/stored.h>

#include "../sample_argument.h"
#include "scene.h"

namespace orrery::cli {
namespace {

struct SceneDistillOptions {
    ModelArgument model;
    std::vector<std::string> settings;
    std::string data, out;
    int views = 4, size = 128;
};

/// The pictures that --data names; else those of the teacher's run, as long as they are still there.
void addPictures(scene::DistillTask& task, Session& session, const SceneDistillOptions& options)
{
    if (!options.data.empty()) {
        task.data = {{"id", "rays"}, {"path", options.data}};
        task.pictures = scene::picturesOf(task.data, {});
        return;
    }
    if (!task.run)
        return;
    const auto run = session.workspace(store::OpenMode::ReadOnly)->run(*task.run);
    task.data = scene::raysOfRun(run);
    if (task.data.is_null())
        return;
    try {
        task.pictures = scene::picturesOf(task.data, run.environment.value("folder", std::string()));
    } catch (const core::Error& error) {
        task.data = nullptr;
        core::log().warn("the pictures of run {} cannot be read, so the student learns from the teacher alone: {}", *task.run, error.what());
    }
}

scene::DistillTask taskOf(Session& session, const SceneDistillOptions& options)
{
    scene::DistillTask task;
    task.parameters = core::Json::object();
    for (const auto& setting : options.settings)
        core::setByPath(task.parameters, setting);
    scene::distillers().at(task.method).schema.resolve(task.parameters, task.method);  // before the work
    task.teacher = options.model.open(session);
    scene::FieldView(task.teacher);
    task.teacherText = options.model.text;
    task.seed = session.seed;
    task.views = std::size_t(options.views);
    task.size = options.size;
    task.file = options.out;
    task.run = runOf(options.model.text);
    task.workspace = session.namedWorkspace(store::OpenMode::Open);
    addPictures(task, session, options);
    return task;
}

void print(const scene::DistillOutcome& outcome, const SceneDistillOptions& options)
{
    const auto& c = outcome.comparison;
    std::cout << fmt::format("{:<28} {:6.2f} dB, lowest {:.2f} dB, {} views of {} x {}\n", "PSNR against the teacher", c.psnr, c.lowestPsnr, c.views,
                             c.width, c.height);
    if (c.teacherTruth)
        std::cout << fmt::format("{:<28} {:6.2f} dB, the teacher's {:.2f} dB\n", "PSNR against the pictures", *c.studentTruth, *c.teacherTruth);
    std::cout << fmt::format("{:<28} {:6.1f} ms, the teacher's {:.1f} ms: {:.2f} times as fast\n", "time for a picture", 1e3 * c.studentSeconds,
                             1e3 * c.teacherSeconds, c.ratio());
    std::cout << fmt::format("{:<28} {}, the teacher's {}\n", "parameters", outcome.studentParameters, outcome.teacherParameters);
    std::cout << fmt::format("distilled in {:.1f} s: {}\n", outcome.seconds, options.out);
    if (outcome.analysis)
        std::cout << fmt::format("stored as analysis {}\n", *outcome.analysis);
}

Exit distil(Session& session, const SceneDistillOptions& options)
{
    const scene::DistillTask task = taskOf(session, options);
    jobs::DirectContext context(session.stopToken(), session.threads > 0 ? session.threads : int(std::max(1u, std::thread::hardware_concurrency())));
    context.onProgress = [&](const jobs::Progress& progress) { session.showProgress(progress.done, progress.total, progress.unit, progress.phase); };
    const auto outcome = scene::runDistillation(task, context);
    session.endProgress();
    if (!session.json) {
        print(outcome, options);
        return Exit::Done;
    }
    core::Json document = outcome.comparison.toJson();
    document.update({{"model", options.model.text},
                     {"file", options.out},
                     {"seconds", outcome.seconds},
                     {"teacher_parameters", outcome.teacherParameters},
                     {"student_parameters", outcome.studentParameters}});
    if (outcome.analysis)
        document["analysis"] = *outcome.analysis;
    session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareSceneDistill(CLI::App& app)
{
    auto options = std::make_shared<SceneDistillOptions>();
    options->model.declare(app);
    app.add_option("--out", options->out, "The student: a model file, .safetensors.")->required();
    app.add_option("--set", options->settings, "Change a parameter (orrery-cli describe kilo_nerf_distillation): grid=8.");
    app.add_option("--data", options->data,
                   "Pictures to refine on and to compare with: transforms.json, a folder, or synthetic:shapes. Default: those of the teacher's run.");
    app.add_option("--views", options->views, "Views to compare on: of the test part, or around the scene.")->check(CLI::Range(1, 1000));
    app.add_option("--size", options->size, "Pixels a side of views around the scene.")->check(CLI::Range(16, 2048));
    return [options](Session& session) { return distil(session, *options); };
}

}  // namespace orrery::cli
