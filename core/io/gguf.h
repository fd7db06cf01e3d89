#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/json.h>

/// GGUF files (llama.cpp): metadata and tensors, some of them quantised. Free of libtorch.
namespace orrery::io {

enum class GgufValueType : std::uint32_t { UInt8, Int8, UInt16, Int16, UInt32, Int32, Float32, Bool, Text, List, UInt64, Int64, Float64 };

/// One value of the metadata. Its bytes stay in the file.
struct GgufValue {
    GgufValueType type = GgufValueType::UInt32;
    GgufValueType elementType = GgufValueType::UInt32;  ///< List
    std::uint64_t count = 1;                            ///< List
    std::string_view bytes;                             ///< of the value, or of all elements; a text without its length
};

enum class GgufTensorType : std::uint32_t {
    Float32 = 0,
    Float16 = 1,
    Q4_0 = 2,
    Q8_0 = 8,
    Int8 = 24,
    Int16 = 25,
    Int32 = 26,
    Int64 = 27,
    Float64 = 28,
    BFloat16 = 30
};

struct GgufTensor {
    std::string_view name;
    GgufTensorType type = GgufTensorType::Float32;
    std::vector<std::int64_t> shape;   ///< row-major: the file's order turned round
    std::uint64_t begin = 0, end = 0;  ///< byte positions in the file
};

struct GgufFile {
    std::uint32_t version = 3;
    std::vector<std::pair<std::string_view, GgufValue>> metadata;  ///< in the file's order
    std::vector<GgufTensor> tensors;                               ///< in the file's order
    /// Nothing if there is no such key.
    const GgufValue* find(std::string_view key) const;
};

/// True for the first bytes of a GGUF file.
bool isGguf(std::string_view bytes);

/// Reads the header of a whole file, versions 2 and 3, little-endian; the tensors' data is not touched. `bytes` must outlive the result.
/// @throws core::FormatError naming `name`, key or tensor, and what was found: another version or byte order; a count, length, type or size that does not fit the file; a type of tensor other than F32,
///         F16, BF16, F64, I8 to I64, Q8_0 and Q4_0, by its name; more than 4 axes; a name that is there twice; offsets that are not aligned, overlap or reach past the end.
/// Source: ggml, docs/gguf.md (the format), and ggml-common.h (the blocks).
GgufFile parseGguf(std::string_view bytes, std::string_view name);

/// As a number, text, truth or list; lists of more than `maxItems` elements are told as "32000 texts". Texts that are no UTF-8 are told as their length.
core::Json toJson(const GgufValue& value, std::size_t maxItems = 16);

/// A number or text of the metadata. @throws core::FormatError naming the key if it is there and is another kind of value, or is missing where no default is given.
std::int64_t ggufInteger(const GgufFile& file, const std::string& key, std::string_view name);
double ggufReal(const GgufFile& file, const std::string& key, double otherwise, std::string_view name);
std::string ggufText(const GgufFile& file, const std::string& key);  ///< empty if there is none

/// "Q4_0".
std::string_view ggufTypeName(GgufTensorType type);
/// True for blocks that have to be unpacked.
bool isQuantised(GgufTensorType type);

inline constexpr std::int64_t kGgufBlock = 32;
/// Bytes of one block of a quantised type.
std::int64_t ggufBlockBytes(GgufTensorType type);
/// Unpacks blocks of 32 elements: a half-precision scale d, and q of 8 bits (value d q), or of 4 bits (value d (q - 8); the low halves of the 16 bytes are elements 0 to 15, the high ones 16 to 31).
/// @param bytes  `out.size()` elements of a quantised type.
void dequantise(GgufTensorType type, std::string_view bytes, std::span<float> out);

}  // namespace orrery::io
