#pragma once
#include <filesystem>
#include <string_view>

#include "json.h"

namespace orrery::core {

/// Version of Orrery: "0.1.0".
std::string_view version();

/// What a result depends on besides its document: `orrery`, `libtorch`, `compiler`, `system`, `host`, `devices` (as `listDevices`), `gemm`, `threads`
/// (of the calling thread), and `git` (as `gitState`) where `folder` lies in a git work tree. Takes at most about two seconds, whatever git does. Any thread.
Json environmentSnapshot(const std::filesystem::path& folder = {});

/// `commit` (null before the first), `branch` (null where detached) and `dirty` (tracked files differ from the commit) of the work tree that holds `folder`.
/// Null where there is none, without git, or if git takes more than two seconds. Any thread.
Json gitState(const std::filesystem::path& folder);

}  // namespace orrery::core
