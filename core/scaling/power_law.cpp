// Power laws of one input, without and with a floor.

#include <cmath>

#include "law_parts.h"

namespace orrery::scaling {
namespace {

/// a x^-b [+ c]. Coordinates: ln(a x0^-b), b, ln c, with x0 the centre.
class PowerLaw : public Law {
public:
    explicit PowerLaw(bool floor) : m_floor(floor)
    {
        m_parameters = {{"a", "Loss above the floor at x = 1.", true}, {"b", "Exponent: how fast the loss falls."}};
        if (m_floor)
            m_parameters.push_back({"c", "Floor: what is left however large x is.", true});
    }
    const std::vector<std::string>& inputs() const override
    {
        static const std::vector<std::string> names = {"x"};
        return names;
    }
    const std::vector<LawParameter>& parameters() const override { return m_parameters; }
    std::string formula() const override { return m_floor ? "a x^-b + c" : "a x^-b"; }

    void evaluate(const Rows& rows, const double* t, double* values, double* gradient) const override
    {
        const auto& u = rows.logs[0];
        const double floor = m_floor ? std::exp(t[2]) : 0;
        for (std::size_t i = 0; i < rows.count; ++i) {
            const double term = std::exp(t[0] - t[1] * u[i]);
            values[i] = term + floor;
            if (!gradient)
                continue;
            *gradient++ = term;
            *gradient++ = -u[i] * term;
            if (m_floor)
                *gradient++ = floor;
        }
    }
    std::vector<double> coordinatesOf(std::span<const double> p, std::span<const double> centre) const override
    {
        std::vector<double> t = {std::log(p[0]) - p[1] * std::log(centre[0]), p[1]};
        if (m_floor)
            t.push_back(std::log(p[2]));
        return t;
    }
    std::vector<double> parametersOf(std::span<const double> t, std::span<const double> centre) const override
    {
        std::vector<double> p = {std::exp(t[0] + t[1] * std::log(centre[0])), t[1]};
        if (m_floor)
            p.push_back(std::exp(t[2]));
        return p;
    }
    std::vector<std::vector<double>> grid(const Rows& rows, std::span<const double> loss) const override
    {
        const auto range = lossRange(loss);
        std::vector<std::vector<double>> starts;
        const auto floors = m_floor ? std::vector<double>{1e-3, 0.25, 0.5, 0.75, 0.9, 0.99} : std::vector<double>{0};
        for (const auto& choice : combinations({{0.05, 0.1, 0.2, 0.35, 0.5, 1, 2}, floors})) {
            std::vector<double> t = {std::log(range.middle - choice[1] * range.low), choice[0]};
            if (m_floor)
                t.push_back(std::log(choice[1] * range.low));
            starts.push_back(parametersOf(t, rows.centre));
        }
        return starts;
    }
    std::vector<std::pair<double, double>> coordinateRanges(const Rows&, std::span<const double> loss) const override
    {
        const auto range = lossRange(loss);
        std::vector<std::pair<double, double>> ranges = {{std::log(range.low) - 3, std::log(range.high) + 1}, {0, 2}};
        if (m_floor)
            ranges.emplace_back(std::log(range.low) - 5, std::log(range.low));
        return ranges;
    }

private:
    bool m_floor;
    std::vector<LawParameter> m_parameters;
};

}  // namespace

void addPowerLaw(LawRegistry& registry)
{
    registry.add({"power_law",
                  "Power law",
                  "L = a x^-b: a straight line on logarithmic axes.",
                  "Hestness et al. (2017), \"Deep Learning Scaling is Predictable, Empirically\", arXiv:1712.00409",
                  {},
                  {},
                  {}},
                 [](const core::Json&, const std::vector<std::string>&) { return std::make_shared<PowerLaw>(false); });
}

void addPowerLawFloor(LawRegistry& registry)
{
    registry.add({"power_law_floor",
                  "Power law with floor",
                  "L = a x^-b + c: falls towards an error that no x takes away.",
                  "Hestness et al. (2017), \"Deep Learning Scaling is Predictable, Empirically\", arXiv:1712.00409",
                  {},
                  {},
                  {}},
                 [](const core::Json&, const std::vector<std::string>&) { return std::make_shared<PowerLaw>(true); });
}

}  // namespace orrery::scaling
