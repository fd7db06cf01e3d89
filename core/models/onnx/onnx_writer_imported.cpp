// What importers of ONNX made of operators that libtorch does not have, as those operators again.
#include <ATen/ATen.h>

#include <algorithm>

#include <core/io/tensors.h>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;

/// The same inputs in the same order, some of the literals behind them as attributes.
OperatorWriter again(const char* op, std::size_t inputs, std::vector<std::pair<std::size_t, const char*>> attributes = {})
{
    return [op, inputs, attributes](OnnxWriter& w, const Node& n) {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < inputs; ++i)
            names.push_back(w.use(n.inputs.at(i), at::kLong));
        std::vector<io::OnnxAttribute> given;
        for (const auto& [input, name] : attributes) {
            const auto* value = w.known(n, input);
            if (!value || value->isNone() || (value->isList() && value->toListRef().empty()))
                continue;
            if (value->isString())
                given.push_back(attributeOf(name, value->toStringRef()));
            else if (value->isIntList())
                given.push_back(attributeOf(name, value->toIntVector()));
            else if (value->isDoubleList())
                given.push_back(attributeOf(name, value->toDoubleVector()));
            else if (value->isDouble())
                given.push_back(attributeOf(name, value->toDouble()));
            else
                given.push_back(attributeOf(name, std::int64_t(value->isBool() ? value->toBool() : value->toInt())));
        }
        w.giveAll(n, op, names, given, n.outputs.size());
    };
}

// Operators of ONNX that take indices count negative ones from the end themselves.
void wrapped(OnnxWriter& w, const Node& n)
{
    w.alias(n, w.use(n.inputs[0]));
}

void quantised(OnnxWriter& w, const Node& n)
{
    const auto axis = attributeOf("axis", w.literalInt(n, 3));
    const auto zero = w.isNone(n, 2) && w.literalBool(n, 4) ? w.tensor(n.name + ".zero_point", at::zeros({}, at::kChar)) : w.use(n.inputs[2]);
    w.give(n, "QuantizeLinear", {w.use(n.inputs[0]), w.use(n.inputs[1]), zero}, {axis});
}

/// A vector along one axis of a tensor, in double; a number stays one.
std::string alongAxis(OnnxWriter& w, const Node& n, std::size_t input, std::int64_t axis, std::int64_t rank)
{
    const auto wide = w.cast(w.use(n.inputs[input]), at::kDouble);
    if (w.rankOf(n, input) != 1)
        return wide;
    std::vector<std::int64_t> shape(std::size_t(rank), 1);
    shape.at(std::size_t(axis < 0 ? axis + rank : axis)) = -1;
    return w.add("Reshape", {wide, w.ints(shape)});
}

// Sums of quantised products are whole numbers, which double holds exactly.
void centred(OnnxWriter& w, const Node& n)
{
    const auto wide = w.cast(w.use(n.inputs[0]), at::kDouble);
    if (w.isNone(n, 1))
        return w.alias(n, wide);
    w.give(n, "Sub", {wide, alongAxis(w, n, 1, w.literalInt(n, 2), w.rankOf(n, 0))});
}

void requantised(OnnxWriter& w, const Node& n)
{
    const auto rank = w.rankOf(n, 0), axis = w.literalInt(n, 5);
    const auto type = w.typeOf(n, 4);
    const auto factor =
        w.add("Div", {w.add("Mul", {alongAxis(w, n, 1, axis, rank), alongAxis(w, n, 2, axis, rank)}), alongAxis(w, n, 3, axis, rank)});
    const auto rounded = w.add("Round", {w.add("Mul", {w.use(n.inputs[0]), factor})});
    const auto moved = w.add("Add", {rounded, alongAxis(w, n, 4, axis, rank)});
    const bool isSigned = type == at::kChar;
    const auto limited = w.add("Clip", {moved, w.scalar(isSigned ? -128 : 0, at::kDouble), w.scalar(isSigned ? 127 : 255, at::kDouble)});
    w.alias(n, w.cast(limited, type));
}

