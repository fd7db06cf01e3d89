#pragma once
#include <string>
#include <string_view>
#include <vector>

/// ZIP archives that somebody else reads: names, structure, checksums.
namespace orrery::models {

/// The entries of a ZIP archive, in its order. Structure and CRC-32 of every entry are verified without keeping any content (entries of another compression than
/// stored or deflated are not). Any thread.
/// @throws core::FormatError naming the entry. Source: PKWARE APPNOTE 6.3, sections 4.3 and 4.5.
std::vector<std::string> checkedZipEntries(std::string_view bytes, std::string_view name);

/// The names alone; of a damaged archive only that of its first entry, if it can be read.
std::vector<std::string> zipEntryNames(std::string_view bytes);

}  // namespace orrery::models
