#pragma once
#include <map>
#include <string>
#include <string_view>

namespace orrery::widgets {

/// Where the keys and list elements of a document stand in its text: path (`train.optimizer.lr`, `layers[0]`) -> line, from 1. Broken text gives
/// what was found
/// before the break. Paths are spelled as in `core::Issue`.
std::map<std::string, int> placesInJson(std::string_view text);
/// Block mappings and sequences; what stands in flow style (`[1, 2]`, `{a: 1}`) belongs to the line of its key.
std::map<std::string, int> placesInYaml(std::string_view text);

}  // namespace orrery::widgets
