#include "schema.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "registry.h"
#include "schema_words.h"
#include "text.h"

namespace orrery::core {
namespace {

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
