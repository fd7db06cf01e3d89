#include "literal_text.h"

#include <core/base/text.h>

#include "graph.h"

namespace orrery::graph {
namespace {

std::string textOfJson(const core::Json& json);

std::string textOfItems(const core::Json& items, const char* open, const char* close)
{
    std::vector<std::string> parts;
    for (const auto& item : items)
        parts.push_back(textOfJson(item));
    return open + core::join(parts, ", ") + close;
}

// Literals that JSON has no form for are objects there, see constantToJson.
std::string textOfJson(const core::Json& json)
{
    if (json.is_null())
        return "None";
    if (json.is_array())
        return textOfItems(json, "[", "]");
    if (json.is_number_float())
        return core::formatNumber(json.get<double>());
    if (!json.is_object())
        return json.dump();
    if (json.contains("items"))
        return textOfItems(json["items"], "[", "]");
    if (json.contains("$tuple"))
        return textOfItems(json["$tuple"], "(", ")");
    if (json.size() == 1 && json.begin()->is_string())
        return json.begin()->get<std::string>();
    return json.dump();
}

}  // namespace

std::string literalText(const c10::IValue& literal)
{
    return textOfJson(constantToJson(literal));
}

}  // namespace orrery::graph
