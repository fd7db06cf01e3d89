#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <core/base/json.h>

namespace orrery::models::families {

/// Reads a checkpoint's `config.json` field by field. Keys keep the spelling of the format. What is absent or null takes the default given here, which is the one
/// that the architecture's own library has. Not thread-safe only in that it refers to nothing outside: copies freely.
/// @throws core::FormatError from every reader, naming file and key, what was expected and what was found.
class Config {
public:
    /// @param where  Name of the file for messages.
    Config(core::Json json, std::string where) : m_json(std::move(json)), m_where(std::move(where)) {}
    const core::Json& json() const { return m_json; }
    const std::string& where() const { return m_where; }

    bool has(std::string_view key) const;  ///< there and not null
    /// A whole number from 1 to 1,048,576: a size or a count. Products of three of them fit into 64 bits.
    std::int64_t count(std::string_view key) const;
    std::int64_t count(std::string_view key, std::int64_t otherwise) const;
    /// A number of layers, from 1 to 1,000: a graph is built of them.
    std::int64_t layers(std::string_view key, std::int64_t otherwise) const;
    /// Any whole number, or nothing.
    std::optional<std::int64_t> number(std::string_view key) const;
    double real(std::string_view key, double otherwise) const;
    bool flag(std::string_view key, bool otherwise) const;
    std::string text(std::string_view key, const std::string& otherwise) const;
    std::vector<std::int64_t> counts(std::string_view key, const std::vector<std::int64_t>& otherwise) const;
    /// Numbers of layers of each stage, 1,000 in all.
    std::vector<std::int64_t> depths(std::string_view key, const std::vector<std::int64_t>& otherwise) const;
    /// The object under a key as a config of its own; an empty one if it is absent.
    Config section(std::string_view key) const;
    /// The same with other values for what is absent or null.
    Config withDefaults(const core::Json& defaults) const;
    /// The first of the keys that is there; the first one if none is. For fields that were renamed.
    std::string_view firstOf(std::initializer_list<std::string_view> keys) const;

    /// Number of classes: `num_labels`, else the length of `id2label`, else 2.
    std::int64_t labels() const;
    /// Texts of `id2label`, by number; empty if there are none or they are the library's placeholders (LABEL_0, ...).
    std::vector<std::string> labelNames() const;

    [[noreturn]] void fail(std::string_view key, std::string_view expected) const;

private:
    const core::Json* find(std::string_view key) const;
    core::Json m_json;
    std::string m_where;
};

}  // namespace orrery::models::families