void channelsAdded(OnnxWriter& w, const Node& n)
{
    const auto type = w.resultType(n);
    const auto wide = w.cast(w.use(n.inputs[1]), type);
    std::vector<std::int64_t> shape(std::size_t(w.rankOf(n, 0)), 1);
    shape.at(1) = -1;
    w.give(n, "Add", {w.operand(n, 0, type), w.add("Reshape", {wide, w.ints(shape)})});
}

// Sizes behind the tensor's last are not kept, so what stands there for them does not matter.
void keptWhereZero(OnnxWriter& w, const Node& n)
{
    const auto target = w.use(n.inputs[1]);
    const auto count = w.add("Shape", {target});
    const auto ones = w.add("ConstantOfShape", {count}, {attributeOf("value", at::ones({1}, at::kLong))});
    const auto sizes = w.add("Concat", {w.add("Shape", {w.use(n.inputs[0])}), ones}, {attributeOf("axis", std::int64_t(0))});
    const auto first = w.add("Slice", {sizes, w.ints({0}), count});
    w.give(n, "Where", {w.add("Equal", {target, w.ints({0})}), first, target});
}

// Reshape's target: zeros keep a size, unless they are sizes.
void targetSizes(OnnxWriter& w, const Node& n)
{
    const auto* target = w.known(n, 1);
    const auto* weight = w.weightOf(n.inputs[1]);
    const auto numbers = target && target->isTensor() ? target->toTensor() : weight ? *weight : at::Tensor();
    const bool mayKeep = !numbers.defined() || (numbers == 0).any().item<bool>();
    if (mayKeep && !w.literalBool(n, 2)) {
        if (!numbers.defined())
            return keptWhereZero(w, n);
        std::vector<std::string> parts;
        for (std::int64_t i = 0; i < numbers.numel(); ++i) {
            const auto size = numbers[i].item<std::int64_t>();
            parts.push_back(size != 0 ? w.ints({size}) : w.add("Shape", {w.use(n.inputs[0])}, {attributeOf("start", i), attributeOf("end", i + 1)}));
        }
        return w.give(n, "Concat", parts, {attributeOf("axis", std::int64_t(0))});
    }
    w.alias(n, w.use(n.inputs[1]));
}

void globalPool(OnnxWriter& w, const Node& n)
{
    const auto how = w.known(n, 1)->toStringRef();
    if (how == "lp" || how == "l")
        return w.give(n, "GlobalLpPool", {w.use(n.inputs[0])}, {attributeOf("p", std::int64_t(w.literalReal(n, 2)))});
    w.give(n, how == "max" ? "GlobalMaxPool" : "GlobalAveragePool", {w.use(n.inputs[0])});
}

// Numbers of packed weights are written as they are unpacked.
void unpackedBlocks(OnnxWriter& w, const Node& n)
{
    const auto* numbers = w.weightOf(graph::Operand::of(n.outputs[0]));
    if (!numbers)
        w.refuse(n, "its numbers are not known without an example");
    w.alias(n, w.tensor(n.name, *numbers));
}

void lastExtremum(OnnxWriter& w, const Node& n)
{
    w.give(n, w.literalBool(n, 3) ? "ArgMax" : "ArgMin", {w.use(n.inputs[0])},
           {attributeOf("axis", w.literalInt(n, 1)), attributeOf("keepdims", std::int64_t(w.literalBool(n, 2))),
            attributeOf("select_last_index", std::int64_t(1))});
}

void sameList(OnnxWriter& w, const Node& n)
{
    w.alias(n, w.use(n.inputs[0]));
}

