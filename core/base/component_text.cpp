#include "component_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "error.h"
#include "text.h"

namespace orrery::core {
namespace {

Json scalarFromText(const std::string& text)
{
    const Json parsed = Json::parse(text, nullptr, false);
    return parsed.is_discarded() ? Json(text) : parsed;
}

Json listFromText(const std::string& text)
{
    const Json parsed = Json::parse(text, nullptr, false);
    if (parsed.is_array() || parsed.is_null())
        return parsed;
    Json items = Json::array();
    for (std::size_t start = 0; start < text.size();) {
        const std::size_t comma = std::min(text.find(',', start), text.size());
        items.push_back(scalarFromText(text.substr(start, comma - start)));
        start = comma + 1;
    }
    return items;
}

Json valueFromText(const Parameter* parameter, const std::string& text)
{
    // Text stays text even where it looks like JSON; an unknown key is reported by the schema.
    if (parameter && (parameter->type == ParameterType::Choice || parameter->type == ParameterType::String))
        return text;
    return parameter && parameter->type == ParameterType::List ? listFromText(text) : scalarFromText(text);
}

Json parametersFromText(const Schema& schema, std::string_view query, std::string_view whole)
{
    Json parameters = Json::object();
    while (!query.empty()) {
        const std::string_view part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), part.size() + 1));
        const std::size_t equals = part.find('=');
        if (equals == std::string_view::npos || equals == 0)
            throw InputError(fmt::format("expected key=value in \"{}\", got \"{}\"", whole, part));
        const std::string key(part.substr(0, equals));
        if (parameters.contains(key))
            throw InputError(fmt::format("\"{}\" is given twice in \"{}\"", key, whole));
        parameters[key] = valueFromText(schema.find(key), std::string(part.substr(equals + 1)));
    }
    return parameters;
}

std::string textFromValue(const Json& value)
{
    if (value.is_string())
        return value.get<std::string>();
    if (!value.is_array() || value.empty())
        return value.dump();
    std::vector<std::string> items;
    for (const Json& item : value)
        items.push_back(textFromValue(item));
    return join(items, ",");
}

}  // namespace

ComponentText parseComponentText(const RegistryBase& registry, std::string_view text, std::string_view prefix)
{
    const std::size_t question = std::min(text.find('?'), text.size());
    const Component& component = registry.at(text.substr(0, question));
    const std::string_view query = text.substr(std::min(question + 1, text.size()));
    return {component.id, component.schema.resolve(parametersFromText(component.schema, query, std::string(prefix) + std::string(text)))};
}

std::string componentText(const RegistryBase& registry, std::string_view id, const Json& parameters)
{
    const Schema& schema = registry.at(id).schema;
    const Json resolved = schema.resolve(parameters);
    std::string text(id);
    char separator = '?';
    for (const auto& [key, value] : resolved.items()) {
        const Parameter* const parameter = schema.find(key);
        if (parameter && parameter->defaultValue == value)
            continue;
        text += separator + key + '=' + textFromValue(value);
        separator = '&';
    }
    return text;
}

}  // namespace orrery::core
