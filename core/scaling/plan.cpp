#include "plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/text.h>

namespace orrery::scaling {
namespace {

constexpr int kScanned = 400, kCrossingPlaces = 2000;

void requirePositive(double value, const char* name)
{
    if (!(value > 0) || !std::isfinite(value))
        throw core::InputError(fmt::format("{}: expected a finite number > 0, got {}", name, core::formatNumber(value)));
}

bool isChinchilla(const Law& law)
{
    return law.parameters().size() == 5 && law.parameters()[3].name == "alpha" && law.formula() == "E + A / N^alpha + B / D^beta";
}

Plan closedPlan(const Law& law, std::span<const double> p, double budget, double k)
{
    const double A = p[1], B = p[2], alpha = p[3], beta = p[4];
    if (!(alpha > 0) || !(beta > 0))
        throw core::InputError(
            fmt::format("plan: expected alpha and beta > 0 for a best split, got {} and {}", core::formatNumber(alpha), core::formatNumber(beta)));
    const double product = std::log(budget / k), balance = std::log(alpha * A / (beta * B)) / (alpha + beta);
    Plan plan{budget, std::exp(balance + beta / (alpha + beta) * product), std::exp(-balance + alpha / (alpha + beta) * product), 0, true};
    plan.loss = law.at(p, std::vector<double>{plan.N, plan.D});
    return plan;
}

/// The place of the minimum of a function with one valley in low..high.
template <class Function>
double goldenSection(const Function& function, double low, double high)
{
    const double ratio = (std::sqrt(5.0) - 1) / 2;
    double left = high - ratio * (high - low), right = low + ratio * (high - low), atLeft = function(left), atRight = function(right);
    for (int i = 0; i < 100; ++i) {
        if (atLeft < atRight) {
            high = right, right = left, atRight = atLeft;
            left = high - ratio * (high - low), atLeft = function(left);
        } else {
            low = left, left = right, atLeft = atRight;
            right = low + ratio * (high - low), atRight = function(right);
        }
    }
    return (low + high) / 2;
}

Plan searchedPlan(const Law& law, std::span<const double> p, double budget, double k)
{
    const bool sizeFirst = law.inputs()[0] == "N";
    const double product = std::log(budget / k);
    const auto loss = [&](double logN) {
        const double N = std::exp(logN), D = std::exp(product - logN);
        const double value = law.at(p, sizeFirst ? std::vector<double>{N, D} : std::vector<double>{D, N});
        return std::isnan(value) ? INFINITY : value;
    };
    int best = 0;
    double lowest = INFINITY;
    for (int i = 0; i <= kScanned; ++i)
        if (const double value = loss(product * i / kScanned); value < lowest) {
            lowest = value;
            best = i;
        }
    if (best == 0 || best == kScanned)
        throw core::InputError(fmt::format("plan: the loss of {} has no minimum between N = 1 and N = {}: the best size lies on the edge",
                                           law.formula(), core::formatNumber(budget / k)));
    const double logN = goldenSection(loss, product * (best - 1) / kScanned, product * (best + 1) / kScanned);
    return {budget, std::exp(logN), std::exp(product - logN), loss(logN), false};
}

void requireOneInput(const Law& law)
{
    if (law.inputs().size() != 1)
        throw core::InputError(fmt::format("crossing: expected laws of one input, {} takes {}", law.formula(), core::join(law.inputs(), ", ")));
}

}  // namespace

Plan planCompute(const Law& law, std::span<const double> parameters, double budget, double k)
{
    requirePositive(budget, "budget");
    requirePositive(k, "FLOPs per parameter and token");
    auto inputs = law.inputs();
    std::sort(inputs.begin(), inputs.end());
    if (inputs != std::vector<std::string>{"D", "N"})
        throw core::InputError(fmt::format("plan: expected a law of N and D, {} takes {}", law.formula(), core::join(law.inputs(), ", ")));
    if (!(budget / k > 1))
        throw core::InputError(fmt::format("budget: expected more than {} FLOPs, got {}", core::formatNumber(k), core::formatNumber(budget)));
    return isChinchilla(law) ? closedPlan(law, parameters, budget, k) : searchedPlan(law, parameters, budget, k);
}

std::vector<Crossing> crossings(const Law& first, std::span<const double> firstParameters, const Law& second,
                                std::span<const double> secondParameters, double low, double high)
{
    requireOneInput(first);
    requireOneInput(second);
    requirePositive(low, "from");
    requirePositive(high, "to");
    if (!(low < high))
        throw core::InputError(fmt::format("crossing: expected from < to, got {} and {}", core::formatNumber(low), core::formatNumber(high)));
    const auto value = [](const Law& law, std::span<const double> p, double logX) { return law.at(p, std::vector<double>{std::exp(logX)}); };
    const auto difference = [&](double logX) { return value(first, firstParameters, logX) - value(second, secondParameters, logX); };
    const double start = std::log(low), step = (std::log(high) - start) / kCrossingPlaces;
    std::vector<Crossing> found;
    double before = difference(start);
    for (int i = 1; i <= kCrossingPlaces; ++i) {
        double left = start + step * (i - 1), right = start + step * i;
        const double after = difference(right);
        if ((before < 0 && after >= 0) || (before > 0 && after <= 0)) {
            for (int k = 0; k < 60; ++k)
                ((difference((left + right) / 2) < 0) == (before < 0) ? left : right) = (left + right) / 2;
            found.push_back({std::exp((left + right) / 2), value(first, firstParameters, (left + right) / 2)});
        }
        before = after;
    }
    return found;
}

}  // namespace orrery::scaling
