#pragma once
#include <map>
#include <string>
#include <vector>

#include <core/base/expression.h>

namespace orrery::scaling {

/// An expression made ready to be evaluated with its gradient, many times: by reverse accumulation over its nodes. Where a function has a kink (relu, abs, min, max, clamp)
/// the gradient is that of one side. Immutable; any thread.
class DifferentiableExpression {
public:
    /// @param variables  All names of the expression, in the order in which values and gradients stand. @throws core::InputError for a name that is not among them.
    DifferentiableExpression(const core::Expression& expression, const std::vector<std::string>& variables);

    /// Room for one evaluation, to be used again; one for each thread.
    struct Workspace {
        std::vector<double> values, adjoints;
    };
    /// @param variables  A value for each. @param gradient  By each variable, or null.
    double evaluate(const double* variables, double* gradient, Workspace& workspace) const;
    std::size_t variableCount() const { return m_variables; }

private:
    enum class Op {
        Number,
        Variable,
        Negate,
        Add,
        Subtract,
        Multiply,
        Divide,
        Power,
        Relu,
        Abs,
        Exp,
        Log,
        Sqrt,
        Tanh,
        Sigmoid,
        Sign,
        Min,
        Max,
        Clamp
    };
    struct Node {
        Op op = Op::Number;
        double number = 0;
        std::size_t variable = 0;
        std::vector<std::size_t> arguments;
    };
    static Op opOf(const core::Expression::Node& node);
    static double valueOf(const Node& node, const std::vector<double>& values);
    static void passBack(const Node& node, const std::vector<double>& values, double value, double adjoint, std::vector<double>& adjoints);

    std::size_t m_variables;
    std::vector<Node> m_nodes;
};

}  // namespace orrery::scaling
