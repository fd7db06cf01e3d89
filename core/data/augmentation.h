#pragma once
#include <functional>
#include <memory>
#include <span>

#include <core/base/registry.h>
#include <core/base/rng.h>

namespace orrery::data {

/// One sample of an image set, changed in place: planes of height x width, one a channel.
struct ImageView {
    float* values = nullptr;  ///< [channel, height, width]
    std::int64_t channels = 0, height = 0, width = 0;
    std::span<const float> fill;  ///< value of black, one a channel (standardised as the image is)
};

/// Changes training images at random; all draws come from the generator that is handed in. Any thread.
class Augmentation {
public:
    virtual ~Augmentation() = default;
    virtual void apply(ImageView image, core::SplitMix64& random) const = 0;
};

using AugmentationFactory = std::function<std::shared_ptr<const Augmentation>(const core::Json& parameters)>;
/// Family `augmentation`: shift, flip, crop, rotate. Any thread.
const core::Registry<AugmentationFactory>& augmentationRegistry();

}  // namespace orrery::data
