#pragma once
#include <filesystem>

#include "torchscript.h"

namespace orrery::models {

/// How a file that could bring a process down is read.
struct IsolationLimits {
    std::uint64_t memory = std::uint64_t(1) << 30;  ///< bytes the reading process may take beyond three times the file and what it starts with
    double seconds = 120;                           ///< for every 100 MB of the file begun
};

/// Reads a TorchScript file in a process of its own (`orrery-cli read-model`), which hands back our own model file; should that process die, this one lives.
/// What was read is kept in the user's cache folder under the file's content hash, so that the next opening is immediate.
/// @throws core::FormatError: what `importTorchScript` says; "damaged file" with the signal if the process died; more time or memory needed than allowed.
///         core::StorageError; core::Error if there is no program to start (see jobs::findWorkerProgram). Any thread.
ImportedModel readIsolated(const std::filesystem::path& file, const TorchScriptOptions& options, const IsolationLimits& limits = {});

/// A process for each of the words that names what may be a TorchScript file, at most two: it waits until `readIsolated` needs one, which then need not start the program anew (half a
/// second). To be called first thing in `main`: these processes are copies of this one, so nothing happens once it has more than one thread.
void prepareReaders(const std::vector<std::string>& words);

/// The other side: takes at most `memory` bytes more than now (0: as many as it likes), reads the file in this process and writes `model.safetensors` and `notes.json` into a
/// folder. @throws as `importTorchScript` and `saveModel`.
void readIntoFolder(const std::filesystem::path& file, const TorchScriptOptions& options, const std::filesystem::path& folder, std::uint64_t memory);

/// `$XDG_CACHE_HOME/orrery/models`, else `~/.cache/orrery/models`. Files that were not used for longest go when it grows beyond 4 GiB.
std::filesystem::path modelCacheFolder();

}  // namespace orrery::models
