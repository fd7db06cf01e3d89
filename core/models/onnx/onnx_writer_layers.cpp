// Layers of libtorch as operators of ONNX.
#include <ATen/ATen.h>

#include "onnx_writer.h"

namespace orrery::models::onnx {
namespace {

using graph::Node;

using LayerInts = std::vector<std::int64_t>;

void linear(OnnxWriter& w, const Node& n)
{
    if (w.rankOf(n, 0) == 2)
        return w.give(n, "Gemm", {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2])}, {attributeOf("transB", std::int64_t(1))});
    const auto turned = w.add("Transpose", {w.use(n.inputs[1])}, {attributeOf("perm", LayerInts{1, 0})});
    if (w.isNone(n, 2))
        return w.give(n, "MatMul", {w.use(n.inputs[0]), turned});
    w.give(n, "Add", {w.add("MatMul", {w.use(n.inputs[0]), turned}), w.use(n.inputs[2])});
}

LayerInts twice(const LayerInts& padding)
{
    LayerInts both = padding;
    both.insert(both.end(), padding.begin(), padding.end());
    return both;
}

// aten::conv1d to conv3d; aten::convolution and aten::_convolution, which transposed ones are, too.
void convolution(OnnxWriter& w, const Node& n)
{
    if (!w.known(n, 4) || !w.known(n, 4)->isIntList())
        w.refuse(n, "padding by name is not written");
    const bool isGeneral = n.op == "aten::convolution" || n.op == "aten::_convolution";
    const bool isTransposed = isGeneral && w.literalBool(n, 6);
    std::vector<io::OnnxAttribute> attributes = {attributeOf("strides", w.literalInts(n, 3)), attributeOf("pads", twice(w.literalInts(n, 4))),
                                                 attributeOf("dilations", w.literalInts(n, 5)),
                                                 attributeOf("group", w.literalInt(n, isGeneral ? 8 : 6))};
    if (isTransposed)
        attributes.push_back(attributeOf("output_padding", w.literalInts(n, 7)));
    w.give(n, isTransposed ? "ConvTranspose" : "Conv", {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2])}, attributes);
}

void transposedConvolution(OnnxWriter& w, const Node& n)
{
    w.give(n, "ConvTranspose", {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2])},
           {attributeOf("strides", w.literalInts(n, 3)), attributeOf("pads", twice(w.literalInts(n, 4))),
            attributeOf("output_padding", w.literalInts(n, 5)), attributeOf("group", w.literalInt(n, 6)),
            attributeOf("dilations", w.literalInts(n, 7))});
}

LayerInts orKernel(const LayerInts& strides, const LayerInts& kernel)
{
    return strides.empty() ? kernel : strides;
}

void averagePool(OnnxWriter& w, const Node& n)
{
    const auto kernel = w.literalInts(n, 1);
    if (n.inputs.size() > 6 && !w.isNone(n, 6))
        w.refuse(n, "a divisor of its own");
    w.give(n, "AveragePool", {w.use(n.inputs[0])},
           {attributeOf("kernel_shape", kernel), attributeOf("strides", orKernel(w.literalInts(n, 2), kernel)),
            attributeOf("pads", twice(w.literalInts(n, 3))), attributeOf("ceil_mode", std::int64_t(w.literalBool(n, 4))),
            attributeOf("count_include_pad", std::int64_t(w.literalBool(n, 5)))});
}

void maxPool(OnnxWriter& w, const Node& n)
{
    const auto kernel = w.literalInts(n, 1);
    w.give(n, "MaxPool", {w.use(n.inputs[0])},
           {attributeOf("kernel_shape", kernel), attributeOf("strides", orKernel(w.literalInts(n, 2), kernel)),
            attributeOf("pads", twice(w.literalInts(n, 3))), attributeOf("dilations", w.literalInts(n, 4)),
            attributeOf("ceil_mode", std::int64_t(w.literalBool(n, 5)))});
}

void adaptivePool(OnnxWriter& w, const Node& n)
{
    for (const auto size : w.literalInts(n, 1))
        if (size != 1)
            w.refuse(n, "only a mean over everything is written");
    w.give(n, "GlobalAveragePool", {w.use(n.inputs[0])});
}

void normalised(OnnxWriter& w, const Node& n, std::size_t epsilon)
{
    for (const std::size_t input : {1u, 2u, 3u, 4u})
        if (w.isNone(n, input))
            w.refuse(n, "without scale, bias or running statistics");
    w.give(n, "BatchNormalization", {w.use(n.inputs[0]), w.use(n.inputs[1]), w.use(n.inputs[2]), w.use(n.inputs[3]), w.use(n.inputs[4])},
           {attributeOf("epsilon", w.literalReal(n, epsilon)), attributeOf("momentum", 1 - w.literalReal(n, epsilon - 1))});
}

