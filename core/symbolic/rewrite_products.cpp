#include <cmath>
#include <utility>

#include "rewrite_rules.h"

/// Rules of products, quotients, powers and functions.
namespace orrery::symbolic {
namespace {

using Result = std::optional<std::size_t>;

bool isWhole(double number)
{
    return number == std::floor(number);
}

Result multiplyByOne(FormulaDag& dag, std::size_t id)
{
    const bool multiplies = dag.is(id, TermKind::Multiply);
    if (!multiplies && !dag.is(id, TermKind::Divide))
        return std::nullopt;
    const std::size_t a = dag.argument(id, 0), b = dag.argument(id, 1);
    if (dag.isConstant(b, 1))
        return inPlaceOf(dag, id, a);
    if (dag.isConstant(b, -1))
        return inPlaceOf(dag, id, dag.negate(a));
    if (multiplies && dag.isConstant(a, 1))
        return inPlaceOf(dag, id, b);
    return multiplies && dag.isConstant(a, -1) ? inPlaceOf(dag, id, dag.negate(b)) : std::nullopt;
}

Result multiplyByZero(FormulaDag& dag, std::size_t id)
{
    const bool multiplies = dag.is(id, TermKind::Multiply);
    if (!multiplies && !dag.is(id, TermKind::Divide))
        return std::nullopt;
    const bool zero = dag.isConstant(dag.argument(id, 0), 0) || (multiplies && dag.isConstant(dag.argument(id, 1), 0));
    return zero ? Result(dag.filled(0, id)) : std::nullopt;
}

Result divideByItself(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Divide))
        return std::nullopt;
    const std::size_t a = dag.argument(id, 0), b = dag.argument(id, 1);
    if (a == b)
        return dag.filled(1, id);
    if (dag.is(a, TermKind::Multiply))
        for (std::size_t side : {0u, 1u})
            if (dag.argument(a, side) == b)
                return inPlaceOf(dag, id, dag.argument(a, 1 - side));
    return std::nullopt;
}

Result signsOutside(FormulaDag& dag, std::size_t id)
{
    const bool multiplies = dag.is(id, TermKind::Multiply);
    if (!multiplies && !dag.is(id, TermKind::Divide))
        return std::nullopt;
    const std::size_t a = dag.argument(id, 0), b = dag.argument(id, 1);
    const auto joined = [&](std::size_t left, std::size_t right) { return multiplies ? dag.times(left, right) : dag.over(left, right); };
    if (dag.is(a, TermKind::Negate))
        return dag.negate(joined(dag.argument(a, 0), b));
    return dag.is(b, TermKind::Negate) ? Result(dag.negate(joined(a, dag.argument(b, 0)))) : std::nullopt;
}

/// A product with a number as its factors: 3 x, x 3, x / 4.
std::optional<std::pair<std::size_t, double>> scaled(const FormulaDag& dag, std::size_t id)
{
    if (dag.is(id, TermKind::Multiply))
        for (std::size_t side : {0u, 1u})
            if (const auto number = dag.constant(dag.argument(id, side)); number && dag.shape(dag.argument(id, 1 - side)) == dag.shape(id))
                return std::pair(dag.argument(id, 1 - side), *number);
    return std::nullopt;
}

Result gatherFactors(FormulaDag& dag, std::size_t id)
{
    if (dag.is(id, TermKind::Negate)) {
        const auto inner = scaled(dag, dag.argument(id, 0));
        return inner ? Result(dag.times(dag.number(-inner->second), inner->first)) : std::nullopt;
    }
    const auto outer = scaled(dag, id);
    if (!outer)
        return std::nullopt;
    if (const auto inner = scaled(dag, outer->first); inner && std::isfinite(inner->second * outer->second))
        return dag.times(dag.number(inner->second * outer->second), inner->first);
    if (dag.is(outer->first, TermKind::Negate))
        return dag.times(dag.number(-outer->second), dag.argument(outer->first, 0));
    return std::nullopt;
}

/// A term as a power: x is x^1, sqrt(x) is x^0.5.
std::pair<std::size_t, double> asPower(const FormulaDag& dag, std::size_t id)
{
    if (dag.isCall(id, "sqrt"))
        return {dag.argument(id, 0), 0.5};
    if (dag.is(id, TermKind::Power))
        if (const auto number = dag.constant(dag.argument(id, 1)); number && dag.shape(dag.argument(id, 0)) == dag.shape(id))
            return {dag.argument(id, 0), *number};
    return {id, 1};
}

