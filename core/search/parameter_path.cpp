#include "parameter_path.h"

#include <algorithm>

#include <fmt/format.h>

#include <core/base/registry.h>
#include <core/base/text.h>
#include <core/train/experiment.h>

namespace orrery::search {
namespace {

using core::Json;
using core::Parameter;
using core::ParameterType;

std::string namesText(const std::string& name, const std::string& owner, const std::vector<std::string>& known)
{
    const std::string where = owner.empty() ? "the experiment" : owner;
    const std::string nearest = core::didYouMean(name, known);
    return fmt::format("unknown parameter \"{}\" of {}{}", name, where, nearest.empty() ? "; expected one of " + core::join(known, ", ") : nearest);
}

Parameter memberOf(const core::Schema& schema, const std::string& name, const std::string& owner, const core::RegistryBase* family)
{
    if (name == "id" && family)
        return core::choice("id", family->ids(), "", "Component of family " + family->family());
    if (const Parameter* const found = schema.find(name))
        return *found;
    std::vector<std::string> known;
    for (const Parameter& parameter : schema.parameters())
        known.push_back(parameter.name);
    if (family)
        known.push_back("id");
    throw core::InputError(namesText(name, owner, known));
}

/// A parameter on the way with the value that the document has there.
struct Step {
    Parameter parameter;
    Json value;
};

Json memberValue(const Json& value, const std::string& name)
{
    return value.is_object() && value.contains(name) ? value[name] : Json();
}

Step intoList(const Step& at, const std::string& name, const std::string& owner)
{
    const std::size_t size = at.value.is_array() ? at.value.size() : 0;
    const bool isIndex = !name.empty() && name.size() < 6 && name.find_first_not_of("0123456789") == std::string::npos;
    if (!isIndex || std::stoul(name) >= size)
        throw core::InputError(fmt::format("expected an index below {} for the list {}, got \"{}\"", size, owner, name));
    return {*at.parameter.element, at.value[std::stoul(name)]};
}

Step intoComponent(const Step& at, const std::string& name, const std::string& owner)
{
    const core::RegistryBase* const family = core::findFamily(at.parameter.family);
    const std::string id = at.value.is_string()   ? at.value.get<std::string>()
                           : at.value.is_object() ? at.value.value("id", std::string())
                                                  : std::string();
    if (!family || !family->find(id))
        throw core::InputError(fmt::format("expected {} to be a component with parameters, to look for \"{}\" in", owner, name));
    return {memberOf(family->at(id).schema, name, owner, family), memberValue(at.value, name)};
}

Step into(const Step& at, const std::string& name, const std::string& owner)
{
    switch (at.parameter.type) {
    case ParameterType::Group: return {memberOf(*at.parameter.group, name, owner, nullptr), memberValue(at.value, name)};
    case ParameterType::Component: return intoComponent(at, name, owner);
    case ParameterType::List: return intoList(at, name, owner);
    case ParameterType::Any: return {core::any(name, nullptr, ""), Json()};
    default: throw core::InputError(fmt::format("expected {} to hold parameters, to look for \"{}\" in; it is a single value", owner, name));
    }
}

}  // namespace

core::Parameter parameterAt(const Json& document, const std::string& path)
{
    Step at{core::group("", train::experimentSchema(), ""), document};
    std::string owner;
    for (const std::string& name : core::split(path, '.')) {
        at = into(at, name, owner);
        owner += (owner.empty() ? "" : ".") + name;
    }
    return at.parameter;
}

}  // namespace orrery::search
