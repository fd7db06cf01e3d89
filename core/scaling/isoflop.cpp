#include "isoflop.h"

#include <fmt/format.h>

#include <Eigen/QR>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include <core/base/rng.h>
#include <core/base/text.h>

namespace orrery::scaling {
namespace {

struct Columns {
    std::vector<double> N, budget;
};

Columns columnsOf(const Points& points, double k)
{
    Columns columns;
    for (std::size_t i = 0; i < points.inputNames.size(); ++i) {
        if (points.inputNames[i] == "N")
            columns.N = points.inputs[i];
        if (points.inputNames[i] == "C")
            columns.budget = points.inputs[i];
    }
    for (std::size_t i = 0; i < points.inputNames.size() && columns.budget.empty() && !columns.N.empty(); ++i)
        for (std::size_t row = 0; points.inputNames[i] == "D" && row < points.rows(); ++row)
            columns.budget.push_back(k * columns.N[row] * points.inputs[i][row]);
    if (columns.N.empty() || columns.budget.empty())
        throw core::InputError(fmt::format("isoflop: expected columns N and C, or N and D, got {}", core::join(points.inputNames, ", ")));
    return columns;
}

// Rising budgets; a new profile begins where one is more than the tolerance above the first of the last.
std::vector<std::vector<std::size_t>> groupsOf(const std::vector<double>& budgets, double tolerance)
{
    std::vector<std::size_t> order(budgets.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return budgets[a] < budgets[b]; });
    std::vector<std::vector<std::size_t>> groups;
    for (const auto row : order) {
        if (groups.empty() || budgets[row] > budgets[groups.back().front()] * (1 + tolerance))
            groups.emplace_back();
        groups.back().push_back(row);
    }
    return groups;
}

double meanLog(const std::vector<double>& values, const std::vector<std::size_t>& rows)
{
    double sum = 0;
    for (const auto row : rows)
        sum += std::log(values[row]);
    return sum / double(rows.size());
}

IsoflopProfile profileOf(const Points& points, const Columns& columns, const std::vector<std::size_t>& rows, double k)
{
    IsoflopProfile profile;
    profile.rows = rows;
    profile.budget = std::exp(meanLog(columns.budget, rows));
    const double middle = meanLog(columns.N, rows);
    profile.middle = std::exp(middle);
    Eigen::MatrixXd powers(Eigen::Index(rows.size()), 3);
    Eigen::VectorXd losses(Eigen::Index(rows.size()));
    double low = INFINITY, high = -INFINITY;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const double u = std::log(columns.N[rows[i]]) - middle;
        powers.row(Eigen::Index(i)) << 1, u, u * u;
        losses[Eigen::Index(i)] = points.loss[rows[i]];
        low = std::min(low, u);
        high = std::max(high, u);
    }
    const Eigen::Vector3d solution = powers.colPivHouseholderQr().solve(losses);
    profile.offset = solution[0];
    profile.slope = solution[1];
    profile.curvature = solution[2];
    const double best = solution[2] > 0 ? -solution[1] / (2 * solution[2]) : std::nan("");
    profile.N = std::exp(middle + best);
    profile.D = profile.budget / (k * profile.N);
    profile.loss = profile.at(profile.N);
    profile.inside = best > low && best < high;
    return profile;
}

std::size_t differentSizes(const std::vector<double>& N, const std::vector<std::size_t>& rows)
{
    std::set<double> sizes;
    for (const auto row : rows)
        sizes.insert(N[row]);
    return sizes.size();
}

// A straight line through the logarithms.
BudgetLaw lineThrough(const std::vector<double>& budgets, const std::vector<double>& values)
{
    const double count = double(budgets.size());
    double x = 0, y = 0, xx = 0, xy = 0;
    for (std::size_t i = 0; i < budgets.size(); ++i) {
        x += std::log(budgets[i]) / count;
        y += std::log(values[i]) / count;
    }
    for (std::size_t i = 0; i < budgets.size(); ++i) {
        const double u = std::log(budgets[i]) - x;
        xx += u * u;
        xy += u * (std::log(values[i]) - y);
    }
    return {std::exp(y - xy / xx * x), xy / xx};
}