// Statistics are those of inference: what is written does not train.
void batchNorm(OnnxWriter& w, const Node& n)
{
    const auto* training = w.known(n, 5);
    if (training ? training->toBool() : n.inputs[5].value != w.graph().data().training.value_or(-1))
        w.refuse(n, "statistics of the batch");
    normalised(w, n, 7);
}

void batchNormOfInference(OnnxWriter& w, const Node& n)
{
    normalised(w, n, 6);
}

// (x - mean) / deviation of each channel of each sample.
std::string standardised(OnnxWriter& w, const std::string& x, const LayerInts& axes, double epsilon, at::ScalarType type)
{
    const auto mean = [&](const std::string& of) {
        return w.opset() >= 18 ? w.add("ReduceMean", {of, w.ints(axes)}) : w.add("ReduceMean", {of}, {attributeOf("axes", axes)});
    };
    const auto centred = w.add("Sub", {x, mean(x)});
    const auto variance = mean(w.add("Mul", {centred, centred}));
    return w.add("Div", {centred, w.add("Sqrt", {w.add("Add", {variance, w.scalar(epsilon, type)})})});
}

/// A vector of one number a channel as a factor of [batch, channel, ...].
std::string alongChannels(OnnxWriter& w, const std::string& vector, std::int64_t rank)
{
    LayerInts shape(std::size_t(rank), 1);
    shape.at(1) = -1;
    return w.add("Reshape", {vector, w.ints(shape)});
}

void scaleAndShift(OnnxWriter& w, const Node& n, std::string y, std::size_t scale)
{
    const auto rank = w.rankOf(n, 0);
    if (!w.isNone(n, scale))
        y = w.add("Mul", {y, alongChannels(w, w.use(n.inputs[scale]), rank)});
    if (!w.isNone(n, scale + 1))
        y = w.add("Add", {y, alongChannels(w, w.use(n.inputs[scale + 1]), rank)});
    w.alias(n, y);
}

// Wu & He (2018), arXiv:1803.08494, equations 1 to 7.
void groupNorm(OnnxWriter& w, const Node& n)
{
    const auto x = w.use(n.inputs[0]);
    const auto grouped = w.add("Reshape", {x, w.ints({0, w.literalInt(n, 1), -1})});
    const auto y = standardised(w, grouped, {2}, w.literalReal(n, 4), w.typeOf(n));
    scaleAndShift(w, n, w.add("Reshape", {y, w.add("Shape", {x})}), 2);
}

void instanceNorm(OnnxWriter& w, const Node& n)
{
    if (!w.literalBool(n, 5))
        w.refuse(n, "statistics of training");
    LayerInts axes;
    for (std::int64_t axis = 2; axis < w.rankOf(n, 0); ++axis)
        axes.push_back(axis);
    scaleAndShift(w, n, standardised(w, w.use(n.inputs[0]), axes, w.literalReal(n, 7), w.typeOf(n)), 1);
}

// Zhang & Sennrich (2019), arXiv:1910.07467, equation 4.
void rmsNorm(OnnxWriter& w, const Node& n)
{
    const auto x = w.use(n.inputs[0]);
    const auto type = w.typeOf(n);
    const auto axes = std::int64_t(w.literalInts(n, 1).size());
    LayerInts last;
    for (std::int64_t i = 1; i <= axes; ++i)
        last.push_back(-i);
    const double epsilon = w.isNone(n, 3) ? type == at::kDouble ? 2.220446049250313e-16 : 1.1920928955078125e-07 : w.literalReal(n, 3);
    const auto squares = w.add("Mul", {x, x});
    const auto mean = w.opset() >= 18 ? w.add("ReduceMean", {squares, w.ints(last)}) : w.add("ReduceMean", {squares}, {attributeOf("axes", last)});
    const auto y = w.add("Div", {x, w.add("Sqrt", {w.add("Add", {mean, w.scalar(epsilon, type)})})});
    w.isNone(n, 2) ? w.alias(n, y) : w.give(n, "Mul", {y, w.use(n.inputs[2])});
}

