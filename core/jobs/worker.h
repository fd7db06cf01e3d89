#pragma once
#include <stop_token>

namespace orrery::jobs {

/// The other side of the process engine: reads one job from `input`, does it as `threadEngine` would, and tells of it on `output`. Pause, resume and cancel
/// arrive on `input`; when that ends before the job has, the process that asked is gone: this one ends at once (status 129, or SIGKILL by the kernel), and its run
/// is found interrupted.
/// @param stop  Cancels the job as well (SIGTERM).
/// @return  The exit status: 0 when the end of the job was told, whatever it was; 2 for an input that is no job.
/// Each kind must have been added (core::registerAll). Calls libtorch's thread count by Queue's hook.
int runWorker(int input, int output, std::stop_token stop);

}  // namespace orrery::jobs
