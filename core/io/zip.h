#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::io {

/// One file of a zip archive, unpacked and checked against its CRC.
struct ZipEntry {
    std::string name;
    std::string content;
};

/// All files of an archive in the order of its directory; folders are left out. Stored and deflated entries, ZIP64 sizes.
/// @param maxBytes  Limit of all contents together: the sizes in the directory are checked before memory is taken.
/// @throws core::FormatError for a damaged archive, another compression method or an encrypted entry.
/// Source: PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12, 4.3.14-16 and 4.5.3.
std::vector<ZipEntry> parseZip(std::string_view bytes, std::string_view name, std::uint64_t maxBytes);

/// One file of a zip archive where it lies: `packed` looks into the archive's bytes; of a stored member it is the content itself. Nothing is verified yet.
struct ZipMember {
    std::string name;
    std::string_view packed;
    std::uint64_t size = 0;  ///< of the content
    std::uint32_t crc = 0;
    bool isStored = true;  ///< false: deflated
};

/// All files of an archive in the order of its directory, without unpacking any; folders are left out.
/// @throws core::FormatError as `parseZip` (structure, not contents).
std::vector<ZipMember> zipMembers(std::string_view bytes, std::string_view name, std::uint64_t maxBytes);
/// The content, checked against its CRC. `name` is the archive's, for messages. @throws core::FormatError.
std::string unpackZipMember(const ZipMember& member, std::string_view name);
/// The first bytes of the content, at most `bytes` of them, unverified. @throws core::FormatError for damaged deflate data.
std::string zipMemberStart(const ZipMember& member, std::string_view name, std::size_t bytes);
/// Checks the CRC of a stored member in place. @throws core::FormatError, also for a deflated one.
void checkStoredZipMember(const ZipMember& member, std::string_view name);

/// An archive of stored entries with a fixed date: same entries, same bytes.
/// @throws core::InputError if an entry or the archive would reach 4 GiB or there are more than 65,534 entries (ZIP64 is not written).
std::string zipBytes(const std::vector<ZipEntry>& entries);

}  // namespace orrery::io
