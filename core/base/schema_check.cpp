#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <set>

#include "registry.h"
#include "schema_words.h"
#include "text.h"

namespace orrery::core {
namespace {

/// Documents nested deeper than this are refused: every level costs stack, and no real document comes near.
constexpr int kMaxDepth = 64;

bool inRange(const Parameter& parameter, long double value)
{
    if (parameter.minimum && (parameter.exclusiveMinimum ? value <= *parameter.minimum : value < *parameter.minimum))
        return false;
    return !parameter.maximum || (parameter.exclusiveMaximum ? value < *parameter.maximum : value <= *parameter.maximum);
}

/// The integer that a number stands for: 3, 3.0 and 3e0 are 3.
std::optional<std::int64_t> asInteger(const Json& value)
{
    if (value.is_number_unsigned()) {
        const auto number = value.get<std::uint64_t>();
        return number <= std::uint64_t(std::numeric_limits<std::int64_t>::max()) ? std::optional<std::int64_t>(number) : std::nullopt;
    }
    if (value.is_number_integer())
        return value.get<std::int64_t>();
    if (!value.is_number_float())
        return std::nullopt;
    const double number = value.get<double>();
    return std::nearbyint(number) == number && std::abs(number) < 0x1p63 ? std::optional<std::int64_t>(number) : std::nullopt;
}

bool deeperThan(const Json& value, int levels)
{
    if (!value.is_structured())
        return false;
    return levels <= 0 || std::any_of(value.begin(), value.end(), [&](const Json& child) { return deeperThan(child, levels - 1); });
}

/// One pass over a document. Collects issues instead of stopping, so that a person sees all of them at once.
class Checker {
public:
    explicit Checker(std::vector<Issue>& issues) : m_issues(issues) {}

    /// @param reserved  A key that is not a parameter but belongs here ("id" of a component); empty for none.
    Json object(const Schema& schema, const Json& document, const std::string& place, int depth, std::string_view reserved = {});
    Json value(const Parameter& parameter, const Json& given, const std::string& place, int depth);

private:
    Json number(const Parameter& parameter, const Json& given, const std::string& place);
    Json choice(const Parameter& parameter, const Json& given, const std::string& place);
    Json elements(const Parameter& parameter, const Json& given, const std::string& place, int depth);
    Json component(const Parameter& parameter, const Json& given, const std::string& place, int depth);
    Json presentOrDefault(const Parameter& parameter, const Json* given, const std::string& place, int depth);
    void unknownKeys(const Schema& schema, const Json& document, const std::string& place, std::string_view reserved);
    Json refuse(const Parameter& parameter, const Json& given, const std::string& place);
    void issue(const std::string& place, std::string message) { m_issues.push_back({place, std::move(message)}); }

