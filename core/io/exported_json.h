#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "exported_program.h"
#include "json_tape.h"

/// Internal to core/io: reading the JSON of torch.export field by field, each fault with its place.
namespace orrery::io {

using ExportJson = JsonValue;

inline constexpr int kMaxExportedGraphDepth = 64;
inline constexpr int kOldestExportSchema = 5, kNewestExportSchema = 8;

/// Where in the document we are, for messages, and what may still be taken for what is read from it.
struct ExportPlace {
    std::string_view file;
    std::string path;
    MemoryBudget* budget = nullptr;
    [[noreturn]] void fail(std::string_view what) const;
    ExportPlace in(std::string_view part) const;
    ExportPlace at(std::size_t index) const;
    /// Before something of this size is kept. @throws core::FormatError beyond the budget.
    void take(std::uint64_t bytes) const;
};

/// The field; nothing if it is missing or null itself.
std::optional<ExportJson> findField(ExportJson object, const char* key);
ExportJson requiredField(ExportJson object, const char* key, const ExportPlace& place);
ExportJson listField(ExportJson object, const char* key, const ExportPlace& place);
std::string textField(ExportJson object, const char* key, const ExportPlace& place);
std::string textOf(ExportJson value, const ExportPlace& place);
std::int64_t integerOf(ExportJson value, const ExportPlace& place);
/// Infinity and NaN are written as text.
double numberOf(ExportJson value, const ExportPlace& place);
bool flagOf(ExportJson value, const ExportPlace& place);
/// A union is an object with one field that is not null; its name is the kind.
std::pair<std::string, ExportJson> unionOf(ExportJson value, const ExportPlace& place);
/// @throws core::FormatError if it is no JSON, nested too deep, or beyond the budget of the place.
JsonTape parsedExport(std::string_view text, const ExportPlace& place);
/// For each value of a list `read(value, place)`.
template <class Read>
void eachOf(ExportJson list, const ExportPlace& place, const Read& read)
{
    std::size_t index = 0;
    for (const ExportJson value : list)
        read(value, place.at(index++));
}

// exported_graph.cpp
ExportedGraph readExportedGraph(ExportJson json, const ExportPlace& place);
/// An argument that holds no graph.
ExportedArgument readExportedArgument(ExportJson json, const ExportPlace& place);
ExportedTensor readExportedTensor(ExportJson json, const ExportPlace& place);

}  // namespace orrery::io
