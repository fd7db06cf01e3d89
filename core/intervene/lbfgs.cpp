#include "lbfgs.h"

#include <ATen/ATen.h>

#include <cmath>
#include <deque>
#include <optional>

#include <core/base/error.h>

namespace orrery::intervene {
namespace {

using Function = std::function<std::pair<double, at::Tensor>(const at::Tensor& x)>;

double product(const at::Tensor& a, const at::Tensor& b)
{
    return at::dot(a, b).item<double>();
}

/// A point on the line x + t * d.
struct Trial {
    double step = 0, value = 0, slope = 0;
    at::Tensor gradient;
};

/// Strong Wolfe line search along one direction.
class LineSearch {
public:
    LineSearch(const Function& function, const at::Tensor& x, const at::Tensor& direction, Trial start)
        : m_function(function), m_x(x), m_direction(direction), m_start(std::move(start))
    {
    }

    /// Nothing if the function does not fall along the direction as far as double can tell.
    std::optional<Trial> search(double step) const
    {
        Trial before = m_start;
        for (int i = 0; i < 30; ++i) {
            const Trial trial = at(step);
            if (!std::isfinite(trial.value) || trial.value > allowed(step) || (i > 0 && trial.value > before.value + rounding()))
                return zoom(before, trial);
            if (std::abs(trial.slope) <= -kCurvature * m_start.slope)
                return trial;
            if (trial.slope >= 0)
                return zoom(trial, before);
            before = trial;
            step *= 2;
        }
        return before;
    }

private:
    static constexpr double kDecrease = 1e-4, kCurvature = 0.9;

    // Near the minimum the function falls by less than a double shows, while the slope still tells the way: differences of rounding count as none
    // (the approximate Wolfe conditions of Hager & Zhang 2005, doi:10.1137/030601880).
    double rounding() const { return 4e-16 * std::abs(m_start.value); }
    double allowed(double step) const { return m_start.value + kDecrease * step * m_start.slope + rounding(); }
    Trial at(double step) const
    {
        auto [value, gradient] = m_function(m_x + m_direction * step);
        const double slope = product(gradient, m_direction);
        return {step, value, slope, std::move(gradient)};
    }
    // Minimum of the cubic through both ends' values and slopes, kept off the ends.
    static double between(const Trial& a, const Trial& b)
    {
        const double d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step);
        const double square = d1 * d1 - a.slope * b.slope;
        const double low = std::min(a.step, b.step), high = std::max(a.step, b.step), margin = 0.1 * (high - low);
        double step = (low + high) / 2;
        if (std::isfinite(square) && square >= 0) {
            const double d2 = std::copysign(std::sqrt(square), b.step - a.step);
            const double cubic = b.step - (b.step - a.step) * (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2);
            if (std::isfinite(cubic))
                step = cubic;
        }
        return std::clamp(step, low + margin, high - margin);
    }
    std::optional<Trial> zoom(Trial low, Trial high) const
    {
        for (int i = 0; i < 40 && std::abs(high.step - low.step) > 1e-16; ++i) {
            const Trial trial = at(between(low, high));
            if (!std::isfinite(trial.value) || trial.value > allowed(trial.step) || trial.value > low.value + rounding()) {
                high = trial;
                continue;
            }
            if (std::abs(trial.slope) <= -kCurvature * m_start.slope)
                return trial;
            if (trial.slope * (high.step - low.step) >= 0)
                high = low;
            low = trial;
        }
        return low.step > 0 ? std::optional(low) : std::nullopt;
    }

    const Function& m_function;
    const at::Tensor &m_x, &m_direction;
    Trial m_start;
};

/// The last steps, and the direction they give (algorithm 7.4).
class History {
public:
    explicit History(int memory) : m_memory(std::size_t(memory)) {}
    bool empty() const { return m_pairs.empty(); }
    void clear() { m_pairs.clear(); }
    void add(at::Tensor s, at::Tensor y)
    {
        const double sy = product(s, y);
        if (!(sy > 1e-300))
            return;
        m_pairs.push_back({std::move(s), std::move(y), 1 / sy});
        if (m_pairs.size() > m_memory)
            m_pairs.pop_front();
    }
    at::Tensor direction(const at::Tensor& gradient) const
    {
        at::Tensor q = gradient.clone();
        std::vector<double> alpha(m_pairs.size());
        for (std::size_t i = m_pairs.size(); i-- > 0;) {
            alpha[i] = m_pairs[i].rho * product(m_pairs[i].s, q);
            q -= m_pairs[i].y * alpha[i];
        }
        if (!m_pairs.empty())
            q *= 1 / (m_pairs.back().rho * product(m_pairs.back().y, m_pairs.back().y));
        for (std::size_t i = 0; i < m_pairs.size(); ++i)
            q += m_pairs[i].s * (alpha[i] - m_pairs[i].rho * product(m_pairs[i].y, q));
        return -q;
    }

private:
    struct Pair {
        at::Tensor s, y;
        double rho;
    };
    std::size_t m_memory;
    std::deque<Pair> m_pairs;
};

}  // namespace

LbfgsResult minimise(const Function& function, const at::Tensor& start, const LbfgsOptions& options, const explain::Control& control)
{
    LbfgsResult result;
    result.x = start.to(at::kDouble).clone();
    auto [value, gradient] = function(result.x);
    if (!std::isfinite(value))
        throw core::InputError("the function to minimise is not finite at its start");
    History history(options.memory);
    const auto largest = [](const at::Tensor& g) { return g.numel() ? g.abs().max().item<double>() : 0.0; };
    while (largest(gradient) > options.tolerance && result.iterations < options.maxIterations) {
        control.report(result.iterations, options.maxIterations, "iterations");
        const at::Tensor direction = history.direction(gradient);
        const double slope = product(gradient, direction);
        const double first = history.empty() ? std::min(1.0, 1 / std::max(product(gradient.abs(), at::ones_like(gradient)), 1e-300)) : 1.0;
        const auto trial = LineSearch(function, result.x, direction, {0, value, slope, gradient}).search(first);
        if (!trial) {
            // The rounding of double ends the descent; once more along the gradient itself before giving up.
            if (history.empty())
                break;
            history.clear();
            continue;
        }
        const at::Tensor step = direction * trial->step;
        history.add(step, trial->gradient - gradient);
        result.x = result.x + step;
        value = trial->value;
        gradient = trial->gradient;
        ++result.iterations;
    }
    result.value = value;
    result.gradient = largest(gradient);
    result.converged = result.gradient <= options.tolerance;
    return result;
}

}  // namespace orrery::intervene
