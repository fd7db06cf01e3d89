// Shapes and lists of libtorch as operators of ONNX.
#include <ATen/ATen.h>

#include <limits>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;

using AxisList = std::vector<std::int64_t>;

void keep(OnnxWriter& w, const Node& n)
{
    w.alias(n, w.use(n.inputs[0]));
}

std::string shapeOf(OnnxWriter& w, const Node& n, std::size_t input, std::int64_t from, std::int64_t to)
{
    return w.add("Shape", {w.use(n.inputs[input])}, {attributeOf("start", from), attributeOf("end", to)});
}

void flatten(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0), from = w.axis(n, 1, 0), to = w.axis(n, 2, 0);
    std::vector<std::string> sizes;
    if (from > 0)
        sizes.push_back(shapeOf(w, n, 0, 0, from));
    sizes.push_back(w.ints({-1}));
    if (to + 1 < rank)
        sizes.push_back(shapeOf(w, n, 0, to + 1, rank));
    const auto shape = sizes.size() == 1 ? sizes[0] : w.add("Concat", sizes, {attributeOf("axis", std::int64_t(0))});
    w.give(n, "Reshape", {w.use(n.inputs[0]), shape});
}

void pad(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0);
    const bool hasMode = n.op == "aten::pad" && w.known(n, 2) && w.known(n, 2)->isString();
    if (hasMode && w.known(n, 2)->toStringRef() != "constant")
        w.refuse(n, "only padding with one number is written");
    const std::size_t number = n.op == "aten::pad" ? 3 : 2;
    const auto last = w.literalInts(n, 1);
    AxisList pads(std::size_t(2 * rank), 0);
    for (std::size_t i = 0; 2 * i + 1 < last.size(); ++i) {
        pads[std::size_t(rank - 1) - i] = last[2 * i];
        pads[std::size_t(2 * rank - 1) - i] = last[2 * i + 1];
    }
    w.give(n, "Pad", {w.use(n.inputs[0]), w.ints(pads), w.scalar(w.isNone(n, number) ? 0 : w.literalReal(n, number), w.typeOf(n))});
}

std::string bound(OnnxWriter& w, const Node& n, std::size_t input, std::int64_t none)
{
    return w.isNone(n, input) ? w.ints({none}) : w.use(n.inputs[input], at::kLong);
}

void slice(OnnxWriter& w, const Node& n)
{
    w.give(n, "Slice",
           {w.use(n.inputs[0]), bound(w, n, 2, 0), bound(w, n, 3, std::numeric_limits<std::int64_t>::max()), w.ints({w.axis(n, 1, 0)}),
            w.use(n.inputs[4], at::kLong)});
}

/// The members of a list that a node of the graph puts together.
std::vector<std::string> members(OnnxWriter& w, const Node& n, std::size_t input)
{
    const auto found = n.inputs.at(input).isConstant() ? w.parts.end() : w.parts.find(n.inputs[input].value);
    if (found == w.parts.end())
        w.refuse(n, "its list is not put together in the graph");
    return found->second;
}

/// A list that a loop made; null for others.
const OnnxWriter::GrownList* grownList(const OnnxWriter& w, const Node& n)
{
    const auto found = n.inputs.at(0).isConstant() ? w.grown.end() : w.grown.find(n.inputs[0].value);
    return found == w.grown.end() ? nullptr : &found->second;
}

/// The sequence that a list of tensors is; null for others.
const std::string* sequenceOf(const OnnxWriter& w, const Node& n)
{
    const auto found = n.inputs.at(0).isConstant() ? w.sequences.end() : w.sequences.find(n.inputs[0].value);
    return found == w.sequences.end() ? nullptr : &found->second;
}

/// All of a list that grew, along a new first axis.
std::string wholeList(OnnxWriter& w, const OnnxWriter::GrownList& list)
{
    if (list.first.empty())
        return list.added;
    std::vector<std::string> parts;
    for (const auto& part : list.first)
        parts.push_back(w.add("Unsqueeze", {part, w.ints({0})}));
    parts.push_back(list.added);
    return w.add("Concat", parts, {attributeOf("axis", std::int64_t(0))});
}

/// The first axis moved behind `axis` others.
std::string firstAxisTo(OnnxWriter& w, const std::string& x, std::int64_t axis, std::int64_t rank)
{
    AxisList order;
    for (std::int64_t i = 1; i < rank; ++i)
        order.push_back(i);
    order.insert(order.begin() + axis, 0);
    return axis == 0 ? x : w.add("Transpose", {x}, {attributeOf("perm", order)});
}

