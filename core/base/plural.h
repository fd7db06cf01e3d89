#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace orrery::core {

/// "1 input", "2 inputs", "0 branches": a number and what it counts. `many`: the plural where an "s" does not make it.
inline std::string counted(std::int64_t count, std::string_view one, std::string_view many = {})
{
    std::string text = std::to_string(count) + " " + std::string(count == 1 || many.empty() ? one : many);
    return count == 1 || !many.empty() ? text : text + "s";
}

}  // namespace orrery::core