// Before operator set 20 written out. Hendrycks & Gimpel (2016), arXiv:1606.08415, section 2.
void gelu(OnnxWriter& w, const Node& n)
{
    const auto x = w.use(n.inputs[0]);
    const auto type = w.typeOf(n);
    const bool isTanh = w.known(n, 1) && w.known(n, 1)->isString() && w.known(n, 1)->toStringRef() == "tanh";
    if (w.opset() >= 20)
        return w.give(n, "Gelu", {x}, {attributeOf("approximate", std::string(isTanh ? "tanh" : "none"))});
    std::string inner;
    if (isTanh) {
        const auto cube = w.add("Mul", {w.add("Mul", {w.add("Mul", {x, x}), x}), w.scalar(0.044715, type)});
        inner = w.add("Tanh", {w.add("Mul", {w.add("Add", {x, cube}), w.scalar(0.7978845608028654, type)})});
    } else {
        inner = w.add("Erf", {w.add("Mul", {x, w.scalar(0.7071067811865476, type)})});
    }
    const auto gate = w.add("Mul", {w.add("Add", {inner, w.scalar(1, type)}), w.scalar(0.5, type)});
    w.give(n, "Mul", {x, gate});
}

void silu(OnnxWriter& w, const Node& n)
{
    w.give(n, "Mul", {w.use(n.inputs[0]), w.add("Sigmoid", {w.use(n.inputs[0])})});
}

void layerNorm(OnnxWriter& w, const Node& n)
{
    const auto axes = std::int64_t(w.literalInts(n, 1).size());
    const auto scale = w.isNone(n, 2) ? w.tensor(n.name + ".scale", at::ones(w.literalInts(n, 1), w.typeOf(n))) : w.use(n.inputs[2]);
    w.give(n, "LayerNormalization", {w.use(n.inputs[0]), scale, w.use(n.inputs[3])},
           {attributeOf("axis", -axes), attributeOf("epsilon", w.literalReal(n, 4))});
}

void matMul(OnnxWriter& w, const Node& n)
{
    w.give(n, "MatMul", {w.use(n.inputs[0]), w.use(n.inputs[1])});
}

std::string times(OnnxWriter& w, const std::string& x, double by, at::ScalarType type)
{
    return by == 1 ? x : w.add("Mul", {x, w.scalar(by, type)});
}

void addedProduct(OnnxWriter& w, const Node& n)
{
    const auto type = w.typeOf(n, 1);
    const auto product = times(w, w.add("MatMul", {w.use(n.inputs[1]), w.use(n.inputs[2])}), w.literalReal(n, 4), type);
    w.give(n, "Add", {times(w, w.use(n.inputs[0]), w.literalReal(n, 3), type), product});
}

void addedMatrixProduct(OnnxWriter& w, const Node& n)
{
    w.give(n, "Gemm", {w.use(n.inputs[1]), w.use(n.inputs[2]), w.use(n.inputs[0])},
           {attributeOf("beta", w.literalReal(n, 3)), attributeOf("alpha", w.literalReal(n, 4))});
}

OperatorWriter softmax(const char* op)
{
    return [op](OnnxWriter& w, const Node& n) {
        const auto to = w.resultType(n);
        const auto x = w.use(n.inputs[0]);
        w.give(n, op, {w.rankOf(n, 0) >= 0 && w.typeOf(n) != to ? w.cast(x, to) : x}, {attributeOf("axis", w.literalInt(n, 1))});
    };
}

void embedding(OnnxWriter& w, const Node& n)
{
    w.give(n, "Gather", {w.use(n.inputs[0]), w.use(n.inputs[1])}, {attributeOf("axis", std::int64_t(0))});
}

OperatorWriter withAlpha(const char* op, const char* attribute)
{
    return [op, attribute](OnnxWriter& w, const Node& n) { w.give(n, op, {w.use(n.inputs[0])}, {attributeOf(attribute, w.literalReal(n, 1))}); };
}

void exponentialLinear(OnnxWriter& w, const Node& n)
{
    if (w.literalReal(n, 3) != 1)
        w.refuse(n, "a scale of its input");
    const double scale = w.literalReal(n, 2);
    const auto alpha = attributeOf("alpha", w.literalReal(n, 1));
    if (scale == 1)
        return w.give(n, "Elu", {w.use(n.inputs[0])}, {alpha});
    w.give(n, "Mul", {w.add("Elu", {w.use(n.inputs[0])}, {alpha}), w.scalar(scale, w.typeOf(n))});
}

void softplus(OnnxWriter& w, const Node& n)
{
    if (w.literalReal(n, 1) != 1)
        w.refuse(n, "a steepness of its own");
    w.give(n, "Softplus", {w.use(n.inputs[0])});
}

// Misra (2019), arXiv:1908.08681.
void mish(OnnxWriter& w, const Node& n)
{
    w.give(n, "Mul", {w.use(n.inputs[0]), w.add("Tanh", {w.add("Softplus", {w.use(n.inputs[0])})})});
}

