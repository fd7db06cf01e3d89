#include "report_document.h"

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>
#include <fmt/format.h>

#include "analysis_blocks.h"
#include "document_diff.h"
#include "plot.h"
#include "run_report_parts.h"

namespace orrery::report {

using core::Json;
using store::ReportItem;
using store::RunId;

namespace {

constexpr std::string_view kUsualParts[] = {"runs", "differences", "metrics", "curves"};

[[noreturn]] void failSource(const ReportItem& item, const char* expected)
{
    throw core::FormatError(fmt::format("report item {}: expected {}, found {}", item.id, expected,
                                        shortened(item.source.is_structured() ? std::string(item.source.type_name()) : plainText(item.source), 60)));
}

store::Analysis analysisOfItem(const store::Workspace& workspace, const ReportItem& item)
{
    if (!item.source.is_object() || !item.source.contains("analysis") || !item.source["analysis"].is_number_integer())
        failSource(item, "the number of an analysis");
    return workspace.analysis(item.source["analysis"].get<std::int64_t>());
}

std::vector<RunId> runsOf(const ReportItem& item)
{
    std::vector<RunId> runs;
    if (item.source.is_object() && item.source.contains("runs") && item.source["runs"].is_array())
        for (const Json& run : item.source["runs"])
            if (run.is_number_integer())
                runs.push_back(run.get<RunId>());
    if (runs.empty())
        failSource(item, "the numbers of some runs");
    return runs;
}

std::vector<std::string> shownParts(const Json& source)
{
    std::vector<std::string> parts(std::begin(kUsualParts), std::end(kUsualParts));
    if (source.contains("show") && source["show"].is_array()) {
        parts.clear();
        for (const Json& part : source["show"])
            parts.push_back(cellText(part));
    }
    return parts;
}

/// The runs that are still there; those that are gone are said.
std::vector<RunId> presentRuns(Section& section, const store::Workspace& workspace, const ReportItem& item)
{
    std::vector<RunId> present;
    for (const RunId run : runsOf(item)) {
        if (workspace.findRun(run))
            present.push_back(run);
        else
            section.blocks.emplace_back(Paragraph{fmt::format("Run {} is not in the workspace any more.", run), TextStyle::Warning});
    }
    return present;
}

void addRuns(Section& section, const store::Workspace& workspace, const ReportItem& item)
{
    const std::vector<RunId> runs = presentRuns(section, workspace, item);
    if (runs.empty())
        return;
    const auto records = recordsOf(workspace, runs);
    for (const std::string& id : shownParts(item.source))
        for (const RunPart& part : runParts())
            if (part.id == id)
                if (Section made = part.make(workspace, records, {}); !made.blocks.empty())
                    section.blocks.emplace_back(std::move(made));
}

std::string dataSetOf(const store::RunSummary& run)
{
    for (const char* path : {"data.id", "data"})
        if (const auto found = run.columns.find(path); found != run.columns.end() && found->second.is_string())
            return found->second.get<std::string>();
    return "–";
}

Table leaderboard(const store::Workspace& workspace, const std::string& metric, bool maximize, std::size_t limit)
{
    store::RunQuery query;
    query.metrics.push_back({metric, {}, {}});
    query.columns = {"data.id", "data", "model.id"};
    query.orderBy = metric;
    query.descending = maximize;
    std::map<std::string, std::vector<store::RunSummary>> bySet;
    for (const store::RunSummary& run : workspace.runs(query).runs)
        if (auto& list = bySet[dataSetOf(run)]; list.size() < limit)
            list.push_back(run);
    Table table{
        fmt::format("The best {} runs of each data set by the last value of {}; the {} the better.", limit, metric, maximize ? "greater" : "smaller"),
        {{"Data"}, {"Place", Align::Right}, {"Run", Align::Right}, {"Name"}, {"Model"}, {metric, Align::Right}},
        {}};
    for (const auto& [set, runs] : bySet)
        for (std::size_t i = 0; i < runs.size(); ++i) {
            const auto model = runs[i].columns.find("model.id");
            table.rows.push_back({{set},
                                  {std::to_string(i + 1)},
                                  {std::to_string(runs[i].id)},
                                  {runs[i].name},
                                  {model == runs[i].columns.end() ? "" : cellText(model->second)},
                                  {shortNumber(runs[i].lastMetrics.at(metric)), i == 0}});
        }
    return table;
}

void addLeaderboard(Section& section, const store::Workspace& workspace, const ReportItem& item)
{
    const Json& source = item.source;
    if (!source.is_object() || !source.contains("metric") || !source["metric"].is_string())
        failSource(item, "the name of a metric");
    const std::string metric = source["metric"].get<std::string>();
    const bool maximize = source.value("goal", "maximize") != "minimize";
    const auto limit = static_cast<std::size_t>(std::clamp(source.value("limit", 10), 1, 1000));
    if (Table table = leaderboard(workspace, metric, maximize, limit); !table.rows.empty())
        section.blocks.emplace_back(std::move(table));
    else
        section.blocks.emplace_back(Paragraph{fmt::format("No run of the workspace has the metric {}.", metric), TextStyle::Note});
}

void addSource(Section& section, const store::Workspace& workspace, const ReportItem& item)
{
    if (item.kind == "analysis") {
        Section made = analysisSection(workspace, analysisOfItem(workspace, item));
        std::ranges::move(made.blocks, std::back_inserter(section.blocks));
    } else if (item.kind == "runs") {
        addRuns(section, workspace, item);
    } else if (item.kind == "leaderboard") {
        addLeaderboard(section, workspace, item);
    } else if (item.kind != "note") {
        throw core::FormatError(
            fmt::format("report item {}: expected analysis, runs, leaderboard or note, found \"{}\"", item.id, shortened(item.kind, 40)));
    }
}

/// Depth of a heading line, 0 for other lines.
std::size_t headingLevel(std::string_view line)
{
    const std::size_t marks = std::min(line.find_first_not_of('#'), line.size());
    return marks >= 1 && marks <= 3 && marks < line.size() && line[marks] == ' ' ? marks : 0;
}

std::string sourceTitle(const store::Workspace& workspace, const ReportItem& item)
{
    if (item.kind == "analysis")
        return titleOf(analysisOfItem(workspace, item));
    if (item.kind == "leaderboard")
        return "Leaderboard: " + cellText(item.source.at("metric"));
    if (item.kind == "note") {
        const std::string line = item.annotation.substr(0, item.annotation.find('\n'));
        return shortened(core::trim(std::string_view(line).substr(headingLevel(line))), 60);
    }
    const std::vector<RunId> runs = runsOf(item);
    if (runs.size() == 1)
        return runTitle(workspace.run(runs[0]));
    std::vector<std::string> ids;
    for (const RunId run : runs)
        ids.push_back(std::to_string(run));
    return shortened("Runs " + core::join(ids, ", "), 60);
}

/// Runs `make`; what is wrong with the source becomes a warning in its place.
template <class Make>
void warned(std::vector<Block>& blocks, Make make)
{
    try {
        make();
    } catch (const core::Error& error) {
        blocks.emplace_back(Paragraph{error.what(), TextStyle::Warning});
    } catch (const Json::exception& error) {
        blocks.emplace_back(Paragraph{error.what(), TextStyle::Warning});
    }
}

/// A note without a title brings its own headings; everything else is one section.
void addItem(std::vector<Block>& blocks, const store::Workspace& workspace, const ReportItem& item)
{
    if (item.kind == "note" && item.title.empty()) {
        std::ranges::move(textBlocks(item.annotation), std::back_inserter(blocks));
        return;
    }
    Section section{itemTitle(workspace, item), textBlocks(item.annotation)};
    warned(section.blocks, [&] { addSource(section, workspace, item); });
    blocks.emplace_back(std::move(section));
}

/// Reads lines into sections inside each other.
class TextReader {
public:
    explicit TextReader(std::string_view text) : m_lines(core::split(text, '\n')) {}

