#pragma once
#include <memory>

#include <core/jobs/job.h>
#include <core/store/types.h>

namespace orrery::store {
class Workspace;
}

namespace orrery::widgets {

/// The training of a run of a workspace (queued, or to be resumed) as a job to be submitted; MODEL texts of every kind are opened, `run:` of that workspace included.
/// @param threads  Cores asked for; 0: all.
/// @throws core::InputError for a run that is not there; StorageError as the workspace. Any thread: it reads the store.
jobs::JobSpec trainingJob(const std::shared_ptr<store::Workspace>& workspace, store::RunId run, int threads = 0);

}  // namespace orrery::widgets