void slopes(OnnxWriter& w, const Node& n)
{
    w.give(n, "PRelu", {w.use(n.inputs[0]), w.rankOf(n, 0) > 1 ? alongChannels(w, w.use(n.inputs[1]), w.rankOf(n, 0)) : w.use(n.inputs[1])});
}

void hardSigmoid(OnnxWriter& w, const Node& n)
{
    w.give(n, "HardSigmoid", {w.use(n.inputs[0])}, {attributeOf("alpha", 1.0 / 6), attributeOf("beta", 0.5)});
}

// upsample_NAME.vec(input, output_size?, [align_corners], scale_factors?).
OperatorWriter resized(const char* mode)
{
    return [mode](OnnxWriter& w, const Node& n) {
        const bool isNearest = std::string(mode) == "nearest";
        const std::size_t factors = isNearest ? 2 : 3;
        if (n.overload != "vec")
            w.refuse(n, "this overload is not known");
        std::vector<std::string> inputs = {w.use(n.inputs[0]), "", "", ""};
        if (!w.isNone(n, factors)) {
            std::vector<float> scales = {1, 1};
            for (const double factor : w.known(n, factors)->toDoubleVector())
                scales.push_back(float(factor));
            inputs[2] = w.tensor(n.name + ".scales", at::tensor(scales));
        } else {
            inputs[3] =
                w.add("Concat",
                      {w.add("Shape", {inputs[0]}, {attributeOf("start", std::int64_t(0)), attributeOf("end", std::int64_t(2))}), w.use(n.inputs[1])},
                      {attributeOf("axis", std::int64_t(0))});
        }
        const bool aligned = !isNearest && w.literalBool(n, 2);
        std::vector<io::OnnxAttribute> attributes = {attributeOf("mode", std::string(mode)),
                                                     attributeOf("coordinate_transformation_mode", std::string(isNearest ? "asymmetric"
                                                                                                               : aligned ? "align_corners"
                                                                                                                         : "pytorch_half_pixel"))};
        if (isNearest)
            attributes.push_back(attributeOf("nearest_mode", std::string("floor")));
        if (std::string(mode) == "cubic")
            attributes.push_back(attributeOf("cubic_coeff_a", -0.75));
        w.give(n, "Resize", inputs, attributes);
    };
}

}  // namespace

void addLayerWriters(WriterTable& table)
{
    table.insert({
        {"aten::_convolution", convolution},
        {"aten::_log_softmax", softmax("LogSoftmax")},
        {"aten::_native_batch_norm_legit_no_training", batchNormOfInference},
        {"aten::_softmax", softmax("Softmax")},
        {"aten::adaptive_avg_pool1d", adaptivePool},
        {"aten::adaptive_avg_pool2d", adaptivePool},
        {"aten::adaptive_avg_pool3d", adaptivePool},
        {"aten::addmm", addedMatrixProduct},
        {"aten::avg_pool1d", averagePool},
        {"aten::avg_pool2d", averagePool},
        {"aten::avg_pool3d", averagePool},
        {"aten::baddbmm", addedProduct},
        {"aten::batch_norm", batchNorm},
        {"aten::bmm", matMul},
        {"aten::conv1d", convolution},
        {"aten::conv2d", convolution},
        {"aten::conv3d", convolution},
        {"aten::conv_transpose1d", transposedConvolution},
        {"aten::conv_transpose2d", transposedConvolution},
        {"aten::conv_transpose3d", transposedConvolution},
        {"aten::convolution", convolution},
        {"aten::elu", exponentialLinear},
        {"aten::embedding", embedding},
        {"aten::gelu", gelu},
        {"aten::group_norm", groupNorm},
        {"aten::hardsigmoid", hardSigmoid},
        {"aten::instance_norm", instanceNorm},
        {"aten::layer_norm", layerNorm},
        {"aten::leaky_relu", withAlpha("LeakyRelu", "alpha")},
        {"aten::linear", linear},
        {"aten::log_softmax", softmax("LogSoftmax")},
        {"aten::matmul", matMul},
        {"aten::max_pool1d", maxPool},
        {"aten::max_pool2d", maxPool},
        {"aten::max_pool3d", maxPool},
        {"aten::max_pool2d_with_indices", maxPool},
        {"aten::mish", mish},
        {"aten::mm", matMul},
        {"aten::native_layer_norm", layerNorm},
        {"aten::prelu", slopes},
        {"aten::rms_norm", rmsNorm},
        {"aten::silu", silu},
        {"aten::softmax", softmax("Softmax")},
        {"aten::softplus", softplus},
        {"aten::upsample_bicubic2d", resized("cubic")},
        {"aten::upsample_bilinear2d", resized("linear")},
        {"aten::upsample_nearest2d", resized("nearest")},
    });
}

}  // namespace orrery::models::onnx
