#pragma once
#include <QString>
#include <vector>

#include <core/jobs/queue.h>
#include <widgets/table_view.h>

namespace orrery::plugins {

/// Jobs as table rows, and what may be done with them. Pure functions of snapshots.
struct JobsModel {
    static QList<widgets::Column> columns();
    static widgets::RowModel::Row row(const jobs::JobSnapshot& job);
    /// "340 / 460 steps, training"; empty before the first report.
    static QString progressText(const jobs::Progress& progress);
    static QString statusText(const jobs::JobSnapshot& job);
    /// The last log lines, then the error of a failed job.
    static QString logText(const jobs::JobSnapshot& job);
    static bool canPause(const jobs::JobSnapshot& job);
    static bool canResume(const jobs::JobSnapshot& job);
    static bool canCancel(const jobs::JobSnapshot& job);
};

}  // namespace orrery::plugins
