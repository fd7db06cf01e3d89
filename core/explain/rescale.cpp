#include "rescale.h"

#include <ATen/ATen.h>

#include <core/base/error.h>

namespace orrery::explain {
namespace {

const std::set<std::string_view> kElementwise = {
    "aten::relu", "aten::relu6", "aten::leaky_relu", "aten::prelu", "aten::elu",      "aten::selu",     "aten::celu",      "aten::gelu",
    "aten::silu", "aten::mish",  "aten::sigmoid",    "aten::tanh",  "aten::softplus", "aten::hardtanh", "aten::hardswish", "aten::hardsigmoid"};
const std::set<std::string_view> kSoftmax = {"aten::softmax", "aten::_softmax", "aten::log_softmax", "aten::_log_softmax"};
constexpr std::string_view kMaxPool = "aten::max_pool2d";

// change / step where the step is large enough, else `derivative`.
at::Tensor slope(const at::Tensor& change, const at::Tensor& step, const at::Tensor& derivative, double eps)
{
    const auto small = step.abs() < eps;
    return at::where(small, derivative, change / at::where(small, at::ones_like(step), step));
}

at::Tensor elementwise(const RescaleRule& rule, const NodeCall& call, const at::Tensor& x, const at::Tensor& y)
{
    const auto step = (call.x - x).detach(), change = (call.y - y).detach();
    const auto far = withSlope(call.y, call.x, slope(change, step, at::zeros_like(step), rule.eps));
    return at::where(step.abs() < rule.eps, call.y, far);
}

// Inputs of a softmax without those that are masked (-inf) on both sides: they neither change nor count.
struct SoftmaxInputs {
    std::int64_t axis;
    at::Tensor valid;  // where both are finite
    at::Tensor here, reference;
    at::Tensor carried;  // zero in value, differentiated as x where valid
    SoftmaxInputs(const NodeCall& call, const at::Tensor& x)
    {
        if (call.node->inputs.size() < 2 || !call.arguments.at(1).isInt())
            throw core::InputError(fmt::format("deep_lift: node {} ({}): expected an axis", call.node->name, call.node->op));
        axis = call.arguments[1].toInt();
        valid = at::isfinite(call.x) & at::isfinite(x);
        const auto clean = at::where(valid, call.x, at::zeros_like(call.x));
        here = clean.detach();
        reference = at::where(valid, x, at::zeros_like(x));
        carried = clean - here;
    }
};

at::Tensor normalisedSoftmax(const RescaleRule& rule, const NodeCall& call, const at::Tensor& x, const at::Tensor& y)
{
    const SoftmaxInputs in(call, x);
    const auto step = in.here - in.reference, change = (call.y - y).detach();
    const auto count = in.valid.sum(in.axis, true).clamp_min(1);
    const auto centred = at::where(in.valid, in.carried - in.carried.sum(in.axis, true) / count, at::zeros_like(in.carried));
    const auto small = (step.abs() < rule.eps) & in.valid;
    auto carrier = at::where(in.valid, slope(change, step, at::zeros_like(step), rule.eps), at::zeros_like(step)) * centred;
    if (small.any().item<bool>()) {
        // Inputs that did not change pass the ordinary derivative: J v = y (v - sum(y v)) for the part of v that they carry.
        const auto part = at::where(small, centred, at::zeros_like(centred)), probability = call.y.detach();
        carrier = carrier + probability * (part - (probability * part).sum(in.axis, true));
    }
    return withDerivativeOf(call.y, carrier);
}

// log(softmax) = x - log(sum(exp(x))), with the rule at exp and log. Both sides are shifted by the same number, which changes nothing.
at::Tensor logSoftmaxCarrier(const RescaleRule& rule, const SoftmaxInputs& in)
{
    const auto masked = [&](const at::Tensor& t) { return at::where(in.valid, t, at::full_like(t, -std::numeric_limits<double>::infinity())); };
    const auto shift = at::maximum(masked(in.here).amax(in.axis, true), masked(in.reference).amax(in.axis, true));
    const auto safeShift = at::where(at::isfinite(shift), shift, at::zeros_like(shift));
    const auto here = masked(in.here - safeShift).exp(), reference = masked(in.reference - safeShift).exp();
    const auto exponential = slope(here - reference, in.here - in.reference, here, rule.eps);
    const auto sum = here.sum(in.axis, true), referenceSum = reference.sum(in.axis, true);
    const auto logarithm = slope(sum.log() - referenceSum.log(), sum - referenceSum, sum.reciprocal(), rule.eps);
    return in.carried - logarithm * (exponential * in.carried).sum(in.axis, true);
}

at::Tensor decomposedSoftmax(const RescaleRule& rule, const NodeCall& call, const at::Tensor& x, const at::Tensor& y)
{
    const SoftmaxInputs in(call, x);
    const auto value = call.y.detach();
    const auto step = value.log() - y.log(), change = value - y;
    const auto finite = in.valid & at::isfinite(step);
    const auto multiplier = at::where(finite, slope(change, at::where(finite, step, at::zeros_like(step)), value, rule.eps), at::zeros_like(value));
    return withDerivativeOf(call.y, multiplier * logSoftmaxCarrier(rule, in));
}

at::Tensor softmax(const RescaleRule& rule, const NodeCall& call, const at::Tensor& x, const at::Tensor& y)
{
    if (call.node->op.ends_with("log_softmax"))
        return withDerivativeOf(call.y, logSoftmaxCarrier(rule, SoftmaxInputs(call, x)));
    return rule.softmax == SoftmaxRule::Normalised ? normalisedSoftmax(rule, call, x, y) : decomposedSoftmax(rule, call, x, y);
}

// The change of a window's maximum belongs to one pixel: where the greater of the two maxima lies. That pixel changed at least as much, in the same
// direction, so its multiplier lies in 0..1 and the changes add up, overlapping windows included.
at::Tensor maxPool(const RescaleRule& rule, const NodeCall& call, const at::Tensor& x)
{
    const auto list = [&](std::size_t i) { return call.arguments.at(i).toIntVector(); };
    const bool ceil = call.arguments.at(5).toBool();
    const auto pooled = [&](const at::Tensor& input) { return at::max_pool2d_with_indices(input, list(1), list(2), list(3), list(4), ceil); };
    const auto [value, place] = pooled(call.x.detach());
    const auto [referenceValue, referencePlace] = pooled(x);
    const auto winner = at::where(value >= referenceValue, place, referencePlace).flatten(-2);
    const auto taken = call.x.flatten(-2).gather(-1, winner);
    const auto step = taken.detach() - x.flatten(-2).gather(-1, winner), change = (value - referenceValue).flatten(-2);
    const auto multiplier = slope(change, step, at::ones_like(step), rule.eps);
    return withDerivativeOf(call.y, (multiplier * taken).reshape(call.y.sizes()));
}

}  // namespace

const std::set<std::string_view>& rescaledOperators()
{
    static const auto all = [] {
        auto set = kElementwise;
        set.insert(kSoftmax.begin(), kSoftmax.end());
        set.insert(kMaxPool);
        return set;
    }();
    return all;
}

at::Tensor rescaled(const RescaleRule& rule, const NodeCall& call, const at::Tensor& x, const at::Tensor& y)
{
    if (kSoftmax.count(call.node->op))
        return softmax(rule, call, x, y);
    if (call.node->op == kMaxPool)
        return maxPool(rule, call, x);
    return elementwise(rule, call, x, y);
}

}  // namespace orrery::explain