std::int64_t itemRank(OnnxWriter& w, const Node& n, const OnnxWriter::GrownList& list)
{
    const auto rank = w.seen(list.item).rank;
    if (rank < 0)
        w.refuse(n, "the example made no step of the loop that fills its list, so the number of dimensions is not known");
    return rank;
}

void concatenate(OnnxWriter& w, const Node& n)
{
    auto axis = w.literalInt(n, 1);
    if (const auto* list = sequenceOf(w, n))
        return w.give(n, "ConcatFromSequence", {*list}, {attributeOf("axis", axis)});
    if (const auto* list = grownList(w, n)) {
        const auto rank = itemRank(w, n, *list);
        axis += axis < 0 ? rank : 0;
        const auto whole = firstAxisTo(w, wholeList(w, *list), axis, rank + 1);
        std::vector<std::string> sizes;
        if (axis > 0)
            sizes.push_back(w.add("Shape", {whole}, {attributeOf("start", std::int64_t(0)), attributeOf("end", axis)}));
        sizes.push_back(w.ints({-1}));
        if (axis + 2 <= rank)
            sizes.push_back(w.add("Shape", {whole}, {attributeOf("start", axis + 2), attributeOf("end", rank + 1)}));
        const auto shape = sizes.size() == 1 ? sizes[0] : w.add("Concat", sizes, {attributeOf("axis", std::int64_t(0))});
        return w.give(n, "Reshape", {whole, shape});
    }
    w.give(n, "Concat", members(w, n, 0), {attributeOf("axis", axis)});
}

void stack(OnnxWriter& w, const Node& n)
{
    const auto axis = w.literalInt(n, 1);
    if (const auto* list = sequenceOf(w, n))
        return w.give(n, "ConcatFromSequence", {*list}, {attributeOf("axis", axis), attributeOf("new_axis", std::int64_t(1))});
    if (const auto* list = grownList(w, n)) {
        const auto rank = itemRank(w, n, *list) + 1;
        return w.alias(n, firstAxisTo(w, wholeList(w, *list), axis < 0 ? axis + rank : axis, rank));
    }
    std::vector<std::string> raised;
    for (const auto& each : members(w, n, 0))
        raised.push_back(w.add("Unsqueeze", {each, w.ints({axis})}));
    w.give(n, "Concat", raised, {attributeOf("axis", axis)});
}

bool isWholeNumbers(const OnnxWriter& w, graph::ValueId id)
{
    return w.graph().value(id).type == "List[int]";
}

void makeList(OnnxWriter& w, const Node& n)
{
    std::vector<std::string> names;
    for (const auto& input : n.inputs)
        names.push_back(w.use(input, at::kLong));
    if (isWholeNumbers(w, n.outputs[0]))
        return names.size() == 1 ? w.alias(n, names[0]) : w.give(n, "Concat", names, {attributeOf("axis", std::int64_t(0))});
    w.parts[n.outputs[0]] = names;
}

void joinTensors(OnnxWriter& w, const Node& n)
{
    const auto more = members(w, n, 1);
    const auto known = n.inputs[0].isConstant() ? w.parts.end() : w.parts.find(n.inputs[0].value);
    if (known != w.parts.end()) {
        auto all = known->second;
        all.insert(all.end(), more.begin(), more.end());
        w.parts[n.outputs[0]] = std::move(all);
        return;
    }
    auto list = w.sequence(n.inputs[0]);
    if (!list)
        w.refuse(n, "its list is not put together in the graph");
    for (const auto& each : more)
        list = w.add("SequenceInsert", {*list, each});
    w.sequences[n.outputs[0]] = *list;
}

// onnx_sequence_insert(list, tensor, place or None), onnx_sequence_erase(list, place or None).
OperatorWriter changedList(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        const auto list = w.sequence(n.inputs[0]);
        if (!list)
            w.refuse(n, "its list is not put together in the graph");
        const std::size_t place = n.inputs.size() - 1;
        std::vector<std::string> inputs = {*list};
        if (place == 2)
            inputs.push_back(w.use(n.inputs[1]));
        if (!w.isNone(n, place))
            inputs.push_back(w.withoutAxes(w.use(n.inputs[place], at::kLong)));
        w.sequences[n.outputs[0]] = w.add(op, inputs);
    };
}

