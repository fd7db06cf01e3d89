#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "schema.h"

/// Internal to base: how schemas speak of parameters and values, in help and in errors.
namespace orrery::core {

/// "train" and "lr" -> "train.lr".
std::string placeOf(const std::string& place, std::string_view name);
std::string dumpText(const Json& value);
/// A value as it is shown after "got": scalars as written, containers by their kind (they may be huge or deep).
std::string gotText(const Json& value);
/// "an optimizer", "a model".
std::string withArticle(const std::string& noun);
/// "a", "b" or "c", with the given text before the last.
std::string quotedList(const std::vector<std::string>& names, std::string_view lastSeparator);
/// What a parameter takes, as it is shown after "expected".
std::string expectedText(const Parameter& parameter);
/// "kind is "a" or "b"": where a conditional parameter applies.
std::string conditionText(const Parameter& parameter);

}  // namespace orrery::core
