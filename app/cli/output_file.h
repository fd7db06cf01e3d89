#pragma once
#include <string>

namespace orrery::cli {

/// Asks before the work, not after it, whether a file can be written where it is wanted. Nothing for an empty name.
/// @throws core::StorageError as writing it would: no such folder, no permission, a folder of that name.
void requireWritable(const std::string& file);

/// The same for a plot. @throws core::InputError if the name does not end in .svg.
void requireSvg(const std::string& file);

}  // namespace orrery::cli