void splitToList(OnnxWriter& w, const Node& n)
{
    w.sequences[n.outputs[0]] = w.add("SplitToSequence", {w.use(n.inputs[0]), w.use(n.inputs[1])},
                                      {attributeOf("axis", w.literalInt(n, 2)), attributeOf("keepdims", std::int64_t(w.literalBool(n, 3)))});
}

void joinLists(OnnxWriter& w, const Node& n)
{
    if (!isWholeNumbers(w, n.outputs[0]))
        return joinTensors(w, n);
    w.give(n, "Concat", {w.use(n.inputs[0]), w.use(n.inputs[1])}, {attributeOf("axis", std::int64_t(0))});
}

void unpackList(OnnxWriter& w, const Node& n)
{
    if (!n.inputs[0].isConstant() && isWholeNumbers(w, n.inputs[0].value)) {
        for (std::size_t i = 0; i < n.outputs.size(); ++i)
            w.give(n, "Gather", {w.use(n.inputs[0]), w.ints({std::int64_t(i)})}, {attributeOf("axis", std::int64_t(0))}, i);
        return;
    }
    if (const auto* list = sequenceOf(w, n)) {
        for (std::size_t i = 0; i < n.outputs.size(); ++i)
            w.give(n, "SequenceAt", {*list, w.scalar(double(i), at::kLong)}, {}, i);
        return;
    }
    const auto names = members(w, n, 0);
    if (names.size() != n.outputs.size())
        w.refuse(n, "another number of parts");
    for (std::size_t i = 0; i < names.size(); ++i)
        w.alias(n, names[i], i);
}

void lengthOf(OnnxWriter& w, const Node& n)
{
    if (const auto* list = sequenceOf(w, n))
        return w.give(n, "Reshape", {w.add("SequenceLength", {*list}), w.ints({1})});
    if (const auto* list = grownList(w, n))
        return w.give(n, "Shape", {wholeList(w, *list)}, {attributeOf("start", std::int64_t(0)), attributeOf("end", std::int64_t(1))});
    if (n.inputs[0].isConstant() || !isWholeNumbers(w, n.inputs[0].value))
        return w.alias(n, w.ints({std::int64_t(members(w, n, 0).size())}));
    w.give(n, "Shape", {w.use(n.inputs[0])});
}

void itemOf(OnnxWriter& w, const Node& n)
{
    if (const auto* list = sequenceOf(w, n))
        return w.give(n, "SequenceAt", {*list, w.withoutAxes(w.use(n.inputs[1], at::kLong))});
    if (const auto* list = grownList(w, n))
        return w.give(n, "Gather", {wholeList(w, *list), w.withoutAxes(w.use(n.inputs[1], at::kLong))}, {attributeOf("axis", std::int64_t(0))});
    if (!w.known(n, 1) && !n.inputs[0].isConstant() && isWholeNumbers(w, n.inputs[0].value))
        return w.give(n, "Gather", {w.use(n.inputs[0]), w.use(n.inputs[1])}, {attributeOf("axis", std::int64_t(0))});
    const auto place = w.literalInt(n, 1);
    if (!n.inputs[0].isConstant() && isWholeNumbers(w, n.inputs[0].value))
        return w.give(n, "Gather", {w.use(n.inputs[0]), w.ints({place})}, {attributeOf("axis", std::int64_t(0))});
    const auto names = members(w, n, 0);
    const auto from = place < 0 ? place + std::int64_t(names.size()) : place;
    if (from < 0 || from >= std::int64_t(names.size()))
        w.refuse(n, "a place outside of the list");
    w.alias(n, names[std::size_t(from)]);
}

/// How many parts of a list are taken: those of the node that unpacks it, or up to the last that is chosen.
std::size_t partsTaken(OnnxWriter& w, const Node& n)
{
    std::size_t count = 0;
    for (const auto* user : w.graph().users(n.outputs[0])) {
        const auto* place = user->op == "aten::__getitem__" ? w.known(*user, 1) : nullptr;
        if (user->op != "prim::ListUnpack" && (!place || place->toInt() < 0))
            w.refuse(n, "its parts are not taken one by one");
        count = std::max(count, place ? std::size_t(place->toInt()) + 1 : user->outputs.size());
    }
    return count;
}

