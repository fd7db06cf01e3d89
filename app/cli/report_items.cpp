// Report documents from the command line: what is in them, and what is added, moved and taken out.
#include <iostream>

#include <core/base/text.h>
#include <core/report/analysis_blocks.h>
#include <core/report/report_document.h>
#include <core/train/leaderboard.h>

#include "report.h"

namespace orrery::cli {
namespace {

using store::OpenMode;
using store::Reports;

struct AddOptions {
    std::string document, picture, note, leaderboard, title, annotation;
    std::string goal = "auto";
    std::vector<std::int64_t> analyses;
    std::vector<store::RunId> runs;
    std::vector<std::string> show;
    int limit = 10;
};

core::Json itemJson(const store::Workspace& workspace, const store::ReportItem& item)
{
    core::Json json{{"id", item.id}, {"kind", report::itemKind(workspace, item)}, {"title", report::itemTitle(workspace, item)}};
    if (!item.annotation.empty())
        json["annotation"] = item.annotation;
    if (!item.source.is_null())
        json["source"] = item.source;
    return json;
}

std::optional<store::ReportId> wantedReport(const Reports& reports, const std::string& document)
{
    return document.empty() ? std::nullopt : std::optional(reports.find(document).id);
}

void checkSources(const AddOptions& options)
{
    const int given = int(!options.analyses.empty()) + int(!options.runs.empty()) + int(!options.picture.empty()) + int(!options.note.empty()) +
                      int(!options.leaderboard.empty());
    if (given != 1)
        throw core::InputError(fmt::format("report add: expected one of --analysis, --run, --picture, --leaderboard and --note, got {}", given));
    if (!options.show.empty() && options.runs.empty())
        throw core::InputError("--show: expected --run, whose parts it names");
}

std::string goalOf(const AddOptions& options)
{
    if (options.goal != "auto")
        return options.goal;
    return train::isLowerBetter(options.leaderboard) ? "minimize" : "maximize";
}

std::vector<store::NewReportItem> madeItems(store::Workspace& workspace, const AddOptions& options)
{
    if (!options.runs.empty())
        return {report::runsItem(workspace, options.runs, options.show)};
    if (!options.leaderboard.empty())
        return {report::leaderboardItem(workspace, options.leaderboard, goalOf(options), options.limit)};
    if (!options.picture.empty())
        return {report::pictureItem(workspace, options.picture)};
    if (!options.note.empty())
        return {report::noteItem(options.note)};
    std::vector<store::NewReportItem> items;
    for (const std::int64_t analysis : options.analyses)
        items.push_back(report::analysisItem(workspace, analysis));
    return items;
}

Exit addItems(Session& session, const AddOptions& options)
{
    checkSources(options);
    Reports::check(options.title, options.annotation);
    const auto workspace = session.workspace(OpenMode::Open);
    Reports reports(workspace);
    const auto report = wantedReport(reports, options.document);
    core::Json answer{{"items", core::Json::array()}};
    for (store::NewReportItem& item : madeItems(*workspace, options)) {
        item.title = options.title;
        if (!options.annotation.empty())
            item.annotation += (item.annotation.empty() ? "" : "\n\n") + options.annotation;
        const store::ReportItem added = reports.add(report, item);
        answer["report"] = added.report;
        answer["items"].push_back(itemJson(*workspace, added));
        if (!session.json)
            std::cout << fmt::format("item {} in report {}: {}\n", added.id, added.report, report::itemTitle(*workspace, added));
    }
    if (session.json)
        session.print(answer);
    return Exit::Done;
}

void printItems(const store::Workspace& workspace, const Reports& reports, const store::ReportDocument& document)
{
    std::cout << fmt::format("report {}: {}\n", document.id, document.name);
    int place = 0;
    for (const store::ReportItem& item : reports.items(document.id))
        std::cout << fmt::format("{:>4}  item {:<5} {:<12} {}\n", ++place, item.id, report::itemKind(workspace, item),
                                 report::itemTitle(workspace, item));
}

Exit listReports(Session& session, const std::string& wanted)
{
    const auto workspace = session.workspace(OpenMode::ReadOnly);
    const Reports reports(workspace);
    const auto documents = wanted.empty() ? reports.list() : std::vector{reports.find(wanted)};
    if (!session.json) {
        for (const store::ReportDocument& document : documents)
            printItems(*workspace, reports, document);
        if (documents.empty())
            std::cout << "No reports yet: orrery-cli report add makes one.\n";
        return Exit::Done;
    }
    const auto current = reports.current();
    core::Json answer{{"reports", core::Json::array()}};
    for (const store::ReportDocument& document : documents) {
        core::Json items = core::Json::array();
        for (const store::ReportItem& item : reports.items(document.id))
            items.push_back(itemJson(*workspace, item));
        answer["reports"].push_back({{"id", document.id},
                                     {"name", document.name},
                                     {"created", document.created},
                                     {"current", current == document.id},
                                     {"items", std::move(items)}});
    }
    session.print(answer);
    return Exit::Done;
}

Exit listSources(Session& session, std::optional<store::RunId> run)
{
    const auto workspace = session.workspace(OpenMode::ReadOnly);
    if (run)
        workspace->run(*run);  // an unknown run is named
    core::Json answer{{"analyses", core::Json::array()}};
    for (const store::Analysis& analysis : workspace->analyses(run)) {
        const std::string title = report::titleOf(analysis);
        if (!session.json)
            std::cout << fmt::format("{:>6}  {:<24} {:<8} {}\n", analysis.id, analysis.method,
                                     analysis.run ? fmt::format("run {}", *analysis.run) : "", title);
        answer["analyses"].push_back({{"id", analysis.id},
                                      {"method", analysis.method},
                                      {"run", analysis.run ? core::Json(*analysis.run) : core::Json()},
                                      {"title", title},
                                      {"created", analysis.created}});
    }
    if (session.json)
        session.print(answer);
    return Exit::Done;
}

void say(Session& session, const core::Json& answer, const std::string& sentence)
{
    if (session.json)
        session.print(answer);
    else
        std::cout << sentence << "\n";
}

}  // namespace

std::function<Exit(Session&)> declareReportAdd(CLI::App& app)
{
    auto options = std::make_shared<AddOptions>();
    app.add_option("--document", options->document, "Report, by name or number; else the current one, or a new one named Report.");
    app.add_option("--analysis", options->analyses, "Stored results, by number (`report sources` lists them).");
    app.add_option("--run", options->runs, "Runs, by number: one item for all of them.");
    app.add_option(
        "--show", options->show,
        "Parts of the runs: runs, differences, metrics, curves, confusion, attributions, environment, commands, dates. Default: the first four.");
    app.add_option("--picture", options->picture, "PNG, JPEG or WebP file; a copy is kept in the workspace.");
    app.add_option("--leaderboard", options->leaderboard, "Metric: the best runs of each data set by its last value.");
    app.add_option("--goal", options->goal, "Of the leaderboard: maximize or minimize; auto: as the metric's name says.")->capture_default_str();
    app.add_option("--limit", options->limit, "Runs of each data set on the leaderboard.")->capture_default_str();
    app.add_option("--note", options->note, "Plain text; lines that start with #, ## or ### are headings.");
    app.add_option("--title", options->title, "Title of the item; default: what its source is called.");
    app.add_option("--annotation", options->annotation, "Text below the title.");
    return [options](Session& session) { return addItems(session, *options); };
}

std::function<Exit(Session&)> declareReportList(CLI::App& app)
{
    auto document = std::make_shared<std::string>();
    app.add_option("--document", *document, "This report alone, by name or number.");
    return [document](Session& session) { return listReports(session, *document); };
}

std::function<Exit(Session&)> declareReportSources(CLI::App& app)
{
    auto run = std::make_shared<std::optional<store::RunId>>();
    app.add_option("--run", *run, "Of this run alone.");
    return [run](Session& session) { return listSources(session, *run); };
}

std::function<Exit(Session&)> declareReportCreate(CLI::App& app)
{
    auto name = std::make_shared<std::string>();
    app.add_option("name", *name, "Name of the report; it becomes its title.")->required();
    return [name](Session& session) {
        const auto id = Reports(session.workspace(OpenMode::OpenOrCreate)).create(*name);
        say(session, {{"report", id}, {"name", *name}}, fmt::format("report {}: {}", id, *name));
        return Exit::Done;
    };
}

std::function<Exit(Session&)> declareReportMove(CLI::App& app)
{
    auto item = std::make_shared<std::int64_t>(), place = std::make_shared<std::int64_t>();
    app.add_option("item", *item, "Number of the item, as `report list` shows it.")->required();
    app.add_option("--to", *place, "Place in the report; 1: first.")->required()->check(CLI::Range(1, 1'000'000));
    return [item, place](Session& session) {
        Reports reports(session.workspace(OpenMode::Open));
        reports.moveItem(*item, std::size_t(*place - 1));
        say(session, {{"item", *item}, {"place", *place}}, fmt::format("item {} is moved", *item));
        return Exit::Done;
    };
}

std::function<Exit(Session&)> declareReportRemove(CLI::App& app)
{
    auto item = std::make_shared<std::int64_t>(0);
    auto document = std::make_shared<std::string>();
    app.add_option("item", *item, "Number of the item, as `report list` shows it.");
    app.add_option("--document", *document, "A whole report, by name or number, instead.");
    return [item, document](Session& session) {
        if ((*item != 0) == !document->empty())
            throw core::InputError("report remove: expected the number of an item, or --document NAME");
        Reports reports(session.workspace(OpenMode::Open));
        if (document->empty())
            reports.removeItem(*item);
        else
            reports.remove(reports.find(*document).id);
        say(session, {{"removed", document->empty() ? core::Json(*item) : core::Json(*document)}}, "removed");
        return Exit::Done;
    };
}

}  // namespace orrery::cli
