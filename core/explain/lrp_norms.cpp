// Normalisation in layer-wise relevance propagation.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <core/base/text.h>

#include "lrp_walk.h"

namespace orrery::explain::lrp {
namespace {

double literal(const graph::Node& node, std::size_t index, double otherwise)
{
    if (index >= node.inputs.size() || !node.inputs[index].isConstant())
        return otherwise;
    const auto& constant = node.inputs[index].constant;
    return constant.isDouble() ? constant.toDouble() : constant.isInt() ? double(constant.toInt()) : otherwise;
}

struct Normalised {
    at::Tensor scaled;  ///< (x - mean) / deviation, the deviation held fixed
    at::Tensor weight, bias;
};

at::Tensor centred(const at::Tensor& x, at::IntArrayRef axes, double epsilon)
{
    const auto shifted = x - x.mean(axes, true);
    const auto deviation = (shifted.detach().square().mean(axes, true) + epsilon).sqrt();
    return shifted / deviation;
}

at::Tensor layerNormed(const at::Tensor& x, std::int64_t axisCount, double epsilon)
{
    std::vector<std::int64_t> axes;
    for (std::int64_t i = 1; i <= axisCount; ++i)
        axes.push_back(-i);
    return centred(x, axes, epsilon);
}

at::Tensor groupNormed(const at::Tensor& x, std::int64_t groups, double epsilon)
{
    return centred(x.reshape({x.size(0), groups, -1}), {2}, epsilon).reshape(x.sizes());
}

}  // namespace

std::vector<std::int64_t> alongAxis(std::int64_t dims, std::int64_t axis, std::int64_t count)
{
    std::vector<std::int64_t> shape(std::size_t(dims), 1);
    shape[std::size_t(axis < 0 ? axis + dims : axis)] = count;
    return shape;
}

// Ali et al. 2022, section 4.2 ("LN-rule"): with the deviation held fixed the layer is linear in x.
void Walk::normalised(const graph::Node& node, const at::Tensor& relevance)
{
    at::AutoGradMode enable(true);
    m_current.rule = "fixed deviation";
    const bool isLayer = kindOf(node) == Kind::LayerNorm;
    const auto x = tensorOf(node.inputs[0]).requires_grad_(true);
    auto weight = tensorOf(node.inputs[2]), bias = tensorOf(node.inputs[3]);
    if (!isLayer)
        for (auto* tensor : {&weight, &bias})
            if (tensor->defined())
                *tensor = tensor->reshape(alongAxis(x.dim(), 1, x.size(1)));
    const auto axisCount = weight.defined()              ? weight.dim()
                           : node.inputs[1].isConstant() ? std::int64_t(node.inputs[1].constant.toListRef().size())
                                                         : 1;
    auto z = isLayer ? layerNormed(x, axisCount, literal(node, 4, 1e-5)) : groupNormed(x, std::int64_t(literal(node, 1, 1)), literal(node, 4, 1e-5));
    if (weight.defined())
        z = z * weight;
    const auto whole = bias.defined() ? z.detach() + bias : z.detach();
    const auto perUnit = relevance / stabilised(whole, m_settings.epsilon);
    if (bias.defined())
        m_current.bias = (perUnit * bias).to(at::kDouble).sum().item<double>();
    const auto gradient = torch::autograd::grad({z}, {x}, {perUnit})[0];
    give(node.inputs[0].value, x.detach() * gradient);
}

namespace {

struct Affine {
    at::Tensor scale, shift;  ///< [channel]: y = scale * x + shift
};

// batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled)
Affine affineOf(const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& mean, const at::Tensor& variance, double epsilon)
{
    auto scale = (variance + epsilon).rsqrt();
    if (weight.defined())
        scale = scale * weight;
    auto shift = -mean * scale;
    if (bias.defined())
        shift = shift + bias;
    return {scale, shift};
}

}  // namespace

// The layer before a batch norm, if the norm is all that reads it: the two are one affine layer.
const graph::Node* Walk::mergedLayer(const graph::Node& norm) const
{
    const auto id = norm.inputs[0].value;
    const auto* layer = m_graph.producer(id);
    if (!layer || id == m_site || m_graph.users(id).size() != 1)
        return nullptr;
    const auto operands = weightedOperands(*layer, [this](const auto& operand) { return isSignal(operand); });
    const auto dims = tensorOf(norm.inputs[0]).dim();
    // Batch norm reads axis 1; a linear layer's features are there only for a batch of rows.
    const bool sameAxis = operands && (operands->channelAxis == 1 || (operands->channelAxis == -1 && dims == 2));
    return sameAxis && operands->weightAxis ? layer : nullptr;
}

void Walk::mergeNorm(const graph::Node& norm, const WeightedOperands& operands, WeightedLayer& layer) const
{
    const auto affine =
        affineOf(tensorOf(norm.inputs[1]), tensorOf(norm.inputs[2]), tensorOf(norm.inputs[3]), tensorOf(norm.inputs[4]), literal(norm, 7, 1e-5));
    layer.weight = layer.weight * affine.scale.reshape(alongAxis(layer.weight.dim(), *operands.weightAxis, affine.scale.numel()));
    layer.bias = layer.bias.defined() ? layer.bias * affine.scale + affine.shift : affine.shift;
}

void Walk::batchNorm(const graph::Node& node, const at::Tensor& relevance)
{
    const auto* training = node.inputs[5].isConstant() ? &node.inputs[5].constant : content(node.inputs[5].value);
    if ((training && training->isBool() && training->toBool()) || !tensorOf(node.inputs[3]).defined())
        throw core::InputError(
            fmt::format("lrp: node \"{}\" ({}) normalises by its batch; expected running statistics", node.name, node.qualifiedOp()));
    if (const auto* layer = mergedLayer(node)) {
        weighted(*layer, *weightedOperands(*layer, [this](const auto& operand) { return isSignal(operand); }), relevance, &node);
        return;
    }
    m_current.rule = "proportional";
    const auto x = tensorOf(node.inputs[0]);
    auto affine =
        affineOf(tensorOf(node.inputs[1]), tensorOf(node.inputs[2]), tensorOf(node.inputs[3]), tensorOf(node.inputs[4]), literal(node, 7, 1e-5));
    const auto shape = alongAxis(x.dim(), 1, x.size(1));
    const auto scaled = x * affine.scale.reshape(shape), shift = affine.shift.reshape(shape);
    const auto perUnit = relevance / stabilised(scaled + shift, m_settings.epsilon);
    m_current.bias = (perUnit * shift).to(at::kDouble).sum().item<double>();
    give(node.inputs[0].value, scaled * perUnit);
}

}  // namespace orrery::explain::lrp