    std::vector<Block> blocks(std::size_t level = 0)
    {
        std::vector<Block> found;
        while (m_next < m_lines.size()) {
            const std::string line(trimmedEnd(m_lines[m_next]));
            if (const std::size_t heading = headingLevel(line); heading > 0) {
                if (heading <= level)
                    break;
                ++m_next;
                found.emplace_back(Section{std::string(core::trim(line.substr(heading))), blocks(heading)});
            } else if (line.empty()) {
                ++m_next;
            } else {
                found.emplace_back(Paragraph{paragraph()});
            }
        }
        return found;
    }

private:
    static std::string_view trimmedEnd(std::string_view line)
    {
        const auto last = line.find_last_not_of(" \t\r");
        return last == std::string_view::npos ? std::string_view() : line.substr(0, last + 1);
    }

    std::string paragraph()
    {
        std::vector<std::string> lines;
        for (; m_next < m_lines.size(); ++m_next) {
            const std::string_view line = trimmedEnd(m_lines[m_next]);
            if (line.empty() || headingLevel(line) > 0)
                break;
            lines.emplace_back(line);
        }
        return core::join(lines, "\n");
    }

    std::vector<std::string> m_lines;
    std::size_t m_next = 0;
};

}  // namespace

std::vector<Block> textBlocks(std::string_view text)
{
    return TextReader(text).blocks();
}

std::string itemTitle(const store::Workspace& workspace, const ReportItem& item)
{
    if (!item.title.empty())
        return item.title;
    try {
        if (std::string title = sourceTitle(workspace, item); !title.empty())
            return title;
    } catch (const core::Error&) {
    } catch (const Json::exception&) {
    }
    return fmt::format("{} (item {})", item.kind, item.id);
}

std::string itemKind(const store::Workspace& workspace, const ReportItem& item)
{
    if (item.kind != "analysis")
        return item.kind;
    try {
        return kindOf(analysisOfItem(workspace, item)).id;
    } catch (const core::Error&) {
        return "missing";
    }
}

Report buildItem(const store::Workspace& workspace, const ReportItem& item)
{
    Report report{"", "", {}};
    addItem(report.blocks, workspace, item);
    return report;
}

Report buildDocument(const store::Workspace& workspace, const store::ReportDocument& document, std::span<const ReportItem> items,
                     const DocumentOptions& options)
{
    if (items.empty())
        throw core::InputError(
            fmt::format("report \"{}\" is empty: add something with `orrery-cli report add`, or \"Add to report\" in a panel", document.name));
    Report report{document.name, "", {}};
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (options.stop.stop_requested())
            throw core::Cancelled();
        if (options.progress)
            options.progress(double(i), double(items.size()));
        addItem(report.blocks, workspace, items[i]);
    }
    if (!options.written.empty())
        report.blocks.emplace_back(Section{"Dates", {KeyValues{{{"Report written", options.written}}}}});
    return report;
}

}  // namespace orrery::report
