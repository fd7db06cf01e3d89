#pragma once
#include <functional>

namespace orrery::jobs {

/// What `Queue::setThreadHook` sets: called first thing in each thread of the engine.
void setThreadHook(std::function<void(int threads)> hook);

}  // namespace orrery::jobs
