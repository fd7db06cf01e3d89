#include "quadrature.h"

#include <core/base/error.h>

namespace orrery::explain {
namespace {

/// A zero of the Legendre polynomial seen from theta = acos x, and the slope there.
struct Legendre {
    long double value, slope;  ///< P_n(cos theta) and its derivative by theta
};

// By the recurrence of three terms: O(n), good everywhere. It runs over the differences d = P_k - P_{k-1}, because 1 - cos theta keeps its digits near the
// end, where cos theta loses them.
Legendre byRecurrence(int n, long double theta)
{
    const long double half = std::sin(theta / 2), t = 2 * half * half;
    long double p = 1, d = 0;
    for (int k = 1; k <= n; ++k) {
        d = ((k - 1) * d - (2 * k - 1) * t * p) / k;
        p += d;
    }
    return {p, n * (d - t * p) / std::sin(theta)};
}

// By Stieltjes' expansion: O(1), good away from the ends. Its terms fall like m! / (2 n sin theta)^m, so from the 30th zero on a few of them are enough
// for every bit of a long double.
class Expansion {
public:
    explicit Expansion(int n) : m_n(n)
    {
        m_scale = 4 / M_PIl;
        for (int j = 1; j <= n; ++j)
            m_scale *= j / (j + 0.5L);
    }
    Legendre operator()(long double theta) const
    {
        const long double sine = std::sin(theta), slant = std::cos(theta) / sine;
        Legendre sum{0, 0};
        long double term = m_scale / std::sqrt(2 * sine);
        for (int m = 0; m < 40; ++m) {
            const long double turns = m_n + m + 0.5L, angle = turns * theta - (m + 0.5L) * M_PI_2l;
            sum.value += term * std::cos(angle);
            sum.slope -= term * (turns * std::sin(angle) + (m + 0.5L) * slant * std::cos(angle));
            term *= (m + 0.5L) * (m + 0.5L) / ((m + 1) * (m_n + m + 1.5L) * 2 * sine);
            if (term < m_scale * 1e-22L)
                break;
        }
        return sum;
    }

private:
    int m_n;
    long double m_scale;
};

Quadrature gaussLegendre(int n)
{
    constexpr int kFewest = 200, kEdge = 30;  // below that many points, and that near an end, the expansion is not good enough
    Quadrature rule{std::vector<double>(std::size_t(n)), std::vector<double>(std::size_t(n))};
    const Expansion expansion(n);
    for (int i = 0; i < (n + 1) / 2; ++i) {
        const bool isInside = n > kFewest && i >= kEdge;
        long double theta = M_PIl * (i + 0.75L) / (n + 0.5L);
        Legendre at{0, 1};
        for (int iteration = 0; iteration < 10; ++iteration) {
            at = isInside ? expansion(theta) : byRecurrence(n, theta);
            const long double step = at.value / at.slope, slant = 1 / std::tan(theta);
            theta -= step;
            // At a zero the slope changes by its own size times the cotangent (Legendre's equation): with that what is left is of the step's square.
            at.slope *= 1 + step * slant;
            if (std::fabs(step) < 1e-12L * theta / n)
                break;
        }
        const long double half = std::sin(theta / 2), node = half * half;
        rule.nodes[std::size_t(i)] = double(node);
        rule.nodes[std::size_t(n - 1 - i)] = double(1 - node);
        rule.weights[std::size_t(i)] = rule.weights[std::size_t(n - 1 - i)] = double(1 / (at.slope * at.slope));  // 2 / (...) halved for [0, 1]
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
