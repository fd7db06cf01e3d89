// Operators that fewer models hold: windows and diagonals, statistics, activations, losses, sorting.
#include <ATen/ATen.h>

#include <limits>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;

using FurtherInts = std::vector<std::int64_t>;

constexpr auto kFarEnd = std::numeric_limits<std::int64_t>::max();

OperatorWriter inResultType(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) { w.give(n, op, {w.operand(n, 0, w.resultType(n))}); };
}

// Infinities of both signs, or of one.
OperatorWriter infinite(bool negative, bool positive)
{
    return [negative, positive](OnnxWriter& w, const Node& n) {
        w.give(n, "IsInf", {w.use(n.inputs[0])},
               {attributeOf("detect_negative", std::int64_t(negative)), attributeOf("detect_positive", std::int64_t(positive))});
    };
}

// The sign is the dividend's.
void truncatedRemainder(OnnxWriter& w, const Node& n)
{
    const auto type = w.resultType(n);
    w.give(n, "Mod", {w.operand(n, 0, type), w.operand(n, 1, type)}, {attributeOf("fmod", std::int64_t(1))});
}

// Signed numbers are shifted as unsigned ones: to the left bit by bit, to the right what is left of the sign after it is taken off, -1 - x, and put back.
OperatorWriter shifted(const char* direction)
{
    return [direction](OnnxWriter& w, const Node& n) {
        const auto type = w.resultType(n);
        const auto towards = attributeOf("direction", std::string(direction));
        const auto x = w.operand(n, 0, type), count = w.operand(n, 1, type);
        if (type == at::kByte)
            return w.give(n, "BitShift", {x, count}, {towards});
        static const std::map<at::ScalarType, std::int64_t> kUnsigned = {{at::kChar, 2}, {at::kShort, 4}, {at::kInt, 12}, {at::kLong, 13}};
        const auto found = kUnsigned.find(type);
        if (found == kUnsigned.end())
            w.refuse(n, "shifts of numbers that are not whole");
        const auto withoutSign = [&](const std::string& name) { return w.add("Cast", {name}, {attributeOf("to", found->second)}); };
        const auto moved = [&](const std::string& name) {
            return w.cast(w.add("BitShift", {withoutSign(name), withoutSign(count)}, {towards}), type);
        };
        if (std::string(direction) == "LEFT")
            return w.alias(n, moved(x));
        const auto isNegative = w.add("Less", {x, w.scalar(0, type)}), minusOne = w.scalar(-1, type);
        const auto rest = moved(w.add("Where", {isNegative, w.add("Sub", {minusOne, x}), x}));
        w.give(n, "Where", {isNegative, w.add("Sub", {minusOne, rest}), rest});
    };
}

void threshold(OnnxWriter& w, const Node& n)
{
    const auto x = w.use(n.inputs[0]);
    w.give(n, "Where", {w.add("Greater", {x, w.operand(n, 1, w.typeOf(n))}), x, w.operand(n, 2, w.typeOf(n))});
}

OperatorWriter shrunk(bool isSoft)
{
    return [isSoft](OnnxWriter& w, const Node& n) {
        const double width = w.literalReal(n, 1);
        w.give(n, "Shrink", {w.use(n.inputs[0])}, {attributeOf("lambd", width), attributeOf("bias", isSoft ? width : 0.0)});
    };
}

// Klambauer et al. (2017), arXiv:1706.02515, equation 2.
void selu(OnnxWriter& w, const Node& n)
{
    w.give(n, "Selu", {w.use(n.inputs[0])}, {attributeOf("alpha", 1.6732632423543772), attributeOf("gamma", 1.0507009873554805)});
}

void celu(OnnxWriter& w, const Node& n)
{
    w.give(n, "Celu", {w.use(n.inputs[0])}, {attributeOf("alpha", n.inputs.size() > 1 ? w.literalReal(n, 1) : 1.0)});
}

/// Two equal parts along an axis.
std::vector<std::string> halves(OnnxWriter& w, const std::string& x, std::int64_t axis)
{
    std::vector<io::OnnxAttribute> attributes = {attributeOf("axis", axis)};
    if (w.opset() >= 18)
        attributes.push_back(attributeOf("num_outputs", std::int64_t(2)));
    return w.addAll("Split", {x}, attributes, 2);
}

