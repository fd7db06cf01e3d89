// Resizing in all modes of ONNX: one axis after another, each a weighted sum of few neighbours.
#include <cmath>

#include "onnx_operators.h"

namespace orrery::kernels {
namespace {

struct ResizeForm {
    std::string mode, coordinates, nearest;
    double a = -0.75;
    bool excludesOutside = false, antialias = false;
};

/// One axis: how many elements before and after, the factor between them, and the part that is cut out (tf_crop_and_resize).
struct AxisPlan {
    std::int64_t in = 0, out = 0;
    double scale = 1, start = 0, end = 1;
};

// Where output element `x` lies among the input's. Source: ONNX operator specification, "Resize", coordinate_transformation_mode. In float, as runtimes compute it, places that
// lie exactly between two elements or on one are the same as theirs; in double, weights are exact.
template <class Real>
Real coordinate(Real x, const AxisPlan& p, const std::string& mode)
{
    const Real scale = Real(p.scale), in = Real(p.in), out = Real(p.out), half = Real(0.5);
    if (mode == "align_corners")
        return p.out == 1 ? 0 : x * (in - 1) / (out - 1);
    if (mode == "asymmetric")
        return x / scale;
    if (mode == "tf_half_pixel_for_nn")
        return (x + half) / scale;
    if (mode == "tf_crop_and_resize")
        return p.out > 1 ? Real(p.start) * (in - 1) + x * Real(p.end - p.start) * (in - 1) / (out - 1) : half * Real(p.start + p.end) * (in - 1);
    if (mode == "pytorch_half_pixel" && p.out == 1)
        return 0;
    if (mode == "half_pixel_symmetric") {
        const Real adjustment = out / (scale * in);
        return in / 2 * (1 - adjustment) + (x + half) / scale - half;
    }
    TORCH_CHECK(mode == "half_pixel" || mode == "pytorch_half_pixel", "expected a known coordinate mode, got ", mode);
    return (x + half) / scale - half;
}

double nearestOf(double x, const std::string& mode)
{
    if (mode == "round_prefer_floor")
        return std::ceil(x - 0.5);
    if (mode == "round_prefer_ceil")
        return std::floor(x + 0.5);
    return mode == "floor" ? std::floor(x) : std::ceil(x);
}

// Keys' cubic convolution; Keys (1981), "Cubic convolution interpolation for digital image processing", equation 4 with a free parameter.
double cubicWeight(double distance, double a)
{
    const double d = std::abs(distance);
    if (d < 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

double linearWeight(double distance)
{
    return std::max(0.0, 1 - std::abs(distance));
}

/// Fills one row of weights over the input's elements. Elements outside count as the ones at the edge, or not at all.
void fillRow(float* row, double at, const AxisPlan& plan, const ResizeForm& form)
{
    const double narrow = form.antialias ? std::min(plan.scale, 1.0) : 1.0;
    const double reach = (form.mode == "cubic" ? 2.0 : 1.0) / narrow;
    const auto first = std::int64_t(std::floor(at - reach)), last = std::int64_t(std::ceil(at + reach));
    double sum = 0;
    for (auto i = first; i <= last; ++i) {
        double weight = form.mode == "cubic" ? cubicWeight((double(i) - at) * narrow, form.a) : linearWeight((double(i) - at) * narrow);
        if (form.excludesOutside && (i < 0 || i >= plan.in))
            weight = 0;
        sum += weight;
        row[std::clamp<std::int64_t>(i, 0, plan.in - 1)] += float(weight);
    }
    if (sum != 0 && (form.excludesOutside || form.antialias))
        for (std::int64_t i = 0; i < plan.in; ++i)
            row[i] = float(double(row[i]) / sum);
}

at::Tensor resizeAxis(const at::Tensor& x, std::int64_t axis, const AxisPlan& plan, const ResizeForm& form)
{
    if (form.mode == "nearest") {
        auto places = at::empty({plan.out}, at::kLong);
        for (std::int64_t i = 0; i < plan.out; ++i)
            places.data_ptr<std::int64_t>()[i] =
                std::clamp<std::int64_t>(std::int64_t(nearestOf(coordinate(float(i), plan, form.coordinates), form.nearest)), 0, plan.in - 1);
        return x.index_select(axis, places.to(x.device()));
    }
    auto weights = at::zeros({plan.out, plan.in}, at::kFloat);
    for (std::int64_t i = 0; i < plan.out; ++i)
        fillRow(weights.data_ptr<float>() + i * plan.in, coordinate(double(i), plan, form.coordinates), plan, form);
    const auto type = x.is_floating_point() ? x.scalar_type() : at::kFloat;
    return at::matmul(x.to(type).transpose(axis, -1), weights.to(x.device(), type).t()).transpose(axis, -1);
}

// What lies outside of the input's range along an axis gets one value.
at::Tensor outsideAs(const at::Tensor& y, std::int64_t axis, const AxisPlan& plan, double value)
{
    auto outside = at::zeros({plan.out}, at::kBool);
    for (std::int64_t i = 0; i < plan.out; ++i) {
        const double at = coordinate(double(i), plan, "tf_crop_and_resize");
        outside.data_ptr<bool>()[i] = at < 0 || at > double(plan.in - 1);
    }
    return y.masked_fill(alongAxis(outside.to(y.device()), axis, y.dim()), value);
}

using RealList = c10::optional<std::vector<double>>;

std::vector<AxisPlan> plansFor(const at::Tensor& x, const RealList& roi, const RealList& scales, const c10::optional<IntList>& sizes,
                               const std::string& policy, const IntList& axes)
{
    const auto count = axes.size();
    TORCH_CHECK((sizes && sizes->size() == count) || (!sizes && scales && scales->size() == count), "expected ", count, " scales or sizes");
    std::vector<AxisPlan> plans(count);
    double common = 0;
    for (std::size_t i = 0; i < count; ++i) {
        auto& plan = plans[i];
        plan.in = x.size(axes[i]);
        TORCH_CHECK(plan.in > 0, "expected an input with elements");
        plan.scale = sizes ? double((*sizes)[i]) / double(plan.in) : (*scales)[i];
        TORCH_CHECK(plan.scale > 0 && std::isfinite(plan.scale), "expected scales above 0, got ", plan.scale);
        // The product of floats: 10 times 0.7 is 7, though 0.7 as a float lies below.
        plan.out = sizes ? (*sizes)[i] : std::int64_t(std::floor(float(plan.in) * float(plan.scale)));
        if (roi && roi->size() == 2 * count) {
            plan.start = (*roi)[i];
            plan.end = (*roi)[i + count];
        }
        common = i == 0 ? plan.scale : policy == "not_larger" ? std::min(common, plan.scale) : std::max(common, plan.scale);
    }
    if (sizes && policy != "stretch")
        for (auto& plan : plans) {
            plan.scale = common;
            plan.out = std::int64_t(std::floor(common * double(plan.in) + 0.5));
        }
    return plans;
}

at::Tensor resized(const at::Tensor& x, const RealList& roi, const RealList& scales, const c10::optional<IntList>& sizes, const std::string& mode,
                   const std::string& coordinates, const std::string& nearest, double a, bool excludesOutside, double extrapolation, bool antialias,
                   const std::string& policy, const c10::optional<IntList>& axes)
{
    IntList along;
    for (std::int64_t i = 0; i < (axes ? std::int64_t(axes->size()) : x.dim()); ++i)
        along.push_back(axes ? frontAxis((*axes)[std::size_t(i)], x.dim()) : i);
    const auto plans = plansFor(x, roi, scales, sizes, policy, along);
    const ResizeForm form{mode, coordinates, nearest, a, excludesOutside, antialias};
    auto y = x;
    const bool crops = coordinates == "tf_crop_and_resize";
    for (std::size_t i = 0; i < plans.size(); ++i)
        if (plans[i].in != plans[i].out || plans[i].scale != 1 || crops)
            y = resizeAxis(y, along[i], plans[i], form);
    for (std::size_t i = 0; crops && i < plans.size(); ++i)
        y = outsideAs(y, along[i], plans[i], extrapolation);
    return y.to(x.scalar_type());
}

}  // namespace

void registerOnnxResize(torch::Library& library)
{
    library.def(
        "onnx_resize(Tensor x, float[]? roi, float[]? scales, int[]? sizes, str mode, str coordinates, str nearest, float a, bool exclude_outside,"
        " float extrapolation, bool antialias, str policy, int[]? axes) -> Tensor",
        resized);
}

}  // namespace orrery::kernels
