// The law of Hoffmann et al. over model size and data.

#include <cmath>

#include "law_parts.h"

namespace orrery::scaling {
namespace {

/// E + A / N^alpha + B / D^beta. Coordinates: ln E, ln(A N0^-alpha), ln(B D0^-beta), alpha, beta, with N0 and D0 the centre.
class Chinchilla : public Law {
public:
    const std::vector<std::string>& inputs() const override
    {
        static const std::vector<std::string> names = {"N", "D"};
        return names;
    }
    const std::vector<LawParameter>& parameters() const override
    {
        static const std::vector<LawParameter> list = {{"E", "Loss of an ideal model: the entropy of the data.", true},
                                                       {"A", "Weight of the term of the model's size.", true},
                                                       {"B", "Weight of the term of the data.", true},
                                                       {"alpha", "Exponent of the model's size N."},
                                                       {"beta", "Exponent of the data D."}};
        return list;
    }
    std::string formula() const override { return "E + A / N^alpha + B / D^beta"; }

    void evaluate(const Rows& rows, const double* t, double* values, double* gradient) const override
    {
        const double *u = rows.logs[0].data(), *v = rows.logs[1].data();
        const double floor = std::exp(t[0]);
        for (std::size_t i = 0; i < rows.count; ++i) {
            const double size = std::exp(t[1] - t[3] * u[i]), data = std::exp(t[2] - t[4] * v[i]);
            values[i] = floor + size + data;
            if (!gradient)
                continue;
            gradient[0] = floor;
            gradient[1] = size;
            gradient[2] = data;
            gradient[3] = -u[i] * size;
            gradient[4] = -v[i] * data;
            gradient += 5;
        }
    }
    std::vector<double> coordinatesOf(std::span<const double> p, std::span<const double> centre) const override
    {
        return {std::log(p[0]), std::log(p[1]) - p[3] * std::log(centre[0]), std::log(p[2]) - p[4] * std::log(centre[1]), p[3], p[4]};
    }
    std::vector<double> parametersOf(std::span<const double> t, std::span<const double> centre) const override
    {
        return {std::exp(t[0]), std::exp(t[1] + t[3] * std::log(centre[0])), std::exp(t[2] + t[4] * std::log(centre[1])), t[3], t[4]};
    }
    // The 4,500 starts of the paper, appendix D.3: e, a, b = ln E, ln A, ln B.
    std::vector<std::vector<double>> grid(const Rows&, std::span<const double>) const override
    {
        std::vector<std::vector<double>> starts;
        const std::vector<double> exponents = {0, 0.5, 1, 1.5, 2}, weights = {0, 5, 10, 15, 20, 25};
        for (const auto& t : combinations({{-1, -0.5, 0, 0.5, 1}, weights, weights, exponents, exponents}))
            starts.push_back({std::exp(t[0]), std::exp(t[1]), std::exp(t[2]), t[3], t[4]});
        return starts;
    }
    std::vector<std::pair<double, double>> coordinateRanges(const Rows&, std::span<const double> loss) const override
    {
        const auto range = lossRange(loss);
        const double low = std::log(range.low), high = std::log(range.high);
        return {{low - 2, low}, {low - 5, high}, {low - 5, high}, {0, 2}, {0, 2}};
    }
};

}  // namespace

void addChinchilla(LawRegistry& registry)
{
    registry.add({"chinchilla",
                  "Chinchilla",
                  "L = E + A / N^alpha + B / D^beta: loss over the number of parameters N and of training tokens D.",
                  "Hoffmann et al. (2022), \"Training Compute-Optimal Large Language Models\", arXiv:2203.15556",
                  {},
                  {},
                  {}},
                 [](const core::Json&, const std::vector<std::string>&) { return std::make_shared<Chinchilla>(); });
}

}  // namespace orrery::scaling
