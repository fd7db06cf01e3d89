// Arithmetic of quantised tensors, and steps of optimizers.
#include "onnx_operators.h"

namespace orrery::kernels {
namespace {

using Optional = c10::optional<at::Tensor>;

std::pair<double, double> limitsOf(at::ScalarType type)
{
    switch (type) {
    case at::kChar: return {-128, 127};
    case at::kByte: return {0, 255};
    case at::kShort: return {-32768, 32767};
    default: return {0, 65535};  // uint16, held as int32
    }
}

// Halves go to the even neighbour, as libtorch rounds.
at::Tensor quantised(const at::Tensor& x, const at::Tensor& scale, const Optional& zeroPoint, std::int64_t axis, bool isSigned)
{
    const auto type = zeroPoint ? zeroPoint->scalar_type() : isSigned ? at::kChar : at::kByte;
    auto y = (x / alongAxis(scale, axis, x.dim())).round();
    if (zeroPoint)
        y = y + alongAxis(zeroPoint->to(y.scalar_type()), axis, x.dim());
    const auto [low, high] = limitsOf(type);
    return y.clamp(low, high).to(type);
}

at::Tensor dequantised(const at::Tensor& x, const at::Tensor& scale, const Optional& zeroPoint, std::int64_t axis)
{
    auto y = x.to(scale.scalar_type());
    if (zeroPoint)
        y = y - alongAxis(zeroPoint->to(scale.scalar_type()), axis, x.dim());
    return y * alongAxis(scale, axis, x.dim());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> dynamicallyQuantised(const at::Tensor& x)
{
    const auto low = x.min().clamp_max(0), high = x.max().clamp_min(0);
    auto scale = (high - low) / 255;
    scale = at::where(scale == 0, at::ones_like(scale), scale);
    const auto zeroPoint = (-low / scale).round().clamp(0, 255);
    return {((x / scale).round() + zeroPoint).clamp(0, 255).to(at::kByte), scale, zeroPoint.to(at::kByte)};
}

at::Tensor centred(const at::Tensor& x, const Optional& zeroPoint, std::int64_t axis)
{
    const auto wide = x.to(at::kDouble);
    return zeroPoint ? wide - alongAxis(zeroPoint->to(at::kDouble), axis, x.dim()) : wide;
}

at::Tensor requantised(const at::Tensor& sums, const at::Tensor& scaleA, const at::Tensor& scaleB, const at::Tensor& scaleOut,
                       const at::Tensor& zeroPoint, std::int64_t axis)
{
    const auto factor = scaleA.to(at::kDouble) * scaleB.to(at::kDouble) / scaleOut.to(at::kDouble);
    const auto [low, high] = limitsOf(zeroPoint.scalar_type());
    const auto y = (sums * alongAxis(factor, axis, sums.dim())).round() + alongAxis(zeroPoint.to(at::kDouble), axis, sums.dim());
    return y.clamp(low, high).to(zeroPoint.scalar_type());
}

at::Tensor addChannels(const at::Tensor& x, const at::Tensor& bias)
{
    return x + alongAxis(bias.to(x.scalar_type()), 1, x.dim());
}

using Pair = std::tuple<at::Tensor, at::Tensor>;

/// Source: ONNX operator specification, ai.onnx.preview.training: Adagrad, Adam, Momentum.
Pair adagrad(const at::Tensor& rate, const at::Tensor& step, const at::Tensor& x, const at::Tensor& gradient, const at::Tensor& squares, double decay,
             double norm, double eps)
{
    const auto r = rate / (1 + step * decay), g = norm * x + gradient;
    const auto h = squares + g * g;
    return {x - r * g / (h.sqrt() + eps), h};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> adam(const at::Tensor& rate, const at::Tensor& step, const at::Tensor& x, const at::Tensor& gradient,
                                                    const at::Tensor& mean, const at::Tensor& squares, double alpha, double beta, double norm,
                                                    double normAfter, double eps)
{
    const auto t = step.item<double>();
    const auto g = norm * x + gradient, v = alpha * mean + (1 - alpha) * g, h = beta * squares + (1 - beta) * g * g;
    const auto r = t > 0 ? rate * (std::sqrt(1 - std::pow(beta, t)) / (1 - std::pow(alpha, t))) : rate;
    return {(1 - normAfter) * (x - r * v / (h.sqrt() + eps)), v, h};
}

Pair momentum(const at::Tensor& rate, const at::Tensor& step, const at::Tensor& x, const at::Tensor& gradient, const at::Tensor& velocity,
              double alpha, double beta, double norm, bool nesterov)
{
    const auto g = norm * x + gradient;
    const auto v = alpha * velocity + (step.item<double>() > 0 ? beta : 1.0) * g;
    return {x - rate * (nesterov ? g + alpha * v : v), v};
}

}  // namespace

void registerOnnxQuantised(torch::Library& library)
{
    library.def("onnx_quantize(Tensor x, Tensor scale, Tensor? zero_point, int axis, bool signed) -> Tensor", quantised);
    library.def("onnx_dequantize(Tensor x, Tensor scale, Tensor? zero_point, int axis) -> Tensor", dequantised);
    library.def("onnx_dynamic_quantize(Tensor x) -> (Tensor, Tensor, Tensor)", dynamicallyQuantised);
    library.def("onnx_centre(Tensor x, Tensor? zero_point, int axis) -> Tensor", centred);
    library.def("onnx_requantize(Tensor sums, Tensor scale_a, Tensor scale_b, Tensor scale_out, Tensor zero_point, int axis) -> Tensor", requantised);
    library.def("onnx_add_channels(Tensor x, Tensor bias) -> Tensor", addChannels);
    library.def(
        "onnx_adagrad(Tensor rate, Tensor step, Tensor x, Tensor gradient, Tensor squares, float decay, float norm, float eps) -> (Tensor, Tensor)",
        adagrad);
    library.def("onnx_adam(Tensor rate, Tensor step, Tensor x, Tensor gradient, Tensor mean, Tensor squares, float alpha, float beta, float norm, "
                "float norm_after,"
                " float eps) -> (Tensor, Tensor, Tensor)",
                adam);
    library.def(
        "onnx_momentum(Tensor rate, Tensor step, Tensor x, Tensor gradient, Tensor velocity, float alpha, float beta, float norm, bool nesterov)"
        " -> (Tensor, Tensor)",
        momentum);
}

}  // namespace orrery::kernels