void resizedAgain(OnnxWriter& w, const Node& n)
{
    std::vector<std::string> inputs = {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2]), w.use(n.inputs[3], at::kLong)};
    std::vector<io::OnnxAttribute> attributes = {attributeOf("mode", w.known(n, 4)->toStringRef()),
                                                 attributeOf("coordinate_transformation_mode", w.known(n, 5)->toStringRef()),
                                                 attributeOf("nearest_mode", w.known(n, 6)->toStringRef()),
                                                 attributeOf("cubic_coeff_a", w.literalReal(n, 7)),
                                                 attributeOf("exclude_outside", std::int64_t(w.literalBool(n, 8))),
                                                 attributeOf("extrapolation_value", w.literalReal(n, 9))};
    const bool isLater = w.literalBool(n, 10) || w.known(n, 11)->toStringRef() != "stretch" || !w.isNone(n, 12);
    if (isLater && w.opset() < 18)
        w.refuse(n, "smoothing, a kept aspect or chosen axes need operator set 18");
    if (isLater) {
        attributes.push_back(attributeOf("antialias", std::int64_t(w.literalBool(n, 10))));
        attributes.push_back(attributeOf("keep_aspect_ratio_policy", w.known(n, 11)->toStringRef()));
        if (!w.isNone(n, 12))
            attributes.push_back(attributeOf("axes", w.literalInts(n, 12)));
    }
    w.give(n, "Resize", inputs, attributes);
}

void paddedAgain(OnnxWriter& w, const Node& n)
{
    if (!w.isNone(n, 4) && w.opset() < 18)
        w.refuse(n, "chosen axes need operator set 18");
    w.give(n, "Pad", {w.use(n.inputs[0]), w.use(n.inputs[1], at::kLong), w.operand(n, 3, w.typeOf(n)), w.use(n.inputs[4], at::kLong)},
           {attributeOf("mode", w.known(n, 2)->toStringRef())});
}

void oneHotAgain(OnnxWriter& w, const Node& n)
{
    w.give(n, "OneHot", {w.use(n.inputs[0]), w.withoutAxes(w.use(n.inputs[1], at::kLong)), w.use(n.inputs[2])},
           {attributeOf("axis", w.literalInt(n, 3))});
}

// Sum takes its axes as an input, the others from operator set 18 on.
OperatorWriter reducedAgain(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        const bool isSum = std::string(op) == "ReduceSum";
        std::vector<std::string> inputs = {w.use(n.inputs[0])};
        std::vector<io::OnnxAttribute> attributes = {attributeOf("keepdims", std::int64_t(w.literalBool(n, 2)))};
        if (isSum || w.opset() >= 18) {
            inputs.push_back(w.use(n.inputs[1], at::kLong));
            attributes.push_back(attributeOf("noop_with_empty_axes", std::int64_t(isSum)));
        } else if (const auto axes = w.literalInts(n, 1); !axes.empty()) {
            attributes.push_back(attributeOf("axes", axes));
        }
        w.give(n, op, inputs, attributes);
    };
}

void identityLike(OnnxWriter& w, const Node& n)
{
    w.give(n, "EyeLike", {w.use(n.inputs[0])},
           {attributeOf("k", w.literalInt(n, 1)), attributeOf("dtype", std::int64_t(io::onnxDataType(io::toElementType(w.resultType(n)))))});
}

void axesAdded(OnnxWriter& w, const Node& n)
{
    std::vector<std::int64_t> axes;
    for (std::int64_t i = 0, rank = w.rankOf(n, 0); i < w.literalInt(n, 1); ++i)
        axes.push_back(rank + i);
    w.give(n, "Unsqueeze", {w.use(n.inputs[0]), w.ints(axes)});
}

void fourierAgain(OnnxWriter& w, const Node& n)
{
    const auto length = w.isNone(n, 1) ? std::string() : w.withoutAxes(w.use(n.inputs[1], at::kLong));
    const auto inverse = attributeOf("inverse", std::int64_t(w.literalBool(n, 4))),
               onesided = attributeOf("onesided", std::int64_t(w.literalBool(n, 3)));
    if (w.opset() >= 20)
        return w.give(n, "DFT", {w.use(n.inputs[0]), length, w.scalar(double(w.literalInt(n, 2)), at::kLong)}, {inverse, onesided});
    w.give(n, "DFT", {w.use(n.inputs[0]), length}, {attributeOf("axis", w.literalInt(n, 2)), inverse, onesided});
}

