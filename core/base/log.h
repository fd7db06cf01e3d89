#pragma once
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "listeners.h"

namespace orrery::core {

/// Program log on standard error; its last records are kept for the Log panel. Standard output stays free for results.
/// Any thread. Use as `log().info("read {} rows", n)`.
spdlog::logger& log();

/// One message of the program log.
struct LogRecord {
    std::uint64_t number = 0;  ///< 1 is the first of this process
    std::chrono::system_clock::time_point time;
    spdlog::level::level_enum level = spdlog::level::info;
    std::string text;
};

/// How many records are kept; older ones are dropped.
inline constexpr std::size_t kLogRecords = 5000;
/// The kept records with a number above `after`, oldest first. Any thread.
std::vector<LogRecord> recentLog(std::uint64_t after = 0);
/// The listener is called on the thread that logs, right after the record was kept; it must be quick and must not log. Any thread.
Subscription subscribeToLog(std::function<void(const LogRecord&)> listener);

}  // namespace orrery::core
