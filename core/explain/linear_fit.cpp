#include "linear_fit.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

namespace orrery::explain {
namespace {

constexpr std::int64_t kGroups = 20;
constexpr double kRankTolerance = 1e-12;  // of the largest singular value squared

// Minimises b'Gb/2 - c'b + alpha |b|_1; G is positive semidefinite.
at::Tensor lasso(const at::Tensor& gram, const at::Tensor& correlation, double alpha)
{
    const auto count = correlation.size(0);
    const auto g = gram.contiguous();
    const auto* rows = g.data_ptr<double>();
    const auto c = correlation.contiguous();
    std::vector<double> b(std::size_t(count), 0), slope(c.data_ptr<double>(), c.data_ptr<double>() + count);  // slope = c - G b
    for (int sweep = 0; sweep < 10000; ++sweep) {
        double moved = 0, largest = 0;
        for (std::int64_t j = 0; j < count; ++j) {
            const double curvature = rows[j * count + j];
            if (curvature <= 0)
                continue;
            auto& each = b[std::size_t(j)];
            const double target = slope[std::size_t(j)] + curvature * each;
            const double next = std::copysign(std::max(std::abs(target) - alpha, 0.0), target) / curvature, change = next - each;
            each = next;
            moved = std::max(moved, std::abs(change));
            largest = std::max(largest, std::abs(next));
            for (std::int64_t k = 0; change != 0 && k < count; ++k)
                slope[std::size_t(k)] -= change * rows[j * count + k];
        }
        if (moved <= 1e-10 * largest)
            break;
    }
    return at::tensor(b, at::kDouble);
}

at::Tensor solve(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weights, Penalty penalty, double alpha)
{
    const auto root = weights.sqrt();
    if (penalty == Penalty::None || (penalty == Penalty::Ridge && alpha == 0))
        return shortestLeastSquares(x * root.unsqueeze(1), (y * root).unsqueeze(1)).squeeze(1);
    const auto weighted = x * weights.unsqueeze(1);
    const auto gram = x.t().matmul(weighted), correlation = weighted.t().matmul(y);
    if (penalty == Penalty::Lasso) {
        const auto total = weights.sum();
        return lasso(gram / total, correlation / total, alpha);
    }
    const auto factor = at::linalg_cholesky(gram + alpha * at::eye(gram.size(0), gram.options()));
    return at::cholesky_solve(correlation.unsqueeze(1), factor).squeeze(1);
}

}  // namespace

LinearFit fitLinear(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weights, Penalty penalty, double alpha)
{
    const auto share = weights / weights.sum();
    const auto centre = share.unsqueeze(0).matmul(x).squeeze(0), level = share.dot(y);
    LinearFit fit;
    fit.coefficients = solve(x - centre, y - level, weights, penalty, alpha);
    fit.intercept = (level - centre.dot(fit.coefficients)).item<double>();
    const double rest = share.dot((y - fit.intercept - x.mv(fit.coefficients)).square()).item<double>(),
                 all = share.dot((y - level).square()).item<double>();
    fit.score = all > 0 ? 1 - rest / all : rest > 0 ? 0 : 1;
    return fit;
}

at::Tensor shortestLeastSquares(const at::Tensor& a, const at::Tensor& b)
{
    // The smaller of the two Gram matrices: A'(AA')+ b or (A'A)+ A'b.
    const bool wide = a.size(0) < a.size(1);
    const auto gram = wide ? a.matmul(a.t()) : a.t().matmul(a);
    const auto inverse = at::linalg_pinv(gram, kRankTolerance, /*hermitian=*/true);
    return wide ? a.t().matmul(inverse.matmul(b)) : inverse.matmul(a.t().matmul(b));
}

at::Tensor jackknifeError(std::int64_t rows, const std::function<at::Tensor(const at::Tensor& used)>& estimate)
{
    const auto groups = std::min(rows, kGroups);
    if (groups < 2)
        return {};
    const auto group = at::arange(rows, at::kLong).remainder(groups);
    std::vector<at::Tensor> estimates;
    for (std::int64_t left = 0; left < groups; ++left)
        estimates.push_back(estimate(group.ne(left).nonzero().squeeze(1)));
    const auto all = at::stack(estimates);
    return ((all - all.mean(0)).square().sum(0) * (double(groups - 1) / double(groups))).sqrt();
}

}  // namespace orrery::explain
