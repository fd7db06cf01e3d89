#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include <core/base/json.h>

namespace orrery::train {

/// Limits of a document that comes from outside.
struct DocumentLimits {
    std::size_t maxBytes = std::size_t(4) << 20;
    std::size_t maxNodes = 20'000;  ///< values in the result, aliases expanded
    int maxDepth = 64;
};

/// JSON text. A key given twice is refused. @throws core::FormatError with `name`, line and column.
core::Json parseJsonDocument(std::string_view text, const std::string& name, const DocumentLimits& limits = {});

/// One YAML document. Plain scalars are typed by the core schema of YAML 1.2.2 (section 10.3.2): `yes` and `0777` are text and 777. Aliases are expanded; anchors
/// that hold themselves, keys given twice or that are no scalars, foreign tags, `.inf` and `.nan`, and a second document are refused.
/// @throws core::FormatError with `name`, line and column; also where this build has no YAML (ORRERY_YAML).
core::Json parseYamlDocument(std::string_view text, const std::string& name, const DocumentLimits& limits = {});

/// YAML if the name ends in .yaml or .yml, else JSON. @throws core::StorageError as well.
core::Json readDocument(const std::filesystem::path& file, const DocumentLimits& limits = {});

/// Block style, keys in order, short lists of numbers on one line; reads back to the same value.
std::string toYaml(const core::Json& document);

}  // namespace orrery::train