/// The laws through the minima that lie inside; nothing for fewer than two.
bool addLaws(Isoflop& result)
{
    std::vector<double> budgets, sizes, data;
    for (const auto& profile : result.profiles)
        if (profile.inside) {
            budgets.push_back(profile.budget);
            sizes.push_back(profile.N);
            data.push_back(profile.D);
        }
    result.used = budgets.size();
    if (budgets.size() < 2)
        return false;
    result.N = lineThrough(budgets, sizes);
    result.D = lineThrough(budgets, data);
    return true;
}

void addIntervals(Isoflop& result, const Points& points, const Columns& columns, const IsoflopOptions& options, jobs::Context& context)
{
    std::vector<double> sizes, data;
    for (int i = 0; i < options.resamples; ++i) {
        if (i % 16 == 0)
            context.pausePoint();
        context.progress(i, options.resamples, "resamples", "bootstrap");
        core::SplitMix64 random(core::deriveSeed(options.seed, std::uint64_t(i), "isoflop bootstrap"));
        Isoflop drawn;
        for (const auto& profile : result.profiles) {
            std::vector<std::size_t> rows;
            for (std::size_t n = 0; n < profile.rows.size(); ++n)
                rows.push_back(profile.rows[random.below(profile.rows.size())]);
            if (differentSizes(columns.N, rows) >= 3)
                drawn.profiles.push_back(profileOf(points, columns, rows, options.k));
        }
        if (!addLaws(drawn))
            continue;
        sizes.push_back(drawn.N.exponent);
        data.push_back(drawn.D.exponent);
    }
    result.exponentN = percentiles(std::move(sizes), options.level);
    result.exponentD = percentiles(std::move(data), options.level);
}

}  // namespace

double IsoflopProfile::at(double size) const
{
    const double u = std::log(size / middle);
    return offset + slope * u + curvature * u * u;
}

double BudgetLaw::at(double budget) const
{
    return factor * std::pow(budget, exponent);
}

Isoflop fitIsoflop(const Points& points, const IsoflopOptions& options, jobs::Context& context)
{
    if (!(options.tolerance >= 0) || !(options.k > 0))
        throw core::InputError(fmt::format("isoflop: expected a tolerance >= 0 and FLOPs per parameter and token > 0, got {} and {}",
                                           core::formatNumber(options.tolerance), core::formatNumber(options.k)));
    if (options.resamples == 1)
        throw core::InputError("isoflop: expected no resamples or at least 2, got 1");
    const auto columns = columnsOf(points, options.k);
    Isoflop result;
    std::vector<std::string> outside;
    for (const auto& rows : groupsOf(columns.budget, options.tolerance)) {
        const double budget = std::exp(meanLog(columns.budget, rows));
        if (differentSizes(columns.N, rows) < 3)
            throw core::InputError(
                fmt::format("{}: budget {:.4g}: expected at least 3 different N, got {}; budgets within a share of {} are one (--tolerance)",
                            points.name, budget, differentSizes(columns.N, rows), core::formatNumber(options.tolerance)));
        result.profiles.push_back(profileOf(points, columns, rows, options.k));
        if (!result.profiles.back().inside)
            outside.push_back(fmt::format("{:.4g}", budget));
    }
    if (!addLaws(result))
        throw core::InputError(fmt::format("{}: expected at least 2 budgets with a minimum inside their sizes, got {}; none inside at {}",
                                           points.name, result.used, outside.empty() ? "any other" : core::join(outside, ", ")));
    if (options.resamples > 0)
        addIntervals(result, points, columns, options, context);
    return result;
}

}  // namespace orrery::scaling
