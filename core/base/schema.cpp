#include "schema.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <set>

#include "registry.h"
#include "text.h"

namespace orrery::core {
namespace {

/// Documents nested deeper than this are refused: every level costs stack, and no real document comes near.
constexpr int kMaxDepth = 64;

std::string placeOf(const std::string& place, std::string_view name)
{
    return place.empty() ? std::string(name) : place + "." + std::string(name);
}

std::string dumpText(const Json& value)
{
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A value as it is shown after "got": scalars as written, containers by their kind (they may be huge or deep).
std::string gotText(const Json& value)
{
    if (value.is_object())
        return "an object";
    if (value.is_array())
        return "a list";
    if (value.is_number_float())
        return formatNumber(value.get<double>());
    std::string text = dumpText(value);
    constexpr std::size_t kLongest = 80;
    if (text.size() <= kLongest)
        return text;
    std::size_t end = kLongest - 4;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;  // Not in the middle of a UTF-8 character.
    return text.substr(0, end) + "...\"";
}

std::string withArticle(const std::string& noun)
{
    return (noun.find_first_of("aeiou") == 0 ? "an " : "a ") + noun;
}

std::string quotedList(const std::vector<std::string>& names, std::string_view lastSeparator)
{
    std::string out;
    for (std::size_t i = 0; i < names.size(); ++i)
        out += fmt::format("{}\"{}\"", i == 0 ? "" : i + 1 == names.size() ? lastSeparator : ", ", names[i]);
    return out;
}

std::string rangeText(const Parameter& parameter)
{
    if (parameter.minimum && parameter.maximum && !parameter.exclusiveMinimum && !parameter.exclusiveMaximum)
        return fmt::format(" in {}..{}", formatNumber(*parameter.minimum), formatNumber(*parameter.maximum));
    std::string out;
    if (parameter.minimum)
        out += fmt::format(" {} {}", parameter.exclusiveMinimum ? ">" : ">=", formatNumber(*parameter.minimum));
    if (parameter.maximum)
        out += fmt::format("{} {} {}", parameter.minimum ? " and" : "", parameter.exclusiveMaximum ? "<" : "<=", formatNumber(*parameter.maximum));
    return out;
}

std::string listText(const Parameter& parameter)
{
    if (parameter.minimum && parameter.maximum)
        return *parameter.minimum == *parameter.maximum
                   ? fmt::format("a list of {} elements", formatNumber(*parameter.minimum))
                   : fmt::format("a list of {} to {} elements", formatNumber(*parameter.minimum), formatNumber(*parameter.maximum));
    if (parameter.minimum)
        return fmt::format("a list of at least {} element{}", formatNumber(*parameter.minimum), *parameter.minimum == 1 ? "" : "s");
    return parameter.maximum ? fmt::format("a list of at most {} elements", formatNumber(*parameter.maximum)) : "a list";
}

/// What a parameter takes, as it is shown after "expected".
std::string expectedText(const Parameter& parameter)
{
    const auto base = [&]() -> std::string {
        switch (parameter.type) {
        case ParameterType::Bool: return "true or false";
        case ParameterType::Int: return "an integer" + rangeText(parameter);
        case ParameterType::Float: return "a number" + rangeText(parameter);
        case ParameterType::String: return "a text";
        case ParameterType::Choice: return "one of " + quotedList(parameter.choices, ", ");
        case ParameterType::List: return listText(parameter);
        case ParameterType::Component: return withArticle(parameter.family) + " (its id, or an object with \"id\")";
        case ParameterType::Group: return "an object";
        case ParameterType::Any: break;
        }
        return "a value";
    };
    return base() + (parameter.optional ? " or null" : "");
}

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

std::string conditionText(const Parameter& parameter)
{
    std::string values;
    for (std::size_t i = 0; i < parameter.shownIfValues.size(); ++i)
        values += (i == 0 ? "" : i + 1 == parameter.shownIfValues.size() ? " or " : ", ") + gotText(parameter.shownIfValues[i]);
    return parameter.shownIf + " is " + values;
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

std::string_view typeName(ParameterType type)
{
    constexpr std::string_view kNames[] = {"bool", "int", "float", "string", "choice", "list", "component", "group", "any"};
    return kNames[std::size_t(type)];
}

Parameter named(std::string name, ParameterType type, Json defaultValue, std::string help)
{
    Parameter out;
    out.name = std::move(name);
    out.type = type;
    out.defaultValue = std::move(defaultValue);
    out.help = std::move(help);
    return out;
}

bool isRequired(const Parameter& parameter)
{
    return parameter.defaultValue.is_null() && !parameter.optional && parameter.type != ParameterType::Group;
}

/// What the help says of a parameter before its sentence: type, range, unit, default, condition.
std::string factsText(const Parameter& parameter)
{
    std::string out = expectedText(parameter);
    if (parameter.type == ParameterType::Component) {
        const RegistryBase* const family = findFamily(parameter.family);
        out = withArticle(parameter.family) + (family ? ": " + join(family->ids(), ", ") : "") + (parameter.optional ? " or null" : "");
    }
    if (parameter.type == ParameterType::List && parameter.element)
        out += ", each " + expectedText(*parameter.element);
    if (!parameter.unit.empty())
        out += " [" + parameter.unit + "]";
    if (parameter.type != ParameterType::Group)
        out += isRequired(parameter)
                   ? "; required"
                   : "; default " + (parameter.defaultValue.is_number_float() ? gotText(parameter.defaultValue) : dumpText(parameter.defaultValue));
    if (!parameter.shownIf.empty())
        out += "; only where " + conditionText(parameter);
    return out;
}

Json parameterJson(const Parameter& parameter)
{
    Json out = Json::object();
    if (!parameter.name.empty())
        out["name"] = parameter.name;
    out["type"] = typeName(parameter.type);
    out["help"] = parameter.help;
    if (isRequired(parameter))
        out["required"] = true;
    else if (parameter.type != ParameterType::Group)
        out["default"] = parameter.defaultValue;
    if (!parameter.unit.empty())
        out["unit"] = parameter.unit;
    if (parameter.optional)
        out["optional"] = true;
    if (parameter.minimum)
        out[parameter.exclusiveMinimum ? "exclusive_minimum" : "minimum"] = *parameter.minimum;
    if (parameter.maximum)
        out[parameter.exclusiveMaximum ? "exclusive_maximum" : "maximum"] = *parameter.maximum;
    if (parameter.logScale)
        out["log_scale"] = true;
    if (!parameter.choices.empty())
        out["choices"] = parameter.choices;
    if (parameter.element)
        out["element"] = parameterJson(*parameter.element);
    if (!parameter.family.empty())
        out["family"] = parameter.family;
    if (parameter.group)
        out["parameters"] = parameter.group->toJson();
    if (!parameter.shownIf.empty())
        out["only_if"] = {{"parameter", parameter.shownIf}, {"values", parameter.shownIfValues}};
    return out;
}

std::string issueText(const std::vector<Issue>& issues)
{
    std::vector<std::string> lines;
    for (const Issue& issue : issues)
        lines.push_back(issue.path.empty() ? issue.message : issue.path + ": " + issue.message);
    return join(lines, "\n");
}

/// `a.b[1].2` -> a, b, 1, 2.
std::vector<std::string> pathSteps(std::string_view path)
{
    std::vector<std::string> steps;
    for (const std::string& part : split(path, '.')) {
        const std::size_t bracket = part.find('[');
        if (bracket == std::string::npos || !part.ends_with(']')) {
            steps.push_back(part);
            continue;
        }
        if (bracket > 0)
            steps.push_back(part.substr(0, bracket));
        for (const std::string& index : split(std::string_view(part).substr(bracket + 1), '['))
            steps.push_back(index.substr(0, index.find(']')));
    }
    return steps;
}

/// The place that one step of a path leads to; made if it is the end of a list or a new key.
Json& stepInto(Json& at, const std::string& step, const std::string& where)
{
    if (at.is_null())
        at = Json::object();
    if (at.is_object())
        return at[step];
    if (!at.is_array())
        throw InputError(fmt::format("{}: expected an object or a list to set \"{}\" in, got {}", where, step, gotText(at)));
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
    if (error != std::errc() || end != step.data() + step.size() || index > at.size())
        throw InputError(fmt::format("{}: expected a list index in 0..{}, got \"{}\"", where, at.size(), step));
    if (index == at.size())
        at.push_back(nullptr);
    return at[index];
}

}  // namespace

Parameter Parameter::range(double low, double high) const
{
    Parameter out = *this;
    out.minimum = low;
    out.maximum = high;
    return out;
}

Parameter Parameter::atLeast(double low) const
{
    Parameter out = *this;
    out.minimum = low;
    out.exclusiveMinimum = false;
    return out;
}

Parameter Parameter::above(double low) const
{
    Parameter out = *this;
    out.minimum = low;
    out.exclusiveMinimum = true;
    return out;
}

Parameter Parameter::below(double high) const
{
    Parameter out = *this;
    out.maximum = high;
    out.exclusiveMaximum = true;
    return out;
}

Parameter Parameter::log() const
{
    Parameter out = *this;
    out.logScale = true;
    return out;
}

Parameter Parameter::withUnit(std::string text) const
{
    Parameter out = *this;
    out.unit = std::move(text);
    return out;
}

Parameter Parameter::noneByDefault() const
{
    Parameter out = orNone();
    out.defaultValue = nullptr;
    return out;
}

Parameter Parameter::orNone() const
{
    Parameter out = *this;
    out.optional = true;
    return out;
}

Parameter Parameter::when(std::string sibling, std::vector<Json> values) const
{
    Parameter out = *this;
    out.shownIf = std::move(sibling);
    out.shownIfValues = std::move(values);
    return out;
}

Parameter boolean(std::string name, bool defaultValue, std::string help)
{
    return named(std::move(name), ParameterType::Bool, defaultValue, std::move(help));
}

Parameter integer(std::string name, std::int64_t defaultValue, std::string help)
{
    return named(std::move(name), ParameterType::Int, defaultValue, std::move(help));
}

Parameter real(std::string name, double defaultValue, std::string help)
{
    return named(std::move(name), ParameterType::Float, defaultValue, std::move(help));
}

Parameter text(std::string name, std::string defaultValue, std::string help)
{
    return named(std::move(name), ParameterType::String, std::move(defaultValue), std::move(help));
}

Parameter choice(std::string name, std::vector<std::string> choices, std::string defaultValue, std::string help)
{
    Parameter out = named(std::move(name), ParameterType::Choice, std::move(defaultValue), std::move(help));
    out.choices = std::move(choices);
    return out;
}

Parameter list(std::string name, Parameter element, Json defaultValue, std::string help)
{
    Parameter out = named(std::move(name), ParameterType::List, std::move(defaultValue), std::move(help));
    out.element = std::make_shared<const Parameter>(std::move(element));
    return out;
}

Parameter component(std::string name, std::string family, Json defaultValue, std::string help)
{
    Parameter out = named(std::move(name), ParameterType::Component, std::move(defaultValue), std::move(help));
    out.family = std::move(family);
    return out;
}

Parameter group(std::string name, Schema schema, std::string help)
{
    Parameter out = named(std::move(name), ParameterType::Group, nullptr, std::move(help));
    out.group = std::make_shared<const Schema>(std::move(schema));
    return out;
}

Parameter any(std::string name, Json defaultValue, std::string help)
{
    return named(std::move(name), ParameterType::Any, std::move(defaultValue), std::move(help));
}

Parameter required(Parameter parameter)
{
    parameter.defaultValue = nullptr;
    parameter.optional = false;
    return parameter;
}

DocumentError::DocumentError(std::vector<Issue> issues) : InputError(issueText(issues)), m_issues(std::move(issues))
{
}

Schema& Schema::add(Parameter parameter)
{
    if (find(parameter.name))
        throw Error(fmt::format("schema: parameter \"{}\" is declared twice", parameter.name));
    m_parameters.push_back(std::move(parameter));
    return *this;
}

const Parameter* Schema::find(std::string_view name) const
{
    const auto found = std::find_if(m_parameters.begin(), m_parameters.end(), [&](const Parameter& parameter) { return parameter.name == name; });
    return found == m_parameters.end() ? nullptr : &*found;
}

Json Schema::resolve(const Json& document, const std::string& place) const
{
    std::vector<Issue> issues;
    Json out = check(document, place, issues);
    if (!issues.empty())
        throw DocumentError(std::move(issues));
    return out;
}

Json Schema::check(const Json& document, const std::string& place, std::vector<Issue>& issues) const
{
    return Checker(issues).object(*this, document, place, 0);
}

std::string Schema::helpText(int indent) const
{
    std::size_t width = 0;
    for (const Parameter& parameter : m_parameters)
        width = std::max(width, parameter.name.size());
    std::string out;
    for (const Parameter& parameter : m_parameters) {
        out += fmt::format("{:{}}{:{}}  {}. {}\n", "", indent, parameter.name, width, factsText(parameter), parameter.help);
        if (parameter.group)
            out += parameter.group->helpText(indent + 2);
    }
    return out;
}

Json Schema::toJson() const
{
    Json out = Json::array();
    for (const Parameter& parameter : m_parameters)
        out.push_back(parameterJson(parameter));
    return out;
}

void setByPath(Json& document, std::string_view assignment)
{
    const std::size_t equals = assignment.find('=');
    const std::string_view path = trim(assignment.substr(0, equals == std::string_view::npos ? assignment.size() : equals));
    if (equals == std::string_view::npos || path.empty())
        throw InputError(fmt::format("expected path=value, got \"{}\"", assignment));
    const std::string_view text = trim(assignment.substr(equals + 1));
    Json value = Json::parse(text.begin(), text.end(), nullptr, false);
    if (value.is_discarded())
        value = std::string(text);

    // On a copy: a path that turns out wrong half-way leaves the document as it was.
    Json changed = document;
    Json* at = &changed;
    std::string where;
    for (const std::string& step : pathSteps(path)) {
        if (step.empty())
            throw InputError(fmt::format("expected names between the dots, got \"{}\"", path));
        at = &stepInto(*at, step, where.empty() ? std::string("document") : where);
        where = placeOf(where, step);
    }
    *at = std::move(value);
    document = std::move(changed);
}

}  // namespace orrery::core
