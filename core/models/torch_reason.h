#pragma once
#include <exception>
#include <string>

/// Internal to core/models.
namespace orrery::models {

/// The first lines of libtorch's message; the rest is its own call stack.
std::string torchReason(const std::exception& error);

}  // namespace orrery::models
