#include "process_kind.h"

#include <fmt/format.h>

#include <core/io/safetensors.h>
#include <core/io/tensors.h>

#include "runs.h"

namespace orrery::train {
namespace {

using core::Json;

constexpr const char *kSnapshotGraph = "graph", *kSnapshotStep = "step";
/// Larger ones are not worth copying once a second; live views then wait for the next checkpoint.
constexpr std::uint64_t kLargestSnapshot = std::uint64_t(256) << 20;

std::shared_ptr<store::Workspace> workspaceOf(const jobs::Task& task)
{
    if (!task.run || task.workspace.empty())
        throw core::InputError("a training in a process of its own: expected a run and its workspace");
    return store::Workspace::open(task.workspace, store::OpenMode::Open);
}

Json trainTask(const jobs::Task& task, jobs::Context& context)
{
    const auto workspace = workspaceOf(task);
    const TrainResult result = trainRun(workspace, task.run.value(), context);
    return {{"steps", result.steps}, {"best_step", result.bestStep}};
}

TrainResult resultOf(const jobs::Task& task, const Json& told)
{
    const auto workspace = store::Workspace::open(task.workspace, store::OpenMode::ReadOnly);
    TrainResult result;
    result.model = modelOfRun(*workspace, task.run.value());
    result.steps = told.at("steps");
    result.bestStep = told.at("best_step");
    result.metrics = workspace->lastMetrics(task.run.value());
    return result;
}

void markDead(const jobs::Task& task, const std::string& message)
{
    const auto workspace = workspaceOf(task);
    workspace->checkLeases();  // takes the lease from the process that is gone
    if (workspace->run(*task.run).status == store::RunStatus::Finished)
        return;
    workspace->logLine(*task.run, store::LogLevel::Error, message);
    workspace->setStatus(*task.run, store::RunStatus::Failed, message);
}

std::string packSnapshot(const Snapshot& snapshot)
{
    std::vector<at::Tensor> tensors;
    std::vector<io::SafetensorsItem> items;
    std::uint64_t bytes = 0;
    for (const auto& [name, tensor] : snapshot.weights.tensors()) {
        tensors.push_back(tensor.detach().cpu().contiguous());
        const at::Tensor& flat = tensors.back();
        bytes += flat.nbytes();
        if (bytes > kLargestSnapshot)
            return {};
        items.push_back({name,
                         io::toElementType(flat.scalar_type()),
                         flat.sizes().vec(),
                         {static_cast<const char*>(flat.numel() ? flat.data_ptr() : nullptr), std::size_t(flat.nbytes())}});
    }
    return io::safetensorsBytes(items, {{kSnapshotGraph, graph::toJson(*snapshot.graph).dump()}, {kSnapshotStep, std::to_string(snapshot.step)}});
}

std::shared_ptr<const Snapshot> unpackSnapshot(std::string_view bytes)
{
    const std::string name = "a snapshot of a training";
    const io::SafetensorsHeader header = io::parseSafetensors(bytes, name);
    const std::string *const graphText = header.findMetadata(kSnapshotGraph), *const step = header.findMetadata(kSnapshotStep);
    const Json json = graphText ? Json::parse(*graphText, nullptr, false) : Json();
    if (!step || !json.is_object())
        throw core::FormatError(name + ": expected a graph and a step");
    Snapshot out;
    out.graph = graph::fromJson(json, name);
    out.step = std::atoll(step->c_str());
    for (const io::SafetensorsEntry& entry : header.entries)
        out.weights.set(entry.name, io::toTensor({entry.type, entry.shape, std::string(bytes.substr(entry.begin, entry.end - entry.begin))}));
    return std::make_shared<const Snapshot>(std::move(out));
}

}  // namespace

jobs::Kind trainKind()
{
    jobs::Kind kind;
    kind.run = trainTask;
    kind.result = [](const jobs::Task& task, const Json& told) { return std::any(resultOf(task, told)); };
    kind.died = markDead;
    kind.pack = [](const void* partial) { return packSnapshot(*static_cast<const Snapshot*>(partial)); };
    kind.unpack = [](std::string_view bytes) -> std::shared_ptr<const void> { return unpackSnapshot(bytes); };
    return kind;
}

}  // namespace orrery::train
