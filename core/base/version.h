#pragma once

namespace orrery::core {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace orrery::core
