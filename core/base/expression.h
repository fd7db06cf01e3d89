#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::core {

/// Arithmetic over named variables, as people write it: `clamp(x - mean, -2, 2) ^ 2`, `logit[12] - logit[7]`.
///
///     sum     = product { ("+" | "-") product }
///     product = factor { ("*" | "/") factor }
///     factor  = ("-" | "+") factor | power
///     power   = operand [ "^" factor ]                          right-associative, binds tighter than a sign before it: -2^2 is -4
///     operand = number | name | name "(" sum { "," sum } ")" | "(" sum ")"
///
/// A name is letters, digits, `_` and dots after a letter or `_`, then at most one index: `logit[12]` (blanks inside are dropped). Plain data; any thread.
struct Expression {
    enum class Kind { Number, Variable, Negate, Add, Subtract, Multiply, Divide, Power, Call };
    struct Node {
        Kind kind = Kind::Number;
        double number = 0;                   ///< Number
        std::string name;                    ///< Variable, Call
        std::vector<std::size_t> arguments;  ///< earlier nodes
        std::size_t column = 0;              ///< where it stands in the text, from 1
    };
    std::string text;
    std::vector<Node> nodes;  ///< arguments before their users; the last one is the whole

    /// Names of the variables, each once.
    std::set<std::string> variables() const;
    /// Value of the whole, given what a leaf (Number, Variable) is worth and what an operation makes of its arguments' values: how others evaluate on tensors.
    template <class Value>
    Value fold(const std::function<Value(const Node&)>& leaf, const std::function<Value(const Node&, std::vector<Value>)>& apply) const
    {
        std::vector<Value> values;
        values.reserve(nodes.size());
        for (const auto& node : nodes) {
            if (node.kind == Kind::Number || node.kind == Kind::Variable) {
                values.push_back(leaf(node));
                continue;
            }
            std::vector<Value> arguments;
            for (const auto argument : node.arguments)
                arguments.push_back(values[argument]);
            values.push_back(apply(node, std::move(arguments)));
        }
        return values.back();
    }
};

/// Functions an expression may call, with their number of arguments (-1: one or more): relu, abs, exp, log, sqrt, tanh, sigmoid, sign, min, max, clamp(x, low, high).
const std::map<std::string, int>& expressionFunctions();
/// @param variables  Names that may be used; empty: any.
/// @param functions  Functions that may be called; whoever gives others than `expressionFunctions` evaluates them itself.
/// @throws InputError with the column, what was expected and what was found; unknown names name the nearest.
Expression parseExpression(std::string_view text, const std::set<std::string>& variables = {},
                           const std::map<std::string, int>& functions = expressionFunctions());
/// The value in double precision, by IEEE rules (1/0 is infinite, log(-1) is NaN). @throws InputError naming a variable without a value.
double evaluate(const Expression& expression, const std::map<std::string, double>& variables);

}  // namespace orrery::core
