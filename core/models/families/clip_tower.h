#pragma once
#include "assembly.h"

/// Towers for texts and pictures whose layers are named as CLIP's.
/// Source: Radford et al. (2021), "Learning Transferable Visual Models From Natural Language Supervision", arXiv:2103.00020, section 2.4.
namespace orrery::models::families {

struct TowerSettings {
    std::string name;  ///< of the canonical values: "text", "vision"
    std::int64_t features, heads, hidden, layers;
    double epsilon, attentionDropout;
    std::string activation;
    /// @param width, headCount  Defaults of `hidden_size` and `num_attention_heads`.
    TowerSettings(std::string tower, const Config& config, std::int64_t width, std::int64_t headCount);
};

/// Squares of a picture. @throws core::FormatError naming `patch_size` where it is larger than the picture.
struct PatchGrid {
    std::int64_t size, patch, channels;
    /// @param defaultPatch  Of `patch_size`.
    PatchGrid(const Config& config, std::int64_t defaultPatch);
    std::int64_t patches() const { return (size / patch) * (size / patch); }
};

/// Rows of the tables of tokens and of positions.
struct TextTables {
    std::int64_t vocabulary, positions;
};
/// embeddings.{token_embedding, position_embedding}, added; called embed and pos_embed.
Var clipTextEmbeddings(Assembly& assembly, Var tokens, const TowerSettings& tower, const TextTables& tables);
/// mlp.{fc1, fc2}.
Var clipPerceptron(Assembly& assembly, Var x, const TowerSettings& tower);
/// encoder.layers.N for all N.
Var clipEncoder(Assembly& assembly, Var x, const zoo::TransformerSizes& sizes, const Masks& masks, const TowerSettings& tower);
/// x divided by its length, called `name`.
Var unitLength(Builder& builder, Var x, const std::string& name);

}  // namespace orrery::models::families
