#pragma once
#include <exception>
#include <string>

namespace orrery::core {

/// What an exception of anyone says, for people: libtorch's messages without their call stack, a request for more memory than there is as such a sentence, the standard
/// library's file errors as `PATH: REASON`; ours as they are. Any thread.
std::string plainReason(const std::exception& error);

/// The same for a text: what stands before libtorch's call stack.
std::string withoutCallStack(std::string text);

}  // namespace orrery::core
