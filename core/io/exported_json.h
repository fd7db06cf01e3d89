#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "exported_program.h"

/// Internal to core/io: reading the JSON of torch.export field by field, each fault with its place.
namespace orrery::io {

using ExportJson = nlohmann::json;  // sorted keys: long dictionaries are found fast

inline constexpr int kMaxExportedGraphDepth = 64;
inline constexpr int kOldestExportSchema = 5, kNewestExportSchema = 8;

/// Where in the document we are, for messages.
struct ExportPlace {
    std::string_view file;
    std::string path;
    [[noreturn]] void fail(std::string_view what) const;
    ExportPlace in(std::string_view part) const;
    ExportPlace at(std::size_t index) const;
};

/// The field, or null if it is missing or null itself.
const ExportJson* findField(const ExportJson& object, const char* key);
const ExportJson& requiredField(const ExportJson& object, const char* key, const ExportPlace& place);
const ExportJson& listField(const ExportJson& object, const char* key, const ExportPlace& place);
std::string textField(const ExportJson& object, const char* key, const ExportPlace& place);
std::string textOf(const ExportJson& value, const ExportPlace& place);
std::int64_t integerOf(const ExportJson& value, const ExportPlace& place);
/// Infinity and NaN are written as text.
double numberOf(const ExportJson& value, const ExportPlace& place);
bool flagOf(const ExportJson& value, const ExportPlace& place);
/// A union is an object with one field that is not null; its name is the kind.
std::pair<std::string, const ExportJson*> unionOf(const ExportJson& value, const ExportPlace& place);
/// @throws core::FormatError if it is no JSON or nested too deep.
ExportJson parsedExport(std::string_view text, std::string_view name);

// exported_graph.cpp
ExportedGraph readExportedGraph(const ExportJson& json, const ExportPlace& place);
/// An argument that holds no graph.
ExportedArgument readExportedArgument(const ExportJson& json, const ExportPlace& place);
ExportedTensor readExportedTensor(const ExportJson& json, const ExportPlace& place);

}  // namespace orrery::io
