#include "rewrite_rules.h"

/// Rules of broadcasting, sums over axes and matrices.
namespace orrery::symbolic {
namespace {

using Reshaped = std::optional<std::size_t>;

Reshaped sameShape(FormulaDag& dag, std::size_t id)
{
    const bool shapes = dag.isCall(id, "sum_like") || dag.isCall(id, "expand_like");
    if (shapes && dag.shape(dag.argument(id, 0)) == dag.shape(id))
        return dag.argument(id, 0);
    const bool sums = dag.isCall(id, "sum") || dag.isCall(id, "mean");
    return sums && dag.shape(dag.argument(id, 0)).empty() ? Reshaped(dag.argument(id, 0)) : std::nullopt;
}

Reshaped expandTwice(FormulaDag& dag, std::size_t id)
{
    if (!dag.isCall(id, "expand_like") || !dag.isCall(dag.argument(id, 0), "expand_like"))
        return std::nullopt;
    return dag.call("expand_like", {dag.argument(dag.argument(id, 0), 0), dag.argument(id, 1)});
}

/// Arithmetic broadcasts by itself: where the other side has the whole shape, an expansion is not needed.
Reshaped broadcastAnyway(FormulaDag& dag, std::size_t id)
{
    const Term term = dag.term(id);
    const bool joins =
        term.kind == TermKind::Add || term.kind == TermKind::Subtract || term.kind == TermKind::Multiply || term.kind == TermKind::Divide;
    if (!joins)
        return std::nullopt;
    for (std::size_t side : {0u, 1u}) {
        if (!dag.isCall(term.arguments[side], "expand_like") || dag.shape(term.arguments[1 - side]) != dag.shape(id))
            continue;
        Term made = term;
        made.arguments[side] = dag.argument(term.arguments[side], 0);
        return dag.add(std::move(made));
    }
    return std::nullopt;
}

/// Where only the shape of an argument counts, what it is computed from does as well if it has that shape.
Reshaped shapeAlone(FormulaDag& dag, std::size_t id)
{
    const bool counts = dag.isCall(id, "count");
    if (!counts && !dag.isCall(id, "expand_like") && !dag.isCall(id, "sum_like"))
        return std::nullopt;
    Term term = dag.term(id);
    const std::size_t place = counts ? 0 : 1, like = term.arguments[place];
    for (const auto argument : dag.term(like).arguments)
        if (dag.shape(argument) == dag.shape(like) && !dag.is(argument, TermKind::Number)) {
            term.arguments[place] = argument;
            return dag.add(std::move(term));
        }
    return std::nullopt;
}

Reshaped transposeTwice(FormulaDag& dag, std::size_t id)
{
    if (!dag.isCall(id, "transpose") || !dag.isCall(dag.argument(id, 0), "transpose"))
        return std::nullopt;
    return dag.argument(dag.argument(id, 0), 0);
}

/// Numbers and signs behind a sum: one multiplication in place of one an element.
Reshaped factorsOutside(FormulaDag& dag, std::size_t id)
{
    if (!dag.isCall(id, "sum") && !dag.isCall(id, "mean") && !dag.isCall(id, "sum_like"))
        return std::nullopt;
    Term outer = dag.term(id);
    const std::size_t inner = outer.arguments[0];
    if (dag.is(inner, TermKind::Negate)) {
        outer.arguments[0] = dag.argument(inner, 0);
        return dag.negate(dag.add(std::move(outer)));
    }
    if (!dag.is(inner, TermKind::Multiply))
        return std::nullopt;
    for (std::size_t side : {0u, 1u}) {
        const std::size_t factor = dag.argument(inner, side), other = dag.argument(inner, 1 - side);
        if (!dag.is(factor, TermKind::Number) || dag.shape(other) != dag.shape(inner))
            continue;
        outer.arguments[0] = other;
        return dag.times(factor, dag.add(std::move(outer)));
    }
    return std::nullopt;
}

constexpr RewriteRule kShapeRules[] = {
    {"same shape", "Expanding or summing to the shape a value has changes nothing.", sameShape},
    {"expanded twice", "The last shape counts.", expandTwice},
    {"broadcast anyway", "Arithmetic broadcasts by itself.", broadcastAnyway},
    {"only the shape counts", "count(exp(x)) is count(x).", shapeAlone},
    {"transposed twice", "transpose(transpose(x)) is x.", transposeTwice},
    {"factors outside sums", "sum(2 x) is 2 sum(x), sum(-x) is -sum(x).", factorsOutside},
};

}  // namespace

std::span<const RewriteRule> shapeRules()
{
    return kShapeRules;
}

}  // namespace orrery::symbolic
