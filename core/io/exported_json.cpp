#include "exported_json.h"

#include <fmt/format.h>

#include <limits>

#include <core/base/error.h>

namespace orrery::io {
namespace {

constexpr std::size_t kShownExportText = 60;

// Python writes infinities and NaN as bare words, which JSON does not know: they become text.
std::string withQuotedNumbers(std::string_view json)
{
    std::string out;
    out.reserve(json.size() + json.size() / 8);
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

}  // namespace

void ExportPlace::fail(std::string_view what) const
{
    throw core::FormatError(fmt::format("{}: {}: {}", file, path, what));
}

ExportPlace ExportPlace::in(std::string_view part) const
{
    return {file, fmt::format("{}.{}", path, part), budget};
}

ExportPlace ExportPlace::at(std::size_t index) const
{
    return {file, fmt::format("{}[{}]", path, index), budget};
}

void ExportPlace::take(std::uint64_t bytes) const
{
    if (!budget->take(bytes))
        fail(budget->refusal());
}

std::optional<ExportJson> findField(ExportJson object, const char* key)
{
    auto value = object.find(key);
    return value && value->isNull() ? std::nullopt : value;
}

ExportJson requiredField(ExportJson object, const char* key, const ExportPlace& place)
{
    if (!object.isObject())
        place.fail(fmt::format("expected an object, found {}", object.typeName()));
    const auto value = findField(object, key);
    if (!value)
        place.fail(fmt::format("expected a field {}", key));
    return *value;
}

ExportJson listField(ExportJson object, const char* key, const ExportPlace& place)
{
    const auto value = requiredField(object, key, place);
    if (!value.isList())
        place.in(key).fail(fmt::format("expected a list, found {}", value.typeName()));
    return value;
}

std::string textOf(ExportJson value, const ExportPlace& place)
{
    if (!value.isText())
        place.fail(fmt::format("expected text, found {}", value.typeName()));
    return std::string(value.text());
}

std::string textField(ExportJson object, const char* key, const ExportPlace& place)
{
    return textOf(requiredField(object, key, place), place.in(key));
}

std::int64_t integerOf(ExportJson value, const ExportPlace& place)
{
    const auto integer = value.integer();
    if (!integer)
        place.fail(fmt::format("expected an integer, found {}", value.shown().substr(0, kShownExportText)));
    return *integer;
}

double numberOf(ExportJson value, const ExportPlace& place)
{
    if (value.isNumber())
        return value.number();
    const auto text = value.isText() ? value.text() : std::string_view();
    if (text == "Infinity" || text == "-Infinity")
        return (text[0] == '-' ? -1 : 1) * std::numeric_limits<double>::infinity();
    if (text == "NaN")
        return std::numeric_limits<double>::quiet_NaN();
    place.fail(fmt::format("expected a number, found {}", value.shown().substr(0, kShownExportText)));
}

bool flagOf(ExportJson value, const ExportPlace& place)
{
    if (!value.isBoolean())
        place.fail(fmt::format("expected true or false, found {}", value.typeName()));
    return value.boolean();
}

JsonTape parsedExport(std::string_view text, const ExportPlace& place)
{
    const auto where = fmt::format("{}: {}", place.file, place.path);
    MemoryBudget first = *place.budget;  // a document that is read twice counts once
    try {
        JsonTape tape(text, where, first);
        *place.budget = first;
        return tape;
    } catch (const core::FormatError&) {
        if (text.find("Infinity") == text.npos && text.find("NaN") == text.npos)
            throw;
    }
    place.take(text.size());
    return JsonTape(withQuotedNumbers(text), where, *place.budget);
}

std::pair<std::string, ExportJson> unionOf(ExportJson value, const ExportPlace& place)
{
    if (!value.isObject())
        place.fail(fmt::format("expected an object, found {}", value.typeName()));
    for (const ExportJson content : value)
        if (!content.isNull() && !content.key().starts_with('$'))
            return {std::string(content.key()), content};
    place.fail("expected one field, found none");
}

}  // namespace orrery::io
