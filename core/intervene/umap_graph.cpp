#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "umap.h"

namespace orrery::intervene {
namespace {

// Sum over the neighbours of their membership for a width.
double membershipSum(const double* distances, std::int64_t count, double rho, double sigma)
{
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i)
        sum += distances[i] > rho ? std::exp(-(distances[i] - rho) / sigma) : 1.0;
    return sum;
}

double widthFor(const double* distances, std::int64_t count, double rho, double wanted)
{
    double low = 0, high = std::numeric_limits<double>::infinity(), sigma = 1;
    for (int i = 0; i < 64; ++i) {
        const double sum = membershipSum(distances, count, rho, sigma);
        if (std::abs(sum - wanted) < 1e-5)
            break;
        if (sum > wanted) {
            high = sigma;
            sigma = (low + high) / 2;
        } else {
            low = sigma;
            sigma = std::isinf(high) ? sigma * 2 : (low + high) / 2;
        }
    }
    return sigma;
}

struct Fit {
    double a, b, error;
};

// Squared error of the curve, and one damped Gauss-Newton step in (log a, b).
double curveError(const std::vector<double>& x, const std::vector<double>& y, double a, double b)
{
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double miss = 1 / (1 + a * std::pow(x[i], 2 * b)) - y[i];
        sum += miss * miss;
    }
    return sum;
}

bool improve(const std::vector<double>& x, const std::vector<double>& y, Fit& fit, double& damping)
{
    double jj[3] = {0, 0, 0}, jr[2] = {0, 0};
    for (std::size_t i = 1; i < x.size(); ++i) {  // at 0 the curve is 1 whatever a and b are
        const double power = fit.a * std::pow(x[i], 2 * fit.b), value = 1 / (1 + power), slope = -value * value * power;
        const double da = slope, db = slope * 2 * std::log(x[i]), miss = value - y[i];
        jj[0] += da * da;
        jj[1] += da * db;
        jj[2] += db * db;
        jr[0] += da * miss;
        jr[1] += db * miss;
    }
    const double p = jj[0] * (1 + damping), q = jj[2] * (1 + damping), determinant = p * q - jj[1] * jj[1];
    const double logStep = -(q * jr[0] - jj[1] * jr[1]) / determinant, step = -(p * jr[1] - jj[1] * jr[0]) / determinant;
    const Fit next{fit.a * std::exp(logStep), fit.b + step, curveError(x, y, fit.a * std::exp(logStep), fit.b + step)};
    if (!(next.error < fit.error)) {
        damping *= 10;
        return damping < 1e12;
    }
    const bool moved = std::abs(logStep) + std::abs(step) > 1e-13;
    fit = next;
    damping = std::max(damping / 10, 1e-12);
    return moved;
}

}  // namespace

std::pair<double, double> umapCurve(double minDist, double spread)
{
    std::vector<double> x(300), y(300);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = 3 * spread * double(i) / 299;
        y[i] = x[i] < minDist ? 1 : std::exp(-(x[i] - minDist) / spread);
    }
    Fit fit{1, 1, curveError(x, y, 1, 1)};
    double damping = 1e-3;
    for (int i = 0; i < 500 && improve(x, y, fit, damping); ++i) {
    }
    return {fit.a, fit.b};
}

SmoothDistances smoothDistances(const Neighbours& neighbours, std::int64_t k)
{
    const auto rows = neighbours.distances.size(0), count = neighbours.distances.size(1);
    const double* all = neighbours.distances.data_ptr<double>();
    const double wanted = std::log2(double(k)), meanAll = neighbours.distances.mean().item<double>();
    SmoothDistances out;
    for (std::int64_t row = 0; row < rows; ++row) {
        const double* distances = all + row * count;
        // The nearest row that is no copy.
        const double* first = std::find_if(distances, distances + count, [](double d) { return d > 0; });
        const double rho = first == distances + count ? 0 : *first;
        double sigma = widthFor(distances, count, rho, wanted), mean = 0;
        for (std::int64_t i = 0; i < count; ++i)
            mean += distances[i] / double(count);
        // As in umap-learn: no width below a thousandth of the mean distance.
        sigma = std::max(sigma, 1e-3 * (rho > 0 ? mean : meanAll));
        out.rho.push_back(rho);
        out.sigma.push_back(sigma);
    }
    return out;
}

std::vector<FuzzyEdge> fuzzyUnion(const Neighbours& neighbours, const SmoothDistances& smooth)
{
    const auto rows = neighbours.indices.size(0), count = neighbours.indices.size(1);
    const auto* to = neighbours.indices.data_ptr<std::int64_t>();
    const auto* distances = neighbours.distances.data_ptr<double>();
    std::vector<FuzzyEdge> edges;
    edges.reserve(std::size_t(2 * rows * count));
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t i = row * count; i < (row + 1) * count; ++i) {
            const double beyond = distances[i] - smooth.rho[std::size_t(row)], sigma = smooth.sigma[std::size_t(row)];
            const float weight = beyond <= 0 || sigma <= 0 ? 1.0F : float(std::exp(-beyond / sigma));
            edges.push_back({std::int32_t(row), std::int32_t(to[i]), weight});
            edges.push_back({std::int32_t(to[i]), std::int32_t(row), weight});
        }
    std::sort(edges.begin(), edges.end(), [](const FuzzyEdge& a, const FuzzyEdge& b) {
        return a.from != b.from ? a.from < b.from : a.to != b.to ? a.to < b.to : a.weight < b.weight;
    });
    std::vector<FuzzyEdge> merged;
    for (const auto& edge : edges) {
        if (!merged.empty() && merged.back().from == edge.from && merged.back().to == edge.to)
            merged.back().weight += edge.weight - merged.back().weight * edge.weight;
        else
            merged.push_back(edge);
    }
    return merged;
}

}  // namespace orrery::intervene
