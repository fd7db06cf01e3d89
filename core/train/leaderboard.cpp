#include "leaderboard.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>

#include <core/base/text.h>

namespace orrery::train {
namespace {

using core::Json;

std::string columnText(const store::RunSummary& run, const char* path)
{
    const auto found = run.columns.find(path);
    if (found == run.columns.end() || found->second.is_null())
        return {};
    return found->second.is_string() ? found->second.get<std::string>() : found->second.dump();
}

std::string dataTitle(const store::RunSummary& run)
{
    // A document may name its data by id alone.
    const std::string id = columnText(run, "data.id"), path = columnText(run, "data.path");
    const std::string name = id.empty() ? columnText(run, "data") : id;
    return path.empty() ? name : name + " " + path;
}

std::string modelTitle(const store::RunSummary& run)
{
    const std::string id = columnText(run, "model.id");
    return id.empty() ? columnText(run, "model") : id;
}

[[noreturn]] void failUnmeasured(const store::Workspace& workspace, const LeaderboardOptions& options)
{
    const std::vector<std::string> names = workspace.metricNames();
    if (std::find(names.begin(), names.end(), options.metric) != names.end())
        throw core::InputError(
            fmt::format("leaderboard: none of the {} runs asked for has the metric {}", options.finishedOnly ? "finished" : "", options.metric));
    throw core::InputError(fmt::format("leaderboard: no run has the metric \"{}\"{}; there are {}", options.metric,
                                       core::didYouMean(options.metric, names), names.empty() ? "none yet" : core::join(names, ", ")));
}

void addEntry(Leaderboard& board, store::RunSummary run, double value, std::size_t most)
{
    ++board.runs;
    if (board.entries.size() >= most)
        return;
    Leaderboard::Entry entry;
    entry.model = modelTitle(run);
    const bool isEqual = !board.entries.empty() && board.entries.back().value == value;
    entry.rank = isEqual ? board.entries.back().rank : board.runs;
    entry.value = value;
    entry.run = std::move(run);
    board.entries.push_back(std::move(entry));
}

}  // namespace

bool isLowerBetter(const std::string& metric)
{
    for (const char* ending : {"loss", "mae", "mse", "rmse", "error", "perplexity", "bits_per_character"})
        if (metric.ends_with(ending))
            return true;
    return false;
}

std::vector<Leaderboard> leaderboards(const store::Workspace& workspace, const LeaderboardOptions& options)
{
    store::RunQuery query;
    query.where = options.where;
    query.orderBy = options.metric;
    query.descending = !options.lowerIsBetter.value_or(isLowerBetter(options.metric));
    query.columns = {"data.id", "data.path", "data", "data_hash", "model.id", "model"};
    query.metrics = {{options.metric, {}, {}}};
    if (options.finishedOnly)
        query.statuses = {store::RunStatus::Finished};
    std::vector<store::RunSummary> runs = workspace.runs(query).runs;
    if (runs.empty())
        failUnmeasured(workspace, options);
    std::stable_partition(runs.begin(), runs.end(), [&](const auto& run) { return !std::isnan(run.lastMetrics.at(options.metric)); });
    std::map<std::pair<std::string, std::string>, Leaderboard> boards;
    for (store::RunSummary& run : runs) {
        const std::string data = dataTitle(run), hash = columnText(run, "data_hash");
        Leaderboard& board = boards[{data, hash}];
        board.data = data;
        board.dataHash = hash;
        const double value = run.lastMetrics.at(options.metric);
        addEntry(board, std::move(run), value, options.perData);
    }
    std::vector<Leaderboard> out;
    for (auto& [key, board] : boards)
        out.push_back(std::move(board));
    return out;
}

Json toJson(const std::vector<Leaderboard>& boards, const LeaderboardOptions& options)
{
    Json list = Json::array();
    for (const Leaderboard& board : boards) {
        Json entries = Json::array();
        for (const Leaderboard::Entry& entry : board.entries)
            entries.push_back({{"rank", entry.rank},
                               {"run", entry.run.id},
                               {"name", entry.run.name},
                               {"model", entry.model},
                               {"value", entry.value},
                               {"created", entry.run.created},
                               {"document_hash", entry.run.documentHash}});
        list.push_back({{"data", board.data}, {"data_hash", board.dataHash}, {"runs", board.runs}, {"entries", std::move(entries)}});
    }
    return {{"metric", options.metric},
            {"goal", options.lowerIsBetter.value_or(isLowerBetter(options.metric)) ? "minimize" : "maximize"},
            {"boards", std::move(list)}};
}

}  // namespace orrery::train
