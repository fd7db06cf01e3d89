// StableLM: layer norms, rotary positions on a part of each head; some sizes compute attention and MLP side by side and normalise the queries and keys of each head.
// Source: Bellagente et al. (2024), "Stable LM 2 1.6B Technical Report", arXiv:2402.17834, section 3.1.
#include <core/base/error.h>

#include "rotary.h"

namespace orrery::models::families {
namespace {

struct StablelmShared {
    std::int64_t features, heads, keyHeads, hidden, layers, vocabulary;
    double epsilon, dropout;
    bool qkvBias, parallel, qkNorm;
    std::string activation;
    AttentionSettings attention;
    RotarySettings rotary;
    RotaryTables tables{};
    Masks masks;
    explicit StablelmShared(const Config& config)
        : features(config.count("hidden_size", 2560)), heads(config.count("num_attention_heads", 32)),
          keyHeads(config.count("num_key_value_heads", heads)), hidden(config.count("intermediate_size", 6912)),
          layers(config.layers("num_hidden_layers", 32)), vocabulary(config.count("vocab_size", 50304)), epsilon(config.real("layer_norm_eps", 1e-5)),
          dropout(config.real("hidden_dropout", 0)), qkvBias(config.flag("use_qkv_bias", false)),
          parallel(config.flag("use_parallel_residual", false)), qkNorm(config.flag("qk_layernorm", false)),
          activation(config.text("hidden_act", "silu")), attention(AttentionSettings::of(config, features, heads)),
          rotary(rotarySettings(config, attention.size, 10000, 0.25))
    {
        if (heads % keyHeads != 0)
            config.fail("num_key_value_heads", fmt::format("a divisor of the {} attention heads", heads));
        attention.keyHeads = keyHeads;
        attention.dropout = config.real("attention_dropout", 0);
    }
};

/// A norm of its own for each head: one norm without gain, then the gains side by side.
Var stablelmHeadNorms(Assembly& assembly, const char* name, Var x, std::int64_t heads, const StablelmShared& shared)
{
    Builder& builder = assembly.builder;
    const std::int64_t size = shared.attention.size;
    const Scopes scopes(builder, {{name, "HeadNorms"}, {"norms", "ModuleList"}});
    std::vector<Var> gains;
    for (std::int64_t i = 0; i < heads; ++i) {
        const Builder::Scope scope = builder.module(std::to_string(i), "LayerNorm");
        gains.push_back(builder.parameter("weight", {size}, {{"kind", "ones"}}));
    }
    const Var all = builder.op("aten::unsqueeze", {builder.op("aten::stack", {builder.list(gains), 0}, "gains"), 1});
    const Var normed = builder.op("aten::layer_norm", {x, std::vector<std::int64_t>{size}, nullptr, nullptr, shared.epsilon, false}, "normalised");
    return builder.op("aten::mul.Tensor", {normed, all}, "layer_norm");
}

Var stablelmAttention(Assembly& assembly, Var x, const std::string& block, const StablelmShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self_attn", "StableLmAttention");
    const std::int64_t size = shared.attention.size;
    const auto part = [&](const char* projection, const char* name, std::int64_t heads) {
        return splitHeads(builder, name, builder.linear(projection, x, shared.features, heads * size, shared.qkvBias), assembly.sizes, heads, size);
    };
    Var query = part("q_proj", "query", shared.heads), key = part("k_proj", "key", shared.keyHeads);
    const Var v = part("v_proj", "v", shared.keyHeads);
    if (shared.qkNorm) {
        query = stablelmHeadNorms(assembly, "q_layernorm", query, shared.heads, shared);
        key = stablelmHeadNorms(assembly, "k_layernorm", key, shared.keyHeads, shared);
    }
    const Var q = rotated(builder, "q", query, shared.tables, shared.rotary, size),
              k = rotated(builder, "k", key, shared.tables, shared.rotary, size);
    const Var merged = attend(assembly, assembly.sizes, q, k, v, shared.masks, shared.attention, block + ".attn");
    return builder.linear("o_proj", merged, shared.heads * size, shared.features, false);
}

Var stablelmPerceptron(Assembly& assembly, Var x, const std::string& block, const StablelmShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "GatedMLP");
    const Var gate = builder.linear("gate_proj", x, shared.features, shared.hidden, false);
    const Var up = builder.linear("up_proj", x, shared.features, shared.hidden, false);
    const Var after = builder.op("aten::mul.Tensor", {activated(assembly, "hidden_act", shared.activation, gate), up}, "gated");
    assembly.name(block + ".mlp.pre", gate);
    assembly.name(block + ".mlp.post", after);
    return builder.linear("down_proj", after, shared.hidden, shared.features, false);
}

Var stablelmBlock(Assembly& assembly, Var x, std::int64_t number, const StablelmShared& shared)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "StableLmDecoderLayer"}});
    const Var normed = builder.layerNorm("input_layernorm", x, shared.features, shared.epsilon);
    const Var attended = stablelmAttention(assembly, normed, block, shared);
    const Var middle = builder.op("aten::add.Tensor", {x, attended}, shared.parallel ? "resid_attn" : "resid_mid");
    const Var second = shared.parallel ? normed : builder.layerNorm("post_attention_layernorm", middle, shared.features, shared.epsilon);
    const Var transformed = builder.dropout("dropout", stablelmPerceptron(assembly, second, block, shared), shared.dropout);
    const Var after = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    if (!shared.parallel)
        assembly.name(block + ".resid_mid", middle);
    for (const auto& [part, value] : {std::pair{"resid_pre", x}, {"attn_out", attended}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

graph::Model buildStablelm(const Request& request)
{
    const Config& config = request.config;
    StablelmShared shared(config);
    Assembly assembly(request, "stablelm");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("model"), "StableLmModel"}});
        const Embedded embedding = embedded(builder, "embed_tokens", tokens, shared.vocabulary, shared.features);
        table = embedding.table;
        x = embedding.rows;
        assembly.name("embed", x);
        shared.tables = rotaryTables(builder, embedding.rows, assembly.sizes.position, shared.rotary);
        shared.masks = {zoo::causalMask(builder, embedding.rows, assembly.sizes.position), assembly.paddingMask(embedding.rows)};
        for (std::int64_t i = 0; i < shared.layers; ++i)
            x = stablelmBlock(assembly, x, i, shared);
        x = builder.layerNorm("norm", x, shared.features, shared.epsilon);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    if (config.flag("tie_word_embeddings", false))
        head.tiedTable = table;
    head.dropout = config.real("classifier_dropout", 0.1);
    return finishDecoder(assembly, x, shared.features, shared.vocabulary, head, "StableLM");
}

}  // namespace

Family stablelmFamily()
{
    return {"stablelm",
            "StableLM",
            "Bellagente et al. (2024), \"Stable LM 2 1.6B Technical Report\", arXiv:2402.17834",
            {"stablelm"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "model",
            buildStablelm,
            {"layers.*.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"}};
}

}  // namespace orrery::models::families