// Dauphin et al. (2017), arXiv:1612.08083, equation 1.
void gatedHalf(OnnxWriter& w, const Node& n)
{
    const auto parts = halves(w, w.use(n.inputs[0]), w.axis(n, 1, 0));
    w.give(n, "Mul", {parts[0], w.add("Sigmoid", {parts[1]})});
}

void logSigmoid(OnnxWriter& w, const Node& n)
{
    w.give(n, "Neg", {w.add("Softplus", {w.add("Neg", {w.use(n.inputs[0])})})});
}

void square(OnnxWriter& w, const Node& n)
{
    w.give(n, "Mul", {w.use(n.inputs[0]), w.use(n.inputs[0])});
}

void complementOfErf(OnnxWriter& w, const Node& n)
{
    const auto type = w.resultType(n);
    w.give(n, "Sub", {w.scalar(1, type), w.add("Erf", {w.operand(n, 0, type)})});
}

// x + value * a * b, and with a quotient.
OperatorWriter addedPointwise(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        const auto type = w.resultType(n);
        const auto product = w.add(op, {w.operand(n, 1, type), w.operand(n, 2, type)});
        w.give(n, "Add", {w.operand(n, 0, type), w.add("Mul", {product, w.scalar(w.literalReal(n, 3), type)})});
    };
}

void blended(OnnxWriter& w, const Node& n)
{
    const auto type = w.resultType(n);
    const auto start = w.operand(n, 0, type);
    const auto way = w.add("Mul", {w.operand(n, 2, type), w.add("Sub", {w.operand(n, 1, type), start})});
    w.give(n, "Add", {start, way});
}

FurtherInts axesOrAll(OnnxWriter& w, const Node& n, std::size_t input)
{
    FurtherInts axes = w.isNone(n, input) ? FurtherInts() : w.literalInts(n, input);
    const auto rank = w.rankOf(n, 0);
    for (std::int64_t axis = 0; w.isNone(n, input) && axis < rank; ++axis)
        axes.push_back(axis);
    for (auto& axis : axes)
        axis += axis < 0 ? rank : 0;
    return axes;
}

/// var(x, unbiased), var(x, axes, unbiased, keep), var(x, axes, correction, keep): squares around the mean, over their number less the correction.
std::string variance(OnnxWriter& w, const Node& n)
{
    const bool isWhole = n.inputs.size() == 2;
    FurtherInts axes;
    for (std::int64_t axis = 0; isWhole && axis < w.rankOf(n, 0); ++axis)
        axes.push_back(axis);
    if (!isWhole)
        axes = axesOrAll(w, n, 1);
    const std::size_t which = isWhole ? 1 : 2;
    const auto* correction = w.known(n, which);
    const double taken = !correction || correction->isNone() ? 1 : correction->isBool() ? double(correction->toBool()) : w.literalReal(n, which);
    const auto type = w.resultType(n);
    const auto x = w.operand(n, 0, type);
    const auto apart = w.add("Sub", {x, reduced(w, "ReduceMean", x, axes, true)});
    const auto squares = reduced(w, "ReduceSum", w.add("Mul", {apart, apart}), axes, !isWhole && w.literalBool(n, 3));
    const auto sizes = w.add("Gather", {w.add("Shape", {x}), w.ints(axes)}, {attributeOf("axis", std::int64_t(0))});
    const auto count = w.cast(reduced(w, "ReduceProd", sizes, {}, false), type);
    return w.add("Div", {squares, w.add("Sub", {count, w.scalar(taken, type)})});
}

void varianceOf(OnnxWriter& w, const Node& n)
{
    w.alias(n, variance(w, n));
}

void deviationOf(OnnxWriter& w, const Node& n)
{
    w.give(n, "Sqrt", {variance(w, n)});
}

// prod(x, dtype), prod(x, axis, keep, dtype).
void product(OnnxWriter& w, const Node& n)
{
    const auto x = w.operand(n, 0, w.resultType(n));
    const bool isWhole = n.inputs.size() < 4;
    w.alias(n, reduced(w, "ReduceProd", x, isWhole ? FurtherInts() : FurtherInts{w.axis(n, 1, 0)}, !isWhole && w.literalBool(n, 2)));
}

void elementCount(OnnxWriter& w, const Node& n)
{
    w.give(n, "Reshape", {w.add("Size", {w.use(n.inputs[0])}), w.ints({1})});
}

/// Rows of indices where a tensor is not zero.
std::string placesOf(OnnxWriter& w, const std::string& x)
{
    return w.add("Transpose", {w.add("NonZero", {x})}, {attributeOf("perm", FurtherInts{1, 0})});
}

