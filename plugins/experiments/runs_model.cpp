#include "runs_model.h"

#include <QDateTime>
#include <QRegularExpression>
#include <algorithm>
#include <cmath>
#include <set>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/report/document_diff.h>
#include <core/store/workspace.h>
#include <widgets/session.h>

namespace orrery::plugins {
namespace {

constexpr int kFewRuns = 64;         ///< up to so many changed runs are read one by one
constexpr qint64 kReloadShare = 5;   ///< with changes by others, reading all runs takes at most about a fifth of the time
constexpr int kQueryInterval = 500;  ///< ms after a change of runs until the query is asked again

QString qt(const std::string& text)
{
    return QString::fromStdString(text);
}

QDateTime timeOf(const std::string& iso)
{
    return QDateTime::fromString(qt(iso), Qt::ISODateWithMs);
}

QString localTime(const std::string& iso)
{
    const auto time = timeOf(iso);
    return time.isValid() ? time.toLocalTime().toString("yyyy-MM-dd HH:mm:ss") : QString();
}

QString duration(const store::RunSummary& run)
{
    const auto start = timeOf(run.started), end = timeOf(run.ended);
    return start.isValid() && end.isValid() ? qt(core::formatDuration(double(start.msecsTo(end)) / 1000)) : QString();
}

QVariant cellOf(const core::Json& value)
{
    if (value.is_number_integer())
        return qint64(value.get<std::int64_t>());
    if (value.is_number())
        return value.get<double>();
    return value.is_null() ? QVariant() : QVariant(qt(report::plainText(value)));
}

bool isShownAtFirst(const std::string& metric)
{
    return metric == "val/accuracy" || metric == "test/accuracy" || metric == "train/loss" || metric == "test/r2" ||
           metric == "val/bits_per_character";
}

QList<widgets::Column> baseColumns()
{
    const auto tr = [](const char* text) { return RunsModel::tr(text); };
    return {{.id = "id", .title = tr("Run"), .tooltip = tr("Number of the run"), .numeric = true},
            {.id = "name", .title = tr("Name"), .tooltip = tr("Double click to change"), .editable = true},
            {.id = "status", .title = tr("Status"), .tooltip = tr("queued, running, paused, finished, failed, cancelled or interrupted")},
            {.id = "created", .title = tr("Created"), .tooltip = tr("Local time"), .shown = false},
            {.id = "tags", .title = tr("Tags"), .tooltip = tr("Double click to change; separated by commas"), .editable = true},
            {.id = "notes", .title = tr("Notes"), .tooltip = tr("Double click to change"), .editable = true},
            {.id = "duration", .title = tr("Duration"), .tooltip = tr("From start to end"), .numeric = true, .shown = false},
            {.id = "seed", .title = tr("Seed"), .tooltip = {}, .numeric = true, .shown = false}};
}

}  // namespace

/// The runs that a query finds, or why it finds none.
static void readMatching(const store::Workspace& workspace, const std::string& text, RunTable& table)
{
    if (text.empty())
        return;
    try {
        store::RunQuery query;
        query.where = text;
        for (const auto& run : workspace.runs(query).runs)
            table.matching.insert(run.id);
    } catch (const core::InputError& error) {
        table.queryError = QString::fromUtf8(error.what());
    }
}

RunTable readRunTable(const store::Workspace& workspace, const std::vector<std::string>& documentColumns, const std::string& text)
{
    store::RunQuery query;
    query.columns = documentColumns;
    query.descending = true;
    RunTable table;
    table.runs = workspace.runs(query).runs;
    table.fields = workspace.runFields();
    readMatching(workspace, text, table);
    std::set<std::string> names;
    for (const auto& run : table.runs)
        for (const auto& [name, value] : run.lastMetrics)
            names.insert(name);
    table.metrics.assign(names.begin(), names.end());
    return table;
}

RunsModel::RunsModel(widgets::Session& session, QObject* parent) : QObject(parent), m_session(session)
{
    m_rows.setColumns(baseColumns());
    m_reloadTimer.setSingleShot(true);
    connect(&m_reloadTimer, &QTimer::timeout, this, &RunsModel::reload);
    m_queryTimer.setSingleShot(true);
    m_queryTimer.setInterval(kQueryInterval);
    connect(&m_queryTimer, &QTimer::timeout, this, &RunsModel::askQuery);
    connect(&session, &widgets::Session::runsChanged, this, &RunsModel::refresh);
    connect(&session, &widgets::Session::workspaceChanged, this, [this] {
        ++m_generation;
        m_runs.clear();
        m_waiting.clear();
        m_reloadWaiting = m_loading = m_loaded = false;
        m_isFiltered = m_isAsking = false;
        ++m_asked;
        m_queryError.clear();
        m_fields.clear();
        showRows();
        Q_EMIT changed();
        reload();
    });
    reload();
}

const store::RunSummary* RunsModel::find(qint64 run) const
{
    const auto found = m_runs.find(run);
    return found == m_runs.end() ? nullptr : &found->second;
}

void RunsModel::addDocumentColumns(const QStringList& paths, bool shown)
{
    auto columns = m_rows.columns();
    for (const auto& path : paths) {
        if (m_documentColumns.contains(path))
            continue;
        m_documentColumns << path;
        columns << widgets::Column{
            .id = "document." + path, .title = path, .tooltip = tr("Value of %1 in the run's document").arg(path), .numeric = false, .shown = shown};
    }
    if (columns.size() == m_rows.columns().size())
        return;
    m_rows.setColumns(columns);
    reload();
}

void RunsModel::addMetricColumns(const std::vector<std::string>& metrics)
{
    auto columns = m_rows.columns();
    for (const auto& metric : metrics)
        if (const auto id = "metrics." + qt(metric); m_rows.columnIndex(id) < 0)
            columns << widgets::Column{.id = id,
                                       .title = qt(metric),
                                       .tooltip = tr("Last value of %1").arg(qt(metric)),
                                       .numeric = true,
                                       .digits = 4,
                                       .shown = isShownAtFirst(metric)};
    if (columns.size() > m_rows.columns().size())
        m_rows.setColumns(columns);
}

widgets::RowModel::Row RunsModel::rowOf(const store::RunSummary& run) const
{
    widgets::RowModel::Row row{run.id, {}, qt(run.error)};
    for (const auto& column : m_rows.columns()) {
        const auto id = column.id;
        QVariant cell;
        if (id == "id")
            cell = qint64(run.id);
        else if (id == "name")
            cell = qt(run.name);
        else if (id == "status")
            cell = qt(std::string(store::statusName(run.status)));
        else if (id == "created")
            cell = localTime(run.created);
        else if (id == "tags")
            cell = tagText(run.tags);
        else if (id == "notes")
            cell = qt(run.notes);
        else if (id == "duration")
            cell = duration(run);
        else if (id == "seed")
            cell = qulonglong(run.seed);
        else if (id.startsWith("metrics.")) {
            if (const auto value = run.lastMetrics.find(id.mid(8).toStdString()); value != run.lastMetrics.end())
                cell = value->second;
        } else if (const auto value = run.columns.find(id.mid(9).toStdString()); id.startsWith("document.") && value != run.columns.end())
            cell = cellOf(value->second);
        row.cells << cell;
    }
    return row;
}

void RunsModel::setHeld(bool held)
{
    m_held = held;
    if (held || m_loading)
        return;
    if (m_reloadWaiting)
        reload();
    else if (!m_waiting.isEmpty())
        readSome();
}

void RunsModel::refresh(const QList<qint64>& runs)
{
    const bool isNews =
        runs.isEmpty() || runs.size() > kFewRuns || std::any_of(runs.begin(), runs.end(), [this](qint64 run) { return !m_runs.contains(run); });
    const qint64 rest = kReloadShare * m_reloadTime - m_sinceReload.elapsed();
    if (runs.isEmpty() && m_loaded && rest > 0) {
        if (!m_reloadTimer.isActive())
            m_reloadTimer.start(int(rest));
        return;
    }
    if (isNews)
        return reload();
    for (const auto run : runs)
        m_waiting.insert(run);
    if (!m_loading && !m_held)
        readSome();
}

// One reading at a time: what changes meanwhile is read afterwards, once.
void RunsModel::reload()
{
    const auto workspace = m_session.workspace();
    if (!workspace)
        return;
    if (m_loading || m_held) {
        m_reloadWaiting = true;
        return;
    }
    m_loading = true;
    m_reloadWaiting = false;
    m_sinceReload.start();
    m_waiting.clear();
    std::vector<std::string> paths;
    for (const auto& path : m_documentColumns)
        paths.push_back(path.toStdString());
    m_session.runInBackground(
        this, [workspace, paths, query = m_query.toStdString()](widgets::BackgroundContext&) { return readRunTable(*workspace, paths, query); },
        [this, generation = m_generation, query = m_query](RunTable table) {
            if (generation == m_generation)
                take(std::move(table), query);
        },
        [this, generation = m_generation](const QString& text) {
            if (generation != m_generation)
                return;
            finishReading();
            Q_EMIT failed(text);
        });
}

void RunsModel::readSome()
{
    const auto workspace = m_session.workspace();
    if (!workspace)
        return;
    m_loading = true;
    const std::vector<qint64> wanted(m_waiting.begin(), m_waiting.end());
    m_waiting.clear();
    const auto read = [workspace, wanted](widgets::BackgroundContext&) {
        std::vector<store::RunSummary> found;
        for (const auto run : wanted)
            if (auto summary = workspace->findRun(run))
                found.push_back(std::move(*summary));
        return found;
    };
    m_session.runInBackground(
        this, read,
        [this, generation = m_generation, count = wanted.size()](const std::vector<store::RunSummary>& runs) {
            if (generation != m_generation)
                return;
            m_reloadWaiting |= runs.size() < count;  // one was deleted
            takeSome(runs);
        },
        [this, generation = m_generation](const QString& text) {
            if (generation != m_generation)
                return;
            finishReading();
            Q_EMIT failed(text);
        });
}

void RunsModel::take(RunTable table, const QString& query)
{
    if (m_held) {
        m_reloadWaiting = true;
        return finishReading();
    }
    m_reloadTime = m_sinceReload.elapsed();
    addMetricColumns(table.metrics);
    m_runs.clear();
    for (auto& run : table.runs)
        m_runs.emplace(run.id, std::move(run));
    m_fields = std::move(table.fields);
    m_loaded = true;
    if (query == m_query) {
        takeMatching(std::move(table.matching), table.queryError);
    } else {
        askQuery();  // it was changed while this was read
    }
    finishReading();
    Q_EMIT changed();
}

void RunsModel::takeSome(const std::vector<store::RunSummary>& runs)
{
    if (m_held) {
        for (const auto& run : runs)
            m_waiting.insert(run.id);
        return finishReading();
    }
    for (auto run : runs) {
        std::vector<std::string> metrics;
        for (const auto& [name, value] : run.lastMetrics)
            metrics.push_back(name);
        const auto columns = m_rows.columns().size();
        addMetricColumns(metrics);
        m_reloadWaiting |= m_rows.columns().size() > columns;
        run.columns = m_runs[run.id].columns;  // a document never changes
        if (isPlain())
            m_rows.updateRow(rowOf(run));
        m_runs[run.id] = std::move(run);
    }
    if (!isPlain() && !m_queryTimer.isActive())
        m_queryTimer.start();
    finishReading();
    Q_EMIT changed();
}

void RunsModel::finishReading()
{
    m_loading = false;
    if (m_held)
        return;
    if (m_reloadWaiting)
        reload();
    else if (!m_waiting.isEmpty())
        readSome();
}

void RunsModel::edit(qint64 run, const QString& column, const QVariant& value)
{
    const auto workspace = m_session.workspace();
    if (!workspace)
        return;
    const auto text = value.toString();
    m_session.runInBackground(
        this,
        [workspace, run, column, text](widgets::BackgroundContext&) {
            if (column == "tags")
                workspace->setTags(run, tagsFrom(text));
            else if (column == "notes")
                workspace->setNotes(run, text.toStdString());
            else if (column == "name")
                workspace->renameRun(run, text.toStdString());
        },
        [this, run] { refresh({run}); }, [this](const QString& message) { Q_EMIT failed(message); });
}

QString RunsModel::tagText(const std::vector<std::string>& tags)
{
    QStringList list;
    for (const auto& tag : tags)
        list << qt(tag);
    return list.join(", ");
}

std::vector<std::string> RunsModel::tagsFrom(const QString& text)
{
    static const QRegularExpression separator("[,;]");
    std::vector<std::string> tags;
    for (const auto& part : text.split(separator, Qt::SkipEmptyParts))
        if (const auto tag = part.trimmed(); !tag.isEmpty())
            tags.push_back(tag.toStdString());
    return tags;
}

}  // namespace orrery::plugins
