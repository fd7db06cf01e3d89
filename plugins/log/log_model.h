#pragma once
#include <QList>
#include <QObject>
#include <QString>
#include <atomic>
#include <vector>

#include <core/base/log.h>
#include <widgets/table_view.h>

namespace orrery::plugins {

/// The program log as rows: time, level, message. New records arrive in batches, at most ten a second, so that a flood of messages cannot stop the window.
/// UI thread; records come from any thread.
class LogModel : public QObject {
    Q_OBJECT
public:
    explicit LogModel(QObject* parent = nullptr);
    ~LogModel() override;

    /// Records kept after the last `clear`, oldest first, below-level ones included.
    const std::vector<core::LogRecord>& records() const { return m_records; }
    /// Rows of the records at `minimumLevel` and above, numbered by record.
    std::vector<widgets::RowModel::Row> rows() const;
    spdlog::level::level_enum minimumLevel() const { return m_level; }
    void setMinimumLevel(spdlog::level::level_enum level);
    /// Forgets what is shown; the log itself keeps its records.
    void clear();

    static QList<widgets::Column> columns();
    static QString levelName(spdlog::level::level_enum level);

Q_SIGNALS:
    void changed();

private:
    void fetch();

    std::vector<core::LogRecord> m_records;
    std::uint64_t m_last = 0;
    spdlog::level::level_enum m_level = spdlog::level::info;
    std::shared_ptr<std::atomic<bool>> m_pending = std::make_shared<std::atomic<bool>>(false);  ///< a fetch has been asked for
    core::Subscription m_subscription;
};

}  // namespace orrery::plugins
