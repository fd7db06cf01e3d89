#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// The header of PLY files: elements with properties, in the order in which their data stands.
/// Source: Turk (1994), "The PLY Polygon File Format".
namespace orrery::scene {

enum class PlyType { Int8, UInt8, Int16, UInt16, Int32, UInt32, Float32, Float64 };
std::size_t sizeOf(PlyType type);

struct PlyProperty {
    std::string name;
    PlyType type = PlyType::Float32;
    bool isList = false;
    PlyType countType = PlyType::UInt8;  ///< of a list's length
};

struct PlyElement {
    std::string name;
    std::uint64_t count = 0;
    std::vector<PlyProperty> properties;
    bool hasList() const;
    /// Bytes that one entry takes in a binary file; with lists: that it takes at least.
    std::size_t bytes() const;
    /// Index of a property, or -1.
    int find(std::string_view property) const;
};

enum class PlyEncoding { Ascii, BinaryLittleEndian, BinaryBigEndian };
/// "ascii", "binary_little_endian", "binary_big_endian".
std::string_view plyEncodingName(PlyEncoding encoding);

struct PlyHeader {
    PlyEncoding encoding = PlyEncoding::Ascii;
    std::vector<PlyElement> elements;
    std::vector<std::string> comments;  ///< of comment and obj_info lines
    std::size_t dataOffset = 0;         ///< where the data begins
    const PlyElement* find(std::string_view element) const;
};

bool isPly(std::string_view bytes);
/// Any thread. Takes memory for what the header spells out alone, not for what it announces.
/// @throws core::FormatError: `a.ply: line 4: expected a type (char, uchar, ... double), got "colour"`.
PlyHeader parsePlyHeader(std::string_view bytes, std::string_view name);
/// @throws core::FormatError if the entries an element announces cannot stand in the `available` bytes.
void checkPlyCount(const PlyElement& element, PlyEncoding encoding, std::size_t available, std::string_view name);

}  // namespace orrery::scene
