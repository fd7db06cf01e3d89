#pragma once
#include <filesystem>
#include <functional>
#include <utility>

#include "array.h"

namespace orrery::io {

/// One tensor of a `.safetensors` file. `begin` and `end` are byte positions in the file itself (not relative to the data part).
struct SafetensorsEntry {
    std::string name;
    ElementType type = ElementType::Float32;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
    std::vector<SafetensorsEntry> entries;                      ///< in the order of their data
    std::vector<std::pair<std::string, std::string>> metadata;  ///< `__metadata__`, in the order written
    /// Nothing if there is no such tensor / key.
    const SafetensorsEntry* find(std::string_view name) const;
    const std::string* findMetadata(std::string_view key) const;
};

/// Headers beyond this are refused before they are parsed (the reference implementation's limit).
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

/// Reads the header of a whole file (usually `core::MappedFile::text()`); the tensor data itself is not touched.
/// @throws core::FormatError if the header is cut off, too long, no JSON of the right form, names a tensor or key twice, or if the tensors overlap, leave
///         gaps, reach past the end of the file, do not fill it, or have a length that differs from shape times element size.
/// Source: the safetensors format description, https://github.com/huggingface/safetensors (README, "Format"), version 0.4.
SafetensorsHeader parseSafetensors(std::string_view file, std::string_view name);

/// Spelling in the file: "F32", "BF16", "I64", "BOOL", ... Complex128 has none: @throws core::InputError.
std::string_view safetensorsType(ElementType type);

/// One tensor to be written. The bytes are row-major and little-endian; they are only looked at while writing.
struct SafetensorsItem {
    std::string name;
    ElementType type = ElementType::Float32;
    std::vector<std::int64_t> shape;
    std::string_view bytes;
};
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

/// Streams a file by `core::writeFileAtomically`. Items are ordered by falling element size (stable otherwise) and the data starts at a multiple of
/// 64, so that a mapped file gives aligned tensors. Same items, same bytes.
/// @throws core::InputError if a name is given twice, is `__metadata__`, or bytes do not fit the shape; core::StorageError.
void writeSafetensors(const std::filesystem::path& file, const std::vector<SafetensorsItem>& items, const SafetensorsMetadata& metadata = {});
/// The same as one string.
std::string safetensorsBytes(const std::vector<SafetensorsItem>& items, const SafetensorsMetadata& metadata = {});

}  // namespace orrery::io
