#pragma once
#include <string>
#include <string_view>

namespace orrery::models {

/// One function of the exported C file: C99, `static`, no memory of its own. Empty for an unknown name.
std::string_view cKernel(const std::string& name);

}  // namespace orrery::models
