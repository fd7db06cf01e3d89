#include "differentiable_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/error.h>

namespace orrery::scaling {

DifferentiableExpression::DifferentiableExpression(const core::Expression& expression, const std::vector<std::string>& variables)
    : m_variables(variables.size())
{
    for (const auto& from : expression.nodes) {
        Node node{opOf(from), from.number, 0, from.arguments};
        if (node.op == Op::Variable) {
            const auto found = std::find(variables.begin(), variables.end(), from.name);
            if (found == variables.end())
                throw core::InputError(fmt::format("expression \"{}\": \"{}\" has no value", expression.text, from.name));
            node.variable = std::size_t(found - variables.begin());
        }
        m_nodes.push_back(std::move(node));
    }
}

DifferentiableExpression::Op DifferentiableExpression::opOf(const core::Expression::Node& node)
{
    using Kind = core::Expression::Kind;
    static const std::map<std::string, Op> functions = {{"relu", Op::Relu}, {"abs", Op::Abs},   {"exp", Op::Exp},         {"log", Op::Log},
                                                        {"sqrt", Op::Sqrt}, {"tanh", Op::Tanh}, {"sigmoid", Op::Sigmoid}, {"sign", Op::Sign},
                                                        {"min", Op::Min},   {"max", Op::Max},   {"clamp", Op::Clamp}};
    switch (node.kind) {
    case Kind::Number: return Op::Number;
    case Kind::Variable: return Op::Variable;
    case Kind::Negate: return Op::Negate;
    case Kind::Add: return Op::Add;
    case Kind::Subtract: return Op::Subtract;
    case Kind::Multiply: return Op::Multiply;
    case Kind::Divide: return Op::Divide;
    case Kind::Power: return Op::Power;
    case Kind::Call: break;
    }
    const auto found = functions.find(node.name);
    if (found == functions.end())
        throw core::InputError(fmt::format("{}: has no gradient here", node.name));
    return found->second;
}

double DifferentiableExpression::valueOf(const Node& node, const std::vector<double>& values)
{
    const auto x = [&](std::size_t i) { return values[node.arguments[i]]; };
    switch (node.op) {
    case Op::Negate: return -x(0);
    case Op::Add: return x(0) + x(1);
    case Op::Subtract: return x(0) - x(1);
    case Op::Multiply: return x(0) * x(1);
    case Op::Divide: return x(0) / x(1);
    case Op::Power: return std::pow(x(0), x(1));
    case Op::Relu: return std::isnan(x(0)) ? x(0) : std::max(x(0), 0.0);
    case Op::Abs: return std::abs(x(0));
    case Op::Exp: return std::exp(x(0));
    case Op::Log: return std::log(x(0));
    case Op::Sqrt: return std::sqrt(x(0));
    case Op::Tanh: return std::tanh(x(0));
    case Op::Sigmoid: return 1 / (1 + std::exp(-x(0)));
    case Op::Sign: return std::isnan(x(0)) ? x(0) : double(x(0) > 0) - double(x(0) < 0);
    case Op::Clamp: return std::min(std::max(x(0), x(1)), x(2));
    case Op::Min:
    case Op::Max: break;
    case Op::Number:
    case Op::Variable: return node.number;
    }
    double result = x(0);
    for (std::size_t i = 1; i < node.arguments.size(); ++i)
        result = node.op == Op::Min ? std::min(result, x(i)) : std::max(result, x(i));
    return result;
}

void DifferentiableExpression::passBack(const Node& node, const std::vector<double>& values, double value, double adjoint,
                                        std::vector<double>& adjoints)
{
    const auto x = [&](std::size_t i) { return values[node.arguments[i]]; };
    const auto give = [&](std::size_t i, double factor) { adjoints[node.arguments[i]] += adjoint * factor; };
    switch (node.op) {
    case Op::Negate: give(0, -1); break;
    case Op::Add: give(0, 1), give(1, 1); break;
    case Op::Subtract: give(0, 1), give(1, -1); break;
    case Op::Multiply: give(0, x(1)), give(1, x(0)); break;
    case Op::Divide: give(0, 1 / x(1)), give(1, -value / x(1)); break;
    case Op::Power:
        give(0, x(1) == 0 ? 0 : x(1) * std::pow(x(0), x(1) - 1));
        if (x(0) > 0)  // elsewhere the value is no smooth function of the exponent
            give(1, value * std::log(x(0)));
        break;
    case Op::Relu: give(0, x(0) > 0); break;
    case Op::Abs: give(0, double(x(0) > 0) - double(x(0) < 0)); break;
    case Op::Exp: give(0, value); break;
    case Op::Log: give(0, 1 / x(0)); break;
    case Op::Sqrt: give(0, 0.5 / value); break;
    case Op::Tanh: give(0, 1 - value * value); break;
    case Op::Sigmoid: give(0, value * (1 - value)); break;
    case Op::Clamp: give(value == x(0) ? 0 : value == x(2) ? 2 : 1, 1); break;
    case Op::Min:
    case Op::Max:
        for (std::size_t i = 0; i < node.arguments.size(); ++i)
            if (x(i) == value) {
                give(i, 1);
                break;
            }
        break;
    case Op::Sign:
    case Op::Number:
    case Op::Variable: break;
    }
}

double DifferentiableExpression::evaluate(const double* variables, double* gradient, Workspace& workspace) const
{
    auto& values = workspace.values;
    values.resize(m_nodes.size());
    for (std::size_t i = 0; i < m_nodes.size(); ++i)
        values[i] = m_nodes[i].op == Op::Variable ? variables[m_nodes[i].variable] : valueOf(m_nodes[i], values);
    if (!gradient)
        return values.back();
    std::fill_n(gradient, m_variables, 0.0);
    workspace.adjoints.assign(m_nodes.size(), 0);
    workspace.adjoints.back() = 1;
    for (std::size_t i = m_nodes.size(); i-- > 0;) {
        const double adjoint = workspace.adjoints[i];
        if (m_nodes[i].op == Op::Variable)
            gradient[m_nodes[i].variable] += adjoint;
        else if (adjoint != 0)
            passBack(m_nodes[i], values, values[i], adjoint, workspace.adjoints);
    }
    return values.back();
}

}  // namespace orrery::scaling
