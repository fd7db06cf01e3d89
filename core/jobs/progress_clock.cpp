#include "progress_clock.h"

#include <cmath>

namespace orrery::jobs {
namespace {

constexpr double kTimeConstant = 20;         // s
constexpr double kFirstEstimateAfter = 0.5;  // s
constexpr std::chrono::milliseconds kShortestSample{50};

}  // namespace

Progress ProgressClock::report(double done, double total, std::string_view unit, std::string_view phase, Time now)
{
    if (phase != m_phase || (m_last && done < m_last->done)) {
        *this = {};
        m_phase = phase;
    }
    if (!m_last) {
        m_last = {done, now};
    } else if (now - m_last->time >= kShortestSample) {
        learn(done - m_last->done, std::chrono::duration<double>(now - m_last->time).count());
        m_last = {done, now};
    }
    Progress progress{done, total, std::string(unit), m_phase, {}};
    if (total > 0 && m_seconds >= kFirstEstimateAfter && m_weightedDone > 0)
        progress.secondsLeft = std::max(0.0, total - done) * m_weightedSeconds / m_weightedDone;
    return progress;
}

void ProgressClock::learn(double done, double seconds)
{
    const double keep = std::exp(-seconds / kTimeConstant);
    m_weightedDone = m_weightedDone * keep + done;
    m_weightedSeconds = m_weightedSeconds * keep + seconds;
    m_seconds += seconds;
}

}  // namespace orrery::jobs
