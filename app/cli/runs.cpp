#include <iostream>

#include <core/base/files.h>
#include <core/base/log.h>
#include <core/base/text.h>
#include <core/report/document_diff.h>
#include <core/train/event_files.h>
#include <core/train/trainer.h>

#include "cli.h"
#include "number_checks.h"
#include "run_comparison.h"

namespace orrery::cli {
namespace {

using store::OpenMode;
using store::RunId;

struct RunsOptions {
    std::vector<RunId> runs;
    RunId run = 0;
    std::string filter, where, tag, status, order = "id", text, out, file, format = "auto";
    std::vector<std::string> tags;
    bool descending = false, remove = false, yes = false;
    std::size_t limit = SIZE_MAX;
};

core::Json summaryJson(const store::RunSummary& run)
{
    core::Json json = {{"id", run.id},
                       {"name", run.name},
                       {"status", store::statusName(run.status)},
                       {"created", run.created},
                       {"started", run.started},
                       {"ended", run.ended},
                       {"metrics", run.lastMetrics},
                       {"tags", run.tags}};
    if (!run.notes.empty())
        json["notes"] = run.notes;
    if (!run.error.empty())
        json["error"] = run.error;
    return json;
}

/// The first of the metrics that the run has; "-" where it has none.
std::string metricText(const store::RunSummary& run, std::initializer_list<const char*> names)
{
    for (const auto* name : names)
        if (const auto it = run.lastMetrics.find(name); it != run.lastMetrics.end())
            return fmt::format("{:.5g}", it->second);
    return "-";
}

Exit listRuns(Session& session, const RunsOptions& options)
{
    const auto workspace = session.workspace(OpenMode::ReadOnly);
    store::RunQuery query;
    query.text = options.filter;
    query.where = options.where;
    query.orderBy = options.order;
    query.descending = options.descending;
    query.limit = options.limit;
    if (!options.tag.empty())
        query.tags = {options.tag};
    if (!options.status.empty())
        query.statuses = {store::statusFromName(options.status)};
    const auto list = workspace->runs(query);
    if (session.json) {
        core::Json document = {{"runs", core::Json::array()}};
        for (const auto& run : list.runs)
            document["runs"].push_back(summaryJson(run));
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{:>5}  {:<28} {:<12} {:<20} {:>10} {:>10}  {}\n", "id", "name", "status", "created", "loss", "accuracy", "tags");
    for (const auto& run : list.runs)
        std::cout << fmt::format("{:>5}  {:<28} {:<12} {:<20} {:>10} {:>10}  {}\n", run.id, run.name.substr(0, 28), store::statusName(run.status),
                                 run.created.substr(0, 19), metricText(run, {"test/loss", "val/loss", "train/loss"}),
                                 metricText(run, {"test/accuracy", "val/accuracy"}), core::join(run.tags, ", "));
    return Exit::Done;
}

Exit showRun(Session& session, const RunsOptions& options)
{
    const auto workspace = session.workspace(OpenMode::ReadOnly);
    const auto run = workspace->run(options.run);
    auto document = summaryJson(run);
    document["document"] = run.document;
    document["environment"] = run.environment;
    document["seed"] = run.seed;
    document["document_hash"] = run.documentHash;
    document["artifacts"] = core::Json::array();
    for (const auto& artifact : workspace->artifacts(run.id))
        document["artifacts"].push_back({{"name", artifact.name},
                                         {"bytes", artifact.bytes},
                                         {"hash", artifact.hash},
                                         {"step", artifact.step ? core::Json(*artifact.step) : core::Json()}});
    document["history"] = core::Json::array();
    for (const auto& event : workspace->history(run.id))
        document["history"].push_back({{"time", event.time}, {"status", store::statusName(event.status)}, {"message", event.message}});
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("run {}: {} ({})\ncreated {}\n", run.id, run.name, store::statusName(run.status), run.created);
    if (!run.error.empty())
        std::cout << "error   " << run.error << "\n";
    if (!run.tags.empty())
        std::cout << "tags    " << core::join(run.tags, ", ") << "\n";
    if (!run.notes.empty())
        std::cout << "notes   " << run.notes << "\n";
    for (const auto& [name, value] : run.lastMetrics)
        std::cout << fmt::format("  {:<28} {}\n", name, core::formatNumber(value));
    for (const auto& artifact : workspace->artifacts(run.id))
        std::cout << fmt::format("  {:<28} {}\n", artifact.name, core::formatBytes(artifact.bytes));
    std::cout << run.document.dump(2) << "\n";
    return Exit::Done;
}

// The runs named by id, or those a query finds.
std::vector<RunId> comparedRuns(const store::Workspace& workspace, const RunsOptions& options)
{
    constexpr std::size_t kMost = 100;
    if (options.where.empty() == options.runs.empty())
        throw core::InputError("compare: expected run ids, or --where QUERY");
    std::vector<RunId> ids = options.runs;
    if (!options.where.empty()) {
        store::RunQuery query;
        query.where = options.where;
        for (const auto& run : workspace.runs(query).runs)
            ids.push_back(run.id);
    }
    if (ids.size() < 2 || ids.size() > kMost)
        throw core::InputError(
            fmt::format("compare: expected 2 to {} runs, {} {}", kMost, options.where.empty() ? "got" : "the query finds", ids.size()));
    return ids;
}

Exit compareRuns(Session& session, const RunsOptions& options)
{
    const auto workspace = session.workspace(OpenMode::ReadOnly);
    const std::vector<RunId> compared = comparedRuns(*workspace, options);
    std::vector<core::Json> documents;
    std::vector<store::RunRecord> runs;
    std::set<std::string> metrics;
    for (const auto id : compared) {
        runs.push_back(workspace->run(id));
        documents.push_back(runs.back().document);
        for (const auto& [name, value] : runs.back().lastMetrics)
            metrics.insert(name);
    }
    const auto differences = report::differences(documents);
    if (session.json) {
        core::Json document = {{"runs", compared}, {"differences", core::Json::array()}, {"metrics", core::Json::object()}};
        for (const auto& difference : differences) {
            core::Json values = core::Json::array();
            for (const auto& value : difference.values)
                values.push_back(value ? *value : core::Json());
            document["differences"].push_back({{"path", difference.path}, {"values", std::move(values)}});
        }
        for (const auto& name : metrics)
            for (const auto& run : runs)
                document["metrics"][name].push_back(run.lastMetrics.count(name) ? core::Json(run.lastMetrics.at(name)) : core::Json());
        session.print(document);
        return Exit::Done;
    }
    const auto row = [&](const std::string& title, const std::vector<std::string>& cells) {
        std::cout << fmt::format("{:<32}", title);
        for (const auto& cell : cells)
            std::cout << fmt::format(" {:>18}", cell.substr(0, 18));
        std::cout << "\n";
    };
    std::vector<std::string> cells;
    for (const auto& run : runs)
        cells.push_back(fmt::format("run {}", run.id));
    row("", cells);
    for (const auto& difference : differences) {
        cells.clear();
        for (const auto& value : difference.values)
            cells.push_back(value ? report::plainText(*value) : "-");
        row(difference.path, cells);
    }
    for (const auto& name : metrics) {
        cells.clear();
        for (const auto& run : runs)
            cells.push_back(run.lastMetrics.count(name) ? fmt::format("{:.6g}", run.lastMetrics.at(name)) : "-");
        row(name, cells);
    }
    return Exit::Done;
}

Exit changeTags(Session& session, const RunsOptions& options)
{
    const auto workspace = session.workspace(OpenMode::Open);
    for (const auto& tag : options.tags)
        options.remove ? workspace->removeTag(options.run, tag) : workspace->addTag(options.run, tag);
    if (session.json)
        session.print(summaryJson(workspace->run(options.run)));
    return Exit::Done;
}

Exit changeNote(Session& session, const RunsOptions& options)
{
    const auto workspace = session.workspace(OpenMode::Open);
    workspace->setNotes(options.run, options.text);
    if (session.json)
        session.print(summaryJson(workspace->run(options.run)));
    return Exit::Done;
}

Exit deleteRuns(Session& session, const RunsOptions& options)
{
    if (!options.yes)
        throw core::InputError("deleting runs cannot be undone; add --yes");
    const auto workspace = session.workspace(OpenMode::Open);
    for (const auto id : options.runs)
        workspace->run(id);
    workspace->deleteRuns(options.runs);
    if (session.json)
        session.print({{"deleted", options.runs}});
    return Exit::Done;
}

// One folder of event files for one run; for several each in a folder of its own.
Exit exportEvents(Session& session, const RunsOptions& options)
{
    const auto workspace = session.workspace(OpenMode::ReadOnly);
    const std::filesystem::path out = options.out;
    core::Json files = core::Json::array();
    for (const auto id : options.runs)
        workspace->run(id);
    for (const auto id : options.runs)
        files.push_back(train::exportEventFile(*workspace, id, options.runs.size() == 1 ? out : out / fmt::format("run-{}", id)).string());
    if (session.json)
        session.print({{"runs", options.runs}, {"files", files}});
    else
        for (const auto& file : files)
            std::cout << file.get<std::string>() << "\n";
    return Exit::Done;
}

// .safetensors: the final weights of one run; anything else: runs with all that belongs to them.
Exit exportRuns(Session& session, const RunsOptions& options)
{
    if (options.format == "tensorboard")
        return exportEvents(session, options);
    const auto workspace = session.workspace(OpenMode::ReadOnly);
    if (core::lower(std::filesystem::path(options.out).extension().string()) != ".safetensors") {
        workspace->exportRuns(options.runs, options.out);
    } else {
        if (options.runs.size() != 1)
            throw core::InputError("weights are exported of one run at a time");
        const auto artifact = workspace->findArtifact(options.runs[0], train::kFinalWeights);
        if (!artifact)
            throw core::InputError(
                fmt::format("run {} has no final weights (status {})", options.runs[0], store::statusName(workspace->run(options.runs[0]).status)));
        core::writeFileAtomically(options.out, workspace->readArtifact(*artifact));
    }
    if (session.json)
        session.print({{"runs", options.runs}, {"file", options.out}});
    else
        std::cout << options.out << "\n";
    return Exit::Done;
}

Exit importRuns(Session& session, const RunsOptions& options)
{
    std::error_code error;
    if (!std::filesystem::exists(options.file, error) && !error)
        throw core::InputError(fmt::format("{}: expected a file of exported runs, or TensorBoard event files, there is none", options.file));
    const auto workspace = session.workspace(OpenMode::OpenOrCreate);
    train::ImportedEvents events;
    if (train::holdsEventFiles(options.file))
        events = train::importEventFiles(*workspace, options.file, [&session] { return session.stopToken().stop_requested(); });
    const auto ids = events.runs.empty() ? workspace->importRuns(options.file) : events.runs;
    for (const auto& note : events.notes)
        core::log().warn("{}", note);
    if (session.json)
        session.print({{"runs", ids}});
    else
        for (const auto id : ids)
            std::cout << "run " << id << "\n";
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareRuns(CLI::App& app)
{
    auto options = std::make_shared<RunsOptions>();
    auto chosen = std::make_shared<std::function<Exit(Session&, const RunsOptions&)>>(listRuns);
    app.require_subcommand(1);
    app.fallthrough();
    const auto add = [&](const char* name, const char* help, Exit (*action)(Session&, const RunsOptions&)) {
        auto* sub = app.add_subcommand(name, help);
        sub->final_callback([chosen, action] { *chosen = action; });
        return sub;
    };
    auto* list = add("list", "Table of runs.", listRuns);
    list->add_option("--filter", options->filter, "Text in name, notes, tags or id.");
    list->add_option("--where", options->where, "A query: 'test/accuracy > 0.97 and optimizer.lr < 1e-2 and not tag = broken'.");
    list->footer(
        "A query joins conditions with and, or, not and parentheses: FIELD = != < <= > >= ~ VALUE (~: contains), FIELD in (A, B).\n"
        "Fields: id name status tag notes created started ended parent hash seed error; a metric, also its .min, .max, .first (test/accuracy.max);\n"
        "a path into the document, or its end (optimizer.lr). = null: not there. Other words are searched in name, notes, tags and id.");
    list->add_option("--tag", options->tag, "Only runs with this tag.");
    list->add_option("--status", options->status, "Only runs of this status.");
    list->add_option("--order", options->order,
                     "id, name, status, created, a metric such as test/accuracy, or a value of the documents such as train.optimizer.lr.");
    list->add_flag("--descending", options->descending, "Largest first.");
    list->add_option("--limit", options->limit, "At most so many.")->check(notNegative())->default_str("all");
    add("show", "Everything about one run.", showRun)->add_option("run", options->run, "Run id.")->required();
    auto* compare = add("compare", "What differs between runs, and their metrics.", compareRuns);
    compare->add_option("runs", options->runs, "Run ids.");
    compare->add_option("--where", options->where, "The runs that a query finds, instead of ids.");
    auto* tag = add("tag", "Add or remove tags.", changeTags);
    tag->add_option("run", options->run, "Run id.")->required();
    tag->add_option("tags", options->tags, "Tags.")->required();
    tag->add_flag("--remove", options->remove, "Remove them.");
    auto* note = add("note", "Set the notes of a run.", changeNote);
    note->add_option("run", options->run, "Run id.")->required();
    note->add_option("text", options->text, "The notes; empty text removes them.")->required();
    auto* remove = add("delete", "Delete runs and what belongs to them.", deleteRuns);
    remove->add_option("runs", options->runs, "Run ids.")->required();
    remove->add_flag("--yes", options->yes, "Do it.");
    auto* exporting = add("export", "Final weights of a run (.safetensors), or whole runs as one file.", exportRuns);
    exporting->add_option("runs", options->runs, "Run ids.")->required();
    exporting->add_option("--out", options->out, "File; of event files the folder.")->required();
    exporting->add_option("--format", options->format, "tensorboard: metrics as event files; auto: by the name of the file.")
        ->check(CLI::IsMember({"auto", "tensorboard"}));
    // Subcommands with options of their own.
    const auto addOwn = [&](const char* name, const char* help, auto declare) {
        auto* sub = app.add_subcommand(name, help);
        sub->final_callback(
            [chosen, action = declare(*sub)] { *chosen = [action](Session& session, const RunsOptions&) { return action(session); }; });
    };
    addOwn("groups", "Runs that share a value: mean and spread of their metrics.", declareGroups);
    addOwn("reproduce", "Train a stored run once more and compare: bit for bit, or what differs.", declareReproduce);
    addOwn("leaderboard", "The best runs of each data set.", declareLeaderboard);
    add("import", "Add the runs of an exported file, or of TensorBoard event files.", importRuns)
        ->add_option("file", options->file, "File written by runs export; event file, or folder with such.")
        ->required();
    return [options, chosen](Session& session) { return (*chosen)(session, *options); };
}

}  // namespace orrery::cli
