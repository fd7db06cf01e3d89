// StarCoder 2: shared keys, biases everywhere, a sliding window, a plain MLP.
// Source: Lozhkov et al. (2024), "StarCoder 2 and The Stack v2: The Next Generation", arXiv:2402.19173, section 6.1.
#include <core/base/error.h>

#include "rotary.h"

namespace orrery::models::families {
namespace {

struct StarcoderShared {
    std::int64_t features, heads, keyHeads, hidden, layers, vocabulary;
    double epsilon, dropout;
    bool bias;
    std::string activation;
    AttentionSettings attention;
    RotarySettings rotary;
    RotaryTables tables{};
    Masks masks;
    explicit StarcoderShared(const Config& config)
        : features(config.count("hidden_size", 3072)), heads(config.count("num_attention_heads", 24)),
          keyHeads(config.count("num_key_value_heads", 2)), hidden(config.count("intermediate_size", 12288)),
          layers(config.layers("num_hidden_layers", 30)), vocabulary(config.count("vocab_size", 49152)), epsilon(config.real("norm_epsilon", 1e-5)),
          dropout(config.real("residual_dropout", 0)), bias(config.flag("use_bias", true)),
          activation(config.text("hidden_act", "gelu_pytorch_tanh")), attention(AttentionSettings::of(config, features, heads)),
          rotary(rotarySettings(config, attention.size, 10000))
    {
        if (heads % keyHeads != 0)
            config.fail("num_key_value_heads", fmt::format("a divisor of the {} attention heads", heads));
        attention.keyHeads = keyHeads;
        attention.dropout = config.real("attention_dropout", 0);
    }
};

Var starcoderAttention(Assembly& assembly, Var x, const std::string& block, const StarcoderShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self_attn", "Starcoder2Attention");
    const std::int64_t size = shared.attention.size;
    const auto part = [&](const char* projection, const char* name, std::int64_t heads) {
        return splitHeads(builder, name, builder.linear(projection, x, shared.features, heads * size, shared.bias), assembly.sizes, heads, size);
    };
    const Var query = part("q_proj", "query", shared.heads), key = part("k_proj", "key", shared.keyHeads);
    const Var v = part("v_proj", "v", shared.keyHeads);
    const Var q = rotated(builder, "q", query, shared.tables, shared.rotary, size),
              k = rotated(builder, "k", key, shared.tables, shared.rotary, size);
    const Var merged = attend(assembly, assembly.sizes, q, k, v, shared.masks, shared.attention, block + ".attn");
    return builder.linear("o_proj", merged, shared.heads * size, shared.features, shared.bias);
}

Var starcoderPerceptron(Assembly& assembly, Var x, const std::string& block, const StarcoderShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "Starcoder2MLP");
    const Var before = builder.linear("c_fc", x, shared.features, shared.hidden, shared.bias);
    const Var after = activated(assembly, "hidden_act", shared.activation, before);
    assembly.name(block + ".mlp.pre", before);
    assembly.name(block + ".mlp.post", after);
    return builder.linear("c_proj", after, shared.hidden, shared.features, shared.bias);
}

Var starcoderBlock(Assembly& assembly, Var x, std::int64_t number, const StarcoderShared& shared)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "Starcoder2DecoderLayer"}});
    const Var normed = builder.layerNorm("input_layernorm", x, shared.features, shared.epsilon);
    const Var attended = builder.dropout("resid_attn_dropout", starcoderAttention(assembly, normed, block, shared), shared.dropout);
    const Var middle = builder.op("aten::add.Tensor", {x, attended}, "resid_mid");
    const Var second = builder.layerNorm("post_attention_layernorm", middle, shared.features, shared.epsilon);
    const Var transformed = builder.dropout("resid_mlp_dropout", starcoderPerceptron(assembly, second, block, shared), shared.dropout);
    const Var after = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    for (const auto& [part, value] :
         {std::pair{"resid_pre", x}, {"attn_out", attended}, {"resid_mid", middle}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

graph::Model buildStarcoder(const Request& request)
{
    const Config& config = request.config;
    StarcoderShared shared(config);
    Assembly assembly(request, "starcoder2");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("model"), "Starcoder2Model"}});
        const Embedded embedding = embedded(builder, "embed_tokens", tokens, shared.vocabulary, shared.features);
        table = embedding.table;
        assembly.name("embed", embedding.rows);
        x = builder.dropout("embed_dropout", embedding.rows, config.real("embedding_dropout", 0));
        const Var like = embedding.rows, positions = assembly.sizes.position;
        shared.tables = rotaryTables(builder, like, positions, shared.rotary);
        shared.masks.padding = assembly.paddingMask(like);
        shared.masks.matrix = config.has("sliding_window") ? slidingMask(builder, like, positions, config.count("sliding_window"))
                                                           : zoo::causalMask(builder, like, positions);
        for (std::int64_t i = 0; i < shared.layers; ++i)
            x = starcoderBlock(assembly, x, i, shared);
        x = builder.layerNorm("norm", x, shared.features, shared.epsilon);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    if (config.flag("tie_word_embeddings", true))
        head.tiedTable = table;
    head.dropout = config.real("classifier_dropout", 0.1);
    return finishDecoder(assembly, x, shared.features, shared.vocabulary, head, "StarCoder 2");
}

}  // namespace

Family starcoder2Family()
{
    return {"starcoder2",
            "StarCoder 2",
            "Lozhkov et al. (2024), \"StarCoder 2 and The Stack v2: The Next Generation\", arXiv:2402.19173",
            {"starcoder2"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "model",
            buildStarcoder,
            {"layers.*.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"}};
}

}  // namespace orrery::models::families
