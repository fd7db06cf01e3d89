#include "run_comparison.h"

#include <iostream>

#include <core/base/log.h>
#include <core/base/text.h>
#include <core/train/leaderboard.h>
#include <core/train/reproduce.h>

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

}  // namespace

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
    app.add_option("--limit", options->board.perData, "At most so many of each data set.")->capture_default_str();
    app.add_flag("--all", options->all, "Runs that have not finished, too.");
    return [options](Session& session) { return showBoards(session, *options); };
}

}  // namespace orrery::cli
