#include "sweep_store.h"

#include <charconv>

#include <fmt/format.h>

#include <core/train/runs.h>

namespace orrery::search {
namespace {

using core::Json;

constexpr const char* kMethod = "sweep";
constexpr std::string_view kTrialTag = "trial:";

std::string sweepTag(SweepId id)
{
    return fmt::format("sweep:{}", id);
}

std::optional<std::int64_t> trialOf(const store::RunSummary& run)
{
    for (const std::string& tag : run.tags) {
        std::int64_t trial = 0;
        const char* const end = tag.data() + tag.size();
        if (tag.starts_with(kTrialTag))
            if (const auto read = std::from_chars(tag.data() + kTrialTag.size(), end, trial); read.ec == std::errc() && read.ptr == end)
                return trial;
    }
    return {};
}

store::Analysis sweepAnalysis(const store::Workspace& workspace, SweepId id)
{
    for (store::Analysis& analysis : workspace.analyses({}, kMethod))
        if (analysis.id == id)
            return std::move(analysis);
    throw core::InputError(fmt::format("there is no sweep {} in {}; `sweep --list` shows those there are", id, workspace.folder().string()));
}

}  // namespace

SweepId addSweep(store::Workspace& workspace, const Sweep& sweep, int threads)
{
    store::NewAnalysis analysis;
    analysis.method = kMethod;
    analysis.inputs = {{"document", sweep.document}, {"folder", sweep.folder.string()}, {"data_hash", sweep.base.document["data_hash"]}};
    analysis.parameters = sweep.settings;
    analysis.results = {{"threads", threads}};
    return workspace.addAnalysis(analysis);
}

StoredSweep storedSweep(const store::Workspace& workspace, SweepId id)
{
    const store::Analysis analysis = sweepAnalysis(workspace, id);
    StoredSweep stored;
    stored.id = id;
    stored.created = analysis.created;
    stored.threads = analysis.results.value("threads", 1);
    Json document = analysis.inputs.at("document");
    document["data_hash"] = analysis.inputs.at("data_hash");
    stored.sweep = resolveSweep(document, analysis.inputs.value("folder", std::string()));
    stored.name = stored.sweep.base.document["name"];
    return stored;
}

std::vector<SweepLine> sweepLines(const store::Workspace& workspace)
{
    std::vector<SweepLine> lines;
    for (const store::Analysis& analysis : workspace.analyses({}, kMethod)) {
        store::RunQuery query;
        query.tags = {sweepTag(analysis.id)};
        query.limit = 0;
        lines.push_back({analysis.id, analysis.inputs.at("document").value("name", std::string("experiment")), analysis.created,
                         analysis.parameters.at("sampler").at("id"), analysis.parameters.at("metric"), workspace.runs(query).matching});
    }
    return lines;
}

store::RunId addTrialRun(store::Workspace& workspace, SweepId id, std::int64_t trial, const train::Experiment& experiment)
{
    train::Experiment tagged = experiment;
    tagged.document["name"] = fmt::format("{} #{}", experiment.document["name"].get<std::string>(), trial);
    tagged.document["tags"].push_back(sweepTag(id));
    tagged.document["tags"].push_back(fmt::format("{}{}", kTrialTag, trial));
    return train::createRun(workspace, tagged);
}

std::map<std::int64_t, store::RunSummary> trialRuns(const store::Workspace& workspace, SweepId id, const Space& space)
{
    store::RunQuery query;
    query.tags = {sweepTag(id)};
    for (const Dimension& dimension : space)
        query.columns.push_back(dimension.path);
    std::map<std::int64_t, store::RunSummary> runs;
    for (store::RunSummary& run : workspace.runs(query).runs)
        if (const auto trial = trialOf(run))
            runs.emplace(*trial, std::move(run));
    return runs;
}

}  // namespace orrery::search
