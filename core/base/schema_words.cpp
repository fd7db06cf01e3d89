#include "schema_words.h"

#include <fmt/format.h>

#include <cmath>

#include "text.h"

namespace orrery::core {
namespace {

/// Whole numbers in full: 100000, not 1e+05.
std::string boundText(double bound)
{
    return bound == std::floor(bound) && std::abs(bound) < 1e15 ? fmt::format("{:.0f}", bound) : formatNumber(bound);
}

std::string rangeText(const Parameter& parameter)
{
    if (parameter.minimum && parameter.maximum && !parameter.exclusiveMinimum && !parameter.exclusiveMaximum)
        return fmt::format(" in {}..{}", boundText(*parameter.minimum), boundText(*parameter.maximum));
    std::string out;
    if (parameter.minimum)
        out += fmt::format(" {} {}", parameter.exclusiveMinimum ? ">" : ">=", boundText(*parameter.minimum));
    if (parameter.maximum)
        out += fmt::format("{} {} {}", parameter.minimum ? " and" : "", parameter.exclusiveMaximum ? "<" : "<=", boundText(*parameter.maximum));
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

}  // namespace

std::string placeOf(const std::string& place, std::string_view name)
{
    return place.empty() ? std::string(name) : place + "." + std::string(name);
}

std::string dumpText(const Json& value)
{
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

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

std::string conditionText(const Parameter& parameter)
{
    std::string values;
    for (std::size_t i = 0; i < parameter.shownIfValues.size(); ++i)
        values += (i == 0 ? "" : i + 1 == parameter.shownIfValues.size() ? " or " : ", ") + gotText(parameter.shownIfValues[i]);
    return parameter.shownIf + " is " + values;
}

}  // namespace orrery::core
