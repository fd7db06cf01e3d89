#include "json_tape.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

#include <core/base/error.h>
#include <core/base/json_reason.h>

namespace orrery::io {
namespace {

using Kind = JsonValue::Kind;
using Sax = nlohmann::json_sax<nlohmann::json>;
constexpr std::uint64_t kTapeEntryMemory = 18;  // with what the allocator adds to a group of them
constexpr const char* kKindNames[] = {"null", "boolean", "number", "number", "number", "string", "array", "object"};

}  // namespace

/// Puts down what the library's reader finds. Keys that come again and again, as in a graph's nodes, are put down once: those of the last while are remembered.
class JsonTapeWriter : public Sax {
public:
    JsonTapeWriter(JsonTape& tape, std::string_view place, MemoryBudget& budget) : m_tape(tape), m_place(place), m_budget(budget)
    {
        m_tape.m_characters.push_back('\0');  // no name begins at 0
    }

    bool null() override { return put(Kind::Null, 0, 0); }
    bool boolean(bool value) override { return put(Kind::Boolean, 0, value); }
    bool number_integer(number_integer_t value) override { return put(Kind::Integer, 0, std::uint64_t(value)); }
    bool number_unsigned(number_unsigned_t value) override { return put(Kind::Unsigned, 0, value); }
    bool number_float(number_float_t value, const string_t&) override { return put(Kind::Real, 0, std::bit_cast<std::uint64_t>(value)); }
    bool string(string_t& value) override
    {
        const auto size = sizeOf(value);
        take(size);
        const auto begin = m_tape.m_characters.size();
        m_tape.m_characters += value;
        return put(Kind::Text, size, begin);
    }
    bool binary(binary_t&) override { fail("expected JSON, found binary data"); }
    bool start_object(std::size_t) override { return open(Kind::Object); }
    bool start_array(std::size_t) override { return open(Kind::List); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(string_t& name) override
    {
        auto& known = m_known[std::hash<std::string>()(name) % std::size(m_known)];
        if (known == 0 || m_tape.keyAt(known) != name)
            known = keyPutDown(name);
        m_key = known;
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) override
    {
        fail(fmt::format("expected JSON: {}", core::jsonReason(error.what())));
    }

private:
    [[noreturn]] void fail(std::string_view what) const { throw core::FormatError(fmt::format("{}: {}", m_place, what)); }
    void take(std::uint64_t bytes)
    {
        if (!m_budget.take(bytes))
            fail(m_budget.refusal());
    }
    std::uint32_t sizeOf(const std::string& text) const
    {
        if (text.size() > JsonTape::kMaxSize)
            fail(fmt::format("expected texts of at most {} bytes, found {}", JsonTape::kMaxSize, text.size()));
        return std::uint32_t(text.size());
    }
    /// Its length in seven bits a byte, the last one below 128, then its characters.
    std::uint32_t keyPutDown(const std::string& name)
    {
        auto& characters = m_tape.m_characters;
        auto size = sizeOf(name);
        take(size + sizeof size);
        if (characters.size() > UINT32_MAX)
            fail(fmt::format("expected at most {} bytes of text, found more", UINT32_MAX));
        const auto begin = std::uint32_t(characters.size());
        for (; size > 127; size >>= 7)
            characters.push_back(char(size | 128));
        characters.push_back(char(size));
        characters += name;
        return begin;
    }
    bool put(Kind kind, std::uint32_t size, std::uint64_t content)
    {
        take(kTapeEntryMemory);
        if (!m_open.empty()) {
            auto& holder = m_tape.m_entries[m_open.back()];
            if (holder.size == JsonTape::kMaxSize)
                fail(fmt::format("expected lists of at most {} values, found more", JsonTape::kMaxSize));
            holder.size = (holder.size + 1) & JsonTape::kMaxSize;
        }
        auto& entry = m_tape.m_entries.emplace_back();
        entry.key = m_key;
        entry.kind = std::uint32_t(kind) & 7u;
        entry.size = size & JsonTape::kMaxSize;
        entry.content = content;
        m_key = 0;
        return true;
    }
    bool open(Kind kind)
    {
        if (m_open.size() >= JsonTape::kMaxDepth)
            fail(fmt::format("expected at most {} nested levels", JsonTape::kMaxDepth));
        put(kind, 0, 0);
        m_open.push_back(m_tape.m_entries.size() - 1);
        return true;
    }
    bool close()
    {
        m_tape.m_entries[m_open.back()].content = m_tape.m_entries.size();
        m_open.pop_back();
        return true;
    }

    JsonTape& m_tape;
    std::string_view m_place;
    MemoryBudget& m_budget;
    std::vector<std::size_t> m_open;
    std::uint32_t m_known[256] = {};
    std::uint32_t m_key = 0;
};

JsonTape::JsonTape(std::string_view text, std::string_view place, MemoryBudget& budget)
{
    m_characters.reserve(std::min<std::size_t>(text.size(), kMaxSize));  // address space: what is not written takes no memory
    JsonTapeWriter writer(*this, place, budget);
    nlohmann::json::sax_parse(text.begin(), text.end(), &writer);
}

std::optional<JsonTape> JsonTape::of(std::string_view text, MemoryBudget& budget)
{
    try {
        return JsonTape(text, "", budget);
    } catch (const core::FormatError&) {
        return {};
    }
}

std::size_t JsonTape::after(std::size_t at) const
{
    const Entry& entry = m_entries[at];
    return entry.kind >= std::uint32_t(Kind::List) ? std::size_t(entry.content) : at + 1;
}

std::string_view JsonTape::keyAt(std::uint32_t place) const
{
    if (place == 0)
        return {};
    std::uint32_t size = 0;
    for (unsigned shift = 0;; shift += 7) {
        const auto byte = static_cast<unsigned char>(m_characters[place++]);
        size |= std::uint32_t(byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return std::string_view(m_characters).substr(place, size);
}

JsonValue::Kind JsonValue::kind() const
{
    return m_tape ? Kind(m_tape->m_entries[m_at].kind) : Kind::Null;
}

const char* JsonValue::typeName() const
{
    return kKindNames[std::size_t(kind())];
}

bool JsonValue::boolean() const
{
    return m_tape->m_entries[m_at].content != 0;
}

double JsonValue::number() const
{
    const auto bits = m_tape->m_entries[m_at].content;
    switch (kind()) {
    case Kind::Integer: return double(std::int64_t(bits));
    case Kind::Unsigned: return double(bits);
    default: return std::bit_cast<double>(bits);
    }
}

std::string_view JsonValue::text() const
{
    const auto& entry = m_tape->m_entries[m_at];
    return std::string_view(m_tape->m_characters).substr(entry.content, entry.size);
}

std::optional<std::int64_t> JsonValue::integer() const
{
    if (!isInteger() || (kind() == Kind::Unsigned && m_tape->m_entries[m_at].content > std::uint64_t(INT64_MAX)))
        return {};
    return std::int64_t(m_tape->m_entries[m_at].content);
}

std::size_t JsonValue::size() const
{
    return isList() || isObject() ? m_tape->m_entries[m_at].size : 0;
}

JsonValue::Iterator JsonValue::begin() const
{
    return isList() || isObject() ? Iterator({m_tape, m_at + 1}) : end();
}

JsonValue::Iterator JsonValue::end() const
{
    return Iterator({m_tape, m_tape ? m_tape->after(m_at) : 0});
}

JsonValue::Iterator& JsonValue::Iterator::operator++()
{
    m_value.m_at = m_value.m_tape->after(m_value.m_at);
    return *this;
}

std::string_view JsonValue::key() const
{
    return m_tape ? m_tape->keyAt(m_tape->m_entries[m_at].key) : std::string_view();
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const
{
    std::optional<JsonValue> found;
    if (isObject())
        for (const JsonValue value : *this)
            if (value.key() == key)
                found = value;
    return found;
}

std::string JsonValue::shown() const
{
    switch (kind()) {
    case Kind::Null: return "null";
    case Kind::Boolean: return boolean() ? "true" : "false";
    case Kind::Integer: return fmt::format("{}", std::int64_t(m_tape->m_entries[m_at].content));
    case Kind::Unsigned: return fmt::format("{}", m_tape->m_entries[m_at].content);
    case Kind::Real: return nlohmann::json(number()).dump();
    case Kind::Text: return nlohmann::json(text()).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    case Kind::List: return fmt::format("a list of {}", size());
    default: return "an object";
    }
}

}  // namespace orrery::io