/// The one node that takes a list apart; each of its outputs is written under its name.
const Node& unpacking(OnnxWriter& w, const Node& n)
{
    const auto& users = w.graph().users(n.outputs[0]);
    if (users.size() != 1 || users[0]->op != "prim::ListUnpack")
        w.refuse(n, "its parts are not unpacked at once");
    return *users[0];
}

// One selection a part, under the names of the node that unpacks them.
void unbind(OnnxWriter& w, const Node& n)
{
    const auto& taken = unpacking(w, n);
    for (std::size_t i = 0; i < taken.outputs.size(); ++i) {
        w.give(taken, "Gather", {w.use(n.inputs[0]), w.scalar(double(i), at::kLong)}, {attributeOf("axis", w.axis(n, 1, 0))}, i);
        w.parts[n.outputs[0]].push_back(w.use(graph::Operand::of(taken.outputs[i])));
    }
}

/// Parts from start to end along an axis, in order.
void cut(OnnxWriter& w, const Node& n, std::int64_t axis, const std::vector<std::pair<std::int64_t, std::int64_t>>& parts)
{
    for (const auto& [from, to] : parts)
        w.parts[n.outputs[0]].push_back(w.add("Slice", {w.use(n.inputs[0]), w.ints({from}), w.ints({to}), w.ints({axis})}));
}

/// Lengths that are computed: one for all parts, or a list of them.
void splitByComputed(OnnxWriter& w, const Node& n)
{
    const auto sizes = w.use(n.inputs.at(1), at::kLong);
    const bool isList = isWholeNumbers(w, n.inputs[1].value);
    const auto axis = w.axis(n, 2, 0);
    std::string from = w.ints({0});
    for (std::size_t i = 0, count = partsTaken(w, n); i < count; ++i) {
        const auto length = isList ? w.add("Gather", {sizes, w.ints({std::int64_t(i)})}, {attributeOf("axis", std::int64_t(0))}) : sizes;
        const auto to = w.add("Add", {from, length});
        w.parts[n.outputs[0]].push_back(w.add("Slice", {w.use(n.inputs[0]), from, to, w.ints({axis})}));
        from = to;
    }
}

void splitBySize(OnnxWriter& w, const Node& n)
{
    const auto* size = w.known(n, 1);
    if (!size)
        return splitByComputed(w, n);
    std::vector<std::pair<std::int64_t, std::int64_t>> parts;
    std::int64_t from = 0;
    if (size->isIntList()) {
        for (const auto length : size->toIntVector())
            parts.emplace_back(from, from + length), from += length;
    } else {
        for (std::size_t i = partsTaken(w, n); i > 0; --i, from += size->toInt())
            parts.emplace_back(from, from + size->toInt());
    }
    cut(w, n, w.axis(n, 2, 0), parts);
}

// Parts of equal length, the last one shorter: length = ceil(size / parts).
void chunk(OnnxWriter& w, const Node& n)
{
    const auto axis = w.axis(n, 2, 0), count = w.literalInt(n, 1);
    const auto size = shapeOf(w, n, 0, axis, axis + 1);
    const auto length = w.add("Div", {w.add("Add", {size, w.ints({count - 1})}), w.ints({count})});
    std::string from = w.ints({0});
    for (std::size_t i = partsTaken(w, n); i > 0; --i) {
        const auto to = w.add("Add", {from, length});
        w.parts[n.outputs[0]].push_back(w.add("Slice", {w.use(n.inputs[0]), from, to, w.ints({axis})}));
        from = to;
    }
}

// -1 keeps the size, as 1 does in ONNX.
void expand(OnnxWriter& w, const Node& n)
{
    if (w.known(n, 1)) {
        auto sizes = w.literalInts(n, 1);
        for (auto& size : sizes)
            size = size < 0 ? 1 : size;
        return w.give(n, "Expand", {w.use(n.inputs[0]), w.ints(sizes)});
    }
    w.give(n, "Expand", {w.use(n.inputs[0]), w.add("Abs", {w.use(n.inputs[1])})});
}

void expandAs(OnnxWriter& w, const Node& n)
{
    w.give(n, "Expand", {w.use(n.inputs[0]), w.add("Shape", {w.use(n.inputs[1])})});
}

