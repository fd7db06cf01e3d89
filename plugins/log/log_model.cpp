#include "log_model.h"

#include <QDateTime>
#include <QTimer>

namespace orrery::plugins {
namespace {

constexpr int kFetchInterval = 100;  ///< ms

}  // namespace

LogModel::LogModel(QObject* parent) : QObject(parent)
{
    fetch();
    m_subscription = core::subscribeToLog([this, pending = m_pending](const core::LogRecord&) {
        if (!pending->exchange(true))
            QMetaObject::invokeMethod(
                this, [this] { QTimer::singleShot(kFetchInterval, this, [this] { fetch(); }); }, Qt::QueuedConnection);
    });
}

// Ends the subscription first: afterwards no thread calls into this object.
LogModel::~LogModel()
{
    m_subscription.reset();
}

void LogModel::fetch()
{
    m_pending->store(false);
    const auto fresh = core::recentLog(m_last);
    if (fresh.empty())
        return;
    m_last = fresh.back().number;
    m_records.insert(m_records.end(), fresh.begin(), fresh.end());
    if (m_records.size() > core::kLogRecords)
        m_records.erase(m_records.begin(), m_records.end() - std::ptrdiff_t(core::kLogRecords));
    Q_EMIT changed();
}

std::vector<widgets::RowModel::Row> LogModel::rows() const
{
    std::vector<widgets::RowModel::Row> rows;
    for (const auto& record : m_records) {
        if (record.level < m_level)
            continue;
        const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(record.time.time_since_epoch()).count();
        const auto time = QDateTime::fromMSecsSinceEpoch(milliseconds).toString("HH:mm:ss.zzz");
        const auto text = QString::fromStdString(record.text);
        rows.push_back({qint64(record.number), {time, levelName(record.level), text}, text});
    }
    return rows;
}

void LogModel::setMinimumLevel(spdlog::level::level_enum level)
{
    if (level == m_level)
        return;
    m_level = level;
    Q_EMIT changed();
}

void LogModel::clear()
{
    m_records.clear();
    Q_EMIT changed();
}

QList<widgets::Column> LogModel::columns()
{
    return {{.id = "time", .title = tr("Time"), .tooltip = tr("Local time of the message")},
            {.id = "level", .title = tr("Level"), .tooltip = tr("debug, info, warning or error")},
            {.id = "message", .title = tr("Message"), .tooltip = {}}};
}

QString LogModel::levelName(spdlog::level::level_enum level)
{
    if (level >= spdlog::level::err)
        return tr("error");
    if (level == spdlog::level::warn)
        return tr("warning");
    return level == spdlog::level::info ? tr("info") : tr("debug");
}

}  // namespace orrery::plugins
