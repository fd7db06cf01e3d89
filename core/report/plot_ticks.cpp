#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "plot.h"

namespace orrery::report {

namespace {

/// 1, 2 or 5 times a power of ten, at least about range / wanted.
double niceStep(double range, int wanted)
{
    const double rough = range / std::max(1, wanted);
    const double power = std::pow(10, std::floor(std::log10(rough)));
    const double fraction = rough / power;
    // The small slack keeps a range of exactly five steps at five steps.
    for (const double nice : {1.0, 2.0, 5.0})
        if (fraction <= nice * (1 + 1e-9))
            return nice * power;
    return 10 * power;
}

std::string tickLabel(double value, double step, double largest)
{
    if (value == 0)
        return "0";
    if (largest >= 1e5 || largest < 1e-3) {
        // Mantissa digits that tell neighbours apart.
        const int digits = std::max(0, int(std::floor(std::log10(std::abs(value)) + 1e-9)) - int(std::floor(std::log10(step) + 1e-9)));
        return fmt::format("{:.{}e}", value, digits);
    }
    const int decimals = std::max(0, -int(std::floor(std::log10(step) + 1e-9)));
    return fmt::format("{:.{}f}", value, decimals);
}

std::string powerLabel(double value)
{
    if (value >= 1e5 || value < 0.999e-3)
        return fmt::format("{:.0e}", value);
    return fmt::format("{:g}", value);
}

std::vector<Tick> decadeTicks(double low, double high, std::initializer_list<double> factors, int every)
{
    // Values at the ends count although their logarithms are rounded.
    const double slack = 1e-9;
    std::vector<Tick> ticks;
    for (int power = int(std::floor(std::log10(low))); power <= int(std::ceil(std::log10(high))); ++power) {
        if (power % every != 0)
            continue;
        for (const double factor : factors) {
            const double value = factor * std::pow(10, power);
            if (value >= low * (1 - slack) && value <= high * (1 + slack))
                ticks.push_back({value, powerLabel(value)});
        }
    }
    return ticks;
}

}  // namespace

std::vector<Tick> linearTicks(double low, double high, int wanted)
{
    if (!std::isfinite(low) || !std::isfinite(high))
        return {};
    if (low > high)
        std::swap(low, high);
    if (low == high)
        return {{low, shortNumber(low)}};
    const double step = niceStep(high - low, wanted);
    const double largest = std::max(std::abs(low), std::abs(high));
    std::vector<Tick> ticks;
    for (double i = std::ceil(low / step - 1e-9); i <= std::floor(high / step + 1e-9); ++i) {
        // Products of whole numbers: sums of 0.1 would drift.
        const double value = i == 0 ? 0.0 : i * step;
        ticks.push_back({value, tickLabel(value, step, largest)});
        if (ticks.size() > 1000)
            break;
    }
    return ticks;
}

std::vector<Tick> logTicks(double low, double high, int wanted)
{
    if (low > high)
        std::swap(low, high);
    if (!(low > 0) || !std::isfinite(high))
        return {};
    std::vector<Tick> ticks = decadeTicks(low, high, {1.0}, 1);
    if (ticks.size() < 3)
        ticks = decadeTicks(low, high, {1.0, 2.0, 5.0}, 1);
    if (ticks.size() < 2)
        return linearTicks(low, high, wanted);
    if (const auto most = static_cast<std::size_t>(std::max(2, wanted)); ticks.size() > most && std::log10(high / low) > wanted)
        ticks = decadeTicks(low, high, {1.0}, int((ticks.size() + most - 1) / most));
    return ticks;
}

AxisScale::AxisScale(double low, double high, double fromPoint, double toPoint, bool log)
    : m_low(low), m_high(high), m_from(fromPoint), m_to(toPoint), m_log(log)
{
}

double AxisScale::toPoint(double value) const
{
    if (!std::isfinite(value) || (m_log && value <= 0))
        return std::numeric_limits<double>::quiet_NaN();
    const double share = m_log ? std::log(value / m_low) / std::log(m_high / m_low) : (value - m_low) / (m_high - m_low);
    return m_from + share * (m_to - m_from);
}

std::vector<Tick> AxisScale::ticks() const
{
    return m_log ? logTicks(m_low, m_high) : linearTicks(m_low, m_high);
}

std::string shortNumber(double value)
{
    if (std::isnan(value))
        return "nan";
    return fmt::format("{:.5g}", value == 0 ? 0.0 : value);
}

}  // namespace orrery::report
