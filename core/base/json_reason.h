#pragma once
#include <string>
#include <string_view>

namespace orrery::core {

/// What the JSON library says is wrong (`exception::what()`), without its own name in front: "[json.exception.parse_error.101] ".
inline std::string jsonReason(std::string_view what)
{
    const auto end = what.find("] ");
    return std::string(what.starts_with('[') && end != what.npos ? what.substr(end + 2) : what);
}

}  // namespace orrery::core
