#pragma once
#include "process_engine.h"

namespace orrery::jobs {

/// Starts the command of the options and gives it the job. @throws core::Error if it cannot be started.
std::unique_ptr<StartedJob> startProcessJob(JobSpec spec, int threads, std::shared_ptr<JobEvents> events, const ProcessOptions& options);

}  // namespace orrery::jobs
