#pragma once
#include <optional>
#include <random>
#include <variant>

#include <core/graph/builder.h>

#include "operator_rules.h"

/// Internal to core/debug: calls of operators drawn at random, to be tried or to become nodes.
namespace orrery::debug {

using Sizes = std::vector<std::int64_t>;

/// One of the tensors of a call.
struct DrawnTensor {
    std::size_t index = 0;
};

/// A call with its arguments, not yet tried: `call.valid` and `call.output` are unset.
struct DrawnCall {
    struct Tensor {
        Sizes sizes;
        std::optional<std::size_t> existing;  ///< number of the value that was there; nothing: a new tensor
    };
    /// A tensor, a list of tensors or a literal.
    struct Argument {
        std::variant<DrawnTensor, std::vector<DrawnTensor>, c10::IValue> what;
        Argument(DrawnTensor tensor) : what(tensor) {}
        Argument(std::vector<DrawnTensor> tensors) : what(std::move(tensors)) {}
        Argument(Sizes sizes) : what(c10::IValue(std::move(sizes))) {}
        Argument(std::int64_t number) : what(c10::IValue(number)) {}
        Argument(int number) : what(c10::IValue(std::int64_t(number))) {}
        Argument(double number) : what(c10::IValue(number)) {}
        Argument(bool flag) : what(c10::IValue(flag)) {}
        Argument(std::nullptr_t) : what(c10::IValue()) {}
    };
    OperatorCall call;
    std::string qualifiedOp;  ///< "aten::bmm"
    std::vector<Tensor> tensors;
    std::vector<Argument> arguments;
};

std::size_t operatorsThatAreDrawn();
/// A call of operator `which`. Where values of fitting rank exist, their sizes are taken three times out of four.
DrawnCall drawCall(std::size_t which, std::mt19937_64& random, const std::vector<Sizes>& existing);
/// The call as a node on these tensors, one for each of `drawn.tensors`.
graph::Builder::Var addNode(graph::Builder& builder, const DrawnCall& drawn, const std::vector<graph::Builder::Var>& tensors);

}  // namespace orrery::debug
