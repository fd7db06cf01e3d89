#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <core/kernels/both.h>

/// Scenes of 3D Gaussians as plain arrays. Free of libtorch.
namespace orrery::scene {

/// Coefficients of spherical harmonics up to a degree: (degree + 1)^2.
ORRERY_BOTH constexpr std::size_t harmonicsOf(int degree)
{
    return std::size_t(degree + 1) * std::size_t(degree + 1);
}

/// Borrowed arrays of Gaussians, in the raw values that are stored and optimised.
struct SplatsView {
    std::size_t count = 0;
    int degree = 0;                    ///< of the spherical harmonics, 0..3
    const float* means = nullptr;      ///< x, y, z in the world
    const float* scales = nullptr;     ///< natural logarithm of the standard deviations along the three axes of the Gaussian
    const float* rotations = nullptr;  ///< quaternion w, x, y, z; any length but 0
    const float* opacities = nullptr;  ///< logit
    const float* harmonics = nullptr;  ///< [gaussian, coefficient, red green blue]; colour = 0.5 + sum, not below 0
};

/// The same, owned.
struct Splats {
    int degree = 0;
    std::vector<float> means, scales, rotations, opacities, harmonics;

    std::size_t size() const { return opacities.size(); }
    SplatsView view() const { return {size(), degree, means.data(), scales.data(), rotations.data(), opacities.data(), harmonics.data()}; }
    /// All arrays to this many Gaussians of this degree; new values are 0.
    void resize(std::size_t count, int harmonicsDegree);
};

/// The Gaussians with these indices, in this order. @throws core::InputError for an index that is out of range.
Splats selectSplats(const Splats& splats, std::span<const std::uint32_t> indices);
/// Those whose mean lies in the box x0, y0, z0, x1, y1, z1 (ends included).
std::vector<std::uint32_t> splatsInBox(const Splats& splats, const std::array<double, 6>& box);
/// The smallest box around the means; the middle `share` of them an axis. All zero without Gaussians.
std::array<double, 6> splatBounds(const Splats& splats, double share = 1);

}  // namespace orrery::scene
