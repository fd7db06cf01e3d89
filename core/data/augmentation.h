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

/// One sample of a set of tokens, changed in place.
struct TokenView {
    std::int64_t* inputs = nullptr;
    std::int64_t* targets = nullptr;
    std::int64_t count = 0;
};

/// Changes training samples at random; all draws come from the generator that is handed in. Each leaves samples of the other kind as they are. Any thread.
class Augmentation {
public:
    virtual ~Augmentation() = default;
    virtual void apply(ImageView, core::SplitMix64&) const {}
    virtual void applyToTokens(TokenView, core::SplitMix64&) const {}
};

using AugmentationFactory = std::function<std::shared_ptr<const Augmentation>(const core::Json& parameters)>;
/// Family `augmentation`: shift, flip, crop, rotate. Any thread.
const core::Registry<AugmentationFactory>& augmentationRegistry();

}  // namespace orrery::data
