#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::text {

/// A vocabulary has hundreds of thousands of entries: objects with sorted keys, not core::Json, which looks through all of them for each.
using JsonTree = nlohmann::json;

/// A value of a document and where it is, for messages: "tokenizer.json: model.vocab".
class JsonPlace {
public:
    JsonPlace(const JsonTree& value, std::string place) : m_value(&value), m_place(std::move(place)) {}
    const JsonTree& value() const { return *m_value; }
    const std::string& place() const { return m_place; }

    bool isNull() const { return m_value->is_null(); }
    bool isObject() const { return m_value->is_object(); }
    /// True if this is an object with a value other than null under the key.
    bool has(std::string_view key) const;
    /// @throws core::FormatError if it is missing or this is no object.
    JsonPlace at(std::string_view key) const;
    /// The elements. @throws core::FormatError if this is no list.
    std::vector<JsonPlace> list() const;

    /// The value as a text, a number in [lowest, highest], a decimal. @throws core::FormatError.
    const std::string& text() const;
    std::int64_t number(std::int64_t lowest = 0, std::int64_t highest = INT32_MAX) const;
    double decimal() const;
    /// The text's only code point.
    char32_t character() const;

    // The same of a member, with what holds where it is missing or null.
    std::string text(std::string_view key, std::string_view otherwise) const;
    bool flag(std::string_view key, bool otherwise) const;
    std::int64_t number(std::string_view key, std::int64_t otherwise, std::int64_t lowest = 0, std::int64_t highest = INT32_MAX) const;

    /// "PLACE: expected EXPECTED, got VALUE". @throws core::FormatError.
    [[noreturn]] void fail(std::string_view expected) const;

private:
    const JsonTree* m_value;
    std::string m_place;
};

}  // namespace orrery::text
