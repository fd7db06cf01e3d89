#pragma once
#include "splats.h"

/// What Gaussians are like, all together and one by one, in the units people read. Free of libtorch.
namespace orrery::scene {

/// Equal bins over [low, high]; the last one holds its upper end.
struct Histogram {
    double low = 0, high = 0;
    std::vector<std::size_t> counts;
};

struct SplatStatistics {
    std::size_t count = 0;
    int degree = 0;
    std::array<double, 6> box{}, middleBox{};  ///< of all means, and of the middle 98 % along each axis
    Histogram opacity;                         ///< over 0..1
    double medianOpacity = 0;
    std::size_t faint = 0;  ///< with an opacity below 1/255: never seen
    Histogram size;         ///< log10 of the largest standard deviation
    double medianSize = 0;  ///< of the largest standard deviation, in the scene's unit
    std::size_t bytes = 0;
};
/// Everything is 0, and histograms are empty, without Gaussians. Values that are not finite count in no histogram. @param bins  At least 1.
SplatStatistics splatStatistics(const Splats& splats, int bins = 40);

/// One Gaussian.
struct GaussianValues {
    std::array<double, 3> centre{}, deviations{};  ///< in the scene's unit
    std::array<double, 4> rotation{};              ///< w, x, y, z of length 1
    double opacity = 0;                            ///< 0..1
    std::array<double, 3> colour{};                ///< that all directions share: 0.5 + the harmonic of degree 0, not cut off
    std::vector<float> harmonics;                  ///< [coefficient, red green blue] as they are stored
};
/// @throws core::InputError for an index that is out of range.
GaussianValues gaussianValues(const Splats& splats, std::size_t index);

}  // namespace orrery::scene
