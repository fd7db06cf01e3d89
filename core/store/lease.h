#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace orrery::store {

/// Who works on a run. `host` and `process` are for people; whether the owner still lives is decided by `processStart` and the heartbeat.
struct Lease {
    std::string token;  ///< one for each open Workspace object
    std::string host;
    std::int64_t process = 0;
    std::string processStart;  ///< boot, process name space and start time: no two processes share it on one machine
    double heartbeat = 0;      ///< s since 1970

    /// A new lease of this process.
    static Lease ofThisProcess();
    /// A process of this machine lives if it is there with the same start time; of any other the heartbeat must be younger than `expiry`.
    bool isAlive(std::chrono::milliseconds expiry) const;
    /// `process 4711 on host "a"`.
    std::string owner() const;
};

/// Seconds since 1970.
double secondsNow();

}  // namespace orrery::store
