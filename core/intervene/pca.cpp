#include "pca.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

namespace orrery::intervene {
namespace {

constexpr std::int64_t kSmall = 512;

/// Squared singular values, falling, and the directions [component, feature].
std::pair<at::Tensor, at::Tensor> bySingularValues(const at::Tensor& x, std::int64_t count)
{
    const auto [u, s, vh] = at::linalg_svd(x, false);
    return {s.slice(0, 0, count).square(), vh.slice(0, 0, count)};
}

// x' x or x x', in blocks of rows so that a stop is heard.
at::Tensor productOf(const at::Tensor& x, const Control& control)
{
    at::Tensor sum = at::zeros({x.size(1), x.size(1)}, x.options());
    for (std::int64_t begin = 0; begin < x.size(0); begin += 256) {
        control.report(double(begin), double(x.size(0)), "rows");
        const at::Tensor block = x.slice(0, begin, std::min(begin + 256, x.size(0)));
        sum.addmm_(block.t(), block);
    }
    return sum;
}

std::pair<at::Tensor, at::Tensor> byProduct(const at::Tensor& x, std::int64_t count, const Control& control)
{
    const bool wide = x.size(1) > x.size(0);
    const auto [values, vectors] = at::linalg_eigh(productOf(wide ? x.t().contiguous() : x, control), "L");
    const at::Tensor squares = values.flip(0).slice(0, 0, count).clamp_min(0), top = vectors.flip(1).slice(1, 0, count);
    if (!wide)
        return {squares, top.t().contiguous()};
    const at::Tensor directions = at::matmul(top.t(), x);
    return {squares, directions / directions.norm(2, {1}, true).clamp_min(1e-300)};
}

// Each direction is known up to its sign alone.
at::Tensor withFixedSigns(const at::Tensor& directions)
{
    const at::Tensor largest = directions.gather(1, directions.abs().argmax(1, true));
    return directions * at::where(largest < 0, -at::ones_like(largest), at::ones_like(largest));
}

}  // namespace

at::Tensor Pca::transform(const at::Tensor& features) const
{
    return at::matmul(features.detach().to(at::kCPU, at::kDouble) - mean, components.t());
}

at::Tensor Pca::inverse(const at::Tensor& points) const
{
    return at::matmul(points, components) + mean;
}

Pca fitPca(const at::Tensor& features, std::int64_t components, const Control& control)
{
    control.report(0, double(features.size(0)), "rows");
    const at::Tensor all = features.detach().to(at::kCPU, at::kDouble);
    const auto most = std::min(all.size(0) - 1, all.size(1));
    if (components > most)
        throw core::InputError(
            fmt::format("pca.n_components: expected at most {} ({} rows, {} features), got {}", most, all.size(0), all.size(1), components));
    Pca pca;
    pca.mean = all.mean(0);
    const at::Tensor x = all - pca.mean;
    const bool small = std::min(x.size(0), x.size(1)) <= kSmall;
    const auto [squares, directions] = small ? bySingularValues(x, components) : byProduct(x, components, control);
    const double freedom = double(x.size(0) - 1), total = x.square().sum().item<double>();
    pca.components = withFixedSigns(directions);
    pca.explainedVariance = squares / freedom;
    pca.explainedVarianceRatio = total > 0 ? squares / total : at::zeros_like(squares);
    control.report(double(x.size(0)), double(x.size(0)), "rows");
    return pca;
}

}  // namespace orrery::intervene
