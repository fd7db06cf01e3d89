#include "reports.h"

#include <algorithm>

#include <core/base/text.h>
#include <fmt/format.h>

#include "workspace_private.h"

namespace orrery::store {
namespace {

constexpr const char* kItemColumns = "SELECT id, report, kind, source, title, annotation FROM report_items ";
constexpr const char* kReportColumns = "SELECT id, name, created, (SELECT count(*) FROM report_items WHERE report = reports.id) FROM reports ";
constexpr const char* kCurrentSetting = "report.current";
constexpr const char* kFirstName = "Report";

ReportItem itemOf(Cursor& row)
{
    ReportItem item;
    item.id = row.integer(0);
    item.report = row.integer(1);
    item.kind = row.text(2);
    item.source = row.json(3);
    item.title = row.text(4);
    item.annotation = row.text(5);
    return item;
}

ReportDocument documentOf(Cursor& row)
{
    return {row.integer(0), row.text(1), row.text(2), std::size_t(row.integer(3))};
}

std::vector<ReportDocument> listOf(Connection& connection)
{
    std::vector<ReportDocument> reports;
    const auto rows = connection.query(std::string(kReportColumns) + "ORDER BY id");
    while (rows->next())
        reports.push_back(documentOf(*rows));
    return reports;
}

std::optional<ReportDocument> documentIn(Connection& connection, ReportId report)
{
    const auto row = connection.query(std::string(kReportColumns) + "WHERE id = ?", report);
    return row->next() ? std::optional(documentOf(*row)) : std::nullopt;
}

ReportDocument requiredDocument(Connection& connection, ReportId report)
{
    if (auto found = documentIn(connection, report))
        return *found;
    throw core::InputError(fmt::format("there is no report {} in this workspace", report));
}

ReportItem requiredItem(Connection& connection, std::int64_t item)
{
    const auto row = connection.query(std::string(kItemColumns) + "WHERE id = ?", item);
    if (!row->next())
        throw core::InputError(fmt::format("there is no report item {} in this workspace; another window may have removed it", item));
    return itemOf(*row);
}

void requireShort(const char* what, const std::string& text, std::size_t most)
{
    if (text.size() > most)
        throw core::InputError(fmt::format("{} of a report: expected at most {} bytes, got {}", what, most, text.size()));
}

std::string checkedLine(const char* what, const std::string& text)
{
    requireShort(what, text, kMostTitle);
    if (text.find_first_of("\n\r") != std::string::npos)
        throw core::InputError(fmt::format("{} of a report: expected one line, got several", what));
    return std::string(core::trim(text));
}

std::string checkedName(Connection& connection, const std::string& name, ReportId except)
{
    const std::string trimmed = checkedLine("name", name);
    if (trimmed.empty())
        throw core::InputError("name of a report: expected some text, got none");
    for (const ReportDocument& other : listOf(connection))
        if (other.name == trimmed && other.id != except)
            throw core::InputError(fmt::format("name of a report: \"{}\" is taken by report {}", trimmed, other.id));
    return trimmed;
}

std::optional<ReportId> currentIn(Connection& connection)
{
    const auto row = connection.query("SELECT value FROM settings WHERE key = ?", kCurrentSetting);
    if (row->next())
        if (const core::Json value = row->json(0); value.is_number_integer() && documentIn(connection, value.get<ReportId>()))
            return value.get<ReportId>();
    const auto first = connection.query("SELECT min(id) FROM reports");
    return first->next() ? first->optionalInteger(0) : std::nullopt;
}

void setCurrent(Connection& connection, ReportId report)
{
    connection.execute("INSERT INTO settings(key, value) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2", kCurrentSetting,
                       core::Json(report));
}

ReportId insertReport(Connection& connection, const std::string& name)
{
    connection.execute("INSERT INTO reports(name, created) VALUES(?, ?)", name, core::isoTimeNow());
    const ReportId id = connection.lastId();
    setCurrent(connection, id);
    return id;
}

std::vector<std::int64_t> orderOf(Connection& connection, ReportId report)
{
    std::vector<std::int64_t> ids;
    const auto rows = connection.query("SELECT id FROM report_items WHERE report = ? ORDER BY position, id", report);
    while (rows->next())
        ids.push_back(rows->integer(0));
    return ids;
}

/// Puts `item` at `place` among the others of its report; every position is written anew.
void place(Connection& connection, ReportId report, std::int64_t item, std::size_t place)
{
    std::vector<std::int64_t> order = orderOf(connection, report);
    std::erase(order, item);
    order.insert(order.begin() + std::ptrdiff_t(std::min(place, order.size())), item);
    for (std::size_t i = 0; i < order.size(); ++i)
        connection.execute("UPDATE report_items SET position = ? WHERE id = ?", std::int64_t(i), order[i]);
}

void insertItem(Connection& connection, ReportId report, std::optional<std::int64_t> id, const NewReportItem& item)
{
    Reports::check(item.title, item.annotation);
    connection.execute("INSERT INTO report_items(id, report, position, kind, source, title, annotation) VALUES(?1, ?2, "
                       "(SELECT coalesce(max(position), -1) + 1 FROM report_items WHERE report = ?2), ?3, ?4, ?5, ?6)",
                       id, report, item.kind, item.source, checkedLine("title", item.title), item.annotation);
}

}  // namespace

std::vector<ReportDocument> Reports::list() const
{
    return m_workspace->d->readers.with([](Connection& connection) { return listOf(connection); });
}

ReportDocument Reports::report(ReportId report) const
{
    return m_workspace->d->readers.with([&](Connection& connection) { return requiredDocument(connection, report); });
}

ReportDocument Reports::find(const std::string& nameOrId) const
{
    const std::vector<ReportDocument> reports = list();
    std::vector<std::string> names;
    for (const ReportDocument& report : reports)
        names.push_back(report.name);
    if (const auto named = std::ranges::find(reports, nameOrId, &ReportDocument::name); named != reports.end())
        return *named;
    for (const ReportDocument& report : reports)
        if (std::to_string(report.id) == nameOrId)
            return report;
    throw core::InputError(reports.empty() ? fmt::format("there is no report \"{}\": the workspace has none yet", nameOrId)
                                           : fmt::format("there is no report \"{}\"{}", nameOrId, core::didYouMean(nameOrId, names)));
}

std::optional<ReportId> Reports::current() const
{
    return m_workspace->d->readers.with([](Connection& connection) { return currentIn(connection); });
}

void Reports::makeCurrent(ReportId report)
{
    m_workspace->d->writing().call([&](Writer::Call& call) {
        requiredDocument(call.connection, report);
        setCurrent(call.connection, report);
        call.change.reports = true;
    });
}

ReportId Reports::create(const std::string& name)
{
    return m_workspace->d->writing().callFor<ReportId>([&](Writer::Call& call) {
        call.change.reports = true;
        return insertReport(call.connection, checkedName(call.connection, name, 0));
    });
}

void Reports::rename(ReportId report, const std::string& name)
{
    m_workspace->d->writing().call([&](Writer::Call& call) {
        requiredDocument(call.connection, report);
        call.connection.execute("UPDATE reports SET name = ? WHERE id = ?", checkedName(call.connection, name, report), report);
        call.change.reports = true;
    });
}

void Reports::remove(ReportId report)
{
    m_workspace->d->writing().call([&](Writer::Call& call) {
        requiredDocument(call.connection, report);
        call.connection.execute("DELETE FROM report_items WHERE report = ?", report);
        call.connection.execute("DELETE FROM reports WHERE id = ?", report);
        call.change.reports = true;
    });
}

void Reports::restore(const ReportDocument& report, std::span<const ReportItem> items)
{
    m_workspace->d->writing().call([&](Writer::Call& call) {
        call.connection.execute("INSERT INTO reports(id, name, created) VALUES(?, ?, ?)", report.id,
                                checkedName(call.connection, report.name, report.id), report.created);
        for (const ReportItem& item : items)
            insertItem(call.connection, report.id, item.id, item);
        setCurrent(call.connection, report.id);
        call.change.reports = true;
    });
}

void Reports::check(const std::string& title, const std::string& annotation)
{
    checkedLine("title", title);
    requireShort("annotation", annotation, kMostAnnotation);
}

std::vector<ReportItem> Reports::items(ReportId report) const
{
    return m_workspace->d->readers.with([&](Connection& connection) {
        requiredDocument(connection, report);
        std::vector<ReportItem> items;
        const auto rows = connection.query(std::string(kItemColumns) + "WHERE report = ? ORDER BY position, id", report);
        while (rows->next())
            items.push_back(itemOf(*rows));
        return items;
    });
}

ReportItem Reports::item(std::int64_t item) const
{
    return m_workspace->d->readers.with([&](Connection& connection) { return requiredItem(connection, item); });
}

ReportItem Reports::add(std::optional<ReportId> report, const NewReportItem& item)
{
    return m_workspace->d->writing().callFor<ReportItem>([&](Writer::Call& call) {
        if (report)
            requiredDocument(call.connection, *report);
        else
            report = currentIn(call.connection);
        if (!report)
            report = insertReport(call.connection, kFirstName);
        insertItem(call.connection, *report, {}, item);
        call.change.reports = true;
        return requiredItem(call.connection, call.connection.lastId());
    });
}

void Reports::restoreItem(const ReportItem& item, std::size_t position)
{
    m_workspace->d->writing().call([&](Writer::Call& call) {
        requiredDocument(call.connection, item.report);
        insertItem(call.connection, item.report, item.id, item);
        place(call.connection, item.report, item.id, position);
        call.change.reports = true;
    });
}

void Reports::changeItem(std::int64_t item, const std::string& title, const std::string& annotation)
{
    check(title, annotation);
    m_workspace->d->writing().call([&](Writer::Call& call) {
        requiredItem(call.connection, item);
        call.connection.execute("UPDATE report_items SET title = ?, annotation = ? WHERE id = ?", checkedLine("title", title), annotation, item);
        call.change.reports = true;
    });
}

void Reports::moveItem(std::int64_t item, std::size_t position)
{
    m_workspace->d->writing().call([&](Writer::Call& call) {
        place(call.connection, requiredItem(call.connection, item).report, item, position);
        call.change.reports = true;
    });
}

void Reports::removeItem(std::int64_t item)
{
    m_workspace->d->writing().call([&](Writer::Call& call) {
        requiredItem(call.connection, item);
        call.connection.execute("DELETE FROM report_items WHERE id = ?", item);
        call.change.reports = true;
    });
}

}  // namespace orrery::store
