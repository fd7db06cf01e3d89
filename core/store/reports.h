#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "workspace.h"

namespace orrery::store {

using ReportId = std::int64_t;

/// What a report shows in one place.
struct NewReportItem {
    std::string kind;        ///< "analysis", "runs", "note"; core/report/report_document.h says what stands in `source`
    core::Json source;       ///< what is shown: `{"analysis": 4}`, `{"runs": [1, 2]}`; null for a note
    std::string title;       ///< one line; empty: from the source
    std::string annotation;  ///< plain text below the title; lines that start with # are headings. The text of a note.
};

struct ReportItem : NewReportItem {
    std::int64_t id = 0;
    ReportId report = 0;
};

/// One document of the workspace: a name and an ordered list of items.
struct ReportDocument {
    ReportId id = 0;
    std::string name;     ///< one line, unique in the workspace
    std::string created;  ///< ISO 8601 in UTC
    std::size_t items = 0;
};

/// Most bytes of a title or name, and of an annotation.
inline constexpr std::size_t kMostTitle = 300, kMostAnnotation = 100'000;

/// The report documents of a workspace. Each change is one transaction, so that several processes may add, move and remove at once: nothing is lost and
/// every item keeps one place. All functions may be called from any thread, and throw StorageError as those of `Workspace`.
/// @throws InputError, unless stated otherwise, for a report or item that is not there, and for a title or annotation that is too long.
class Reports {
public:
    /// Keeps the workspace.
    explicit Reports(std::shared_ptr<Workspace> workspace) : m_workspace(std::move(workspace)) {}

    /// By id.
    std::vector<ReportDocument> list() const;
    ReportDocument report(ReportId report) const;
    /// By number or name; a name counts first. @throws InputError with the nearest name.
    ReportDocument find(const std::string& nameOrId) const;
    /// The report that "Add to report" adds to: the one chosen last (`makeCurrent`, `create`), else the first; nothing if there is none.
    std::optional<ReportId> current() const;
    void makeCurrent(ReportId report);
    /// Adds an empty report and makes it the current one. @throws InputError if the name is taken or empty.
    ReportId create(const std::string& name);
    void rename(ReportId report, const std::string& name);
    /// Removes a report with its items. What they show stays in the workspace.
    void remove(ReportId report);
    /// Takes back `remove`: the same ids, name and order. @throws InputError if the name has been taken.
    void restore(const ReportDocument& report, std::span<const ReportItem> items);

    /// @throws InputError for a title of several lines, or one or an annotation that is too long: what `add` and `changeItem` would refuse.
    static void check(const std::string& title, const std::string& annotation);

    /// In the order of the report.
    std::vector<ReportItem> items(ReportId report) const;
    ReportItem item(std::int64_t item) const;
    /// Adds at the end. Without a report: to the current one; if there is none, one of the name "Report" is made in the same transaction.
    ReportItem add(std::optional<ReportId> report, const NewReportItem& item);
    /// Takes back `removeItem`: the same id, at place `place` (0: first; past the end: last).
    void restoreItem(const ReportItem& item, std::size_t place);
    /// Sets title and annotation.
    void changeItem(std::int64_t item, const std::string& title, const std::string& annotation);
    /// Moves to `place` among the items of its report, counted without itself.
    void moveItem(std::int64_t item, std::size_t place);
    void removeItem(std::int64_t item);

private:
    std::shared_ptr<Workspace> m_workspace;
};

}  // namespace orrery::store