Result gatherPowers(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Multiply))
        return std::nullopt;
    const auto [a, powerA] = asPower(dag, dag.argument(id, 0));
    const auto [b, powerB] = asPower(dag, dag.argument(id, 1));
    if (a != b || dag.constant(a))
        return std::nullopt;
    return inPlaceOf(dag, id, dag.power(a, dag.number(powerA + powerB)));
}

Result simplePower(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Power))
        return std::nullopt;
    const std::size_t x = dag.argument(id, 0);
    if (dag.isConstant(x, 1))
        return dag.filled(1, id);
    const auto number = dag.constant(dag.argument(id, 1));
    if (!number || dag.shape(x) != dag.shape(id))
        return std::nullopt;
    if (*number == 1)
        return x;
    if (*number == 0)
        return dag.filled(1, id);
    if (*number == 0.5)
        return dag.call("sqrt", {x});
    return *number == -1 ? Result(dag.over(dag.number(1), x)) : std::nullopt;
}

Result powerOfPower(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Power))
        return std::nullopt;
    const std::size_t x = dag.argument(id, 0);
    const auto outer = dag.constant(dag.argument(id, 1));
    const auto [base, inner] = asPower(dag, x);
    if (!outer || base == x || dag.shape(x) != dag.shape(id) || !isWhole(*outer) || (!isWhole(inner) && !dag.isCall(x, "sqrt")))
        return std::nullopt;
    // An odd power of a root is left alone: x^1.5 is as good.
    if (!isWhole(inner * *outer))
        return std::nullopt;
    return dag.power(base, dag.number(inner * *outer));
}

Result inverseFunctions(FormulaDag& dag, std::size_t id)
{
    const std::size_t x = dag.term(id).arguments.empty() ? id : dag.argument(id, 0);
    if ((dag.isCall(id, "log") && dag.isCall(x, "exp")) || (dag.isCall(id, "exp") && dag.isCall(x, "log")))
        return dag.argument(x, 0);
    if (dag.isCall(id, "sqrt") && dag.is(x, TermKind::Power) && dag.isConstant(dag.argument(x, 1), 2))
        return inPlaceOf(dag, id, dag.call("abs", {dag.argument(x, 0)}));
    return std::nullopt;
}

/// The `exp(x)` of 1 + exp(x), as x.
Result onePlusExp(const FormulaDag& dag, std::size_t id)
{
    if (dag.is(id, TermKind::Add))
        for (std::size_t side : {0u, 1u})
            if (dag.isConstant(dag.argument(id, side), 1) && dag.isCall(dag.argument(id, 1 - side), "exp") &&
                dag.shape(dag.argument(id, 1 - side)) == dag.shape(id))
                return dag.argument(dag.argument(id, 1 - side), 0);
    return std::nullopt;
}

/// exp(x) sigmoid(-x) is sigmoid(x).
Result expOfLogistic(FormulaDag& dag, std::size_t id)
{
    for (std::size_t side : {0u, 1u}) {
        const std::size_t a = dag.argument(id, side), b = dag.argument(id, 1 - side);
        if (dag.isCall(a, "exp") && dag.isCall(b, "sigmoid") && dag.is(dag.argument(b, 0), TermKind::Negate) &&
            dag.argument(dag.argument(b, 0), 0) == dag.argument(a, 0))
            return inPlaceOf(dag, id, dag.call("sigmoid", {dag.argument(a, 0)}));
    }
    return std::nullopt;
}

Result stableLogistic(FormulaDag& dag, std::size_t id)
{
    if (dag.is(id, TermKind::Multiply))
        return expOfLogistic(dag, id);
    if (!dag.is(id, TermKind::Divide))
        return std::nullopt;
    const std::size_t a = dag.argument(id, 0);
    const auto x = onePlusExp(dag, dag.argument(id, 1));
    if (!x)
        return std::nullopt;
    if (dag.isConstant(a, 1))
        return inPlaceOf(dag, id, dag.call("sigmoid", {dag.negate(*x)}));
    return dag.isCall(a, "exp") && dag.argument(a, 0) == *x ? inPlaceOf(dag, id, dag.call("sigmoid", {*x})) : std::nullopt;
}

