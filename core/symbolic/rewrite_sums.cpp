#include <utility>

#include "rewrite_rules.h"

/// Rules of sums, differences and signs.
namespace orrery::symbolic {
namespace {

using Made = std::optional<std::size_t>;

Made addZero(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Add) && !dag.is(id, TermKind::Subtract))
        return std::nullopt;
    const std::size_t a = dag.argument(id, 0), b = dag.argument(id, 1);
    if (dag.isConstant(b, 0))
        return inPlaceOf(dag, id, a);
    if (!dag.isConstant(a, 0))
        return std::nullopt;
    return inPlaceOf(dag, id, dag.is(id, TermKind::Add) ? b : dag.negate(b));
}

Made subtractItself(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Subtract) || dag.argument(id, 0) != dag.argument(id, 1))
        return std::nullopt;
    return dag.filled(0, id);
}

Made addNegative(FormulaDag& dag, std::size_t id)
{
    const bool adds = dag.is(id, TermKind::Add);
    if (!adds && !dag.is(id, TermKind::Subtract))
        return std::nullopt;
    const std::size_t a = dag.argument(id, 0), b = dag.argument(id, 1);
    if (dag.is(b, TermKind::Negate))
        return adds ? dag.minus(a, dag.argument(b, 0)) : dag.plus(a, dag.argument(b, 0));
    if (adds && dag.is(a, TermKind::Negate))
        return dag.minus(b, dag.argument(a, 0));
    return std::nullopt;
}

Made twoSigns(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Negate))
        return std::nullopt;
    const std::size_t x = dag.argument(id, 0);
    if (dag.is(x, TermKind::Negate))
        return dag.argument(x, 0);
    if (dag.is(x, TermKind::Subtract))
        return dag.minus(dag.argument(x, 1), dag.argument(x, 0));
    return std::nullopt;
}

/// A term as a sum of something and a number: (x + 2) is x and 2, (x - 2) is x and -2.
std::optional<std::pair<std::size_t, double>> withNumber(const FormulaDag& dag, std::size_t id)
{
    const bool adds = dag.is(id, TermKind::Add);
    if (!adds && !dag.is(id, TermKind::Subtract))
        return std::nullopt;
    const std::size_t a = dag.argument(id, 0), b = dag.argument(id, 1);
    if (const auto number = dag.constant(b); number && dag.shape(a) == dag.shape(id))
        return std::pair(a, adds ? *number : -*number);
    if (const auto number = dag.constant(a); number && adds && dag.shape(b) == dag.shape(id))
        return std::pair(b, *number);
    return std::nullopt;
}

Made gatherNumbers(FormulaDag& dag, std::size_t id)
{
    const auto outer = withNumber(dag, id);
    const auto inner = outer ? withNumber(dag, outer->first) : std::nullopt;
    return inner ? Made(dag.plus(inner->first, dag.number(inner->second + outer->second))) : std::nullopt;
}

/// A term as a multiple of another.
std::pair<std::size_t, double> multiple(const FormulaDag& dag, std::size_t id)
{
    if (dag.is(id, TermKind::Negate))
        return {dag.argument(id, 0), -1};
    if (dag.is(id, TermKind::Multiply))
        for (int side : {0, 1})
            if (const auto number = dag.constant(dag.argument(id, std::size_t(side))))
                if (const auto other = dag.argument(id, std::size_t(1 - side)); dag.shape(other) == dag.shape(id))
                    return {other, *number};
    return {id, 1};
}

/// (p + 2 x) + x is p + 3 x.
Made likeWithin(FormulaDag& dag, std::size_t id)
{
    for (std::size_t side : {0u, 1u}) {
        const std::size_t inner = dag.argument(id, side);
        if (!dag.is(inner, TermKind::Add))
            continue;
        const auto [x, timesX] = multiple(dag, dag.argument(id, 1 - side));
        for (std::size_t part : {1u, 0u}) {
            const auto [y, timesY] = multiple(dag, dag.argument(inner, part));
            if (x == y && !dag.constant(x))
                return inPlaceOf(dag, id, dag.plus(dag.argument(inner, 1 - part), dag.times(dag.number(timesX + timesY), x)));
        }
    }
    return std::nullopt;
}

Made likeTerms(FormulaDag& dag, std::size_t id)
{
    const bool adds = dag.is(id, TermKind::Add);
    if (!adds && !dag.is(id, TermKind::Subtract))
        return std::nullopt;
    const auto [a, timesA] = multiple(dag, dag.argument(id, 0));
    const auto [b, timesB] = multiple(dag, dag.argument(id, 1));
    if (a == b && !dag.constant(a))
        return dag.times(dag.number(adds ? timesA + timesB : timesA - timesB), a);
    return adds ? likeWithin(dag, id) : std::nullopt;
}

/// 1 - sigmoid(x) is sigmoid(-x).
Made sigmoidComplement(FormulaDag& dag, std::size_t id)
{
    if (!dag.is(id, TermKind::Subtract) || !dag.isConstant(dag.argument(id, 0), 1) || !dag.isCall(dag.argument(id, 1), "sigmoid"))
        return std::nullopt;
    return inPlaceOf(dag, id, dag.call("sigmoid", {dag.negate(dag.argument(dag.argument(id, 1), 0))}));
}

constexpr RewriteRule kSumRules[] = {
    {"adding zero", "x + 0 is x, 0 - x is -x.", addZero},
    {"difference with itself", "x - x is 0.", subtractItself},
    {"adding a negative", "a + (-b) is a - b, a - (-b) is a + b.", addNegative},
    {"two signs", "-(-x) is x, -(a - b) is b - a.", twoSigns},
    {"numbers of sums together", "(x + 2) + 3 is x + 5.", gatherNumbers},
    {"like terms", "x + x is 2 x, 3 x - x is 2 x.", likeTerms},
    {"complement of the logistic function", "1 - sigmoid(x) is sigmoid(-x).", sigmoidComplement},
};

}  // namespace

std::span<const RewriteRule> sumRules()
{
    return kSumRules;
}

}  // namespace orrery::symbolic
