#pragma once
#include <cmath>

#include <core/base/rng.h>
#include <core/scene/splat/rasterizer.h>

/// Random Gaussians in front of a camera, for the tests of the rasteriser.
namespace orrery::test {

inline double between(core::SplitMix64& random, double low, double high)
{
    return low + (high - low) * random.uniform();
}

/// Means in a box before the camera at the origin that looks along +x, sizes from a hair to a third of the picture, any rotation, opacities up to `maxLogit`.
inline scene::Splats randomSplats(std::size_t count, int degree, std::uint64_t seed, double maxLogit = 4)
{
    core::SplitMix64 random(seed);
    scene::Splats splats;
    splats.resize(count, degree);
    for (std::size_t i = 0; i < count; ++i) {
        splats.means[3 * i] = float(between(random, 1.5, 6));
        splats.means[3 * i + 1] = float(between(random, -2, 2));
        splats.means[3 * i + 2] = float(between(random, -1.5, 1.5));
        for (std::size_t k = 0; k < 3; ++k)
            splats.scales[3 * i + k] = float(between(random, -4.5, -0.7));
        for (std::size_t k = 0; k < 4; ++k)
            splats.rotations[4 * i + k] = float(between(random, -1, 1));
        splats.opacities[i] = float(between(random, -3, maxLogit));
    }
    for (float& value : splats.harmonics)
        value = float(between(random, -0.6, 0.6));
    return splats;
}

inline scene::Camera cameraAlongX(int width, int height)
{
    scene::Camera camera = scene::lookAt({0, 0, 0}, {1, 0.05, 0.1}, {0, 0, 1}, 0.9, width, height);
    camera.focalX *= 1.1;
    camera.centreX += 1.7;
    return camera;
}

}  // namespace orrery::test
