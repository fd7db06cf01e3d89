#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace orrery::core {

struct ProcessResult {
    int exitStatus = 0;  ///< 128 + signal if one ended it
    std::string output;  ///< standard output
};

/// Runs a program found in $PATH and waits. Standard input is empty, standard error is dropped.
/// @param setVariables  Changes to the environment as `NAME=value`; `NAME` alone removes it.
/// @return  Nothing if it cannot be started, or does not end within `limit` (it is killed then). Any thread.
std::optional<ProcessResult> runProcess(const std::vector<std::string>& command, std::chrono::milliseconds limit,
                                        const std::vector<std::string>& setVariables = {});

}  // namespace orrery::core
