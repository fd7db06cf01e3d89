// Sums, means, extrema over axes.
#include <ATen/ATen.h>

#include "converter.h"

namespace orrery::models::onnx {
namespace reductions {

/// A list of axes, empty for all of them; nothing if the node is to leave its input as it is.
std::optional<Term> reducedAxes(Call& c)
{
    Term axes = c.axes(1).value_or(Term(std::vector<std::int64_t>()));
    const bool empty = axes.isLiteral() && axes.operand.constant.toIntList().empty();
    if (empty && c.integer("noop_with_empty_axes", 0))
        return {};
    return axes;
}

std::optional<int> countOf(const Term& axes)
{
    return axes.isLiteral() ? std::optional<int>(int(axes.operand.constant.toIntList().size())) : std::nullopt;
}

bool keepsAxes(Call& c)
{
    return c.integer("keepdims", 1) != 0;
}

void finish(Call& c, Term result, const Term& axes)
{
    if (!result.dtype)
        result.dtype = c.in(0).dtype;
    if (const auto count = countOf(axes); c.in(0).rank && (keepsAxes(c) || count))
        result.rank = keepsAxes(c) ? *c.in(0).rank : *count == 0 ? 0 : *c.in(0).rank - *count;
    c.out(result);
}

using Reduction = std::function<Term(Call&, const Term&, const Term&)>;
/// What a reduction does to each number by itself; empty: nothing.
using Single = std::function<Term(Call&, const Term&)>;

/// Over no axes each number is reduced by itself.
Operator reduce(Reduction reduction, Single single = {})
{
    return [reduction = std::move(reduction), single = std::move(single)](Call& c) {
        const auto axes = reducedAxes(c);
        if (!axes)
            return c.out(single ? single(c, c.in(0)) : c.in(0));
        finish(c, reduction(c, c.in(0), *axes), *axes);
    };
}

/// Reductions that libtorch knows for real numbers only: whole ones are widened, and what comes out is cut to a whole number.
Reduction inReals(Reduction reduction)
{
    return [reduction = std::move(reduction)](Call& c, const Term& x, const Term& axes) {
        if (!x.isIntegral())
            return reduction(c, x, axes);
        Term wide = c.emit("aten::to.dtype", {x, at::kDouble, false, false});
        wide.rank = x.rank;
        wide.dtype = at::kDouble;
        Term result = c.emit("aten::to.dtype", {reduction(c, wide, axes), *x.dtype, false, false});
        result.dtype = x.dtype;
        return result;
    };
}

Term sum(Call& c, const Term& x, const Term& axes)
{
    const Term type = x.dtype ? Term(*x.dtype) : Term(nullptr);
    // Whether there are axes at all may be known only while the model runs.
    if (!axes.isLiteral() && c.integer("noop_with_empty_axes", 0))
        return c.emit("orrery::onnx_sum_or_none", {x, axes, keepsAxes(c)});
    return c.emit("aten::sum.dim_IntList", {x, axes, keepsAxes(c), type});
}

Term mean(Call& c, const Term& x, const Term& axes)
{
    return c.emit("aten::mean.dim", {x, axes, keepsAxes(c), nullptr});
}

Term largest(Call& c, const Term& x, const Term& axes)
{
    return c.emit("aten::amax", {x, axes, keepsAxes(c)});
}

Term smallest(Call& c, const Term& x, const Term& axes)
{
    return c.emit("aten::amin", {x, axes, keepsAxes(c)});
}

Term product(Call& c, const Term& x, const Term& axes)
{
    if (countOf(axes) == 1)
        return c.emit("aten::prod.dim_int", {x, axes.operand.constant.toIntVector()[0], keepsAxes(c), x.dtype ? Term(*x.dtype) : Term(nullptr)});
    return c.emit("orrery::onnx_reduce_prod", {x, axes, keepsAxes(c)});
}

Term norm1(Call& c, const Term& x, const Term& axes)
{
    return sum(c, c.emit("aten::abs", {x}), axes);
}

Term norm2(Call& c, const Term& x, const Term& axes)
{
    return c.emit("aten::sqrt", {sum(c, c.emit("aten::mul.Tensor", {x, x}), axes)});
}

Term sumOfSquares(Call& c, const Term& x, const Term& axes)
{
    return sum(c, c.emit("aten::mul.Tensor", {x, x}), axes);
}

Term logOfSum(Call& c, const Term& x, const Term& axes)
{
    return c.emit("aten::log", {sum(c, x, axes)});
}

Term logOfSumOfExponentials(Call& c, const Term& x, const Term& axes)
{
    if (countOf(axes).value_or(0) == 0)
        return c.emit("orrery::onnx_logsumexp", {x, axes, keepsAxes(c)});
    return c.emit("aten::logsumexp", {x, axes, keepsAxes(c)});
}

Term absolute(Call& c, const Term& x)
{
    return c.emit("aten::abs", {x});
}

Term squared(Call& c, const Term& x)
{
    return c.emit("aten::mul.Tensor", {x, x});
}

Term logarithm(Call& c, const Term& x)
{
    return c.emit("aten::log", {x});
}

// Of equal values the first counts, or the last.
Operator extremum(bool maximum)
{
    return [maximum](Call& c) {
        const auto axis = c.integer("axis", 0);
        Term result = c.integer("select_last_index", 0) ? c.emit("orrery::onnx_last_extremum", {c.in(0), axis, keepsAxes(c), maximum})
                                                        : c.emit(maximum ? "aten::argmax" : "aten::argmin", {c.in(0), axis, keepsAxes(c)});
        result.dtype = at::kLong;
        if (c.in(0).rank)
            result.rank = *c.in(0).rank - (keepsAxes(c) ? 0 : 1);
        c.out(result);
    };
}

void reduceProduct(Call& c)
{
    // The number of elements, as exporters write it.
    if (const auto items = c.items(c.in(0)); items && c.in(0).hasItems && !items->empty()) {
        Term all = items->front();
        for (std::size_t i = 1; i < items->size(); ++i)
            all = c.emit("aten::mul.int", {all, (*items)[i]});
        return c.out(sizesTerm({all}, keepsAxes(c) ? 1 : 0));
    }
    reduce(product)(c);
}

}  // namespace reductions

std::span<const Entry> reduceOperators()
{
    using namespace reductions;
    static const Entry kEntries[] = {
        {"ArgMax", extremum(true)},
        {"ArgMin", extremum(false)},
        {"ReduceL1", reduce(norm1, absolute)},
        {"ReduceL2", reduce(inReals(norm2), absolute)},
        {"ReduceLogSum", reduce(inReals(logOfSum), logarithm)},
        {"ReduceLogSumExp", reduce(inReals(logOfSumOfExponentials))},
        {"ReduceMax", reduce(largest)},
        {"ReduceMean", reduce(inReals(mean))},
        {"ReduceMin", reduce(smallest)},
        {"ReduceProd", reduceProduct},
        {"ReduceSum", reduce(sum)},
        {"ReduceSumSquare", reduce(sumOfSquares, squared)},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
