#include "training.h"

#include <core/models/open_model.h>
#include <core/store/workspace.h>
#include <core/train/runs.h>

namespace orrery::widgets {

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

}  // namespace orrery::widgets