void nonZero(OnnxWriter& w, const Node& n)
{
    w.alias(n, placesOf(w, w.use(n.inputs[0])));
}

void narrowed(OnnxWriter& w, const Node& n)
{
    auto from = w.use(n.inputs[2], at::kLong);
    if (n.overload == "Tensor")
        from = w.add("Reshape", {w.cast(from, at::kLong), w.ints({1})});
    const auto* start = w.known(n, 2);
    if (start && start->isInt() && start->toInt() < 0)  // the end may not pass zero
        from = w.add("Add", {w.add("Shape", {w.use(n.inputs[0])}, {attributeOf("start", w.axis(n, 1, 0)), attributeOf("end", w.axis(n, 1, 0) + 1)}),
                             w.ints({start->toInt()})});
    const auto to = w.add("Add", {from, w.use(n.inputs[3], at::kLong)});
    w.give(n, "Slice", {w.use(n.inputs[0]), from, to, w.ints({w.axis(n, 1, 0)})});
}

std::string sizeAlong(OnnxWriter& w, const std::string& x, std::int64_t axis)
{
    return w.add("Shape", {x}, {attributeOf("start", axis), attributeOf("end", axis + 1)});
}

/// 0, step, ... below `limit`, which is a vector of one.
std::string countedTo(OnnxWriter& w, const std::string& limit, std::int64_t step = 1)
{
    return w.add("Range", {w.scalar(0, at::kLong), w.withoutAxes(limit), w.scalar(double(step), at::kLong)});
}

std::string turnedAxes(OnnxWriter& w, const std::string& x, const FurtherInts& order)
{
    return w.add("Transpose", {x}, {attributeOf("perm", order)});
}

FurtherInts countingOrder(std::int64_t rank)
{
    FurtherInts order;
    for (std::int64_t i = 0; i < rank; ++i)
        order.push_back(i);
    return order;
}

// Windows of one axis, which become a last axis: unfold(x, axis, size, step).
void unfolded(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0), axis = w.axis(n, 1, 0), size = w.literalInt(n, 2);
    const auto x = w.use(n.inputs[0]);
    const auto limit = w.add("Sub", {sizeAlong(w, x, axis), w.ints({size - 1})});
    const auto starts = w.add("Unsqueeze", {countedTo(w, limit, w.literalInt(n, 3)), w.ints({-1})});
    const auto windows = w.add("Gather", {x, w.add("Add", {starts, w.ints(countingOrder(size))})}, {attributeOf("axis", axis)});
    auto order = countingOrder(rank + 1);
    order.erase(order.begin() + axis + 1);
    order.push_back(axis + 1);
    w.alias(n, turnedAxes(w, windows, order));
}

// diagonal(x, offset, axis1, axis2): the diagonal becomes a last axis.
void diagonal(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0), offset = w.literalInt(n, 1), row = w.axis(n, 2, 0), column = w.axis(n, 3, 0);
    auto order = countingOrder(rank);
    std::erase_if(order, [&](std::int64_t axis) { return axis == row || axis == column; });
    order.insert(order.begin(), {row, column});
    const auto x = turnedAxes(w, w.use(n.inputs[0]), order);
    const std::int64_t down = std::max<std::int64_t>(-offset, 0), right = std::max<std::int64_t>(offset, 0);
    const auto rows = w.add("Sub", {sizeAlong(w, x, 0), w.ints({down})}), columns = w.add("Sub", {sizeAlong(w, x, 1), w.ints({right})});
    const auto along = countedTo(w, w.add("Min", {rows, columns}));
    const auto index = [&](std::int64_t from) { return w.add("Unsqueeze", {w.add("Add", {along, w.ints({from})}), w.ints({-1})}); };
    const auto places = w.add("Concat", {index(down), index(right)}, {attributeOf("axis", std::int64_t(1))});
    const auto taken = w.add("GatherND", {x, places});
    auto back = countingOrder(rank - 1);
    std::rotate(back.begin(), back.begin() + 1, back.end());
    w.alias(n, turnedAxes(w, taken, back));
}

