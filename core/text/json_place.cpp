#include "json_place.h"

#include <fmt/format.h>

#include <core/base/error.h>

#include "unicode.h"

namespace orrery::text {

void JsonPlace::fail(std::string_view expected) const
{
    std::string found = m_value.shown();
    if (found.size() > 80)
        found = withReplacements(found.substr(0, 80)) + "...";
    throw core::FormatError(fmt::format("{}: expected {}, got {}", m_place, expected, found));
}

bool JsonPlace::has(std::string_view key) const
{
    const auto found = m_value.find(key);
    return found && !found->isNull();
}

JsonPlace JsonPlace::at(std::string_view key) const
{
    if (!m_value.isObject())
        fail("an object");
    const auto found = m_value.find(key);
    if (!found)
        throw core::FormatError(fmt::format("{}: expected \"{}\", found none", m_place, key));
    return {*found, fmt::format("{}.{}", m_place, key)};
}

JsonPlaces JsonPlace::list() const
{
    if (!m_value.isList())
        fail("a list");
    return {m_value, m_place};
}

JsonPlace JsonPlaces::operator[](std::size_t index) const
{
    auto at = m_list.begin();
    for (std::size_t i = 0; i < index; ++i)
        ++at;
    return placeOf(*at, index);
}

JsonPlace JsonPlaces::placeOf(io::JsonValue value, std::size_t index) const
{
    return {value, fmt::format("{}[{}]", m_place, index)};
}

std::string JsonPlace::text() const
{
    if (!m_value.isText())
        fail("a text");
    return std::string(m_value.text());
}

std::int64_t JsonPlace::number(std::int64_t lowest, std::int64_t highest) const
{
    const auto number = m_value.integer();
    if (!number || *number < lowest || *number > highest)
        fail(fmt::format("a whole number from {} to {}", lowest, highest));
    return *number;
}

double JsonPlace::decimal() const
{
    if (!m_value.isNumber())
        fail("a number");
    return m_value.number();
}

char32_t JsonPlace::character() const
{
    const auto found = text();
    if (found.empty() || pointAt(found, 0).bytes != found.size())
        fail("one character");
    return pointAt(found, 0).value;
}

std::string JsonPlace::text(std::string_view key, std::string_view otherwise) const
{
    return has(key) ? at(key).text() : std::string(otherwise);
}

bool JsonPlace::flag(std::string_view key, bool otherwise) const
{
    if (!has(key))
        return otherwise;
    const auto member = at(key);
    if (!member.value().isBoolean())
        member.fail("true or false");
    return member.value().boolean();
}

std::int64_t JsonPlace::number(std::string_view key, std::int64_t otherwise, std::int64_t lowest, std::int64_t highest) const
{
    return has(key) ? at(key).number(lowest, highest) : otherwise;
}

}  // namespace orrery::text
