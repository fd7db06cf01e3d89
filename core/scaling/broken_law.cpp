// A power law whose exponent changes at one break.

#include <cmath>

#include "law_parts.h"

namespace orrery::scaling {
namespace {

// ln(1 + e^z) without overflow, and its derivative.
double softplus(double z)
{
    return std::max(z, 0.0) + std::log1p(std::exp(-std::abs(z)));
}
double logistic(double z)
{
    return z >= 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z));
}

/// a + b x^-c0 (1 + (x / d1)^(1 / f1))^(-c1 f1). Coordinates: ln a, ln(b x0^-c0), c0, c1, ln(d1 / x0), ln f1, with x0 the centre.
class BrokenLaw : public Law {
public:
    const std::vector<std::string>& inputs() const override
    {
        static const std::vector<std::string> names = {"x"};
        return names;
    }
    const std::vector<LawParameter>& parameters() const override
    {
        static const std::vector<LawParameter> list = {{"a", "Floor: what is left however large x is.", true},
                                                       {"b", "Weight of the falling part.", true},
                                                       {"c0", "Exponent before the break."},
                                                       {"c1", "What the break adds to the exponent."},
                                                       {"d1", "Where the break is.", true},
                                                       {"f1", "Width of the break in ln x: small is sharp.", true}};
        return list;
    }
    std::string formula() const override { return "a + b x^-c0 (1 + (x / d1)^(1 / f1))^(-c1 f1)"; }

    void evaluate(const Rows& rows, const double* t, double* values, double* gradient) const override
    {
        const auto& u = rows.logs[0];
        const double floor = std::exp(t[0]), width = std::exp(t[5]);
        for (std::size_t i = 0; i < rows.count; ++i) {
            const double z = (u[i] - t[4]) / width, bend = width * softplus(z);
            const double term = std::exp(t[1] - t[2] * u[i] - t[3] * bend);
            values[i] = floor + term;
            if (!gradient)
                continue;
            const double share = logistic(z);
            gradient[0] = floor;
            gradient[1] = term;
            gradient[2] = -u[i] * term;
            gradient[3] = -bend * term;
            gradient[4] = t[3] * share * term;
            gradient[5] = -t[3] * (bend - width * z * share) * term;
            gradient += 6;
        }
    }
    std::vector<double> coordinatesOf(std::span<const double> p, std::span<const double> centre) const override
    {
        const double middle = std::log(centre[0]);
        return {std::log(p[0]), std::log(p[1]) - p[2] * middle, p[2], p[3], std::log(p[4]) - middle, std::log(p[5])};
    }
    std::vector<double> parametersOf(std::span<const double> t, std::span<const double> centre) const override
    {
        const double middle = std::log(centre[0]);
        return {std::exp(t[0]), std::exp(t[1] + t[2] * middle), t[2], t[3], std::exp(t[4] + middle), std::exp(t[5])};
    }
    std::vector<std::vector<double>> grid(const Rows& rows, std::span<const double> loss) const override
    {
        const auto range = lossRange(loss);
        const auto [first, last] = std::minmax_element(rows.logs[0].begin(), rows.logs[0].end());
        std::vector<double> breaks;
        for (const double share : {0.15, 0.3, 0.5, 0.7, 0.85})
            breaks.push_back(*first + share * (*last - *first));
        std::vector<std::vector<double>> starts;
        for (const auto& c : combinations({{1e-3, 0.5, 0.9}, {0, 0.2, 0.6}, {-0.4, 0.2, 0.8}, breaks, {0.1, 0.5}})) {
            const double floor = c[0] * range.low;
            const double bend = c[4] * softplus(-c[3] / c[4]);  // at the centre, where u = 0
            starts.push_back(parametersOf(
                std::vector<double>{std::log(floor), std::log(range.middle - floor) + c[2] * bend, c[1], c[2], c[3], std::log(c[4])}, rows.centre));
        }
        return starts;
    }
    std::vector<std::pair<double, double>> coordinateRanges(const Rows& rows, std::span<const double> loss) const override
    {
        const auto range = lossRange(loss);
        const auto [first, last] = std::minmax_element(rows.logs[0].begin(), rows.logs[0].end());
        return {{std::log(range.low) - 5, std::log(range.low)},
                {std::log(range.low) - 3, std::log(range.high) + 1},
                {0, 1},
                {-1, 1},
                {*first, *last},
                {-3, 0.5}};
    }
};

}  // namespace

void addBrokenLaw(LawRegistry& registry)
{
    registry.add({"broken_law",
                  "Broken power law",
                  "L = a + b x^-c0 (1 + (x / d1)^(1 / f1))^(-c1 f1): the exponent goes from c0 to c0 + c1 around x = d1.",
                  "Caballero et al. (2022), \"Broken Neural Scaling Laws\", arXiv:2210.14891, equation 1 with one break",
                  {},
                  {},
                  {}},
                 [](const core::Json&, const std::vector<std::string>&) { return std::make_shared<BrokenLaw>(); });
}

}  // namespace orrery::scaling