// Each element so many times in a row: repeat_interleave(x, repeats, axis, output_size).
void repeatedElements(OnnxWriter& w, const Node& n)
{
    if (n.overload != "self_int")
        w.refuse(n, "this overload is not known");
    const auto times = w.literalInt(n, 1);
    const bool isFlat = w.isNone(n, 2);
    const auto rank = isFlat ? 1 : w.rankOf(n, 0), axis = isFlat ? 0 : w.axis(n, 2, 0);
    const auto x = isFlat ? w.add("Reshape", {w.use(n.inputs[0]), w.ints({-1})}) : w.use(n.inputs[0]);
    FurtherInts tiles(std::size_t(rank + 1), 1);
    tiles[std::size_t(axis + 1)] = times;
    const auto tiled = w.add("Tile", {w.add("Unsqueeze", {x, w.ints({axis + 1})}), w.ints(tiles)});
    std::vector<std::string> sizes;
    if (axis > 0)
        sizes.push_back(w.add("Shape", {x}, {attributeOf("start", std::int64_t(0)), attributeOf("end", axis)}));
    sizes.push_back(w.add("Mul", {sizeAlong(w, x, axis), w.ints({times})}));
    if (axis + 1 < rank)
        sizes.push_back(w.add("Shape", {x}, {attributeOf("start", axis + 1), attributeOf("end", rank)}));
    const auto shape = sizes.size() == 1 ? sizes[0] : w.add("Concat", sizes, {attributeOf("axis", std::int64_t(0))});
    w.give(n, "Reshape", {tiled, shape});
}

// What leaves at one end comes in at the other: roll(x, shifts, axes).
void rolled(OnnxWriter& w, const Node& n)
{
    const auto shifts = w.literalInts(n, 1);
    auto axes = w.literalInts(n, 2);
    auto x = w.use(n.inputs[0]);
    if (axes.size() != shifts.size())
        w.refuse(n, "without axes");
    for (std::size_t i = 0; i < axes.size(); ++i) {
        axes[i] += axes[i] < 0 ? w.rankOf(n, 0) : 0;
        const auto place = w.add("Mod", {w.ints({-shifts[i]}), sizeAlong(w, x, axes[i])});
        const auto back = w.add("Slice", {x, place, w.ints({kFarEnd}), w.ints({axes[i]})});
        const auto front = w.add("Slice", {x, w.ints({0}), place, w.ints({axes[i]})});
        x = w.add("Concat", {back, front}, {attributeOf("axis", axes[i])});
    }
    w.alias(n, x);
}

// sort(x, axis, descending), sort.stable(x, stable, axis, descending), argsort(x, axis, descending).
void sorted(OnnxWriter& w, const Node& n)
{
    const std::size_t first = n.overload == "stable" ? 2 : 1;
    const auto axis = w.axis(n, first, 0);
    const auto x = w.use(n.inputs[0]);
    const std::vector<io::OnnxAttribute> attributes = {attributeOf("axis", axis), attributeOf("largest", std::int64_t(w.literalBool(n, first + 1)))};
    const std::vector<std::string> inputs = {x, sizeAlong(w, x, axis)};
    if (n.op == "aten::argsort")
        return w.alias(n, w.addAll("TopK", inputs, attributes, 2)[1]);
    w.giveAll(n, "TopK", inputs, attributes, n.outputs.size());
}

void oneHot(OnnxWriter& w, const Node& n)
{
    const auto classes = w.literalInt(n, 1);
    if (classes < 1)
        w.refuse(n, "a number of classes that depends on the data");
    w.give(n, "OneHot", {w.use(n.inputs[0]), w.scalar(double(classes), at::kLong), w.ints({0, 1})});
}

void pixelShuffle(OnnxWriter& w, const Node& n)
{
    w.give(n, "DepthToSpace", {w.use(n.inputs[0])}, {attributeOf("blocksize", w.literalInt(n, 1)), attributeOf("mode", std::string("CRD"))});
}

void movedAxes(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0);
    auto from = w.literalInts(n, 1), to = w.literalInts(n, 2);
    FurtherInts order(std::size_t(rank), -1), rest = countingOrder(rank);
    for (std::size_t i = 0; i < from.size(); ++i) {
        from[i] += from[i] < 0 ? rank : 0;
        to.at(i) += to[i] < 0 ? rank : 0;
        order.at(std::size_t(to[i])) = from[i];
        std::erase(rest, from[i]);
    }
    for (auto& axis : order)
        if (axis < 0) {
            axis = rest.front();
            rest.erase(rest.begin());
        }
    w.alias(n, turnedAxes(w, w.use(n.inputs[0]), order));
}

