#pragma once
#include <string>
#include <string_view>

#include "registry.h"

/// A component with its parameters as one word of a command line: `voxel?size=0.05&mean=false`.
namespace orrery::core {

struct ComponentText {
    std::string id;
    Json parameters;  ///< resolved
};

/// `ID?key=value&key=value` taken apart. Values are JSON or else text; for lists `hidden=64,32` and `hidden=[64,32]` are the same.
/// @param prefix  What stands before the text, for messages: `zoo:`.
/// @throws InputError for an unknown id or naming the part that cannot be read; DocumentError for wrong parameters.
ComponentText parseComponentText(const RegistryBase& registry, std::string_view text, std::string_view prefix = {});
/// The shortest text that gives these parameters: defaults are left out.
std::string componentText(const RegistryBase& registry, std::string_view id, const Json& parameters);

}  // namespace orrery::core
