#include "log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace orrery::core {

spdlog::logger& log()
{
    static const std::shared_ptr<spdlog::logger> logger = [] {
        auto made = std::make_shared<spdlog::logger>("orrery", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
        made->set_pattern("%H:%M:%S %^%l%$: %v");
        made->flush_on(spdlog::level::warn);
        return made;
    }();
    return *logger;
}

}  // namespace orrery::core
