#pragma once
#include <fmt/format.h>

#include <string>
#include <vector>

#include "json_place.h"
#include "pattern.h"

/// What reading the steps of a tokenizer from its document has in common.
namespace orrery::text {

/// Sequences inside sequences of a hostile file end somewhere.
inline constexpr int kMaxSequenceDepth = 16;

/// {"String": "..."} or {"Regex": "..."}. @throws core::FormatError.
inline PatternPtr patternOf(const JsonPlace& json)
{
    if (json.has("String"))
        return literalText(json.at("String").text());
    if (json.has("Regex"))
        return regularExpression(json.at("Regex").text(), json.place());
    json.fail("{\"String\": ...} or {\"Regex\": ...}");
}

/// The keys of a table, for messages: "NFC, NFD".
template <class Table>
std::string namesOf(const Table& table)
{
    std::string names;
    for (const auto& entry : table)
        names += (names.empty() ? "" : ", ") + entry.first;
    return names;
}

/// The steps of a sequence, each made by `make(json, depth + 1)`; null ones are left out. @throws core::FormatError for sequences too deep inside each other.
template <class Make>
auto stepsIn(const JsonPlace& sequence, const char* key, int depth, const Make& make)
{
    if (depth >= kMaxSequenceDepth)
        sequence.fail(fmt::format("at most {} sequences inside each other", kMaxSequenceDepth));
    std::vector<decltype(make(sequence, depth))> steps;
    for (const auto& step : sequence.at(key).list())
        if (auto made = make(step, depth + 1))
            steps.push_back(std::move(made));
    return steps;
}

/// What the table's maker for the "type" makes of it. @throws core::FormatError naming those that are known.
template <class Table>
auto madeBy(const Table& makers, const JsonPlace& json, const char* what)
{
    const auto type = json.at("type");
    const auto found = makers.find(type.text());
    if (found == makers.end())
        type.fail(fmt::format("a {} that is known ({}, Sequence)", what, namesOf(makers)));
    return found->second(json);
}

}  // namespace orrery::text
