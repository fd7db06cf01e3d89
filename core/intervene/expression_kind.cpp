#include <ATen/ATen.h>

#include <core/base/error.h>
#include <core/base/expression.h>

#include "kinds.h"
#include "selection.h"

namespace orrery::intervene {
namespace {

using core::Expression;

std::set<std::string> knownVariables()
{
    std::set<std::string> names = {"x", "source", "mean", "std", "norm"};
    for (int i = 0; i < int(Axis::Other); ++i)
        names.emplace(axisName(Axis(i)));
    return names;
}

/// Index along one axis, shaped to broadcast over the unit.
at::Tensor indexAlong(const Situation& s, const std::string& name)
{
    std::optional<std::size_t> axis;
    for (int i = 0; i < int(Axis::Other); ++i)
        if (axisName(Axis(i)) == name)
            axis = findAxis(s.axes, Axis(i));
    if (!axis)
        throw core::InputError(fmt::format("{}: the value \"{}\" has no axis \"{}\"", s.place, s.value, name));
    std::vector<std::int64_t> shape(s.axes.size(), 1);
    shape[*axis] = -1;
    return at::tensor(s.selection->indices(*axis, s.whole.size(std::int64_t(*axis))), at::kLong).to(s.x.options()).reshape(shape);
}

at::Tensor variable(const Situation& s, const std::string& name)
{
    if (name == "x")
        return s.x;
    if (name == "source")
        return s.source;
    if (name == "mean" || name == "std" || name == "norm") {
        const auto last = s.whole.to(at::kDouble);
        const auto statistic = name == "mean" ? last.mean(-1, true) : name == "std" ? last.std(-1, false, true) : last.norm(2, {-1}, true);
        return s.selection->gather(statistic.to(s.x.scalar_type()).expand_as(s.whole), s.place);
    }
    return indexAlong(s, name);
}

at::Tensor called(const std::string& name, const std::vector<at::Tensor>& x)
{
    if (name == "relu")
        return at::relu(x[0]);
    if (name == "abs")
        return at::abs(x[0]);
    if (name == "exp")
        return at::exp(x[0]);
    if (name == "log")
        return at::log(x[0]);
    if (name == "sqrt")
        return at::sqrt(x[0]);
    if (name == "tanh")
        return at::tanh(x[0]);
    if (name == "sigmoid")
        return at::sigmoid(x[0]);
    if (name == "sign")
        return at::sign(x[0]);
    if (name == "clamp")
        return at::minimum(at::maximum(x[0], x[1]), x[2]);
    auto result = x[0];
    for (std::size_t i = 1; i < x.size(); ++i)
        result = name == "min" ? at::minimum(result, x[i]) : at::maximum(result, x[i]);
    return result;
}

at::Tensor applied(const Expression::Node& node, const std::vector<at::Tensor>& x)
{
    switch (node.kind) {
    case Expression::Kind::Negate: return -x[0];
    case Expression::Kind::Add: return x[0] + x[1];
    case Expression::Kind::Subtract: return x[0] - x[1];
    case Expression::Kind::Multiply: return x[0] * x[1];
    case Expression::Kind::Divide: return x[0] / x[1];
    case Expression::Kind::Power: return at::pow(x[0], x[1]);
    default: return called(node.name, x);
    }
}

at::Tensor evaluated(const Expression& expression, const Situation& s)
{
    return expression.fold<at::Tensor>(
        [&](const Expression::Node& node) {
            return node.kind == Expression::Kind::Number ? at::scalar_tensor(node.number, s.x.options()) : variable(s, node.name);
        },
        [](const Expression::Node& node, std::vector<at::Tensor> arguments) { return applied(node, arguments); });
}

Prepared prepareExpression(const core::Json& parameters, const KindContext& context)
{
    Expression expression;
    try {
        expression = core::parseExpression(parameters.at("formula").get<std::string>(), knownVariables());
    } catch (const core::InputError& error) {
        throw core::InputError(context.place + ".do.formula: " + error.what());
    }
    Prepared prepared;
    prepared.needsSource = expression.variables().contains("source");
    prepared.apply = [expression = std::move(expression)](const Situation& s) { return evaluated(expression, s); };
    return prepared;
}

}  // namespace

void addExpression(KindRegistry& registry)
{
    core::Component component{
        "expression",
        "Expression",
        "Sets the unit to a formula of x, source, mean, std, norm (over the last axis) and the indices position, head, feature, ...",
        "",
        {core::text("formula", "x",
                    "For example `x + 0.5 * (source - x)`; + - * / ^, relu, abs, exp, log, sqrt, tanh, sigmoid, sign, min, "
                    "max, clamp(x, low, high).")},
        {},
        {}};
    InterventionKind kind;
    kind.usesSource = true;
    kind.prepare = prepareExpression;
    registry.add(std::move(component), std::move(kind));
}

}  // namespace orrery::intervene
