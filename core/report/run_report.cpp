#include "run_report.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>

#include <core/base/error.h>
#include <core/base/text.h>
#include <fmt/format.h>

#include "document_diff.h"
#include "run_report_parts.h"

namespace orrery::report {

using core::Json;
using store::RunId;
using store::RunRecord;

namespace {

std::string reportTitle(RunRecords runs, const RunReportOptions& options)
{
    if (!options.title.empty())
        return options.title;
    if (runs.size() == 1)
        return runTitle(runs.front());
    std::vector<std::string> ids;
    for (const RunRecord& run : runs)
        ids.push_back(std::to_string(run.id));
    return fmt::format("{} runs compared: {}", runs.size(), core::join(ids, ", "));
}

Section summarySection(RunRecords runs)
{
    Table table{"", {{"Run", Align::Right}, {"Name"}, {"Status"}, {"Seed", Align::Right}, {"From run", Align::Right}, {"Tags"}}, {}};
    Section section{"Runs", {}};
    for (const RunRecord& run : runs)
        table.rows.push_back({{std::to_string(run.id)},
                              {run.name},
                              {std::string(store::statusName(run.status))},
                              {std::to_string(run.seed)},
                              {run.parent ? std::to_string(*run.parent) : ""},
                              {core::join(run.tags, ", ")}});
    section.blocks.emplace_back(std::move(table));
    for (const RunRecord& run : runs) {
        if (!run.notes.empty())
            section.blocks.emplace_back(Paragraph{fmt::format("{}: {}", runTitle(run), run.notes)});
        if (!run.error.empty())
            section.blocks.emplace_back(Paragraph{fmt::format("{} failed: {}", runTitle(run), run.error), TextStyle::Warning});
    }
    return section;
}

Table differenceTable(std::vector<DocumentDifference> entries, RunRecords runs, std::string caption)
{
    Table table{std::move(caption), {{"Setting"}}, {}};
    for (const RunRecord& run : runs)
        table.columns.push_back({runTitle(run)});
    for (const DocumentDifference& entry : entries) {
        std::vector<Cell> row{{entry.path}};
        for (const auto& value : entry.values)
            row.push_back({value ? plainText(*value) : "–"});
        table.rows.push_back(std::move(row));
    }
    return table;
}

std::vector<Json> documentsOf(RunRecords runs, Json RunRecord::*which)
{
    std::vector<Json> documents;
    for (const RunRecord& run : runs)
        documents.push_back(run.*which);
    return documents;
}

Section differenceSection(RunRecords runs)
{
    Section section{"What differs", {}};
    if (runs.size() < 2)
        return section;
    auto entries = differences(documentsOf(runs, &RunRecord::document));
    if (entries.empty())
        section.blocks.emplace_back(Paragraph{"The documents of these runs are equal."});
    else
        section.blocks.emplace_back(differenceTable(
            std::move(entries), runs, "Only the settings that are not the same in all runs; – means that a document has no such setting."));
    return section;
}

Section environmentSection(RunRecords runs)
{
    Section section{"Environment", {}};
    const std::vector<Json> environments = documentsOf(runs, &RunRecord::environment);
    auto differing = differences(environments);
    KeyValues shared;
    for (const auto& [path, value] : flattened(environments.front()))
        if (std::ranges::none_of(differing, [&](const DocumentDifference& entry) { return entry.path == path; }) && !path.empty())
            shared.entries.emplace_back(path, plainText(value));
    if (!shared.entries.empty())
        section.blocks.emplace_back(std::move(shared));
    if (!differing.empty())
        section.blocks.emplace_back(differenceTable(std::move(differing), runs, "Not the same for all runs."));
    return section;
}

std::string fileNameOf(const RunRecord& run)
{
    return fmt::format("run-{}.json", run.id);
}

/// `--set` for what `run` has otherwise than `base`; nothing if that cannot be said with `--set`.
std::optional<std::string> settingsFrom(const RunRecord& base, const RunRecord& run)
{
    std::string settings;
    for (const DocumentDifference& entry : differences(std::vector<Json>{base.document, run.document})) {
        if (!entry.values[0] || !entry.values[1] || entry.path.find('"') != std::string::npos)
            return std::nullopt;
        settings += " --set " + shellQuoted(entry.path + "=" + plainText(*entry.values[1]));
    }
    return settings;
}

/// The runs whose whole document the commands need.
std::vector<const RunRecord*> documentHolders(RunRecords runs)
{
    std::vector<const RunRecord*> holders;
    for (const RunRecord& run : runs)
        if (holders.empty() || !settingsFrom(runs.front(), run))
            holders.push_back(&run);
    return holders;
}

Section reproductionSection(RunRecords runs)
{
    Section section{"Run it again", {}};
    section.blocks.emplace_back(Paragraph{"Save each document below under its name in the folder of the workspace, and start there:"});
    section.blocks.emplace_back(Code{reproductionCommands(runs), ""});
    for (const RunRecord* run : documentHolders(runs))
        section.blocks.emplace_back(Code{run->document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n", fileNameOf(*run)});
    return section;
}

/// Seconds since 1970 of an ISO 8601 time in UTC; nothing for other text.
std::optional<double> secondsOf(const std::string& time)
{
    int year = 0, month = 0, day = 0, hour = 0, minute = 0;
    double second = 0;
    if (std::sscanf(time.c_str(), "%4d-%2d-%2dT%2d:%2d:%lf", &year, &month, &day, &hour, &minute, &second) != 6)
        return std::nullopt;
    const std::chrono::sys_days date = std::chrono::year(year) / month / day;
    return double(std::chrono::duration_cast<std::chrono::seconds>(date.time_since_epoch()).count()) + hour * 3600.0 + minute * 60.0 + second;
}

Section dateSection(RunRecords runs, const RunReportOptions& options)
{
    Section section{"Dates", {}};
    section.blocks.emplace_back(Paragraph{"All dates and durations of this report stand here; times are UTC.", TextStyle::Note});
    Table table{"", {{"Run", Align::Right}, {"Created"}, {"Started"}, {"Ended"}, {"Duration", Align::Right}}, {}};
    for (const RunRecord& run : runs) {
        const auto start = secondsOf(run.started), end = secondsOf(run.ended);
        const auto duration = start && end ? core::formatDuration(*end - *start) : "–";
        table.rows.push_back({{std::to_string(run.id)}, {run.created}, {run.started}, {run.ended}, {duration}});
    }
    section.blocks.emplace_back(std::move(table));
    if (!options.written.empty())
        section.blocks.emplace_back(KeyValues{{{"Report written", options.written}}});
    return section;
}

}  // namespace

std::string runTitle(const store::RunSummary& run)
{
    return run.name.empty() ? fmt::format("run {}", run.id) : fmt::format("run {}: {}", run.id, run.name);
}

std::string shellQuoted(std::string_view text)
{
    constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,@%+";
    if (!text.empty() && text.find_first_not_of(plain) == std::string_view::npos)
        return std::string(text);
    std::string quoted = "'";
    for (const char c : text)
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return quoted + "'";
}

std::string reproductionCommands(std::span<const RunRecord> runs)
{
    std::string commands;
    for (const RunRecord& run : runs) {
        const auto settings = settingsFrom(runs.front(), run);
        commands += fmt::format("orrery-cli train {}{} --workspace .\n", fileNameOf(settings ? runs.front() : run), settings.value_or(""));
    }
    return commands;
}

std::vector<RunRecord> recordsOf(const store::Workspace& workspace, std::span<const RunId> runs)
{
    if (runs.empty())
        throw core::InputError("report: expected at least one run, got none");
    std::vector<RunRecord> records;
    for (const RunId id : runs)
        if (std::ranges::none_of(records, [&](const RunRecord& record) { return record.id == id; }))
            records.push_back(workspace.run(id));
    return records;
}

std::span<const RunPart> runParts()
{
    static constexpr RunPart parts[] = {
        {"runs", [](const store::Workspace&, RunRecords runs, const RunReportOptions&) { return summarySection(runs); }},
        {"differences", [](const store::Workspace&, RunRecords runs, const RunReportOptions&) { return differenceSection(runs); }},
        {"metrics", [](const store::Workspace&, RunRecords runs, const RunReportOptions&) { return metricSection(runs); }},
        {"curves", curveSection},
        {"confusion", [](const store::Workspace& workspace, RunRecords runs, const RunReportOptions&) { return confusionSection(workspace, runs); }},
        {"attributions", attributionSection},
        {"environment", [](const store::Workspace&, RunRecords runs, const RunReportOptions&) { return environmentSection(runs); }},
        {"commands", [](const store::Workspace&, RunRecords runs, const RunReportOptions&) { return reproductionSection(runs); }},
        {"dates", [](const store::Workspace&, RunRecords runs, const RunReportOptions& options) { return dateSection(runs, options); }},
    };
    return parts;
}

Report buildRunReport(const store::Workspace& workspace, std::span<const RunId> runs, const RunReportOptions& options)
{
    const std::vector<RunRecord> records = recordsOf(workspace, runs);
    Report report{reportTitle(records, options), "", {}};
    for (const RunPart& part : runParts())
        if (Section section = part.make(workspace, records, options); !section.blocks.empty())
            report.blocks.emplace_back(std::move(section));
    return report;
}

}  // namespace orrery::report
