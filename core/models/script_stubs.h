#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

/// Internal to core/models: operators that a TorchScript file calls and libtorch does not have. A stand-in lets the program be read; nothing can run it.
namespace orrery::models {

/// "aten::wobble" out of libtorch's message; nothing if it complains of something else.
std::optional<std::string> unknownOperatorIn(const std::string& message);

/// How a call is written in the code of a file: names of keyword arguments, and number of results.
struct CalledOperator {
    std::set<std::string> keywords;
    std::size_t results = 1;
};

/// Looks for calls of an operator ("torch.wobble(", "ops.mylib.wobble(") in TorchScript's source.
CalledOperator callsIn(const std::vector<std::string>& sources, const std::string& op);

/// Makes the operator known to this process: any positional arguments, these keywords, tensors as results. It throws when it is called.
void registerStandIn(const std::string& op, const CalledOperator& called);

/// Operators that were registered so.
bool isStandIn(const std::string& op);

}  // namespace orrery::models