void reshapeAs(OnnxWriter& w, const Node& n)
{
    w.give(n, "Reshape", {w.use(n.inputs[0]), w.add("Shape", {w.use(n.inputs[1])})}, {attributeOf("allowzero", std::int64_t(1))});
}

void permute(OnnxWriter& w, const Node& n)
{
    auto order = w.literalInts(n, 1);
    for (auto& axis : order)
        axis = axis < 0 ? axis + std::int64_t(order.size()) : axis;
    w.give(n, "Transpose", {w.use(n.inputs[0])}, {attributeOf("perm", order)});
}

void transpose(OnnxWriter& w, const Node& n)
{
    AxisList order;
    for (std::int64_t i = 0; i < w.rankOf(n, 0); ++i)
        order.push_back(i);
    std::swap(order.at(std::size_t(w.axis(n, 1, 0))), order.at(std::size_t(w.axis(n, 2, 0))));
    w.give(n, "Transpose", {w.use(n.inputs[0])}, {attributeOf("perm", order)});
}

void reshape(OnnxWriter& w, const Node& n)
{
    w.give(n, "Reshape", {w.use(n.inputs[0]), w.use(n.inputs[1])}, {attributeOf("allowzero", std::int64_t(1))});
}

void turn(OnnxWriter& w, const Node& n)
{
    if (w.rankOf(n, 0) < 2)
        return w.alias(n, w.use(n.inputs[0]));
    AxisList order;  // numpy_T turns all axes round
    for (auto axis = w.rankOf(n, 0); axis > 0; --axis)
        order.push_back(axis - 1);
    w.give(n, "Transpose", {w.use(n.inputs[0])}, {attributeOf("perm", order)});
}

// Reshape's zero keeps a size.
void unflatten(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0), axis = w.axis(n, 1, 0);
    std::vector<std::string> sizes;
    if (axis > 0)
        sizes.push_back(shapeOf(w, n, 0, 0, axis));
    sizes.push_back(w.use(n.inputs[2]));
    if (axis + 1 < rank)
        sizes.push_back(shapeOf(w, n, 0, axis + 1, rank));
    w.give(n, "Reshape", {w.use(n.inputs[0]), w.add("Concat", sizes, {attributeOf("axis", std::int64_t(0))})});
}

void size(OnnxWriter& w, const Node& n)
{
    if (n.inputs.size() < 2)
        return w.give(n, "Shape", {w.use(n.inputs[0])});
    const auto axis = w.axis(n, 1, 0);
    w.give(n, "Shape", {w.use(n.inputs[0])}, {attributeOf("start", axis), attributeOf("end", axis + 1)});
}

// Axes of another size than one stay, where ONNX would refuse them.
void squeeze(OnnxWriter& w, const Node& n)
{
    if (n.inputs.size() < 2)
        return w.give(n, "Squeeze", {w.use(n.inputs[0])});
    if (!w.known(n, 1))
        return w.give(n, "Squeeze", {w.use(n.inputs[0]), w.use(n.inputs[1], at::kLong)});
    auto axes = w.literalInts(n, 1);
    const auto rank = w.seen(n.inputs[0]).rank;
    std::erase_if(axes,
                  [&](std::int64_t axis) { return rank >= 0 && w.sizeOf(n.inputs[0], std::size_t(axis < 0 ? axis + rank : axis)).value_or(1) != 1; });
    if (axes.empty())
        return keep(w, n);
    w.give(n, "Squeeze", {w.use(n.inputs[0]), w.ints(axes)});
}

void unsqueeze(OnnxWriter& w, const Node& n)
{
    w.give(n, "Unsqueeze", {w.use(n.inputs[0]), w.use(n.inputs[1], at::kLong)});
}

// Tile wants as many numbers as there are axes.
void repeat(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0), given = w.seen(graph::Operand::of(n.outputs[0])).rank;
    AxisList added(std::size_t(std::max<std::int64_t>(given - rank, 0)));
    for (std::size_t i = 0; i < added.size(); ++i)
        added[i] = std::int64_t(i);
    const auto x = added.empty() ? w.use(n.inputs[0]) : w.add("Unsqueeze", {w.use(n.inputs[0]), w.ints(added)});
    w.give(n, "Tile", {x, w.use(n.inputs[1], at::kLong)});
}

