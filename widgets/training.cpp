#include "training.h"

#include <QSettings>
#include <algorithm>

#include <core/jobs/process_engine.h>
#include <core/models/open_model.h>
#include <core/store/workspace.h>
#include <core/train/runs.h>

#include "session.h"

namespace orrery::widgets {
namespace {

constexpr const char* kInProcess = "training/in_process";
constexpr const char* kMemoryLimit = "training/memory_limit_mib";

}  // namespace

jobs::JobSpec trainingJob(const std::shared_ptr<store::Workspace>& workspace, store::RunId run, int threads)
{
    train::TrainOptions options;
    options.openModel = [workspace](const std::string& argument) {
        models::OpenOptions open;
        open.openRun = [workspace](const std::string& reference) { return train::modelOfReference(*workspace, reference); };
        return models::openModel(argument, open);
    };
    return train::trainJob(workspace, run, threads, std::move(options));
}

bool trainsInProcess()
{
    return QSettings().value(kInProcess, false).toBool();
}

void setTrainsInProcess(bool inProcess)
{
    QSettings().setValue(kInProcess, inProcess);
}

int trainingMemoryLimit()
{
    return std::max(0, QSettings().value(kMemoryLimit, 0).toInt());
}

void setTrainingMemoryLimit(int mebibytes)
{
    QSettings().setValue(kMemoryLimit, mebibytes);
}

jobs::Job submitTraining(const Session& session, jobs::JobSpec training)
{
    jobs::EngineChoice choice;
    if (trainsInProcess() && session.hasWorkspace())
        choice = {"process", session.workspace()->folder(), std::uint64_t(trainingMemoryLimit()) << 20};
    return session.jobs().submit(std::move(training), jobs::makeEngine(choice));
}

}  // namespace orrery::widgets