// grid_sampler(x, grid, mode, padding, align_corners).
void gridSampled(OnnxWriter& w, const Node& n)
{
    static const char* const kModes[] = {"bilinear", "nearest", "bicubic"};
    static const char* const kLaterModes[] = {"linear", "nearest", "cubic"};
    static const char* const kPaddings[] = {"zeros", "border", "reflection"};
    const auto mode = std::size_t(w.literalInt(n, 2));
    w.give(n, "GridSample", {w.use(n.inputs[0]), w.use(n.inputs[1])},
           {attributeOf("mode", std::string((w.opset() >= 20 ? kLaterModes : kModes)[mode])),
            attributeOf("padding_mode", std::string(kPaddings[std::size_t(w.literalInt(n, 3))])),
            attributeOf("align_corners", std::int64_t(w.literalBool(n, 4)))});
}

std::string reductionName(OnnxWriter& w, const Node& n, std::size_t input)
{
    const auto number = w.literalInt(n, input);
    return number == 0 ? "none" : number == 1 ? "mean" : "sum";
}

// nll_loss_nd(log p, target, weight, reduction, ignored), cross_entropy_loss(..., smoothing).
OperatorWriter classLoss(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        if (n.inputs.size() > 5 && w.literalReal(n, 5) != 0)
            w.refuse(n, "smoothed labels");
        if (at::isFloatingType(w.typeOf(n, 1)))
            w.refuse(n, "probabilities of classes");
        w.give(n, op, {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2])},
               {attributeOf("reduction", reductionName(w, n, 3)), attributeOf("ignore_index", w.literalInt(n, 4))});
    };
}

OperatorWriter distanceLoss(bool isSquared)
{
    return [isSquared](OnnxWriter& w, const Node& n) {
        const auto apart = w.add("Sub", {w.use(n.inputs[0]), w.use(n.inputs[1])});
        const auto each = isSquared ? w.add("Mul", {apart, apart}) : w.add("Abs", {apart});
        const auto how = reductionName(w, n, 2);
        w.alias(n, how == "none" ? each : reduced(w, how == "mean" ? "ReduceMean" : "ReduceSum", each, {}, false));
    };
}

void determinant(OnnxWriter& w, const Node& n)
{
    w.give(n, "Det", {w.use(n.inputs[0])});
}

}  // namespace

void addFurtherWriters(WriterTable& table)
{
    table.insert({
        {"aten::acosh", inResultType("Acosh")},
        {"aten::addcdiv", addedPointwise("Div")},
        {"aten::addcmul", addedPointwise("Mul")},
        {"aten::argsort", sorted},
        {"aten::argwhere", nonZero},
        {"aten::asinh", inResultType("Asinh")},
        {"aten::atanh", inResultType("Atanh")},
        {"aten::bitwise_left_shift", shifted("LEFT")},
        {"aten::bitwise_right_shift", shifted("RIGHT")},
        {"aten::celu", celu},
        {"aten::cross_entropy_loss", classLoss("SoftmaxCrossEntropyLoss")},
        {"aten::diagonal", diagonal},
        {"aten::erfc", complementOfErf},
        {"aten::fmod", truncatedRemainder},
        {"aten::glu", gatedHalf},
        {"aten::grid_sampler", gridSampled},
        {"aten::hardshrink", shrunk(false)},
        {"aten::isinf", infinite(true, true)},
        {"aten::isneginf", infinite(true, false)},
        {"aten::isposinf", infinite(false, true)},
        {"aten::l1_loss", distanceLoss(false)},
        {"aten::lerp", blended},
        {"aten::linalg_det", determinant},
        {"aten::log_sigmoid", logSigmoid},
        {"aten::movedim", movedAxes},
        {"aten::mse_loss", distanceLoss(true)},
        {"aten::narrow", narrowed},
        {"aten::nll_loss_nd", classLoss("NegativeLogLikelihoodLoss")},
        {"aten::nonzero", nonZero},
        {"aten::numel", elementCount},
        {"aten::one_hot", oneHot},
        {"aten::pixel_shuffle", pixelShuffle},
        {"aten::prod", product},
        {"aten::repeat_interleave", repeatedElements},
        {"aten::roll", rolled},
        {"aten::selu", selu},
        {"aten::softshrink", shrunk(true)},
        {"aten::sort", sorted},
        {"aten::square", square},
        {"aten::std", deviationOf},
        {"aten::threshold", threshold},
        {"aten::unfold", unfolded},
        {"aten::var", varianceOf},
    });
}

}  // namespace orrery::models::onnx