Result stableLogarithm(FormulaDag& dag, std::size_t id)
{
    if (!dag.isCall(id, "log"))
        return std::nullopt;
    const std::size_t inner = dag.argument(id, 0);
    if (const auto x = onePlusExp(dag, inner))
        return dag.call("softplus", {*x});
    if (dag.isCall(inner, "sigmoid"))
        return dag.negate(dag.call("softplus", {dag.negate(dag.argument(inner, 0))}));
    return std::nullopt;
}

bool isNeverNegative(const FormulaDag& dag, std::size_t id)
{
    for (const char* name : {"exp", "sqrt", "sigmoid", "relu", "softplus", "abs", "step"})
        if (dag.isCall(id, name))
            return true;
    const auto power = dag.is(id, TermKind::Power) ? dag.constant(dag.argument(id, 1)) : std::nullopt;
    return power && isWhole(*power / 2);
}

Result alreadyPositive(FormulaDag& dag, std::size_t id)
{
    const bool takes = dag.isCall(id, "abs") || dag.isCall(id, "relu");
    return takes && isNeverNegative(dag, dag.argument(id, 0)) ? Result(dag.argument(id, 0)) : std::nullopt;
}

Result oddAndEven(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Call) || !dag.is(dag.argument(id, 0), TermKind::Negate))
        return std::nullopt;
    const std::size_t x = dag.argument(dag.argument(id, 0), 0);
    const std::string name = dag.term(id).name;
    for (const char* even : {"abs", "cos"})
        if (name == even)
            return dag.call(name, {x});
    for (const char* odd : {"sin", "tanh", "erf", "sign"})
        if (name == odd)
            return dag.negate(dag.call(name, {x}));
    return std::nullopt;
}

Result evenPowerOfNegative(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Power) || !dag.is(dag.argument(id, 0), TermKind::Negate))
        return std::nullopt;
    const auto power = dag.constant(dag.argument(id, 1));
    return power && isWhole(*power / 2) ? Result(dag.power(dag.argument(dag.argument(id, 0), 0), dag.argument(id, 1))) : std::nullopt;
}

Result sameExtreme(FormulaDag& dag, std::size_t id)
{
    const bool extreme = dag.isCall(id, "min") || dag.isCall(id, "max");
    return extreme && dag.argument(id, 0) == dag.argument(id, 1) ? Result(dag.argument(id, 0)) : std::nullopt;
}

constexpr RewriteRule kProductRules[] = {
    {"product with one", "1 x and x / 1 are x.", multiplyByOne},
    {"product with zero", "0 x is 0.", multiplyByZero},
    {"quotient with itself", "x / x is 1, (x y) / y is x.", divideByItself},
    {"signs outside", "(-a) b is -(a b).", signsOutside},
    {"numbers of products together", "2 (3 x) is 6 x.", gatherFactors},
    {"powers together", "x x is x^2, x^2 x^3 is x^5.", gatherPowers},
    {"simple powers", "x^1 is x, x^0 is 1, x^0.5 is sqrt(x), x^-1 is 1 / x.", simplePower},
    {"power of a power", "(x^2)^3 is x^6, sqrt(x)^2 is x.", powerOfPower},
    {"inverse functions", "log(exp(x)) is x, sqrt(x^2) is abs(x).", inverseFunctions},
    {"logistic function", "1 / (1 + exp(-x)) and exp(x) sigmoid(-x) are sigmoid(x), which does not overflow.", stableLogistic},
    {"logarithm without overflow", "log(1 + exp(x)) is softplus(x), log(sigmoid(x)) is -softplus(-x).", stableLogarithm},
    {"never negative", "abs and relu of what is not negative change nothing.", alreadyPositive},
    {"odd and even functions", "cos(-x) is cos(x), tanh(-x) is -tanh(x).", oddAndEven},
    {"even power of a negative", "(-x)^2 is x^2.", evenPowerOfNegative},
    {"larger of equals", "max(x, x) is x.", sameExtreme},
};

}  // namespace

std::span<const RewriteRule> productRules()
{
    return kProductRules;
}

}  // namespace orrery::symbolic
