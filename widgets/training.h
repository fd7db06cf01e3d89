#pragma once
#include <memory>

#include <core/jobs/queue.h>
#include <core/store/types.h>

namespace orrery::store {
class Workspace;
}

namespace orrery::widgets {

class Session;

/// The training of a run of a workspace (queued, or to be resumed) as a job to be submitted; MODEL texts of every kind are opened, `run:` of that workspace included.
/// @param threads  Cores asked for; 0: all.
/// @throws core::InputError for a run that is not there; StorageError as the workspace. Any thread: it reads the store.
jobs::JobSpec trainingJob(const std::shared_ptr<store::Workspace>& workspace, store::RunId run, int threads = 0);

/// Whether the window's trainings run each in a process of its own, so that a crash or a lack of memory ends that training alone. A person's choice, kept in the
/// settings; false at first.
bool trainsInProcess();
void setTrainsInProcess(bool inProcess);

/// Most memory that such a process may take, in MiB; 0: no limit. Kept in the settings, too; 0 at first.
int trainingMemoryLimit();
void setTrainingMemoryLimit(int mebibytes);

/// Hands what `trainingJob` made for the session's workspace to its queue, in a thread or a process as chosen. UI thread.
jobs::Job submitTraining(const Session& session, jobs::JobSpec training);

}  // namespace orrery::widgets
