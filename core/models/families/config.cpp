#include "config.h"

#include <fmt/format.h>

#include <algorithm>

#include <core/base/error.h>

namespace orrery::models::families {
namespace {

constexpr std::int64_t kLargestCount = 1 << 20;
constexpr std::int64_t kMostLayers = 1000;
constexpr std::size_t kShownCharacters = 60;

bool isCount(const core::Json& value)
{
    return value.is_number_integer() && value.get<double>() >= 1 && value.get<double>() <= double(kLargestCount);
}

}  // namespace

const core::Json* Config::find(std::string_view key) const
{
    const auto found = m_json.is_object() ? m_json.find(std::string(key)) : m_json.end();
    return found == m_json.end() || found->is_null() ? nullptr : &*found;
}

bool Config::has(std::string_view key) const
{
    return find(key) != nullptr;
}

void Config::fail(std::string_view key, std::string_view expected) const
{
    const auto* value = find(key);
    auto found = value ? value->dump() : std::string("nothing");
    if (found.size() > kShownCharacters)
        found = found.substr(0, kShownCharacters) + "...";
    throw core::FormatError(fmt::format("{}: {}: expected {}, found {}", m_where, key, expected, found));
}

std::int64_t Config::count(std::string_view key) const
{
    const auto* value = find(key);
    if (!value || !isCount(*value))
        fail(key, fmt::format("a whole number from 1 to {}", kLargestCount));
    return value->get<std::int64_t>();
}

std::int64_t Config::count(std::string_view key, std::int64_t otherwise) const
{
    return has(key) ? count(key) : otherwise;
}

std::int64_t Config::layers(std::string_view key, std::int64_t otherwise) const
{
    const auto found = count(key, otherwise);
    if (found > kMostLayers)
        fail(key, fmt::format("at most {} layers", kMostLayers));
    return found;
}

std::optional<std::int64_t> Config::number(std::string_view key) const
{
    const auto* value = find(key);
    if (!value)
        return std::nullopt;
    if (!value->is_number_integer())
        fail(key, "a whole number");
    return value->get<std::int64_t>();
}

double Config::real(std::string_view key, double otherwise) const
{
    const auto* value = find(key);
    if (value && !value->is_number())
        fail(key, "a number");
    return value ? value->get<double>() : otherwise;
}

bool Config::flag(std::string_view key, bool otherwise) const
{
    const auto* value = find(key);
    if (value && !value->is_boolean())
        fail(key, "true or false");
    return value ? value->get<bool>() : otherwise;
}

std::string Config::text(std::string_view key, const std::string& otherwise) const
{
    const auto* value = find(key);
    if (value && !value->is_string())
        fail(key, "a text");
    return value ? value->get<std::string>() : otherwise;
}

std::vector<std::int64_t> Config::counts(std::string_view key, const std::vector<std::int64_t>& otherwise) const
{
    const auto* value = find(key);
    if (!value)
        return otherwise;
    if (!value->is_array() || value->empty() || !std::all_of(value->begin(), value->end(), isCount))
        fail(key, "a list of whole numbers from 1");
    return value->get<std::vector<std::int64_t>>();
}

std::vector<std::int64_t> Config::depths(std::string_view key, const std::vector<std::int64_t>& otherwise) const
{
    const auto found = counts(key, otherwise);
    std::int64_t sum = 0;
    for (const auto each : found)
        if ((sum += each) > kMostLayers)
            fail(key, fmt::format("at most {} layers in all", kMostLayers));
    return found;
}

Config Config::section(std::string_view key) const
{
    const auto* value = find(key);
    if (value && !value->is_object())
        fail(key, "an object");
    return {value ? *value : core::Json::object(), fmt::format("{}: {}", m_where, key)};
}

Config Config::withDefaults(const core::Json& defaults) const
{
    Config made = *this;
    for (const auto& [key, value] : defaults.items())
        if (!has(key))
            made.m_json[key] = value;
    return made;
}

std::string_view Config::firstOf(std::initializer_list<std::string_view> keys) const
{
    for (const auto key : keys)
        if (has(key))
            return key;
    return *keys.begin();
}

std::int64_t Config::labels() const
{
    if (has("num_labels"))
        return count("num_labels");
    const auto* names = find("id2label");
    if (names && !names->is_object())
        fail("id2label", "an object from numbers to names");
    return names && !names->empty() ? std::int64_t(names->size()) : 2;
}

std::vector<std::string> Config::labelNames() const
{
    const auto* names = find("id2label");
    if (!names || !names->is_object())
        return {};
    std::vector<std::string> texts(names->size());
    bool placeholders = true;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto found = names->find(std::to_string(i));
        if (found == names->end() || !found->is_string())
            return {};
        texts[i] = found->get<std::string>();
        placeholders = placeholders && texts[i] == fmt::format("LABEL_{}", i);
    }
    return placeholders ? std::vector<std::string>() : texts;
}

}  // namespace orrery::models::families
