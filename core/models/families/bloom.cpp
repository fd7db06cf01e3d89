// BLOOM: no positions but a penalty on the distance of each head (ALiBi), and a norm behind the embedding.
// Source: BigScience Workshop (2022), "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model", arXiv:2211.05100, section 3.2.
#include <core/base/error.h>

#include "assembly.h"

namespace orrery::models::families {
namespace {

struct BloomShared {
    std::int64_t features, heads, layers, vocabulary;
    double epsilon, dropout;
    bool residualOfNorm;
    AttentionSettings attention;
    Masks masks;
    explicit BloomShared(const Config& config)
        : features(config.count(config.firstOf({"hidden_size", "n_embed"}), 64)),
          heads(config.count(config.firstOf({"n_head", "num_attention_heads"}), 8)),
          layers(config.layers(config.firstOf({"n_layer", "num_hidden_layers"}), 2)), vocabulary(config.count("vocab_size", 250880)),
          epsilon(config.real("layer_norm_epsilon", 1e-5)), dropout(config.real("hidden_dropout", 0)),
          residualOfNorm(config.flag("apply_residual_connection_post_layernorm", false)), attention(AttentionSettings::of(config, features, heads))
    {
        attention.dropout = config.real("attention_dropout", 0);
    }
};

/// Query, key and value of each head lie side by side in one matrix.
Var bloomAttention(Assembly& assembly, Var x, const std::string& block, const BloomShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self_attention", "BloomAttention");
    const Var all = builder.linear("query_key_value", x, shared.features, 3 * shared.features);
    const Var split = builder.reshape(all, {assembly.sizes.batch, assembly.sizes.position, shared.heads, 3, shared.attention.size});
    const Var byPart = builder.op("aten::permute", {split, std::vector<std::int64_t>{3, 0, 2, 1, 4}});
    const auto heads = builder.unpack(builder.op("aten::unbind.int", {byPart, 0}), 3, {"q", "k", "v"});
    const Var merged = attend(assembly, assembly.sizes, heads[0], heads[1], heads[2], shared.masks, shared.attention, block + ".attn");
    return builder.linear("dense", merged, shared.features, shared.features);
}

Var bloomPerceptron(Assembly& assembly, Var x, const std::string& block, const BloomShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "BloomMLP");
    const Var before = builder.linear("dense_h_to_4h", x, shared.features, 4 * shared.features);
    const Var after = builder.gelu(before, "tanh");
    assembly.name(block + ".mlp.pre", before);
    assembly.name(block + ".mlp.post", after);
    return builder.linear("dense_4h_to_h", after, 4 * shared.features, shared.features);
}

Var bloomBlock(Assembly& assembly, Var x, std::int64_t number, const BloomShared& shared)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"h", "ModuleList"}, {std::to_string(number), "BloomBlock"}});
    const Var normed = builder.layerNorm("input_layernorm", x, shared.features, shared.epsilon);
    const Var attended = builder.dropout("resid_attn_dropout", bloomAttention(assembly, normed, block, shared), shared.dropout);
    const Var middle = builder.op("aten::add.Tensor", {shared.residualOfNorm ? normed : x, attended}, "resid_mid");
    const Var second = builder.layerNorm("post_attention_layernorm", middle, shared.features, shared.epsilon);
    const Var transformed = builder.dropout("resid_mlp_dropout", bloomPerceptron(assembly, second, block, shared), shared.dropout);
    const Var after = builder.op("aten::add.Tensor", {shared.residualOfNorm ? second : middle, transformed}, "resid_post");
    for (const auto& [part, value] :
         {std::pair{"resid_pre", x}, {"attn_out", attended}, {"resid_mid", middle}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

graph::Model buildBloom(const Request& request)
{
    const Config& config = request.config;
    BloomShared shared(config);
    Assembly assembly(request, "bloom");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("transformer"), "BloomModel"}});
        const Embedded embedding = embedded(builder, "word_embeddings", tokens, shared.vocabulary, shared.features);
        table = embedding.table;
        x = builder.layerNorm("word_embeddings_layernorm", embedding.rows, shared.features, shared.epsilon);
        assembly.name("embed", x);
        const Var positions = assembly.sizes.position;
        shared.masks = {zoo::causalMask(builder, embedding.rows, positions), assembly.paddingMask(embedding.rows),
                        linearBiases(builder, embedding.rows, positions, shared.heads)};
        for (std::int64_t i = 0; i < shared.layers; ++i)
            x = bloomBlock(assembly, x, i, shared);
        x = builder.layerNorm("ln_f", x, shared.features, shared.epsilon);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    if (config.flag("tie_word_embeddings", true))
        head.tiedTable = table;
    head.token = "classifier";
    head.dropout = config.real("classifier_dropout", shared.dropout);
    return finishDecoder(assembly, x, shared.features, shared.vocabulary, head, "BLOOM");
}

}  // namespace

Family bloomFamily()
{
    return {"bloom",
            "BLOOM",
            "BigScience Workshop (2022), arXiv:2211.05100",
            {"bloom"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "transformer",
            buildBloom,
            {"h.*.self_attention.scale_mask_softmax.*", "h.*.attn.masked_bias"}};
}

}  // namespace orrery::models::families
