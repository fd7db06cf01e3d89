#pragma once
#include <functional>

#include "assembly.h"

/// What vision transformers share. Source: Dosovitskiy et al. (2020), "An Image is Worth 16x16 Words", arXiv:2010.11929, section 3.1.
namespace orrery::models::families {

struct VitSettings {
    std::int64_t features, heads, hidden, layers, imageSize, patch, channels;
    double epsilon, dropout, attentionDropout;
    bool qkvBias;
    std::string activation;
    explicit VitSettings(const Config& config);
    std::int64_t patches() const { return (imageSize / patch) * (imageSize / patch); }
};

/// embeddings (patches behind a class token, with the table of positions added), encoder.layer.N for all N, and layernorm, called ln_final. Sets `assembly.sizes`. @param type  Of the module `encoder`.  @param block  One layer: of `x`, by its number.
Var vitStates(Assembly& assembly, Var image, const VitSettings& settings, const char* type,
              const std::function<Var(Var x, std::int64_t number)>& block);
/// attention.attention.{query, key, value} and attention.output.dense.
Var vitAttention(Assembly& assembly, Var x, const std::string& block, const VitSettings& settings);

}  // namespace orrery::models::families
