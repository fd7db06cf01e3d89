#include "stop.h"

#include <utility>

#include "error.h"

namespace orrery::core {
namespace {

thread_local const std::stop_token* ofThread = nullptr;

}  // namespace

StopScope::StopScope(std::stop_token stop) : m_stop(std::move(stop)), m_outer(std::exchange(ofThread, &m_stop))
{
}
StopScope::~StopScope()
{
    ofThread = m_outer;
}

bool isStopped()
{
    return ofThread && ofThread->stop_requested();
}

void throwIfStopped()
{
    if (isStopped())
        throw Cancelled();
}

}  // namespace orrery::core
