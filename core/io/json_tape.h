#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "memory_budget.h"

namespace orrery::io {

class JsonTape;

/// A value of a JsonTape: a handle of two words, which is valid as long as the tape. The default one is null.
class JsonValue {
public:
    enum class Kind : std::uint8_t { Null, Boolean, Integer, Unsigned, Real, Text, List, Object };
    class Iterator;

    JsonValue() = default;
    Kind kind() const;
    bool isNull() const { return kind() == Kind::Null; }
    bool isBoolean() const { return kind() == Kind::Boolean; }
    bool isText() const { return kind() == Kind::Text; }
    bool isList() const { return kind() == Kind::List; }
    bool isObject() const { return kind() == Kind::Object; }
    bool isInteger() const { return kind() == Kind::Integer || kind() == Kind::Unsigned; }
    bool isNumber() const { return isInteger() || kind() == Kind::Real; }
    /// "null", "boolean", "number", "string", "array", "object".
    const char* typeName() const;

    /// What is there; the kind is asked before.
    bool boolean() const;
    double number() const;
    std::string_view text() const;
    /// Nothing for a number with a fraction, or above what 64 bits with a sign hold.
    std::optional<std::int64_t> integer() const;

    /// Of lists and objects, else 0.
    std::size_t size() const;
    /// The values of a list or an object, in the order of the text.
    Iterator begin() const;
    Iterator end() const;
    /// The name of a value in an object, else empty.
    std::string_view key() const;
    /// Nothing if this is no object or has no such key; the last of several, as most readers have it. Goes through all of them.
    std::optional<JsonValue> find(std::string_view key) const;
    /// A value as text for messages, whole: "an object", "a list of 3", 1.5, "text".
    std::string shown() const;

private:
    friend class JsonTape;
    JsonValue(const JsonTape* tape, std::size_t at) : m_tape(tape), m_at(at) {}
    const JsonTape* m_tape = nullptr;
    std::size_t m_at = 0;
};

/// A JSON document as a row of values of 16 bytes, each before what it holds, and one run of characters: large vocabularies and graphs take a sixth of what a tree of maps takes.
/// Read only.
class JsonTape {
public:
    static constexpr int kMaxDepth = 800;
    /// @param place   For messages: the file, and where in it the text is.
    /// @param budget  What the values may take; further parts of the same file count on it.
    /// @throws core::FormatError with the place for what is no JSON, nested more than kMaxDepth deep, or beyond the budget.
    JsonTape(std::string_view text, std::string_view place, MemoryBudget& budget);
    /// What stands in a text inside another document, which has its own budget; nothing if it is no JSON.
    static std::optional<JsonTape> of(std::string_view text, MemoryBudget& budget);
    JsonValue root() const { return {this, 0}; }

private:
    friend class JsonValue;
    friend class JsonTapeWriter;
    static constexpr std::uint32_t kMaxSize = (1u << 29) - 1;
    struct Entry {
        std::uint32_t key = 0;              ///< where its name begins among the characters; 0: none
        std::uint32_t kind : 3, size : 29;  ///< size: bytes of a text, values in a list
        std::uint64_t content = 0;          ///< a number's bits, where a text begins, which entry follows a list
        Entry() : kind(0), size(0) {}
    };
    JsonTape() = default;
    std::size_t after(std::size_t at) const;
    std::string_view keyAt(std::uint32_t place) const;

    std::deque<Entry> m_entries;
    std::string m_characters;
};

class JsonValue::Iterator {
public:
    JsonValue operator*() const { return m_value; }
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return m_value.m_at == other.m_value.m_at; }

private:
    friend class JsonValue;
    explicit Iterator(JsonValue value) : m_value(value) {}
    JsonValue m_value;
};

}  // namespace orrery::io
