// Items for a report: what is not in the workspace yet is stored first.
#include <algorithm>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <fmt/format.h>

#include "blocks_json.h"
#include "report_document.h"
#include "run_report_parts.h"

namespace orrery::report {

using core::Json;
using store::NewReportItem;

namespace {

/// JSON that the store can write: bytes that are not UTF-8, perhaps of a file's name, become U+FFFD.
Json storable(const Json& json)
{
    return Json::parse(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::int64_t addAnalysisOf(store::Workspace& workspace, const char* method, const Json& inputs, const Json& results)
{
    store::NewAnalysis analysis;
    analysis.method = method;
    analysis.inputs = storable(inputs);
    analysis.parameters = Json::object();
    analysis.results = storable(results);
    return workspace.addAnalysis(analysis);
}

void checkGoal(const std::string& goal)
{
    if (goal != "maximize" && goal != "minimize")
        throw core::InputError(fmt::format("goal: expected maximize or minimize, got \"{}\"", goal));
}

std::string mediaTypeOf(io::ImageFormat format)
{
    return format == io::ImageFormat::Png ? "image/png" : format == io::ImageFormat::Jpeg ? "image/jpeg" : "image/webp";
}

}  // namespace

NewReportItem analysisItem(const store::Workspace& workspace, std::int64_t analysis)
{
    workspace.analysis(analysis);
    return {"analysis", Json{{"analysis", analysis}}, "", ""};
}

NewReportItem runsItem(const store::Workspace& workspace, std::span<const store::RunId> runs, std::span<const std::string> show)
{
    std::vector<std::string> known;
    for (const RunPart& part : runParts())
        known.emplace_back(part.id);
    for (const std::string& part : show)
        if (std::ranges::find(known, part) == known.end())
            throw core::InputError(
                fmt::format("there is no part \"{}\" of a run report{}; there are {}", part, core::didYouMean(part, known), core::join(known, ", ")));
    Json source{{"runs", Json::array()}};
    for (const store::RunRecord& record : recordsOf(workspace, runs))
        source["runs"].push_back(record.id);
    if (!show.empty())
        source["show"] = std::vector<std::string>(show.begin(), show.end());
    return {"runs", std::move(source), "", ""};
}

NewReportItem leaderboardItem(const store::Workspace& workspace, const std::string& metric, const std::string& goal, int limit)
{
    checkGoal(goal);
    const std::vector<std::string> known = workspace.metricNames();
    if (std::ranges::find(known, metric) == known.end())
        throw core::InputError(fmt::format("no run of the workspace has the metric \"{}\"{}", metric, core::didYouMean(metric, known)));
    if (limit < 1 || limit > 1000)
        throw core::InputError(fmt::format("runs of a leaderboard: expected 1 to 1000, got {}", limit));
    return {"leaderboard", Json{{"metric", metric}, {"goal", goal}, {"limit", limit}}, "", ""};
}

NewReportItem noteItem(const std::string& text)
{
    if (core::trim(text).empty())
        throw core::InputError("note: expected some text, got none");
    return {"note", Json(), "", text};
}

NewReportItem snapshotItem(store::Workspace& workspace, const Snapshot& snapshot)
{
    if (snapshot.pictures.empty() && snapshot.blocks.empty())
        throw core::InputError("there is nothing to add to the report yet");
    Json inputs{{"panel", snapshot.panel}, {"title", snapshot.title}};
    if (snapshot.inputs.is_object())
        inputs.update(snapshot.inputs);
    if (!snapshot.command.empty())
        inputs["command"] = snapshot.command;
    // Encoded before anything is stored: what cannot be written leaves nothing behind.
    const std::string blocks = toJson(snapshot.blocks).dump(-1, ' ', false, Json::error_handler_t::replace);
    std::vector<std::string> files;
    Json titles = Json::object();
    for (const SnapshotPicture& picture : snapshot.pictures) {
        files.push_back(io::encodePng(picture.image));
        titles[fmt::format("picture_{}", files.size() - 1)] = picture.title;
    }
    const std::int64_t id = addAnalysisOf(workspace, "snapshot", inputs, {{"pictures", titles}});
    for (std::size_t i = 0; i < files.size(); ++i)
        workspace.addAnalysisArtifact(id, {fmt::format("picture_{}", i), "image/png", {}}, files[i]);
    if (!snapshot.blocks.empty())
        workspace.addAnalysisArtifact(id, {"blocks", "application/json", {}}, blocks);
    return {"analysis", Json{{"analysis", id}}, "", ""};
}

NewReportItem pictureItem(store::Workspace& workspace, const std::filesystem::path& file)
{
    const std::string bytes = core::readFile(file, kMostPictureBytes);
    const auto format = io::recogniseImage(bytes);
    if (!format)
        throw core::FormatError(fmt::format("{}: expected a PNG, JPEG or WebP picture, found a file of another kind", file.string()));
    io::ImageLimits limits;
    limits.maxPixels = 64'000'000;
    const io::Image image = io::decodeImage(bytes, file.string(), limits);
    const std::int64_t id = addAnalysisOf(workspace, "picture", {{"title", file.stem().string()}, {"file", file.filename().string()}},
                                          {{"width", image.width}, {"height", image.height}});
    workspace.addAnalysisArtifact(id, {"picture", mediaTypeOf(*format), {}}, bytes);
    return {"analysis", Json{{"analysis", id}}, "", ""};
}

}  // namespace orrery::report