void shortTimeFourierAgain(OnnxWriter& w, const Node& n)
{
    const auto length = w.isNone(n, 3) ? std::string() : w.withoutAxes(w.use(n.inputs[3], at::kLong));
    w.give(n, "STFT", {w.use(n.inputs[0]), w.withoutAxes(w.use(n.inputs[1], at::kLong)), w.use(n.inputs[2]), length},
           {attributeOf("onesided", std::int64_t(w.literalBool(n, 4)))});
}

io::OnnxAttribute outputType(OnnxWriter& w, const Node& n)
{
    return attributeOf("output_datatype", std::int64_t(io::onnxDataType(io::toElementType(w.resultType(n)))));
}

// A sum of cosines whose second number says which.
void windowAgain(OnnxWriter& w, const Node& n)
{
    const double first = w.literalReal(n, 1);
    const auto* const op = first == 0.5 ? "HannWindow" : first == 0.42 ? "BlackmanWindow" : "HammingWindow";
    w.give(n, op, {w.withoutAxes(w.use(n.inputs[0], at::kLong))}, {attributeOf("periodic", std::int64_t(w.literalBool(n, 4))), outputType(w, n)});
}

void melWeightsAgain(OnnxWriter& w, const Node& n)
{
    std::vector<std::string> inputs;
    for (std::size_t i = 0; i < 5; ++i)
        inputs.push_back(w.use(n.inputs.at(i), at::kLong));
    w.give(n, "MelWeightMatrix", inputs, {outputType(w, n)});
}

void regionsAgain(OnnxWriter& w, const Node& n)
{
    w.give(n, "RoiAlign", {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2])},
           {attributeOf("output_height", w.literalInt(n, 3)), attributeOf("output_width", w.literalInt(n, 4)),
            attributeOf("sampling_ratio", w.literalInt(n, 5)), attributeOf("spatial_scale", w.literalReal(n, 6)),
            attributeOf("coordinate_transformation_mode", std::string(w.literalBool(n, 7) ? "half_pixel" : "output_half_pixel"))});
}

// Padding for outputs of ceil(size / stride), whatever the size: ONNX, docs/Operators.md, Conv, auto_pad.
void samePadding(OnnxWriter& w, const Node& n)
{
    const auto kernel = w.literalInts(n, 1), strides = w.literalInts(n, 2), dilations = w.literalInts(n, 3);
    std::vector<std::int64_t> extent, ahead;
    for (std::size_t i = 0; i < kernel.size(); ++i) {
        extent.push_back((kernel[i] - 1) * dilations.at(i) + 1);
        ahead.push_back(strides.at(i) - 1);
    }
    const auto x = w.use(n.inputs[0]), one = w.ints(std::vector<std::int64_t>(kernel.size(), 1)), none = w.ints({0, 0});
    const auto size = w.add("Shape", {x}, {attributeOf("start", std::int64_t(2))});
    const auto count = w.add("Div", {w.add("Add", {size, w.ints(ahead)}), w.ints(strides)});
    const auto covered = w.add("Add", {w.add("Mul", {w.add("Sub", {count, one}), w.ints(strides)}), w.ints(extent)});
    const auto total = w.add("Max", {w.add("Sub", {covered, size}), w.ints(std::vector<std::int64_t>(kernel.size(), 0))});
    const auto less = w.add("Div", {total, w.ints({2})}), more = w.add("Sub", {total, less});
    const bool isUpper = w.literalBool(n, 4);
    const auto pads = w.add("Concat", {none, isUpper ? less : more, none, isUpper ? more : less}, {attributeOf("axis", std::int64_t(0))});
    w.give(n, "Pad", {x, pads, w.scalar(w.literalReal(n, 5), w.typeOf(n))});
}

