#include "training.h"

#include <core/base/log.h>
#include <core/models/open_model.h>

namespace orrery::cli {
namespace {

train::TrainOptions trainOptions(const std::shared_ptr<store::Workspace>& workspace)
{
    train::TrainOptions options;
    options.openModel = [workspace](const std::string& argument) {
        models::OpenOptions open;
        open.openRun = [workspace](const std::string& reference) { return train::modelOfReference(*workspace, reference); };
        return models::openModel(argument, open);
    };
    return options;
}

int threadCount(const Session& session)
{
    return session.threads > 0 ? session.threads : int(std::max(1u, std::thread::hardware_concurrency()));
}

void showOn(jobs::DirectContext& context, Session& session)
{
    context.onProgress = [&session](const jobs::Progress& progress) {
        session.showProgress(progress.done, progress.total, progress.unit, progress.phase);
    };
    context.onLog = [&session](jobs::LogLevel level, std::string_view text) {
        if (level == jobs::LogLevel::Error)
            return;  // the exception that follows says it again
        session.endProgress();
        if (level == jobs::LogLevel::Warning)
            core::log().warn("{}", text);
        else if (!session.quiet)
            core::log().info("{}", text);
    };
}

}  // namespace

void addEngineOptions(CLI::App& app, jobs::EngineChoice& choice)
{
    app.add_option("--engine", choice.name, "Where it runs: thread (in this program), or process (a crash ends that process alone).");
    app.add_option("--memory-limit", choice.memoryLimit, "Most memory of the process, such as 2GiB: beyond it the run fails; 0: no limit.")
        ->transform(CLI::AsSizeValue(false));
}

train::TrainResult trainShown(Session& session, const std::shared_ptr<store::Workspace>& workspace, store::RunId run,
                              const jobs::EngineChoice& choice, int threads)
{
    threads = threads > 0 ? threads : threadCount(session);
    jobs::DirectContext context(session.stopToken(), threads);
    showOn(context, session);
    const auto options = trainOptions(workspace);
    if (choice.name == "thread" && choice.memoryLimit == 0) {
        auto result = train::trainRun(workspace, run, context, options);
        session.endProgress();
        return result;
    }
    const auto engine = jobs::makeEngine({choice.name, workspace->folder(), choice.memoryLimit});
    auto result = std::any_cast<train::TrainResult>(jobs::runOn(*engine, train::trainJob(workspace, run, threads, options), threads, context));
    session.endProgress();
    return result;
}

}  // namespace orrery::cli
