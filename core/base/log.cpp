#include "log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <deque>
#include <mutex>

namespace orrery::core {
namespace {

/// Keeps the last records. Its own mutex guards them, so that a listener may read them.
class RecordSink : public spdlog::sinks::base_sink<std::mutex> {
public:
    std::vector<LogRecord> recent(std::uint64_t after) const
    {
        const std::lock_guard lock(m_recordMutex);
        std::vector<LogRecord> found;
        for (const LogRecord& record : m_records)
            if (record.number > after)
                found.push_back(record);
        return found;
    }
    Listeners<const LogRecord&> listeners;

protected:
    void sink_it_(const spdlog::details::log_msg& message) override
    {
        LogRecord record{0, message.time, message.level, std::string(message.payload.data(), message.payload.size())};
        {
            const std::lock_guard lock(m_recordMutex);
            record.number = ++m_count;
            m_records.push_back(record);
            if (m_records.size() > kLogRecords)
                m_records.pop_front();
        }
        listeners.notify(record);
    }
    void flush_() override {}

private:
    mutable std::mutex m_recordMutex;
    std::deque<LogRecord> m_records;  ///< guarded by m_recordMutex
    std::uint64_t m_count = 0;        ///< guarded by m_recordMutex
};

const std::shared_ptr<RecordSink>& recordSink()
{
    static const auto sink = std::make_shared<RecordSink>();
    return sink;
}

}  // namespace

spdlog::logger& log()
{
    static const std::shared_ptr<spdlog::logger> logger = [] {
        const spdlog::sinks_init_list sinks{std::make_shared<spdlog::sinks::stderr_color_sink_mt>(), recordSink()};
        auto made = std::make_shared<spdlog::logger>("orrery", sinks);
        made->set_pattern("%H:%M:%S %^%l%$: %v");
        made->flush_on(spdlog::level::warn);
        return made;
    }();
    return *logger;
}

std::vector<LogRecord> recentLog(std::uint64_t after)
{
    return recordSink()->recent(after);
}
Subscription subscribeToLog(std::function<void(const LogRecord&)> listener)
{
    return recordSink()->listeners.add(std::move(listener));
}

}  // namespace orrery::core