void averagePoolAgain(OnnxWriter& w, const Node& n)
{
    std::vector<std::pair<std::size_t, const char*>> attributes = {{1, "kernel_shape"}, {2, "strides"},  {4, "pads"},
                                                                   {5, "ceil_mode"},    {6, "auto_pad"}, {7, "count_include_pad"}};
    const auto dilations = w.literalInts(n, 3);
    const bool isDilated = std::any_of(dilations.begin(), dilations.end(), [](std::int64_t each) { return each != 1; });
    if (isDilated && w.opset() < 19)
        w.refuse(n, "dilated windows need operator set 19");
    if (isDilated)
        attributes.emplace_back(3, "dilations");
    again("AveragePool", 1, attributes)(w, n);
}

void trainingNorm(OnnxWriter& w, const Node& n)
{
    std::vector<std::string> inputs;
    for (std::size_t i = 0; i < 5; ++i)
        inputs.push_back(w.use(n.inputs.at(i)));
    w.giveAll(
        n, "BatchNormalization", inputs,
        {attributeOf("training_mode", std::int64_t(1)), attributeOf("momentum", w.literalReal(n, 5)), attributeOf("epsilon", w.literalReal(n, 6))},
        3);
}

/// A step of an optimizer for one tensor: its tensors, then its numbers.
OperatorWriter optimizerStep(const char* op, std::size_t tensors, std::vector<const char*> numbers)
{
    return [=](OnnxWriter& w, const Node& n) {
        std::vector<std::string> inputs;
        for (std::size_t i = 0; i < tensors; ++i)
            inputs.push_back(w.use(n.inputs.at(i)));
        std::vector<io::OnnxAttribute> attributes;
        for (std::size_t i = 0; i < numbers.size(); ++i)
            attributes.push_back(attributeOf(numbers[i], w.literalReal(n, tensors + i)));
        if (const auto last = tensors + numbers.size(); last < n.inputs.size())
            attributes.push_back(attributeOf("mode", std::string(w.literalBool(n, last) ? "nesterov" : "standard")));
        w.giveAll(n, op, inputs, attributes, n.outputs.size());
        w.inDomain("ai.onnx.preview.training", 1);
    };
}

void dropoutAgain(OnnxWriter& w, const Node& n)
{
    w.giveAll(n, "Dropout", {w.use(n.inputs[0]), w.operand(n, 1, at::kFloat), w.operand(n, 2, at::kBool)}, {}, 2);
}

}  // namespace

