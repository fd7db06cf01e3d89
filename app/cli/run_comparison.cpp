#include "run_comparison.h"

#include <algorithm>
#include <iostream>

#include <core/base/log.h>
#include <core/base/text.h>
#include <core/store/run_filter.h>
#include <core/train/leaderboard.h>
#include <core/train/reproduce.h>
#include <core/train/run_groups.h>

#include "number_checks.h"
#include "training.h"

namespace orrery::cli {
namespace {

struct ReproduceOptions {
    store::RunId run = 0;
    std::optional<store::RunId> again;
    jobs::EngineChoice engine;
};

store::RunId repeated(Session& session, const std::shared_ptr<store::Workspace>& workspace, const ReproduceOptions& options)
{
    const auto original = workspace->run(options.run);
    if (original.status != store::RunStatus::Finished)
        throw core::InputError(fmt::format("run {} is {}: expected a finished run to reproduce", options.run, store::statusName(original.status)));
    const int earlier = train::threadsOfRun(original), threads = session.threads > 0 ? session.threads : earlier;
    if (earlier > 0 && threads != earlier)
        core::log().warn("run {} was trained with {} threads: with {} the last bits may differ", options.run, earlier, threads);
    const auto again = train::createRepetition(*workspace, options.run);
    if (!session.quiet)
        core::log().info("run {} repeats run {}", again, options.run);
    trainShown(session, workspace, again, options.engine, threads);
    return again;
}

Exit reproduce(Session& session, const ReproduceOptions& options)
{
    session.applyThreads();
    jobs::makeEngine(options.engine);
    const auto workspace = session.workspace(options.again ? store::OpenMode::ReadOnly : store::OpenMode::Open);
    const auto again = options.again ? *options.again : repeated(session, workspace, options);
    const auto result = train::compareRepetition(*workspace, options.run, again);
    if (!options.again)
        train::storeReproduction(*workspace, result);
    if (session.json)
        session.print(result.toJson());
    else
        std::cout << result.summary();
    return Exit::Done;
}

struct BoardOptions {
    train::LeaderboardOptions board;
    std::string goal;
    bool all = false;
};

Exit showBoards(Session& session, BoardOptions options)
{
    if (!options.goal.empty())
        options.board.lowerIsBetter = options.goal == "minimize";
    options.board.finishedOnly = !options.all;
    const auto workspace = session.workspace(store::OpenMode::ReadOnly);
    const auto boards = train::leaderboards(*workspace, options.board);
    if (session.json) {
        session.print(train::toJson(boards, options.board));
        return Exit::Done;
    }
    for (const auto& board : boards) {
        std::cout << fmt::format("{} ({} runs, data {})\n{:>4}  {:>5}  {:<28} {:<16} {:>12}\n", board.data, board.runs, board.dataHash.substr(0, 8),
                                 "rank", "run", "name", "model", options.board.metric);
        for (const auto& entry : board.entries)
            std::cout << fmt::format("{:>4}  {:>5}  {:<28} {:<16} {:>12.6g}\n", entry.rank, entry.run.id, entry.run.name.substr(0, 28),
                                     entry.model.substr(0, 16), entry.value);
    }
    return Exit::Done;
}

struct GroupOptions {
    std::string field, where;
    std::vector<std::string> metrics;
};

core::Json groupJson(const train::RunGroup& group)
{
    core::Json metrics = core::Json::object();
    for (const auto& [name, spread] : group.metrics)
        metrics[name] = {{"count", spread.count},
                         {"mean", spread.mean},
                         {"deviation", spread.deviation},
                         {"minimum", spread.minimum},
                         {"maximum", spread.maximum}};
    return {{"value", group.value}, {"runs", group.runs}, {"metrics", std::move(metrics)}};
}

// A field may be named by the end of its path, as in a query.
std::string fullName(const store::Workspace& workspace, const std::string& field)
{
    std::vector<std::string> names, ending;
    for (const auto& known : workspace.runFields()) {
        if (known.name == field)
            return field;
        names.push_back(known.name);
        if (known.name.ends_with("." + field))
            ending.push_back(known.name);
    }
    if (ending.size() == 1)
        return ending.front();
    if (field == "tags")
        return field;
    if (ending.empty())
        throw core::InputError(fmt::format("no field \"{}\"{}", field, core::didYouMean(field, names)));
    throw core::InputError(fmt::format("the field \"{}\" is not unique: expected one of {}", field, core::join(ending, ", ")));
}

Exit showGroups(Session& session, const GroupOptions& options)
{
    const auto workspace = session.workspace(store::OpenMode::ReadOnly);
    const auto field = fullName(*workspace, options.field);
    store::RunQuery query;
    query.where = options.where;
    query.columns = {field};
    const auto groups = train::groupRuns(workspace->runs(query).runs, field);
    if (session.json) {
        core::Json list = core::Json::array();
        for (const auto& group : groups)
            list.push_back(groupJson(group));
        session.print({{"field", field}, {"groups", std::move(list)}});
        return Exit::Done;
    }
    for (const auto& group : groups) {
        std::cout << fmt::format("{} = {} ({} runs)\n", field, group.value, group.runs.size());
        for (const auto& [name, spread] : group.metrics)
            if (options.metrics.empty() || std::find(options.metrics.begin(), options.metrics.end(), name) != options.metrics.end())
                std::cout << fmt::format("  {:<28} {:>12.6g} +- {:<10.3g} ({} runs, {:.6g} to {:.6g})\n", name, spread.mean, spread.deviation,
                                         spread.count, spread.minimum, spread.maximum);
    }
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareGroups(CLI::App& app)
{
    auto options = std::make_shared<GroupOptions>();
    app.add_option("field", options->field, "seed, name, status, tags, a metric, or a setting: model.width, or the end of its path.")->required();
    app.add_option("--where", options->where, "Only runs that this query matches.");
    app.add_option("--metric", options->metrics, "Only these metrics.");
    return [options](Session& session) { return showGroups(session, *options); };
}

std::function<Exit(Session&)> declareReproduce(CLI::App& app)
{
    auto options = std::make_shared<ReproduceOptions>();
    app.add_option("run", options->run, "Run id.")->required();
    app.add_option("--against", options->again, "Train nothing; compare with this run.");
    addEngineOptions(app, options->engine);
    return [options](Session& session) { return reproduce(session, *options); };
}

std::function<Exit(Session&)> declareLeaderboard(CLI::App& app)
{
    auto options = std::make_shared<BoardOptions>();
    app.add_option("--metric", options->board.metric, "Metric to order by: its last value.")->capture_default_str();
    app.add_option("--goal", options->goal, "maximize or minimize; else as the metric's name says.")->check(CLI::IsMember({"maximize", "minimize"}));
    app.add_option("--where", options->board.where, "Only runs that this query matches: model.id = mlp and seed < 3.");
    app.add_option("--limit", options->board.perData, "At most so many of each data set.")->capture_default_str()->check(positive());
    app.add_flag("--all", options->all, "Runs that have not finished, too.");
    return [options](Session& session) { return showBoards(session, *options); };
}

}  // namespace orrery::cli
