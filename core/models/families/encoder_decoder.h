#pragma once
#include "assembly.h"

/// What encoder-decoders share: a stack of layers whose names are those of BART. Source: Vaswani et al. (2017), "Attention Is All You Need", arXiv:1706.03762, section 3.1.
namespace orrery::models::families {

/// One of the two stacks while it is built.
struct CoderStack {
    std::string name;                ///< "encoder", "decoder"
    zoo::TransformerSizes sizes;     ///< of the stack's own tokens
    Masks masks;                     ///< of its self-attention
    std::optional<Var> memory;       ///< the encoder's result
    zoo::TransformerSizes source{};  ///< sizes of the memory
    std::optional<Var> memoryMask;
};

struct CoderSettings {
    std::int64_t features, layers, heads, hidden;
    double dropout, attentionDropout, innerDropout;
    std::string activation;
    bool normFirst = false;  ///< the norm comes before a branch instead of behind its sum
    bool keyBias = true;
    /// @param stack  "encoder", "decoder": prefix of the fields.
    CoderSettings(const Config& config, const std::string& stack);
};

/// layers.N for all N, in the module that is open. Canonical names `decoder.N.attn.q`, `decoder.N.cross_attn.q`, ...
Var coderLayers(Assembly& assembly, Var x, const CoderStack& stack, const CoderSettings& settings);

/// The encoder's table in a stack, under the name that files give it there: embed_tokens.
Var tiedRows(Builder& builder, Var table, Var tokens);

}  // namespace orrery::models::families
