#pragma once
#include <stop_token>

namespace orrery::core {

/// While it lives, `throwIfStopped` of this thread follows `stop`: for work many calls deep, which is stopped wherever it is
/// (building, reading and compiling a model). Scopes nest; the inner one holds.
class StopScope {
public:
    explicit StopScope(std::stop_token stop);
    ~StopScope();
    StopScope(const StopScope&) = delete;
    StopScope& operator=(const StopScope&) = delete;

private:
    std::stop_token m_stop;
    const std::stop_token* m_outer;
};

/// The job that this thread works for was asked to stop; false in a thread without one.
bool isStopped();
/// @throws Cancelled if so. Costs two loads: call it for every node, tensor and module.
void throwIfStopped();

}  // namespace orrery::core
