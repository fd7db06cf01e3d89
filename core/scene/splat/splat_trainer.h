#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "rasterizer.h"

/// Training of Gaussians on posed pictures: Adam for each kind of value, clone, split and prune, opacity reset. Free of libtorch.
namespace orrery::scene {

/// Defaults as published; steps are counted from 1.
struct SplatTrainSettings {
    double meansRate = 1.6e-4, meansRateEnd = 1.6e-6;  ///< times the scene's extent; falls exponentially over `meansRateSteps`
    std::int64_t meansRateSteps = 30000;
    double scalesRate = 5e-3, rotationsRate = 1e-3, opacitiesRate = 5e-2, colourRate = 2.5e-3, harmonicsRate = 1.25e-4;
    double ssimWeight = 0.2;
    std::int64_t degreeEvery = 1000;  ///< one more degree of spherical harmonics is used after each so many steps
    std::int64_t densifyFrom = 500, densifyUntil = 15000, densifyEvery = 100, opacityResetEvery = 3000;
    double densifyGradient = 2e-4;  ///< mean length of the gradient by the centre in the picture, in halves of the picture's size
    double splitShare = 0.01;       ///< larger Gaussians than this share of the extent are split, smaller ones cloned
    double pruneOpacity = 0.005,
           pruneShare = 0.1;  ///< fainter ones are removed; after the first reset, those larger than this share of the extent, too
    std::size_t maxCount = 1'000'000;
    double extent = 1;  ///< of the scene: as a rule 1.1 times the largest distance of a camera from their middle
    std::uint64_t seed = 0;
    SplatRenderOptions render;
};

struct SplatStep {
    double loss = 0, psnr = 0;
    std::size_t count = 0;  ///< Gaussians after the step
};

/// Same settings, Gaussians and pictures: the same bits for any number of threads, also across `save` and `restore`. One thread at a time.
/// Source: Kerbl et al. (2023), arXiv:2308.04079, section 5 and appendix B; rates of its published program. Kingma & Ba (2015), "Adam", arXiv:1412.6980.
class SplatTrainer {
public:
    /// @throws core::InputError if there are no Gaussians or the extent is not positive.
    SplatTrainer(Splats splats, SplatTrainSettings settings);

    /// One step on one picture. @param target [row, column, 3] of the camera's size.
    /// @throws core::Error if the loss is not finite: the Gaussians are as they were before the step.
    SplatStep step(const Camera& camera, const std::vector<float>& target);

    const Splats& splats() const { return m_splats; }
    std::int64_t steps() const { return m_step; }

    /// Everything a continued training needs. @throws core::FormatError for bytes that `save` did not make.
    std::string save() const;
    void restore(std::string_view bytes);

private:
    /// Adam's averages of one array.
    struct Moments {
        std::vector<float> first, second;
    };
    void adam(std::vector<float>& values, const std::vector<float>& gradient, Moments& moments, double rate, double restRate = 0,
              std::size_t width = 0);
    void update(const SplatGradients& gradients);
    void observe(const SplatGradients& gradients, const Camera& camera);
    void densify();
    void prune();
    void keep(const std::vector<std::uint32_t>& indices);
    void resetOpacities();
    double largestScale(std::size_t index) const;
    void append(std::size_t from);
    void split(std::size_t index, std::uint64_t seed);
    /// Calls visit(values, moments, numbers a Gaussian) for each array; `self` is a trainer, constant or not.
    template <class Self, class Visit>
    static void forArrays(Self& self, const Visit& visit);

    SplatTrainSettings m_settings;
    Splats m_splats;
    Moments m_means, m_scales, m_rotations, m_opacities, m_harmonics;
    std::vector<float> m_gradientSums, m_seen;  ///< a Gaussian: what densification looks at, since the last time
    std::int64_t m_step = 0;
    SplatRasterizer m_rasterizer;
};

/// Gaussians at random places in the box with random colours; the size is the mean distance of neighbours when spread evenly. Opacity 0.1.
Splats randomStart(std::size_t count, const std::array<double, 6>& box, int degree, std::uint64_t seed);

}  // namespace orrery::scene
