#pragma once
#include <optional>

#include <core/scene/splat/splats.h>
#include <core/store/workspace.h>

namespace orrery::train {

/// The Gaussians that a run has stored.
struct StoredSplats {
    scene::Splats splats;
    std::int64_t step = 0;
    bool isFinal = false;  ///< the run has finished with these
};

/// The final ones, else those of the last checkpoint that can be read; nothing if there are none yet. The data is not opened.
/// @throws core::InputError: `run 3 trains lenet: expected a run that trains Gaussians`; core::StorageError for a run that is not there.
std::optional<StoredSplats> splatsOfRun(const store::Workspace& workspace, store::RunId run);

/// True for a run whose document trains Gaussians; false for any other, and one that is not there.
bool isSplatRun(const store::Workspace& workspace, store::RunId run);

}  // namespace orrery::train
