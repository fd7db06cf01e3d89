#include "zoo.h"

#include <core/base/error.h>
#include <core/base/text.h>

#include "architectures.h"

namespace orrery::zoo {
namespace {

constexpr std::string_view kPrefix = "zoo:";

core::Registry<ModelFactory> makeRegistry()
{
    core::Registry<ModelFactory> registry("model", "Architectures");
    registry.add(mlpComponent(), mlp);
    registry.add(lenetComponent(), lenet);
    registry.add(resnetComponent(), resnet);
    registry.add(vitComponent(), vit);
    registry.add(gptComponent(), gpt);
    registry.add(seq2seqComponent(), seq2seq);
    registry.add(nerfComponent(), nerf);
    registry.add(hashFieldComponent(), hashField);
    return registry;
}

core::Json scalarFromText(const std::string& text)
{
    const core::Json parsed = core::Json::parse(text, nullptr, false);
    return parsed.is_discarded() ? core::Json(text) : parsed;
}

core::Json listFromText(const std::string& text)
{
    const core::Json parsed = core::Json::parse(text, nullptr, false);
    if (parsed.is_array() || parsed.is_null())
        return parsed;
    core::Json items = core::Json::array();
    for (std::size_t start = 0; start < text.size();) {
        const std::size_t comma = std::min(text.find(',', start), text.size());
        items.push_back(scalarFromText(text.substr(start, comma - start)));
        start = comma + 1;
    }
    return items;
}

core::Json valueFromText(const core::Parameter* parameter, const std::string& text)
{
    // Text stays text even where it looks like JSON; an unknown key is reported by the schema.
    if (parameter && (parameter->type == core::ParameterType::Choice || parameter->type == core::ParameterType::String))
        return text;
    return parameter && parameter->type == core::ParameterType::List ? listFromText(text) : scalarFromText(text);
}

core::Json parametersFromText(const core::Schema& schema, std::string_view query, std::string_view whole)
{
    core::Json parameters = core::Json::object();
    while (!query.empty()) {
        const std::string_view part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), part.size() + 1));
        const std::size_t equals = part.find('=');
        if (equals == std::string_view::npos || equals == 0)
            throw core::InputError(fmt::format("expected key=value in \"{}\", got \"{}\"", whole, part));
        const std::string key(part.substr(0, equals));
        if (parameters.contains(key))
            throw core::InputError(fmt::format("\"{}\" is given twice in \"{}\"", key, whole));
        parameters[key] = valueFromText(schema.find(key), std::string(part.substr(equals + 1)));
    }
    return parameters;
}

std::string textFromValue(const core::Json& value)
{
    if (value.is_string())
        return value.get<std::string>();
    if (!value.is_array() || value.empty())
        return value.dump();
    std::vector<std::string> items;
    for (const core::Json& item : value)
        items.push_back(textFromValue(item));
    return core::join(items, ",");
}

}  // namespace

const core::Registry<ModelFactory>& zooRegistry()
{
    static const core::Registry<ModelFactory> registry = makeRegistry();
    return registry;
}

graph::Model buildGraph(std::string_view id, const core::Json& parameters)
{
    const core::Json resolved = zooRegistry().at(id).schema.resolve(parameters);
    graph::Model model = zooRegistry().factory(id)(resolved);
    model.origin = zooReference(id, resolved);
    return model;
}

graph::Model buildModel(std::string_view id, const core::Json& parameters, std::uint64_t seed)
{
    graph::Model model = buildGraph(id, parameters);
    model.weights = graph::initialize(*model.graph, seed);
    return model;
}

bool isZooReference(std::string_view text)
{
    return text.starts_with(kPrefix);
}

ZooReference parseZooReference(std::string_view text)
{
    if (!isZooReference(text))
        throw core::InputError(fmt::format("expected zoo:NAME?key=value&key=value, got \"{}\"", text));
    const std::string_view rest = text.substr(kPrefix.size());
    const std::size_t question = std::min(rest.find('?'), rest.size());
    const core::Component& component = zooRegistry().at(rest.substr(0, question));
    const std::string_view query = rest.substr(std::min(question + 1, rest.size()));
    return {component.id, component.schema.resolve(parametersFromText(component.schema, query, text))};
}

std::string zooReference(std::string_view id, const core::Json& parameters)
{
    const core::Schema& schema = zooRegistry().at(id).schema;
    const core::Json resolved = schema.resolve(parameters);
    std::string text = std::string(kPrefix) + std::string(id);
    char separator = '?';
    for (const auto& [key, value] : resolved.items()) {
        const core::Parameter* const parameter = schema.find(key);
        if (parameter && parameter->defaultValue == value)
            continue;
        text += separator + key + '=' + textFromValue(value);
        separator = '&';
    }
    return text;
}

graph::Model openZoo(std::string_view reference, std::uint64_t seed)
{
    const ZooReference parsed = parseZooReference(reference);
    return buildModel(parsed.id, parsed.parameters, seed);
}

}  // namespace orrery::zoo