// Numbers are vectors of one; those of floating point are double.
void numberOf(OnnxWriter& w, const Node& n)
{
    const auto flat = w.add("Reshape", {w.use(n.inputs[0]), w.ints({1})});
    w.alias(n, at::isFloatingType(w.typeOf(n)) ? w.cast(flat, at::kDouble) : flat);
}

void flip(OnnxWriter& w, const Node& n)
{
    const auto axes = w.literalInts(n, 1);
    const AxisList ones(axes.size(), -1), ends(axes.size(), std::numeric_limits<std::int64_t>::min() + 1);
    w.give(n, "Slice", {w.use(n.inputs[0]), w.ints(ones), w.ints(ends), w.ints(axes), w.ints(ones)});
}

/// x with a stretch of one axis replaced.
void withStretch(OnnxWriter& w, const Node& n, const std::string& part, std::int64_t axis, std::int64_t from, std::int64_t to)
{
    const auto x = w.use(n.inputs[0]);
    constexpr auto kEnd = std::numeric_limits<std::int64_t>::max();
    const auto before = w.add("Slice", {x, w.ints({0}), w.ints({from}), w.ints({axis})});
    const auto after = w.add("Slice", {x, w.ints({to}), w.ints({kEnd}), w.ints({axis})});
    w.give(n, "Concat", {before, part, after}, {attributeOf("axis", axis)});
}

void selectScatter(OnnxWriter& w, const Node& n)
{
    const auto axis = w.axis(n, 2, 0), place = w.literalInt(n, 3);
    const auto to = place == -1 ? std::numeric_limits<std::int64_t>::max() : place + 1;
    withStretch(w, n, w.add("Unsqueeze", {w.use(n.inputs[1]), w.ints({axis})}), axis, place, to);
}

void sliceScatter(OnnxWriter& w, const Node& n)
{
    if (w.literalInt(n, 5) != 1)
        w.refuse(n, "steps wider than one");
    const auto from = w.isNone(n, 3) ? 0 : w.literalInt(n, 3), to = w.isNone(n, 4) ? std::numeric_limits<std::int64_t>::max() : w.literalInt(n, 4);
    withStretch(w, n, w.use(n.inputs[1]), w.axis(n, 2, 0), from, to);
}

void filled(OnnxWriter& w, const Node& n, const std::string& sizes, double number)
{
    w.give(n, "ConstantOfShape", {sizes}, {attributeOf("value", at::full({1}, number, at::TensorOptions(w.resultType(n))))});
}

OperatorWriter filledTo(std::size_t sizes, std::size_t number)
{
    return [sizes, number](OnnxWriter& w, const Node& n) { filled(w, n, w.use(n.inputs.at(sizes)), w.literalReal(n, number)); };
}

OperatorWriter filledWith(std::size_t sizes, double number)
{
    return [sizes, number](OnnxWriter& w, const Node& n) { filled(w, n, w.use(n.inputs.at(sizes)), number); };
}

OperatorWriter filledLike(double number)
{
    return [number](OnnxWriter& w, const Node& n) { filled(w, n, w.add("Shape", {w.use(n.inputs[0])}), number); };
}

void fullLike(OnnxWriter& w, const Node& n)
{
    filled(w, n, w.add("Shape", {w.use(n.inputs[0])}), w.literalReal(n, 1));
}

OperatorWriter triangle(bool upper)
{
    return [upper](OnnxWriter& w, const Node& n) {
        w.give(n, "Trilu", {w.use(n.inputs[0]), w.withoutAxes(w.use(n.inputs[1], at::kLong))}, {attributeOf("upper", std::int64_t(upper))});
    };
}

// arange(end), arange.start(start, end), arange.start_step(start, end, step): then dtype, layout, device, pinned memory.
void range(OnnxWriter& w, const Node& n)
{
    const auto type = w.resultType(n);
    const auto count = n.inputs.size() - 4;
    const auto start = count > 1 ? w.operand(n, 0, type) : w.scalar(0, type);
    w.give(n, "Range", {start, w.operand(n, count > 1 ? 1 : 0, type), count > 2 ? w.operand(n, 2, type) : w.scalar(1, type)});
}

// A size as a tensor without dimensions, and back.
void tensorOfNumber(OnnxWriter& w, const Node& n)
{
    w.alias(n, w.operand(n, 0, w.resultType(n)));
}

