// Operators that change shapes and arithmetic on sizes.
#include <ATen/ATen.h>

#include <algorithm>

#include "converter.h"

namespace orrery::models::onnx {
namespace shapes {

constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

std::vector<Term> sizesOf(Call& c, const Term& x)
{
    std::vector<Term> sizes;
    for (int i = 0; i < *x.rank; ++i) {
        sizes.push_back(x.isConstant() ? Term(x.constant.size(i)) : c.emit("aten::size.int", {x, i}));
        sizes.back().isSize = true;
    }
    return sizes;
}

void shape(Call& c)
{
    if (c.in(0).hasItems && !c.in(0).isSequence() && !c.hasAttribute("start") && !c.hasAttribute("end"))
        return c.out(sizesTerm(c.in(0).rank == 0 ? std::vector<Term>() : std::vector<Term>{Term(std::int64_t(c.in(0).items.size()))}, 1));
    const Term x = c.emitter().asTensor(c.in(0));
    auto start = c.integer("start", 0);
    const bool hasEnd = c.hasAttribute("end");
    if (x.rank) {
        auto sizes = sizesOf(c, x);
        const auto count = std::int64_t(sizes.size());
        const auto clamped = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + count : at, 0, count); };
        const auto from = clamped(start), to = std::max(from, clamped(hasEnd ? c.integer("end", 0) : count));
        return c.out(sizesTerm({sizes.begin() + from, sizes.begin() + to}, 1));
    }
    Term all = c.emit("aten::_shape_as_tensor", {x});
    if (start != 0 || hasEnd)
        all = c.emit("aten::slice.Tensor", {all, 0, start, hasEnd ? c.integer("end", 0) : kEnd, 1});
    c.out(all);
}

void size(Call& c)
{
    const Term x = c.emitter().asTensor(c.in(0));
    c.out(sizesTerm({x.isConstant() ? Term(x.constant.numel()) : c.emit("aten::numel", {x})}, 0));
}

// 0 means: as it is (unless allowzero).
void reshape(Call& c)
{
    const Term& x = c.in(0);
    const Term target = c.has(1) ? c.in(1) : Term(constantTerm(at::tensor(c.integers("shape"), at::kLong)));
    if (x.hasItems && !x.isSequence()) {  // [] and [1] hold the same sizes
        const auto wanted = c.has(1) ? c.known(1) : c.integers("shape");
        if (wanted && wanted->size() <= 1)
            return c.out(sizesTerm(x.items, int(wanted->size())));
    }
    auto sizes = c.items(target);
    const bool keepsZero = c.integer("allowzero", 0) != 0;
    if (!sizes)
        return c.out(c.emit("aten::reshape", {x, c.emit("orrery::onnx_target_sizes", {x, target, keepsZero})}));
    for (std::size_t i = 0; i < sizes->size(); ++i)
        if (!keepsZero && (*sizes)[i].isInt() && (*sizes)[i].operand.constant.toInt() == 0)
            (*sizes)[i] = x.isConstant() ? Term(x.constant.size(std::int64_t(i))) : c.emit("aten::size.int", {x, std::int64_t(i)});
    const bool computed = std::any_of(sizes->begin(), sizes->end(), [](const Term& each) { return !each.isInt(); });
    if (computed && !keepsZero && !x.rank && c.items(target)->size() > 8)
        return c.out(c.emit("aten::reshape", {x, c.emit("orrery::onnx_target_sizes", {x, target, keepsZero})}));
    c.out(c.emit("aten::reshape", {x, c.list(*sizes, "int")}));
}

void flattenTo2d(Call& c)
{
    const auto axis = c.integer("axis", 1);
    if (axis == 1 && c.in(0).rank.value_or(0) >= 2)
        c.out(c.emit("aten::flatten.using_ints", {c.in(0), 1, -1}));
    else
        c.out(c.emit("orrery::onnx_flatten", {c.in(0), axis}));
}

void transpose(Call& c)
{
    if (!c.hasAttribute("perm"))
        return c.out(c.emit("aten::numpy_T", {c.in(0)}));
    const auto order = c.integers("perm");
    std::vector<std::size_t> moved;
    for (std::size_t i = 0; i < order.size(); ++i)
        if (order[i] != std::int64_t(i))
            moved.push_back(i);
    if (moved.size() == 2)  // two axes change places
        return c.out(c.emit("aten::transpose.int", {c.in(0), std::int64_t(moved[0]), std::int64_t(moved[1])}));
    c.out(c.emit("aten::permute", {c.in(0), order}));
}

