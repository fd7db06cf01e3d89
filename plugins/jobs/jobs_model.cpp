#include "jobs_model.h"

#include <QCoreApplication>
#include <QDateTime>

#include <core/base/text.h>

namespace orrery::plugins {
namespace {

QString tr(const char* text)
{
    return QCoreApplication::translate("Jobs", text);
}
QString qt(std::string_view text)
{
    return QString::fromUtf8(text.data(), qsizetype(text.size()));
}

QString localTime(const std::string& iso)
{
    const auto time = QDateTime::fromString(QString::fromStdString(iso), Qt::ISODateWithMs);
    return time.isValid() ? time.toLocalTime().toString("HH:mm:ss") : QString();
}

QString number(double value)
{
    return QString::number(value, 'g', 6);
}

}  // namespace

QList<widgets::Column> JobsModel::columns()
{
    return {
        {.id = "id", .title = tr("No."), .tooltip = tr("Order of submission"), .numeric = true},
        {.id = "title", .title = tr("Job"), .tooltip = {}},
        {.id = "status", .title = tr("Status"), .tooltip = {}},
        {.id = "progress", .title = tr("Progress"), .tooltip = tr("Share done")},
        {.id = "left", .title = tr("Time left"), .tooltip = tr("Estimated from the speed of the current phase")},
        {.id = "run", .title = tr("Run"), .tooltip = tr("The run it works on"), .numeric = true},
        {.id = "priority", .title = tr("Priority"), .tooltip = tr("Higher goes first; double click to change"), .numeric = true, .editable = true},
        {.id = "threads", .title = tr("Cores"), .tooltip = tr("Cores it keeps busy"), .numeric = true},
        {.id = "time", .title = tr("Time"), .tooltip = tr("Time it has run, without pauses"), .numeric = true},
        {.id = "submitted", .title = tr("Submitted"), .tooltip = tr("Local time"), .shown = false}};
}

widgets::RowModel::Row JobsModel::row(const jobs::JobSnapshot& job)
{
    const auto left = job.progress.secondsLeft && !jobs::hasEnded(job.status) ? qt(core::formatDuration(*job.progress.secondsLeft)) : QString();
    widgets::RowModel::Row row{job.id, {}, qt(job.error)};
    const double done = job.status == jobs::JobStatus::Finished ? 1.0 : job.progress.fraction();
    row.cells = {qint64(job.id),
                 qt(job.title),
                 statusText(job),
                 done,
                 left,
                 job.run ? QVariant(qint64(*job.run)) : QVariant(),
                 job.priority,
                 job.threads,
                 qt(core::formatDuration(job.secondsRunning)),
                 localTime(job.submitted)};
    return row;
}

QString JobsModel::progressText(const jobs::Progress& progress)
{
    QString text;
    if (progress.total > 0)
        text = QString("%1 / %2 %3").arg(number(progress.done), number(progress.total), qt(progress.unit));
    else if (progress.done > 0)
        text = number(progress.done) + ' ' + qt(progress.unit);
    if (!progress.phase.empty())
        text += (text.isEmpty() ? QString() : ", ") + qt(progress.phase);
    return text;
}

QString JobsModel::statusText(const jobs::JobSnapshot& job)
{
    if (job.cancelAsked && !jobs::hasEnded(job.status))
        return tr("cancelling");
    if (job.pauseAsked && job.status == jobs::JobStatus::Running)
        return tr("pausing");
    return qt(jobs::statusName(job.status));
}

QString JobsModel::logText(const jobs::JobSnapshot& job)
{
    QString text;
    for (const auto& line : job.logTail) {
        const QString mark = line.level == jobs::LogLevel::Error     ? tr("error: ")
                             : line.level == jobs::LogLevel::Warning ? tr("warning: ")
                                                                     : QString();
        text += localTime(line.time) + ' ' + mark + qt(line.text) + '\n';
    }
    if (!job.error.empty())
        text += tr("failed: ") + qt(job.error) + '\n';
    return text;
}

bool JobsModel::canPause(const jobs::JobSnapshot& job)
{
    return (job.status == jobs::JobStatus::Running || job.status == jobs::JobStatus::Queued) && !job.pauseAsked && !job.cancelAsked;
}

bool JobsModel::canResume(const jobs::JobSnapshot& job)
{
    return !job.cancelAsked && (job.status == jobs::JobStatus::Paused || (job.pauseAsked && !jobs::hasEnded(job.status)));
}
bool JobsModel::canCancel(const jobs::JobSnapshot& job)
{
    return !jobs::hasEnded(job.status) && !job.cancelAsked;
}

}  // namespace orrery::plugins
