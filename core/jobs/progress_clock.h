#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "job.h"

namespace orrery::jobs {

/// Estimates the time left from the speed so far in a phase; younger speed counts more (time constant 20 s). Times are handed in, so it can be tested.
class ProgressClock {
public:
    using Time = std::chrono::steady_clock::time_point;

    /// Takes a report and completes it with `secondsLeft`.
    Progress report(double done, double total, std::string_view unit, std::string_view phase, Time now);
    /// The time from now to the next report does not count: the job stood still.
    void skip() { m_last.reset(); }

private:
    void learn(double done, double seconds);

    struct Sample {
        double done;
        Time time;
    };
    std::string m_phase;
    std::optional<Sample> m_last;
    double m_weightedDone = 0, m_weightedSeconds = 0, m_seconds = 0;
};

}  // namespace orrery::jobs