/// The axes that are known.
std::optional<std::vector<std::int64_t>> knownAxes(const Term& axes)
{
    return axes.isLiteral() ? std::optional(axes.operand.constant.toIntVector()) : std::nullopt;
}

void unsqueeze(Call& c)
{
    const Term& x = c.in(0);
    const Term axes = c.axes(1).value_or(Term(std::vector<std::int64_t>()));
    const auto known = knownAxes(axes);
    if (known && known->size() == 1 && x.hasItems && !x.isSequence() && x.rank == 0)
        return c.out(sizesTerm(x.items, 1));
    if (known && known->size() == 1)
        return c.out(c.emit("aten::unsqueeze", {x, (*known)[0]}));
    Term result = c.emit("orrery::onnx_unsqueeze", {x, axes});
    if (x.rank && known)
        result.rank = *x.rank + int(known->size());
    c.out(result);
}

void squeeze(Call& c)
{
    const Term& x = c.in(0);
    const auto axes = c.axes(1);
    if (x.hasItems && !x.isSequence() && x.items.size() == 1)
        return c.out(sizesTerm(x.items, 0));
    if (!axes)
        return c.out(c.emit("aten::squeeze", {x}));
    const auto known = knownAxes(*axes);
    Term result = known && known->size() == 1 ? c.emit("aten::squeeze.dim", {x, (*known)[0]}) : c.emit("orrery::onnx_squeeze", {x, *axes});
    if (x.rank && known)
        result.rank = *x.rank - int(known->size());
    c.out(result);
}

void concat(Call& c)
{
    std::vector<Term> items;
    bool isSizes = false, known = true;
    for (std::size_t i = 0; i < c.count(); ++i) {
        const auto each = c.items(c.in(i));
        isSizes |= c.in(i).hasItems;
        known &= each.has_value();
        if (each)
            items.insert(items.end(), each->begin(), each->end());
    }
    if (isSizes && known)
        return c.out(sizesTerm(std::move(items), 1));
    std::vector<Term> tensors;
    for (std::size_t i = 0; i < c.count(); ++i)
        tensors.push_back(c.emitter().asTensor(c.in(i)));
    c.out(c.emit("aten::cat", {c.list(tensors), c.integer("axis", c.opset() < 4 ? 1 : 0)}));
}

void expand(Call& c)
{
    Term result = c.emit("orrery::onnx_expand", {c.in(0), c.ints(c.in(1))});
    if (const auto sizes = c.items(c.in(1)); sizes && c.in(0).rank)
        result.rank = std::max(int(sizes->size()), *c.in(0).rank);
    c.out(result);
}

void tile(Call& c)
{
    if (c.opset() < 6)
        c.unsupported("its form of operator sets before 6");
    Term result = c.emit("aten::repeat", {c.in(0), c.ints(c.in(1))});
    result.rank = c.in(0).rank;
    result.dtype = c.in(0).dtype;
    c.out(result);
}

void constantOfShape(Call& c)
{
    const auto value = c.hasAttribute("value") ? c.tensor("value") : at::zeros({1}, at::kFloat);
    const auto number = value.reshape(-1)[0].item();
    Term result = c.emit("aten::full", {c.ints(c.in(0)), Term(c10::IValue(number)), value.scalar_type()});
    result.dtype = value.scalar_type();
    if (const auto sizes = c.items(c.in(0)))
        result.rank = int(sizes->size());
    c.out(result);
}

void constant(Call& c)
{
    at::Tensor value;
    if (c.hasAttribute("value"))
        value = c.tensor("value");
    else if (c.hasAttribute("value_float"))
        value = at::tensor(float(c.real("value_float", 0)), at::kFloat);
    else if (c.hasAttribute("value_int"))
        value = at::tensor(c.integer("value_int", 0), at::kLong);
    else if (c.hasAttribute("value_floats"))
        value = at::tensor(c.reals("value_floats"), at::kDouble).to(at::kFloat);
    else if (c.hasAttribute("value_ints"))
        value = at::tensor(c.integers("value_ints"), at::kLong);
    else
        c.unsupported("text and sparse tensors are not supported");
    if (c.hasAttribute("value_float") || c.hasAttribute("value_int"))
        value = value.reshape({});
    constexpr std::int64_t kLargestNumber = 64;  // beyond it is a weight: some exporters write them as constants
    Term term = constantTerm(value, c.emitter().path());
    term.foldable = !value.is_floating_point() || value.numel() <= kLargestNumber;
    c.out(term);
}

