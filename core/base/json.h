#pragma once
#include <nlohmann/json.hpp>

namespace orrery::core {

/// Documents keep the order in which their keys were written.
using Json = nlohmann::ordered_json;

}  // namespace orrery::core
