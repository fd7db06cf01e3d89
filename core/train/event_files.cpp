#include "event_files.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/io/tensorboard.h>

namespace orrery::train {
namespace {

using io::ScalarEvent;

constexpr std::uint64_t kLargestEventFile = std::uint64_t(4) << 30;
constexpr std::size_t kMostEventFiles = 10'000;

bool isEventFileName(const std::filesystem::path& file)
{
    return file.filename().string().find("tfevents") != std::string::npos;
}

/// Event files by folder, each in the order of their names: these begin with the time.
std::map<std::filesystem::path, std::vector<std::filesystem::path>> eventFilesIn(const std::filesystem::path& path)
{
    std::map<std::filesystem::path, std::vector<std::filesystem::path>> found;
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path, std::filesystem::directory_options::skip_permission_denied)) {
        if (!entry.is_regular_file() || !isEventFileName(entry.path()))
            continue;
        if (++count > kMostEventFiles)
            throw core::InputError(
                fmt::format("{}: expected at most {} event files, found more; import its folders one by one", path.string(), kMostEventFiles));
        found[entry.path().parent_path()].push_back(entry.path());
    }
    for (auto& [folder, files] : found)
        std::sort(files.begin(), files.end());
    return found;
}

struct FolderEvents {
    std::string name;
    std::vector<std::string> files;
    std::map<std::string, std::vector<ScalarEvent>> metrics;
};

/// A training that was taken up again writes a new file from the step it went back to.
void dropOvertaken(FolderEvents& folder, const std::vector<ScalarEvent>& later)
{
    std::int64_t first = std::numeric_limits<std::int64_t>::max();
    for (const ScalarEvent& event : later)
        first = std::min(first, event.step);
    for (auto& [tag, events] : folder.metrics)
        std::erase_if(events, [&](const ScalarEvent& event) { return event.step >= first; });
}

void addFile(FolderEvents& folder, const std::filesystem::path& file, std::vector<std::string>& notes)
{
    const io::EventFile read = io::parseEventFile(core::readFile(file, kLargestEventFile), file.string());
    if (read.brokenAt)
        notes.push_back(fmt::format("{}: the record at byte {} is not whole (the file may still be being written); what stands before it was read",
                                    file.string(), *read.brokenAt));
    if (read.others > 0)
        notes.push_back(fmt::format("{}: {} values that are no numbers (pictures, histograms, texts) were left out", file.string(), read.others));
    if (!read.scalars.empty())
        dropOvertaken(folder, read.scalars);
    for (const ScalarEvent& event : read.scalars)
        folder.metrics[event.tag].push_back(event);
    folder.files.push_back(file.filename().string());
}

void addRun(store::Workspace& workspace, FolderEvents& folder, const std::filesystem::path& source, ImportedEvents& imported)
{
    store::NewRun run;
    run.name = folder.name;
    run.document = {{"name", folder.name}, {"imported", {{"format", "tensorboard"}, {"folder", source.string()}, {"files", folder.files}}}};
    run.environment = core::Json::object();
    run.tags = {"tensorboard"};
    const store::RunId id = workspace.createRun(run);
    workspace.startRun(id);
    for (auto& [tag, events] : folder.metrics) {
        std::stable_sort(events.begin(), events.end(), [](const ScalarEvent& a, const ScalarEvent& b) { return a.step < b.step; });
        for (const ScalarEvent& event : events)
            workspace.metric(id, tag, event.step, event.value, event.time);
    }
    workspace.flush();
    workspace.setStatus(id, store::RunStatus::Finished);
    imported.runs.push_back(id);
}

}  // namespace

bool holdsEventFiles(const std::filesystem::path& path)
{
    std::error_code none;
    return std::filesystem::is_directory(path, none) || isEventFileName(path);
}

ImportedEvents importEventFiles(store::Workspace& workspace, const std::filesystem::path& path, const std::function<bool()>& isStopped)
{
    std::map<std::filesystem::path, std::vector<std::filesystem::path>> files;
    const bool isFolder = std::filesystem::is_directory(path);
    if (isFolder)
        files = eventFilesIn(path);
    else
        files[path.parent_path()] = {path};
    if (files.empty())
        throw core::InputError(
            fmt::format("{}: expected a folder with TensorBoard event files (*tfevents*) in it or below it, found none", path.string()));
    ImportedEvents imported;
    std::vector<std::pair<std::filesystem::path, FolderEvents>> folders;
    const std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
    for (const auto& [folder, names] : files) {
        FolderEvents events;
        const std::string below = isFolder ? folder.lexically_relative(path).string() : path.filename().string();
        const std::string own = whole.filename().empty() ? whole.parent_path().filename().string() : whole.filename().string();
        events.name = below == "." || below.empty() ? own : below;
        for (const auto& file : names) {
            if (isStopped && isStopped())
                throw core::Cancelled();
            addFile(events, file, imported.notes);
        }
        if (events.metrics.empty())
            imported.notes.push_back(fmt::format("{}: holds no numbers; no run was made of it", folder.string()));
        else
            folders.emplace_back(folder, std::move(events));
    }
    if (folders.empty())
        throw core::InputError(fmt::format("{}: expected event files with numbers in them, found none", path.string()));
    for (auto& [folder, events] : folders)
        addRun(workspace, events, std::filesystem::absolute(folder), imported);
    return imported;
}

std::filesystem::path exportEventFile(const store::Workspace& workspace, store::RunId run, const std::filesystem::path& folder)
{
    std::vector<ScalarEvent> events;
    for (const store::MetricInfo& info : workspace.metricInfos(run)) {
        const auto series = workspace.metricSeries(run, info.name, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
                                                   std::size_t(1) << 30);
        for (const store::MetricBucket& point : series.buckets)
            events.push_back({info.name, point.firstStep, point.firstTime, point.nans > 0 ? std::nan("") : point.mean});
    }
    if (events.empty())
        throw core::InputError(fmt::format("run {} ({}) has no metrics to export", run, workspace.run(run).name));
    std::stable_sort(events.begin(), events.end(),
                     [](const ScalarEvent& a, const ScalarEvent& b) { return a.step != b.step ? a.step < b.step : a.time < b.time; });
    const double start =
        std::min_element(events.begin(), events.end(), [](const ScalarEvent& a, const ScalarEvent& b) { return a.time < b.time; })->time;
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error)
        throw core::StorageError(fmt::format("{}: the folder cannot be made: {}", folder.string(), error.message()));
    const std::filesystem::path file = folder / fmt::format("events.out.tfevents.{:010.0f}.orrery", start);
    core::writeFileAtomically(file, io::eventFileBytes(events, start));
    return file;
}

}  // namespace orrery::train