void range(Call& c)
{
    Term result = c.emit("orrery::onnx_range", {c.in(0), c.in(1), c.in(2)});
    result.dtype = c.in(0).dtype;
    result.rank = 1;
    c.out(result);
}

/// Slices of sizes stay sizes.
bool sliceSizes(Call& c, const std::vector<std::int64_t>& starts, const std::vector<std::int64_t>& ends, const std::vector<std::int64_t>& steps)
{
    const Term& x = c.in(0);
    if (!x.hasItems || x.isSequence() || starts.size() != 1 || steps[0] != 1)
        return false;
    const auto count = std::int64_t(x.items.size());
    const auto clamped = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + count : at, 0, count); };
    const auto from = clamped(starts[0]), to = std::max(from, clamped(ends[0]));
    c.out(sizesTerm({x.items.begin() + from, x.items.begin() + to}, 1));
    return true;
}

/// Bounds that are sizes: one slice an axis. False if they are not known one by one, or a step goes backward.
bool sliceBySizes(Call& c, const std::optional<std::vector<std::int64_t>>& axes, const std::optional<std::vector<std::int64_t>>& steps)
{
    const auto starts = c.items(c.in(1)), ends = c.items(c.in(2));
    if (!starts || !ends || starts->size() != ends->size() || (axes && axes->size() != ends->size()) || (steps && steps->size() != ends->size()))
        return false;
    if (steps && std::any_of(steps->begin(), steps->end(), [](std::int64_t step) { return step <= 0; }))
        return false;
    Term result = c.emitter().asTensor(c.in(0));
    for (std::size_t i = 0; i < ends->size(); ++i)
        result = c.emit("aten::slice.Tensor",
                        {result, axes ? (*axes)[i] : std::int64_t(i), (*starts)[i], (*ends)[i], steps ? (*steps)[i] : std::int64_t(1)});
    c.out(result);
    return true;
}

void slice(Call& c)
{
    const bool isOld = c.hasAttribute("starts");
    const auto starts = isOld ? c.integers("starts") : c.known(1);
    const auto ends = isOld ? c.integers("ends") : c.known(2);
    auto axes = isOld ? (c.hasAttribute("axes") ? std::optional(c.integers("axes")) : std::nullopt) : c.known(3);
    auto steps = isOld ? std::nullopt : c.known(4);
    const bool axesKnown = axes || isOld || !c.has(3), stepsKnown = steps || isOld || !c.has(4);
    if (!isOld && (!starts || !ends) && axesKnown && stepsKnown && sliceBySizes(c, axes, steps))
        return;
    if (!starts || !ends || !axesKnown || !stepsKnown) {
        Term result = c.emit("orrery::onnx_slice", {c.in(0), c.in(1), c.in(2), c.optional(3), c.optional(4)});
        result.rank = c.in(0).rank;
        return c.out(result);
    }
    if (!axes) {
        axes.emplace();
        for (std::size_t i = 0; i < starts->size(); ++i)
            axes->push_back(std::int64_t(i));
    }
    if (!steps)
        steps = std::vector<std::int64_t>(starts->size(), 1);
    if (ends->size() != starts->size() || axes->size() != starts->size() || steps->size() != starts->size())
        c.fail(fmt::format("expected as many ends, axes and steps as the {} starts, found {}, {} and {}", starts->size(), ends->size(), axes->size(),
                           steps->size()));
    if (sliceSizes(c, *starts, *ends, *steps))
        return;
    if (std::any_of(steps->begin(), steps->end(), [](std::int64_t step) { return step <= 0; })) {
        Term result = c.emit("orrery::onnx_slice", {c.in(0), constantTerm(at::tensor(*starts, at::kLong)), constantTerm(at::tensor(*ends, at::kLong)),
                                                    constantTerm(at::tensor(*axes, at::kLong)), constantTerm(at::tensor(*steps, at::kLong))});
        result.rank = c.in(0).rank;
        return c.out(result);
    }
    Term result = c.in(0);
    for (std::size_t i = 0; i < starts->size(); ++i)
        result = c.emit("aten::slice.Tensor", {result, (*axes)[i], (*starts)[i], (*ends)[i], (*steps)[i]});
    c.out(result);
}

