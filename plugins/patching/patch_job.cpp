#include "patch_job.h"

#include <chrono>
#include <utility>

#include <core/base/error.h>
#include <core/store/workspace.h>
#include <widgets/model_source.h>

namespace orrery::plugins {
namespace {

constexpr auto kPostEvery = std::chrono::milliseconds(80);

/// Finished cells on their way to the window: handed over one batch at a time they would keep it from answering.
struct CellPost {
    widgets::BackgroundContext& context;
    const SweepListener& listener;
    PatchSweepPtr sweep;
    std::vector<intervene::PatchCell> waiting = {};
    std::chrono::steady_clock::time_point last = {};

    void add(std::span<const intervene::PatchCell> cells)
    {
        waiting.insert(waiting.end(), cells.begin(), cells.end());
        if (const auto now = std::chrono::steady_clock::now(); now - last >= kPostEvery) {
            last = now;
            flush();
        }
    }
    void flush()
    {
        if (!waiting.empty())
            context.post([finished = listener.finished, sweep = sweep, cells = std::exchange(waiting, {})] { finished(sweep, cells); });
    }
};

FinishedSweep stored(const PatchSweep& sweep, const intervene::PatchResult& result, const std::shared_ptr<store::Workspace>& workspace)
{
    FinishedSweep finished;
    finished.seconds = result.seconds;
    const auto& subject = *sweep.subject;
    const auto run = widgets::runOfArgument(subject.subject.model);
    if (!workspace || !run || workspace->isReadOnly())
        return finished;
    try {
        finished.analysis =
            intervene::storePatching(*workspace, *run, {subject.subject.model.toStdString(), subject.cleanOrigin, subject.corruptedOrigin}, result);
    } catch (const core::Error& error) {
        finished.whyNotStored = QString::fromUtf8(error.what());
    }
    return finished;
}

}  // namespace

FinishedSweep runSweep(const PreparedPatchPtr& subject, const core::Json& settings, const std::shared_ptr<store::Workspace>& workspace,
                       const SweepListener& listener, widgets::BackgroundContext& context)
{
    const auto sweep = makeSweep(subject, settings, context.stopToken());
    context.post([begun = listener.begun, sweep] { begun(sweep); });
    CellPost post{context, listener, sweep};
    intervene::PatchControl control;
    control.stop = context.stopToken();
    control.progress = [&](double done, double total, const char* unit) { context.progress(done, total, unit); };
    control.cells = [&](std::span<const intervene::PatchCell> cells) { post.add(cells); };
    const auto result = sweep->patching->sweep(control);
    post.flush();
    return stored(*sweep, result, workspace);
}

}  // namespace orrery::plugins
