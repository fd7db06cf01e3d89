#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <core/base/json.h>
#include <core/io/array.h>
#include <core/store/workspace.h>

namespace orrery::report {

/// Reading the files of an analysis for a report. The store is input like any other: sizes are checked before a file is read.

/// Largest file that is read into a report.
inline constexpr std::uint64_t kMostArtifactBytes = std::uint64_t(256) << 20;

/// Null if the analysis has no artifact of that name.
const store::Artifact* findArtifact(const store::Analysis& analysis, const std::string& name);
/// @throws core::FormatError if it is larger than `kMostArtifactBytes`, StorageError if it is missing or damaged.
std::string contentOf(const store::Workspace& workspace, const store::Analysis& analysis, const store::Artifact& artifact);
/// The `.npy` of that name; nothing if there is none. @throws core::FormatError, too, if it is no such file.
std::optional<io::Array> arrayOf(const store::Workspace& workspace, const store::Analysis& analysis, const std::string& name);
/// The JSON of that name; nothing if there is none; discarded if it is no JSON.
std::optional<core::Json> jsonOf(const store::Workspace& workspace, const store::Analysis& analysis, const std::string& name);

/// The elements as doubles. @throws core::FormatError for other types than float32, float64, uint8, int32 and int64.
std::vector<double> valuesOf(const io::Array& array);
/// The shape without leading sizes of one, as long as more than `keep` are left.
std::vector<std::int64_t> trimmedShape(const io::Array& array, std::size_t keep);

}  // namespace orrery::report