void split(Call& c)
{
    const auto axis = c.integer("axis", 0);
    const auto count = std::int64_t(c.node().outputs.size());
    const bool isEqual = !c.has(1) && !c.hasAttribute("split");
    const Term list = isEqual ? c.emit("orrery::onnx_split_equal", {c.in(0), c.integer("num_outputs", count), axis})
                              : c.emit("aten::split_with_sizes", {c.in(0), c.has(1) ? c.ints(c.in(1)) : Term(c.integers("split")), axis});
    if (list.hasItems) {  // of a constant
        for (std::size_t i = 0; i < list.items.size(); ++i)
            c.out(i, list.items[i]);
        return;
    }
    const auto parts = c.emitter().emitOpaque("prim::ListUnpack", {list}, std::size_t(count));
    for (std::size_t i = 0; i < parts.size(); ++i) {
        Term part = parts[i];
        part.rank = c.in(0).rank;
        part.dtype = c.in(0).dtype;
        c.out(i, part);
    }
}

void pad(Call& c)
{
    const auto mode = c.text("mode", "constant");
    const char* const attribute = c.hasAttribute("pads") ? "pads" : "paddings";
    const bool isOld = c.hasAttribute(attribute);
    auto pads = isOld ? c.integers(attribute) : c.known(1);
    Term value = c.hasAttribute("value") ? Term(c.real("value", 0)) : Term(0);
    if (c.has(2)) {
        const auto& given = c.in(2);
        value = given.isConstant() && given.foldable ? Term(c10::IValue(given.constant.reshape({}).item())) : c.emit("aten::item", {given});
    }
    if (!pads || mode != "constant" || c.has(3)) {
        const Term list = pads ? Term(*pads) : c.ints(c.in(1));
        const Term axes = c.has(3) ? c.ints(c.in(3)) : Term(nullptr);
        return c.out(c.emit("orrery::onnx_pad", {c.in(0), list, mode.c_str(), value, axes}));
    }
    std::vector<std::int64_t> last;  // libtorch's order: the last axis first, begin and end beside each other
    const auto rank = pads->size() / 2;
    for (std::size_t i = rank; i-- > 0;) {
        last.push_back((*pads)[i]);
        last.push_back((*pads)[i + rank]);
    }
    c.out(c.emit("aten::constant_pad_nd", {c.in(0), last, value}));
}

Operator blocks(const char* op)
{
    return [op](Call& c) {
        Term result = c.emit(op, {c.in(0), c.integer("blocksize", 1), c.text("mode", "DCR").c_str()});
        result.rank = 4;
        result.dtype = c.in(0).dtype;
        c.out(result);
    };
}

void triangle(Call& c)
{
    const Term diagonal = c.has(1) ? c.oneInt(c.in(1)) : Term(0);
    c.out(c.emit(c.integer("upper", 1) ? "aten::triu" : "aten::tril", {c.in(0), diagonal}));
}

void eyeLike(Call& c)
{
    const auto type = c.hasAttribute("dtype") ? scalarTypeOf(int(c.integer("dtype", 1))) : c.in(0).dtype;
    if (!type)
        c.unsupported("its element type is not known");
    Term result = c.emit("orrery::onnx_eye_like", {c.in(0), c.integer("k", 0), *type});
    result.dtype = type;
    c.out(result);
}

}  // namespace shapes

std::span<const Entry> shapeOperators()
{
    using namespace shapes;
    static const Entry kEntries[] = {
        {"Concat", concat},
        {"Constant", constant},
        {"ConstantOfShape", constantOfShape},
        {"DepthToSpace", blocks("orrery::onnx_depth_to_space")},
        {"Expand", expand},
        {"EyeLike", eyeLike},
        {"Flatten", flattenTo2d},
        {"Pad", pad},
        {"Range", range},
        {"Reshape", reshape},
        {"Shape", shape},
        {"Size", size},
        {"Slice", slice},
        {"SpaceToDepth", blocks("orrery::onnx_space_to_depth")},
        {"Split", split},
        {"Squeeze", squeeze},
        {"Tile", tile},
        {"Transpose", transpose},
        {"Trilu", triangle},
        {"Unsqueeze", unsqueeze},
    };
    return kEntries;
}

}  // namespace orrery::models::onnx
