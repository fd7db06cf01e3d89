#pragma once
#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include <core/io/json_tape.h>

namespace orrery::text {

/// For documents that are made here. A vocabulary has hundreds of thousands of entries: objects with sorted keys, not core::Json, which looks through all of them for each.
using JsonTree = nlohmann::json;

class JsonPlaces;

/// A value of a document and where it is, for messages: "tokenizer.json: model.vocab". Valid as long as the document's tape.
class JsonPlace {
public:
    JsonPlace(io::JsonValue value, std::string place) : m_value(value), m_place(std::move(place)) {}
    io::JsonValue value() const { return m_value; }
    const std::string& place() const { return m_place; }

    bool isNull() const { return m_value.isNull(); }
    bool isObject() const { return m_value.isObject(); }
    /// True if this is an object with a value other than null under the key.
    bool has(std::string_view key) const;
    /// @throws core::FormatError if it is missing or this is no object.
    JsonPlace at(std::string_view key) const;
    /// The elements. @throws core::FormatError if this is no list.
    JsonPlaces list() const;

    /// The value as a text, a number in [lowest, highest], a decimal. @throws core::FormatError.
    std::string text() const;
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
    io::JsonValue m_value;
    std::string m_place;
};

/// The elements of a list, each made when it is its turn: a list may be longer than one would want to keep places of.
class JsonPlaces {
public:
    class Iterator {
    public:
        JsonPlace operator*() const { return m_places->placeOf(*m_at, m_index); }
        Iterator& operator++()
        {
            ++m_at;
            ++m_index;
            return *this;
        }
        bool operator==(const Iterator& other) const { return m_at == other.m_at; }

    private:
        friend class JsonPlaces;
        Iterator(const JsonPlaces* places, io::JsonValue::Iterator at) : m_places(places), m_at(at) {}
        const JsonPlaces* m_places;
        io::JsonValue::Iterator m_at;
        std::size_t m_index = 0;
    };

    JsonPlaces(io::JsonValue list, std::string place) : m_list(list), m_place(std::move(place)) {}
    std::size_t size() const { return m_list.size(); }
    Iterator begin() const { return {this, m_list.begin()}; }
    Iterator end() const { return {this, m_list.end()}; }
    /// Goes through those before it: for short lists.
    JsonPlace operator[](std::size_t index) const;

private:
    JsonPlace placeOf(io::JsonValue value, std::size_t index) const;
    io::JsonValue m_list;
    std::string m_place;
};

}  // namespace orrery::text