void addImportedWriters(WriterTable& table)
{
    table.insert({
        {"aten::native_dropout", dropoutAgain},
        {"orrery::onnx_adagrad", optimizerStep("Adagrad", 5, {"decay_factor", "norm_coefficient", "epsilon"})},
        {"orrery::onnx_adam", optimizerStep("Adam", 6, {"alpha", "beta", "norm_coefficient", "norm_coefficient_post", "epsilon"})},
        {"orrery::onnx_add_axes", axesAdded},
        {"orrery::onnx_add_channels", channelsAdded},
        {"orrery::onnx_average_pool", averagePoolAgain},
        {"orrery::onnx_batch_norm_training", trainingNorm},
        {"orrery::onnx_centre", centred},
        {"orrery::onnx_compress", again("Compress", 2, {{2, "axis"}})},
        {"orrery::onnx_cosine_window", windowAgain},
        {"orrery::onnx_cumsum",
         [](OnnxWriter& w, const Node& n) {
             w.give(n, "CumSum", {w.use(n.inputs[0]), w.withoutAxes(w.use(n.inputs[1], at::kLong))},
                    {attributeOf("exclusive", std::int64_t(w.literalBool(n, 2))), attributeOf("reverse", std::int64_t(w.literalBool(n, 3)))});
         }},
        {"orrery::onnx_depth_to_space", again("DepthToSpace", 1, {{1, "blocksize"}, {2, "mode"}})},
        {"orrery::onnx_dequantize", again("DequantizeLinear", 3, {{3, "axis"}})},
        {"orrery::onnx_dft", fourierAgain},
        {"orrery::onnx_dynamic_quantize", again("DynamicQuantizeLinear", 1)},
        {"orrery::onnx_eye_like", identityLike},
        {"orrery::onnx_flatten", again("Flatten", 1, {{1, "axis"}})},
        {"orrery::onnx_floats", sameList},
        {"orrery::onnx_gather", again("Gather", 2, {{2, "axis"}})},
        {"orrery::onnx_gather_elements", again("GatherElements", 2, {{2, "axis"}})},
        {"orrery::onnx_gather_nd", again("GatherND", 2, {{2, "batch_dims"}})},
        {"orrery::onnx_global_pool", globalPool},
        {"orrery::onnx_hardmax", again("Hardmax", 1, {{1, "axis"}})},
        {"orrery::onnx_last_extremum", lastExtremum},
        {"orrery::onnx_layer_norm", again("LayerNormalization", 3, {{3, "axis"}, {4, "epsilon"}})},
        {"orrery::onnx_logsumexp", reducedAgain("ReduceLogSumExp")},
        {"orrery::onnx_lrn", again("LRN", 1, {{1, "size"}, {2, "alpha"}, {3, "beta"}, {4, "bias"}})},
        {"orrery::onnx_max_pool",
         again("MaxPool", 1,
               {{1, "kernel_shape"}, {2, "strides"}, {3, "dilations"}, {4, "pads"}, {5, "ceil_mode"}, {6, "auto_pad"}, {7, "storage_order"}})},
        {"orrery::onnx_max_unpool", again("MaxUnpool", 3, {{3, "kernel_shape"}, {4, "strides"}, {5, "pads"}})},
        {"orrery::onnx_mel_weights", melWeightsAgain},
        {"orrery::onnx_momentum", optimizerStep("Momentum", 5, {"alpha", "beta", "norm_coefficient"})},
        {"orrery::onnx_nms", again("NonMaxSuppression", 5, {{5, "center_point_box"}})},
        {"orrery::onnx_one_hot", oneHotAgain},
        {"orrery::onnx_pad", paddedAgain},
        {"orrery::onnx_pad_same", samePadding},
        {"orrery::onnx_quantize", quantised},
        {"orrery::onnx_range", again("Range", 3)},
        {"orrery::onnx_reduce_prod", reducedAgain("ReduceProd")},
        {"orrery::onnx_requantize", requantised},
        {"orrery::onnx_resize", resizedAgain},
        {"orrery::onnx_reverse_sequence", again("ReverseSequence", 2, {{2, "time_axis"}, {3, "batch_axis"}})},
        {"orrery::onnx_roi_align", regionsAgain},
        {"orrery::onnx_scatter_elements", again("ScatterElements", 3, {{3, "axis"}, {4, "reduction"}})},
        {"orrery::onnx_scatter_nd", again("ScatterND", 3, {{3, "reduction"}})},
        {"orrery::onnx_slice", again("Slice", 5)},
        {"orrery::onnx_space_to_depth", again("SpaceToDepth", 1, {{1, "blocksize"}})},
        {"orrery::onnx_stft", shortTimeFourierAgain},
        {"orrery::onnx_sum_or_none", reducedAgain("ReduceSum")},
        {"orrery::onnx_target_sizes", targetSizes},
        {"orrery::onnx_tf_idf", again("TfIdfVectorizer", 1,
                                      {{1, "mode"},
                                       {2, "min_gram_length"},
                                       {3, "max_gram_length"},
                                       {4, "max_skip_count"},
                                       {5, "ngram_counts"},
                                       {6, "ngram_indexes"},
                                       {7, "pool_int64s"},
                                       {8, "weights"}})},
        {"orrery::onnx_unique", again("Unique", 1, {{1, "axis"}, {2, "sorted"}})},
        {"orrery::onnx_wrap_indices", wrapped},
        {"orrery::unpack_blocks", unpackedBlocks},
    });
}

}  // namespace orrery::models::onnx