    std::vector<Issue>& m_issues;
};

Json Checker::refuse(const Parameter& parameter, const Json& given, const std::string& place)
{
    issue(place, "expected " + expectedText(parameter) + ", got " + gotText(given));
    return parameter.defaultValue;
}

Json Checker::number(const Parameter& parameter, const Json& given, const std::string& place)
{
    if (parameter.type == ParameterType::Int) {
        const std::optional<std::int64_t> integer = asInteger(given);
        return integer && inRange(parameter, static_cast<long double>(*integer)) ? Json(*integer) : refuse(parameter, given, place);
    }
    if (!given.is_number())
        return refuse(parameter, given, place);
    const double real = given.get<double>();
    return std::isfinite(real) && inRange(parameter, real) ? Json(real) : refuse(parameter, given, place);
}

Json Checker::choice(const Parameter& parameter, const Json& given, const std::string& place)
{
    // YAML reads a choice like `2` or `true` as a number or a truth value; it still means the choice of that spelling.
    const std::string name = given.is_string() ? given.get<std::string>() : given.is_primitive() ? dumpText(given) : std::string();
    if (std::find(parameter.choices.begin(), parameter.choices.end(), name) != parameter.choices.end())
        return name;
    issue(place, "expected " + expectedText(parameter) + ", got " + gotText(given) + didYouMean(name, parameter.choices));
    return parameter.defaultValue;
}

Json Checker::elements(const Parameter& parameter, const Json& given, const std::string& place, int depth)
{
    if (!given.is_array())
        return refuse(parameter, given, place);
    if (!inRange(parameter, static_cast<long double>(given.size())))
        issue(place, fmt::format("expected {}, got {}", expectedText(parameter), given.size()));
    Json out = Json::array();
    for (std::size_t i = 0; i < given.size(); ++i)
        out.push_back(parameter.element ? value(*parameter.element, given[i], fmt::format("{}[{}]", place, i), depth + 1) : given[i]);
    return out;
}

Json Checker::component(const Parameter& parameter, const Json& given, const std::string& place, int depth)
{
    const bool isObject = given.is_object();
    if (!isObject && !given.is_string())
        return refuse(parameter, given, place);
    if (isObject && !given.contains("id")) {
        issue(place, fmt::format("expected an object with \"id\" ({}), got one without", withArticle(parameter.family)));
        return parameter.defaultValue;
    }
    const Json& id = isObject ? given["id"] : given;
    const std::string idPlace = isObject ? placeOf(place, "id") : place;
    if (!id.is_string()) {
        issue(idPlace, fmt::format("expected the id of {}, got {}", withArticle(parameter.family), gotText(id)));
        return parameter.defaultValue;
    }
    const RegistryBase* const family = findFamily(parameter.family);
    if (!family) {
        issue(place, fmt::format("no family \"{}\" is registered in this build", parameter.family));
        return parameter.defaultValue;
    }
    const auto name = id.get<std::string>();
    const Component* const found = family->find(name);
    if (!found) {
        issue(idPlace, fmt::format("unknown {} {}{}", parameter.family, gotText(id), didYouMean(name, family->ids())));
        return parameter.defaultValue;
    }
    Json out = Json::object();
    out["id"] = name;
    out.update(object(found->schema, isObject ? given : Json::object(), place, depth + 1, "id"));
    return out;
}

Json Checker::value(const Parameter& parameter, const Json& given, const std::string& place, int depth)
{
    if (depth > kMaxDepth) {
        issue(place, fmt::format("expected at most {} nested levels, got more", kMaxDepth));
        return nullptr;
    }
    if (given.is_null() && parameter.type != ParameterType::Group)
        return parameter.optional ? Json(nullptr) : refuse(parameter, given, place);
    switch (parameter.type) {
    case ParameterType::Bool: return given.is_boolean() ? given : refuse(parameter, given, place);
    case ParameterType::Int:
    case ParameterType::Float: return number(parameter, given, place);
    case ParameterType::String: return given.is_string() ? given : refuse(parameter, given, place);
    case ParameterType::Choice: return choice(parameter, given, place);
    case ParameterType::List: return elements(parameter, given, place, depth);
    case ParameterType::Component: return component(parameter, given, place, depth);
    case ParameterType::Group:
        if (given.is_null() && parameter.optional)
            return nullptr;
        if (!given.is_object() && !given.is_null())
            return refuse(parameter, given, place);
        return parameter.group ? object(*parameter.group, given, place, depth + 1) : given;
    case ParameterType::Any: break;
    }
    if (!deeperThan(given, kMaxDepth - depth))
        return given;
    issue(place, fmt::format("expected at most {} nested levels, got more", kMaxDepth));
    return nullptr;
}

Json Checker::presentOrDefault(const Parameter& parameter, const Json* given, const std::string& place, int depth)
{
    if (given)
        return value(parameter, *given, place, depth);
    if (!parameter.defaultValue.is_null() || parameter.optional || parameter.type == ParameterType::Group)
        return value(parameter, parameter.defaultValue, place, depth);
    issue(place, "is required: expected " + expectedText(parameter));
    return nullptr;
}

void Checker::unknownKeys(const Schema& schema, const Json& document, const std::string& place, std::string_view reserved)
{
    std::vector<std::string> names;
    for (const Parameter& parameter : schema.parameters())
        names.push_back(parameter.name);
    for (const auto& [key, ignored] : document.items())
        if (key != reserved && !schema.find(key))
            issue(placeOf(place, key), "unknown key" + didYouMean(key, names));
}

/// Whether a conditional field applies, given the resolved value of the sibling it depends on. A component stands for its id.
bool matchesCondition(const Parameter& parameter, const Json& sibling)
{
    const Json& decisive = sibling.is_object() && sibling.contains("id") ? sibling["id"] : sibling;
    return std::find(parameter.shownIfValues.begin(), parameter.shownIfValues.end(), decisive) != parameter.shownIfValues.end();
}

std::string siblingText(const Json* sibling)
{
    if (!sibling)
        return "does not apply either";
    return "is " + gotText(sibling->is_object() && sibling->contains("id") ? (*sibling)["id"] : *sibling);
}

/// The order in which the parameters of one object are resolved: a conditional field after the sibling it depends on.
std::vector<const Parameter*> dependencyOrder(const Schema& schema)
{
    std::vector<const Parameter*> order, waiting;
    for (const Parameter& parameter : schema.parameters())
        waiting.push_back(&parameter);
    const auto isDone = [&](const std::string& name) {
        return std::any_of(order.begin(), order.end(), [&](const Parameter* p) { return p->name == name; });
    };
    while (!waiting.empty()) {
        const auto ready = std::find_if(waiting.begin(), waiting.end(),
                                        [&](const Parameter* p) { return p->shownIf.empty() || isDone(p->shownIf) || !schema.find(p->shownIf); });
        if (ready == waiting.end())
            throw Error(fmt::format("schema: the conditions of \"{}\" run in a circle", waiting.front()->name));
        order.push_back(*ready);
        waiting.erase(ready);
    }
    return order;
}

Json Checker::object(const Schema& schema, const Json& document, const std::string& place, int depth, std::string_view reserved)
{
    if (!document.is_object() && !document.is_null()) {
        issue(place, "expected an object, got " + gotText(document));
        return Json::object();
    }
    unknownKeys(schema, document, place, reserved);
    std::map<std::string, Json> resolved;
    std::set<std::string> broken;
    for (const Parameter* parameter : dependencyOrder(schema)) {
        const std::string where = placeOf(place, parameter->name);
        const auto found = document.is_object() ? document.find(parameter->name) : document.end();
        const Json* const given = document.is_object() && found != document.end() ? &*found : nullptr;
        if (!parameter->shownIf.empty()) {
            // Where the sibling itself is wrong nobody knows whether this one applies: it is checked if given, and not asked for.
            const bool unsure = broken.contains(parameter->shownIf);
            const auto sibling = resolved.find(parameter->shownIf);
            const bool applies = sibling != resolved.end() && matchesCondition(*parameter, sibling->second);
            if (!applies && !unsure && given && !given->is_null())
                issue(where, fmt::format("applies only where {}; here {} {}", conditionText(*parameter), parameter->shownIf,
                                         siblingText(sibling == resolved.end() ? nullptr : &sibling->second)));
            if (unsure ? !given : !applies)
                continue;
        }
        const std::size_t before = m_issues.size();
        Json result = presentOrDefault(*parameter, given, where, depth);
        if (m_issues.size() > before)
            broken.insert(parameter->name);
        resolved.emplace(parameter->name, std::move(result));
    }
    Json out = Json::object();
    for (const Parameter& parameter : schema.parameters())
        if (const auto entry = resolved.find(parameter.name); entry != resolved.end())
            out[parameter.name] = std::move(entry->second);
    return out;
}

}  // namespace

Json Schema::check(const Json& document, const std::string& place, std::vector<Issue>& issues) const
{
    return Checker(issues).object(*this, document, place, 0);
}

}  // namespace orrery::core
