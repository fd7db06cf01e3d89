#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <widgets/background.h>

#include "patching_model.h"

namespace orrery::plugins {

/// What a sweep says at its end, besides the cells it handed over.
struct FinishedSweep {
    std::optional<qint64> analysis;  ///< in the workspace, if the model is one of its runs
    QString whyNotStored;
    double seconds = 0;
};

/// Called on the UI thread while a sweep runs: once when both runs are done, then with finished cells a few times a second.
struct SweepListener {
    std::function<void(const PatchSweepPtr& sweep)> begun;
    std::function<void(const PatchSweepPtr& sweep, const std::vector<intervene::PatchCell>& cells)> finished;
};

/// The work of the job. @throws as `intervene::Patching`; a map that cannot be stored is no error.
FinishedSweep runSweep(const PreparedPatchPtr& subject, const core::Json& settings, const std::shared_ptr<store::Workspace>& workspace,
                       const SweepListener& listener, widgets::BackgroundContext& context);

}  // namespace orrery::plugins
