#pragma once
#include <stop_token>

namespace orrery::cli {

/// Installs handlers for SIGINT and SIGTERM: the first asks running work to stop, a second one ends the program at once.
void installInterruptHandler();
std::stop_token interruptToken();
bool wasInterrupted();

}  // namespace orrery::cli
