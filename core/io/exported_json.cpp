#include "exported_json.h"

#include <fmt/format.h>

#include <limits>

#include <core/base/error.h>

namespace orrery::io {
namespace {

constexpr int kMaxJsonDepth = 800;
constexpr std::size_t kShownExportText = 60;

// Python writes infinities and NaN as bare words, which JSON does not know: they become text.
std::string withQuotedNumbers(std::string_view json)
{
    std::string out;
    bool inText = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (inText && c == '\\' && i + 1 < json.size()) {
            out += c;
            out += json[++i];
            continue;
        }
        inText ^= c == '"';
        const auto rest = json.substr(i);
        const auto word = inText                          ? std::string_view()
                          : rest.starts_with("-Infinity") ? std::string_view("-Infinity")
                          : rest.starts_with("Infinity")  ? std::string_view("Infinity")
                          : rest.starts_with("NaN")       ? std::string_view("NaN")
                                                          : std::string_view();
        if (word.empty()) {
            out += c;
            continue;
        }
        out += '"';
        out += word;
        out += '"';
        i += word.size() - 1;
    }
    return out;
}

ExportJson parsedText(std::string_view text, const ExportPlace& place)
{
    const auto checkDepth = [&](int depth, ExportJson::parse_event_t, ExportJson&) {
        if (depth > kMaxJsonDepth)
            place.fail(fmt::format("expected at most {} nested levels", kMaxJsonDepth));
        return true;
    };
    return ExportJson::parse(text.begin(), text.end(), checkDepth);
}

}  // namespace

void ExportPlace::fail(std::string_view what) const
{
    throw core::FormatError(fmt::format("{}: {}: {}", file, path, what));
}

ExportPlace ExportPlace::in(std::string_view part) const
{
    return {file, fmt::format("{}.{}", path, part)};
}

ExportPlace ExportPlace::at(std::size_t index) const
{
    return {file, fmt::format("{}[{}]", path, index)};
}

const ExportJson* findField(const ExportJson& object, const char* key)
{
    const auto it = object.find(key);
    return it == object.end() || it->is_null() ? nullptr : &*it;
}

const ExportJson& requiredField(const ExportJson& object, const char* key, const ExportPlace& place)
{
    if (!object.is_object())
        place.fail(fmt::format("expected an object, found {}", object.type_name()));
    const auto* value = findField(object, key);
    if (!value)
        place.fail(fmt::format("expected a field {}", key));
    return *value;
}

const ExportJson& listField(const ExportJson& object, const char* key, const ExportPlace& place)
{
    const auto& value = requiredField(object, key, place);
    if (!value.is_array())
        place.in(key).fail(fmt::format("expected a list, found {}", value.type_name()));
    return value;
}

std::string textOf(const ExportJson& value, const ExportPlace& place)
{
    if (!value.is_string())
        place.fail(fmt::format("expected text, found {}", value.type_name()));
    return value.get<std::string>();
}

std::string textField(const ExportJson& object, const char* key, const ExportPlace& place)
{
    return textOf(requiredField(object, key, place), place.in(key));
}

std::int64_t integerOf(const ExportJson& value, const ExportPlace& place)
{
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t(std::numeric_limits<std::int64_t>::max())))
        place.fail(fmt::format("expected an integer, found {}", value.dump().substr(0, kShownExportText)));
    return value.get<std::int64_t>();
}

double numberOf(const ExportJson& value, const ExportPlace& place)
{
    if (value.is_number())
        return value.get<double>();
    const auto text = value.is_string() ? value.get<std::string>() : std::string();
    if (text == "Infinity" || text == "-Infinity")
        return (text[0] == '-' ? -1 : 1) * std::numeric_limits<double>::infinity();
    if (text == "NaN")
        return std::numeric_limits<double>::quiet_NaN();
    place.fail(fmt::format("expected a number, found {}", value.dump().substr(0, kShownExportText)));
}

bool flagOf(const ExportJson& value, const ExportPlace& place)
{
    if (!value.is_boolean())
        place.fail(fmt::format("expected true or false, found {}", value.type_name()));
    return value.get<bool>();
}

ExportJson parsedExport(std::string_view text, std::string_view name)
{
    const ExportPlace place{name, "document"};
    try {
        return parsedText(text, place);
    } catch (const nlohmann::json::exception&) {
    }
    try {
        return parsedText(withQuotedNumbers(text), place);
    } catch (const nlohmann::json::exception& error) {
        place.fail(fmt::format("expected JSON: {}", error.what()));
    }
}

std::pair<std::string, const ExportJson*> unionOf(const ExportJson& value, const ExportPlace& place)
{
    if (!value.is_object())
        place.fail(fmt::format("expected an object, found {}", value.type_name()));
    for (const auto& [key, content] : value.items())
        if (!content.is_null() && !key.starts_with('$'))
            return {key, &content};
    place.fail("expected one field, found none");
}

}  // namespace orrery::io
