#include "quadrature.h"

#include <core/base/error.h>

namespace orrery::explain {
namespace {

Quadrature gaussLegendre(int n)
{
    Quadrature rule{std::vector<double>(std::size_t(n)), std::vector<double>(std::size_t(n))};
    for (int i = 0; i < (n + 1) / 2; ++i) {
        long double x = std::cos(M_PIl * (i + 0.75L) / (n + 0.5L)), derivative = 1;
        for (int iteration = 0; iteration < 100; ++iteration) {
            long double p = 1, previous = 0;
            for (int k = 1; k <= n; ++k) {
                const long double before = previous;
                previous = p;
                p = ((2 * k - 1) * x * previous - (k - 1) * before) / k;
            }
            derivative = n * (x * p - previous) / (x * x - 1);
            const long double step = p / derivative;
            x -= step;
            if (std::fabs(step) < 1e-18L)
                break;
        }
        const double weight = double(1 / ((1 - x * x) * derivative * derivative));  // 2 / (...) halved for [0, 1]
        rule.nodes[std::size_t(i)] = double((1 - x) / 2);
        rule.nodes[std::size_t(n - 1 - i)] = double((1 + x) / 2);
        rule.weights[std::size_t(i)] = rule.weights[std::size_t(n - 1 - i)] = weight;
    }
    return rule;
}

}  // namespace

Quadrature quadrature(const std::string& rule, int n)
{
    if (n < 1 || (rule == "riemann_trapezoid" && n < 2))
        throw core::InputError(fmt::format("{}: expected at least {} steps, got {}", rule, rule == "riemann_trapezoid" ? 2 : 1, n));
    if (rule == "gausslegendre")
        return gaussLegendre(n);
    const double first = rule == "riemann_right" ? 1.0 / n : rule == "riemann_middle" ? 0.5 / n : 0.0;
    const double spacing = rule == "riemann_trapezoid" ? 1.0 / (n - 1) : 1.0 / n;
    if (rule != "riemann_left" && rule != "riemann_right" && rule != "riemann_middle" && rule != "riemann_trapezoid")
        throw core::InputError(
            fmt::format("unknown rule \"{}\"; expected gausslegendre, riemann_left, riemann_right, riemann_middle or riemann_trapezoid", rule));
    Quadrature result{std::vector<double>(std::size_t(n)), std::vector<double>(std::size_t(n), 1.0 / n)};
    for (int i = 0; i < n; ++i)
        result.nodes[std::size_t(i)] = first + i * spacing;
    if (rule == "riemann_trapezoid")
        result.weights.front() = result.weights.back() = 0.5 / n;
    return result;
}

}  // namespace orrery::explain
