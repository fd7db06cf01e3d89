#include "json_place.h"

#include <fmt/format.h>

#include <core/base/error.h>

#include "unicode.h"

namespace orrery::text {

void JsonPlace::fail(std::string_view expected) const
{
    std::string found = m_value->is_object()  ? "an object"
                        : m_value->is_array() ? fmt::format("a list of {}", m_value->size())
                                              : m_value->dump(-1, ' ', false, JsonTree::error_handler_t::replace);
    if (found.size() > 80)
        found = withReplacements(found.substr(0, 80)) + "...";
    throw core::FormatError(fmt::format("{}: expected {}, got {}", m_place, expected, found));
}

bool JsonPlace::has(std::string_view key) const
{
    if (!m_value->is_object())
        return false;
    const auto found = m_value->find(key);
    return found != m_value->end() && !found->is_null();
}

JsonPlace JsonPlace::at(std::string_view key) const
{
    if (!m_value->is_object())
        fail("an object");
    const auto found = m_value->find(key);
    if (found == m_value->end())
        throw core::FormatError(fmt::format("{}: expected \"{}\", found none", m_place, key));
    return {*found, fmt::format("{}.{}", m_place, key)};
}

std::vector<JsonPlace> JsonPlace::list() const
{
    if (!m_value->is_array())
        fail("a list");
    std::vector<JsonPlace> items;
    items.reserve(m_value->size());
    for (std::size_t i = 0; i < m_value->size(); ++i)
        items.emplace_back((*m_value)[i], fmt::format("{}[{}]", m_place, i));
    return items;
}

const std::string& JsonPlace::text() const
{
    if (!m_value->is_string())
        fail("a text");
    return m_value->get_ref<const std::string&>();
}

std::int64_t JsonPlace::number(std::int64_t lowest, std::int64_t highest) const
{
    const bool whole = m_value->is_number_integer() && !(m_value->is_number_unsigned() && m_value->get<std::uint64_t>() > INT64_MAX);
    if (!whole || m_value->get<std::int64_t>() < lowest || m_value->get<std::int64_t>() > highest)
        fail(fmt::format("a whole number from {} to {}", lowest, highest));
    return m_value->get<std::int64_t>();
}

double JsonPlace::decimal() const
{
    if (!m_value->is_number())
        fail("a number");
    return m_value->get<double>();
}

char32_t JsonPlace::character() const
{
    const auto& found = text();
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
    if (!member.value().is_boolean())
        member.fail("true or false");
    return member.value().get<bool>();
}

std::int64_t JsonPlace::number(std::string_view key, std::int64_t otherwise, std::int64_t lowest, std::int64_t highest) const
{
    return has(key) ? at(key).number(lowest, highest) : otherwise;
}

}  // namespace orrery::text
