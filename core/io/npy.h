#pragma once
#include <filesystem>
#include <optional>
#include <utility>

#include "array.h"

namespace orrery::io {

/// One `.npy` file. Versions 1, 2 and 3; bool, integers, float16/32/64, complex64/128; either byte order; C and Fortran order. Big-endian elements are
/// swapped and Fortran order is transposed, so the result is always row-major and native.
/// @throws core::FormatError for anything else (object and text arrays, too) and for a file that is shorter or longer than its header says.
/// Source: NEP 1, "A simple file format for NumPy arrays", and numpy.lib.format, version 3.0.
Array parseNpy(std::string_view bytes, std::string_view name);

/// The bytes of a version 1.0 `.npy` file (2.0 where the header is longer than 65,535 bytes), data aligned to 64 bytes. Same array, same bytes.
/// @throws core::InputError for element types NumPy does not have (bfloat16, float8).
std::string npyBytes(const Array& array);

/// What an archive of this size may hold when it is unpacked: 256 MiB, or a hundred times itself. Arrays that are nearly all zero deflate further, and are read from `.npy`.
std::uint64_t npzLimit(std::uint64_t fileBytes);

struct ZipMember;
/// Before the whole is unpacked: the member is as long as its own header says. @throws core::FormatError.
void checkNpyMember(const ZipMember& member, std::string_view place);

/// An `.npz` archive: arrays by name (without `.npy`), in the archive's order. Entries are stored or deflated; ZIP64 sizes are understood; checksums are verified.
/// @param maxBytes  Limit of all arrays together, unpacked; nothing: npzLimit.
/// Source: PKWARE APPNOTE 6.3, sections 4.3 and 4.5.
std::vector<std::pair<std::string, Array>> parseNpz(std::string_view bytes, std::string_view name, std::optional<std::uint64_t> maxBytes = {});

/// An archive of stored entries with a fixed date: same arrays, same bytes.
/// @throws core::InputError if it would need ZIP64 (an entry or the whole of 4 GiB or more).
std::string npzBytes(const std::vector<std::pair<std::string, Array>>& arrays);

/// Reads and writes files. @throws core::StorageError as well.
Array readNpy(const std::filesystem::path& file);
/// The array whose file a parameter names. @throws core::InputError with the parameter's place and what it may be if there is no such file.
Array readNamedNpy(const std::filesystem::path& file, std::string_view place, std::string_view expected);
void writeNpy(const std::filesystem::path& file, const Array& array);
std::vector<std::pair<std::string, Array>> readNpz(const std::filesystem::path& file);

}  // namespace orrery::io
