#pragma once
#include <core/jobs/kinds.h>

namespace orrery::train {

/// The kind "train" for other processes: trains the run of the task in its workspace. Its result is a TrainResult, its partial results are Snapshots, as in a
/// thread; a run whose process died is marked failed with what happened.
jobs::Kind trainKind();

}  // namespace orrery::train
