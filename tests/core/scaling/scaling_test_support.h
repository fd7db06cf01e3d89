#pragma once
#include <cmath>
#include <numbers>

#include <core/base/rng.h>
#include <core/scaling/fit_document.h>

/// Points of known laws, with and without noise.
namespace orrery::scaling {

/// The constants published by Hoffmann et al. (2022), equation 10: E, A, B, alpha, beta.
inline const std::vector<double> kPublished = {1.69, 406.4, 410.7, 0.34, 0.28};

/// Standard normal numbers by Box and Muller.
class Noise {
public:
    explicit Noise(std::uint64_t seed) : m_random(seed) {}
    double next() { return std::sqrt(-2 * std::log(1 - m_random.uniform())) * std::cos(2 * std::numbers::pi * m_random.uniform()); }

private:
    core::SplitMix64 m_random;
};

/// @param noise  Standard deviation of ln(loss).
inline Points pointsOfLaw(const Law& law, const std::vector<double>& parameters, std::vector<std::vector<double>> inputs, double noise = 0,
                          std::uint64_t seed = 0)
{
    Points points;
    points.name = "synthetic";
    points.inputNames = law.inputs();
    points.loss = law.predict(parameters, inputs);
    Noise normal(seed);
    for (double& loss : points.loss)
        loss *= std::exp(noise * normal.next());
    for (std::size_t i = 0; i < points.loss.size(); ++i)
        points.places.push_back("line " + std::to_string(i + 2));
    points.inputs = std::move(inputs);
    return points;
}

/// count places from low to high, even in the logarithm.
inline std::vector<double> logPlaces(double low, double high, int count)
{
    std::vector<double> out;
    for (int i = 0; i < count; ++i)
        out.push_back(low * std::pow(high / low, double(i) / (count - 1)));
    return out;
}

/// Sizes from 50 M to 16 G parameters by data of 5 to 500 G tokens, as in the paper's figures.
inline std::vector<std::vector<double>> sizesByData(int sizes, int datas)
{
    std::vector<std::vector<double>> inputs(2);
    for (const double N : logPlaces(5e7, 1.6e10, sizes))
        for (const double D : logPlaces(5e9, 5e11, datas)) {
            inputs[0].push_back(N);
            inputs[1].push_back(D);
        }
    return inputs;
}

inline Objective objectiveOf(Objective::Kind kind, Space space = Space::Log, double delta = 1e-3)
{
    return {kind, delta, space};
}

inline double relativeError(double value, double truth)
{
    return std::abs(value - truth) / std::abs(truth);
}

}  // namespace orrery::scaling
