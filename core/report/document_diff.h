#pragma once
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <core/base/json.h>

namespace orrery::report {

/// A document as a list of dotted paths and their values, in document order. Lists of plain values, and empty objects and lists, are values; other
/// lists are entered by index (`analyses.0.method`). A key that is empty or holds a dot or quote stands in quotes.
std::vector<std::pair<std::string, core::Json>> flattened(const core::Json& document);

struct DocumentDifference {
    std::string path;
    std::vector<std::optional<core::Json>> values;  ///< one a document; nothing where the document has no such path
};

/// The paths at which the documents are not all equal, in the order of the first document, then of the others'. 1 and 1.0 are equal.
std::vector<DocumentDifference> differences(std::span<const core::Json> documents);

/// A value as it is written into a table or after `--set path=`: text without quotes unless it would read as something else.
std::string plainText(const core::Json& value);

}  // namespace orrery::report
