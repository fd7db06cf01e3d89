#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <core/store/workspace.h>

namespace orrery::train {

/// TensorBoard event files in and out of a workspace. A folder that holds event files is a run, named by its path below the one given.

struct ImportedEvents {
    std::vector<store::RunId> runs;
    std::vector<std::string> notes;  ///< what was left out or broke off, one sentence each
};

/// Adds a finished run for each folder of event files (`*tfevents*`) in `path` or below it, or for the one file `path`, with its scalars as metrics (names as they
/// are). Where a later file of a folder begins at a step that an earlier one had passed, the training was taken up there: what the earlier one holds from that
/// step on is dropped, as TensorBoard does. All files are read before the first run is added.
/// @throws core::FormatError for a damaged file, core::InputError if there is no event file, or none with numbers in it, core::Cancelled.
ImportedEvents importEventFiles(store::Workspace& workspace, const std::filesystem::path& path, const std::function<bool()>& isStopped = {});

/// True for a folder, or a file whose name says that it is an event file.
bool holdsEventFiles(const std::filesystem::path& path);

/// Writes every point of a run's metrics as one event file into a folder (made if need be), as they are: what single precision cannot hold as doubles. @return the file.
/// @throws core::StorageError, core::InputError for a run without metrics.
std::filesystem::path exportEventFile(const store::Workspace& workspace, store::RunId run, const std::filesystem::path& folder);

}  // namespace orrery::train