OperatorWriter numberOfTensor(at::ScalarType type)
{
    return [type](OnnxWriter& w, const Node& n) {
        const auto flat = w.add("Reshape", {w.use(n.inputs[0]), w.ints({1})});
        w.alias(n, w.seen(n.inputs[0]).rank >= 0 && w.typeOf(n) == type ? flat : w.cast(flat, type));
    };
}

void sameNumbers(OnnxWriter& w, const Node& n)
{
    w.alias(n, w.use(n.inputs[0], at::kLong));
}

}  // namespace

void addShapeWriters(WriterTable& table)
{
    table.insert({
        {"aten::Bool", numberOfTensor(at::kBool)},
        {"aten::Int", numberOfTensor(at::kLong)},
        {"aten::IntImplicit", numberOfTensor(at::kLong)},
        {"aten::ScalarImplicit", numberOfTensor(at::kLong)},
        {"aten::__getitem__", itemOf},
        {"aten::_shape_as_tensor", [](OnnxWriter& w, const Node& n) { w.give(n, "Shape", {w.use(n.inputs[0])}); }},
        {"aten::alias", keep},
        {"aten::arange", range},
        {"aten::cat", concatenate},
        {"aten::chunk", chunk},
        {"aten::clone", keep},
        {"aten::constant_pad_nd", pad},
        {"aten::contiguous", keep},
        {"aten::detach", keep},
        {"aten::dropout", keep},
        {"aten::dropout_", keep},
        {"aten::expand", expand},
        {"aten::expand_as", expandAs},
        {"aten::feature_dropout", keep},
        {"aten::flatten", flatten},
        {"aten::flip", flip},
        {"aten::full", filledTo(0, 1)},
        {"aten::full_like", fullLike},
        {"aten::item", numberOf},
        {"aten::len", lengthOf},
        {"aten::new_full", filledTo(1, 2)},
        {"aten::new_ones", filledWith(1, 1)},
        {"aten::new_zeros", filledWith(1, 0)},
        {"aten::numpy_T", turn},
        {"aten::ones", filledWith(0, 1)},
        {"aten::ones_like", filledLike(1)},
        {"aten::pad", pad},
        {"aten::permute", permute},
        {"aten::repeat", repeat},
        {"aten::reshape", reshape},
        {"aten::reshape_as", reshapeAs},
        {"aten::scalar_tensor", tensorOfNumber},
        {"aten::select_scatter", selectScatter},
        {"aten::size", size},
        {"aten::slice", slice},
        {"aten::slice_scatter", sliceScatter},
        {"aten::split", splitBySize},
        {"aten::split_with_sizes", splitBySize},
        {"aten::squeeze", squeeze},
        {"aten::stack", stack},
        {"aten::t", turn},
        {"aten::tensor", tensorOfNumber},
        {"aten::transpose", transpose},
        {"aten::tril", triangle(false)},
        {"aten::triu", triangle(true)},
        {"aten::unbind", unbind},
        {"aten::unflatten", unflatten},
        {"aten::unsqueeze", unsqueeze},
        {"aten::view", reshape},
        {"aten::view_as", reshapeAs},
        {"aten::zeros", filledWith(0, 0)},
        {"aten::zeros_like", filledLike(0)},
        {"orrery::onnx_expand",
         [](OnnxWriter& w, const Node& n) {
             w.give(n, "Expand", {w.use(n.inputs[0]), w.use(n.inputs[1])});
         }},
        {"orrery::onnx_ints", sameNumbers},
        {"orrery::onnx_sequence_at", itemOf},
        {"orrery::onnx_sequence_erase", changedList("SequenceErase")},
        {"orrery::onnx_sequence_insert", changedList("SequenceInsert")},
        {"orrery::onnx_split_to_sequence", splitToList},
        {"orrery::onnx_stack", stack},
        {"orrery::onnx_sizes_tensor", sameNumbers},
        {"orrery::onnx_split_equal", chunk},
        {"orrery::onnx_squeeze", squeeze},
        {"orrery::onnx_to_bool_tensor", sameNumbers},
        {"orrery::onnx_unsqueeze", unsqueeze},
        {"prim::ListConstruct", makeList},
        {"prim::ListUnpack", unpackList},
        {"prim::NumToTensor", tensorOfNumber},
        {"prim::TupleConstruct", makeList},
        {"prim::TupleIndex", itemOf},
        {"prim::TupleUnpack", unpackList},
    });
    table["aten::add.t"] = joinLists;
}

}  // namespace orrery::models::onnx
