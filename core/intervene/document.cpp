#include "document.h"

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>

#include "kinds.h"

namespace orrery::intervene {
namespace {

using core::Issue;
using core::Json;

std::vector<std::string> axisNames()
{
    std::vector<std::string> names;
    for (int i = 0; i < int(Axis::Other); ++i)
        names.emplace_back(axisName(Axis(i)));
    return names;
}

std::optional<IndexRange> rangeFromJson(const Json& json)
{
    if (json.is_number_integer())
        return IndexRange{json.get<std::int64_t>(), json.get<std::int64_t>()};
    if (json == "first")
        return IndexRange{0, 0};
    if (json == "last")
        return IndexRange{-1, -1};
    if (!json.is_object() || json.empty())
        return std::nullopt;
    IndexRange range{0, -1};
    for (const auto& [key, value] : json.items()) {
        if ((key != "from" && key != "to") || !value.is_number_integer())
            return std::nullopt;
        (key == "from" ? range.from : range.to) = value.get<std::int64_t>();
    }
    return range;
}

bool isElementList(const Json& json)
{
    return json.is_array() && !json.empty() && std::all_of(json.begin(), json.end(), [](const Json& element) {
               return element.is_array() && !element.empty() &&
                      std::all_of(element.begin(), element.end(), [](const Json& i) { return i.is_number_integer(); });
           });
}

void readNumberedAxis(const Json& json, const std::string& place, Unit& unit, std::vector<Issue>& issues)
{
    if (!json["axis"].is_number_integer() || !json.contains("index")) {
        issues.push_back({place + ".axis", "expected the number of an axis together with \"index\""});
        return;
    }
    if (auto indices = indicesFromJson(json["index"], place + ".index", issues))
        unit.axes.push_back({std::nullopt, json["axis"].get<std::int64_t>(), std::move(*indices)});
}

void readAxis(const std::string& key, const Json& value, const std::string& place, Unit& unit, std::vector<Issue>& issues)
{
    auto names = axisNames();
    const auto it = std::find(names.begin(), names.end(), key);
    if (it == names.end()) {
        names.insert(names.end(), {"axis", "index"});
        issues.push_back({place, fmt::format("unknown axis \"{}\"{}; known are {}", key, core::didYouMean(key, names), core::join(names, ", "))});
        return;
    }
    if (value.is_null())
        return;
    if (auto indices = indicesFromJson(value, place + "." + key, issues))
        unit.axes.push_back({Axis(it - names.begin()), 0, std::move(*indices)});
}

When whenFromJson(const Json& json, const std::string& place, std::vector<Issue>& issues)
{
    When when;
    if (json == "always")
        return when;
    const bool isSteps = json.is_array() && std::all_of(json.begin(), json.end(),
                                                        [](const Json& step) { return step.is_number_integer() && step.get<std::int64_t>() >= 0; });
    if (json == "prompt" || json == "new")
        when.kind = json == "prompt" ? When::Kind::Prompt : When::Kind::New;
    else if (isSteps) {
        when.kind = When::Kind::Steps;
        when.steps = json.get<std::vector<std::int64_t>>();
    } else {
        issues.push_back({place, "expected \"always\", \"prompt\", \"new\" or a list of steps from 0, got " + json.dump()});
    }
    return when;
}

void readKind(const Json& json, const std::string& place, Intervention& result, std::vector<Issue>& issues)
{
    const bool named = json.is_string() || (json.is_object() && json.contains("id") && json["id"].is_string());
    if (!named) {
        issues.push_back({place, "expected an intervention (its id, or an object with \"id\")"});
        return;
    }
    result.kind = json.is_string() ? json.get<std::string>() : json["id"].get<std::string>();
    Json parameters = json.is_object() ? json : Json::object();
    parameters.erase("id");
    result.parameters = parameters;
    const auto* component = interventionRegistry().find(result.kind);
    if (component) {
        result.parameters = component->schema.check(parameters, place, issues);
        return;
    }
    const auto ids = interventionRegistry().ids();
    issues.push_back(
        {place, fmt::format("unknown intervention \"{}\"{}; known are {}", result.kind, core::didYouMean(result.kind, ids), core::join(ids, ", "))});
}

Intervention readIntervention(const Json& json, const std::string& place, std::vector<Issue>& issues)
{
    const auto entry = interventionSchema().check(json, place, issues);
    Intervention result;
    if (!entry.is_object())
        return result;
    const auto text = [&](const char* key) { return entry.contains(key) && entry[key].is_string() ? entry[key].get<std::string>() : std::string(); };
    result.at = text("at");
    result.source = text("source");
    result.label = text("label");
    result.enabled = !entry.contains("enabled") || !entry["enabled"].is_boolean() || entry["enabled"].get<bool>();
    if (entry.contains("at") && core::trim(result.at).empty())
        issues.push_back({place + ".at", "expected a place: a value, a module, a glob, op:NAME or a canonical name"});
    result.unit = entry.value("unit", Json());
    result.parsedUnit = Unit::fromJson(result.unit, place + ".unit", issues);
    result.when = entry.value("when", Json("always"));
    result.parsedWhen = whenFromJson(result.when, place + ".when", issues);
    if (entry.contains("do"))
        readKind(entry["do"], place + ".do", result, issues);
    return result;
}

Json toJson(const Intervention& intervention)
{
    Json doing = {{"id", intervention.kind}};
    if (intervention.parameters.is_object())
        doing.update(intervention.parameters);
    Json json = {{"at", intervention.at}, {"do", std::move(doing)}};
    if (!intervention.unit.is_null() && !intervention.unit.empty())
        json["unit"] = intervention.unit;
    if (!intervention.source.empty())
        json["source"] = intervention.source;
    if (intervention.when != "always")
        json["when"] = intervention.when;
    if (!intervention.label.empty())
        json["label"] = intervention.label;
    json["enabled"] = intervention.enabled;
    return json;
}

}  // namespace

std::optional<std::vector<IndexRange>> indicesFromJson(const Json& json, const std::string& place, std::vector<Issue>& issues)
{
    std::vector<IndexRange> ranges;
    const auto items = json.is_array() ? json : Json::array({json});
    for (const auto& item : items) {
        const auto range = rangeFromJson(item);
        if (!range) {
            issues.push_back({place, "expected a number, \"first\", \"last\", {\"from\": a, \"to\": b} or a list of these, got " + item.dump()});
            return std::nullopt;
        }
        ranges.push_back(*range);
    }
    if (ranges.empty()) {
        issues.push_back({place, "expected at least one index, got an empty list"});
        return std::nullopt;
    }
    return ranges;
}

Unit Unit::fromJson(const Json& json, const std::string& place, std::vector<Issue>& issues)
{
    Unit unit;
    if (json.is_null())
        return unit;
    if (!json.is_object()) {
        issues.push_back({place, "expected an object such as {\"position\": 3, \"head\": [0, 2]}, got " + json.dump()});
        return unit;
    }
    if (json.contains("axis"))
        readNumberedAxis(json, place, unit, issues);
    else if (json.contains("index") && isElementList(json["index"]))
        unit.elements = json["index"].get<std::vector<std::vector<std::int64_t>>>();
    else if (json.contains("index"))
        issues.push_back({place + ".index", "expected a list of element indices such as [[0, 3], [1, 2]], got " + json["index"].dump()});
    for (const auto& [key, value] : json.items())
        if (key != "axis" && key != "index")
            readAxis(key, value, place, unit, issues);
    if (!unit.elements.empty() && !unit.axes.empty())
        issues.push_back({place, "expected either single elements (\"index\") or indices along axes, got both"});
    return unit;
}

bool InterventionDocument::isEmpty() const
{
    return std::none_of(interventions.begin(), interventions.end(), [](const auto& intervention) { return intervention.enabled; });
}

std::vector<std::string> InterventionDocument::sources() const
{
    std::vector<std::string> names;
    for (const auto& intervention : interventions)
        if (intervention.enabled && !intervention.source.empty() && std::find(names.begin(), names.end(), intervention.source) == names.end())
            names.push_back(intervention.source);
    return names;
}

Json InterventionDocument::toJson() const
{
    auto list = Json::array();
    for (const auto& intervention : interventions)
        list.push_back(intervene::toJson(intervention));
    return {{"interventions", std::move(list)}};
}

InterventionDocument InterventionDocument::check(const Json& json, std::vector<Issue>& issues)
{
    InterventionDocument document;
    if (json.is_null())
        return document;
    if (!json.is_array() && !json.is_object()) {
        issues.push_back({"", "expected an object with \"interventions\", got " + json.dump()});
        return document;
    }
    const auto whole = json.is_array() ? Json{{"interventions", json}} : json;
    for (const auto& [key, value] : whole.items())
        if (key != "interventions")
            issues.push_back({key, "unknown key; expected \"interventions\""});
    const auto list = whole.value("interventions", Json::array());
    if (!list.is_array()) {
        issues.push_back({"interventions", "expected a list, got " + list.dump()});
        return document;
    }
    for (std::size_t i = 0; i < list.size(); ++i)
        document.interventions.push_back(readIntervention(list[i], fmt::format("interventions[{}]", i), issues));
    return document;
}

InterventionDocument InterventionDocument::fromJson(const Json& json)
{
    std::vector<Issue> issues;
    auto document = check(json, issues);
    if (!issues.empty())
        throw core::DocumentError(std::move(issues));
    return document;
}

const core::Schema& interventionSchema()
{
    static const core::Schema kSchema = {
        core::required(core::text("at", "", "Place: a value, a module, a glob, op:NAME, or a canonical name such as blocks.2.resid_pre.")),
        core::any("unit", nullptr, "Which part of the value: indices along axes by name (position, head, feature, ...); none: all of it.").orNone(),
        core::required(core::any("do", nullptr, "What happens to it: an intervention's id with its parameters.")),
        core::text("source", "", "Name of the source input that values are taken from; empty: none."),
        core::any("when", "always", "While generating: always, prompt (its positions), new (positions of new tokens), or a list of steps."),
        core::text("label", "", "Free text."),
        core::boolean("enabled", true, "Off keeps the entry without acting."),
    };
    return kSchema;
}

}  // namespace orrery::intervene
