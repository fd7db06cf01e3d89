#pragma once
#include <spdlog/spdlog.h>

namespace orrery::core {

/// Program log on standard error (and, in the window, the Log panel through an extra sink). Standard output stays free for results.
/// Any thread. Use as `log().info("read {} rows", n)`.
spdlog::logger& log();

}  // namespace orrery::core
