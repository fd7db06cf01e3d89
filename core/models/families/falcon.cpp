// Falcon: one key head for all queries (7B), one for each group of them (40B, 11B), or ALiBi and as many as there are queries (RW).
// Source: Almazrouei et al. (2023), "The Falcon Series of Open Language Models", arXiv:2311.16867, section 4.3.
#include <cmath>

#include <core/base/error.h>

#include "rotary.h"

namespace orrery::models::families {
namespace {

struct FalconShared {
    std::int64_t features, heads, hidden, layers, vocabulary, groups;
    double epsilon, dropout;
    bool alibi, bias, parallel, twoNorms;
    std::string activation;
    AttentionSettings attention;
    RotarySettings rotary;
    RotaryTables tables{};
    Masks masks;
    explicit FalconShared(const Config& config);
};

FalconShared::FalconShared(const Config& config)
    : features(config.count("hidden_size", 4544)), heads(config.count(config.firstOf({"num_attention_heads", "n_head"}), 71)),
      hidden(config.count("ffn_hidden_size", 4 * features)), layers(config.layers(config.firstOf({"num_hidden_layers", "n_layer"}), 32)),
      vocabulary(config.count("vocab_size", 65024)), epsilon(config.real("layer_norm_epsilon", 1e-5)), dropout(config.real("hidden_dropout", 0)),
      alibi(config.flag("alibi", false)), bias(config.flag("bias", false)), activation(config.text("activation", "gelu")),
      attention(AttentionSettings::of(config, features, heads))
{
    const bool grouped = config.flag("new_decoder_architecture", false);
    parallel = grouped || config.flag("parallel_attn", true);
    twoNorms = grouped && config.number("num_ln_in_parallel_attn").value_or(2) == 2;
    groups = grouped ? config.count("num_kv_heads", heads) : config.flag("multi_query", true) ? 1 : heads;
    if (heads % groups != 0)
        config.fail("num_kv_heads", fmt::format("a divisor of the {} attention heads", heads));
    attention.keyHeads = groups;
    attention.dropout = config.real("attention_dropout", 0);
    if (!alibi)
        rotary = rotarySettings(config, attention.size, 10000);
}

/// The matrix holds the queries of a group, then its key and its value: [groups, queries a group + 2, size].
Var falconAttention(Assembly& assembly, Var x, const std::string& block, const FalconShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self_attention", "FalconAttention");
    const std::int64_t size = shared.attention.size, queries = shared.heads / shared.groups;
    const auto& sizes = assembly.sizes;
    const Var all = builder.linear("query_key_value", x, shared.features, (shared.heads + 2 * shared.groups) * size, shared.bias);
    const Var grouped = builder.reshape(all, {sizes.batch, sizes.position, shared.groups, queries + 2, size});
    const auto part = [&](const char* name, std::int64_t first, std::int64_t count) {
        const Var taken = builder.op("aten::slice.Tensor", {grouped, 3, first, first + count, 1});
        return splitHeads(builder, name, taken, sizes, shared.groups * count, size);
    };
    Var q = part(shared.alibi ? "q" : "query", 0, queries), k = part(shared.alibi ? "k" : "key", queries, 1);
    const Var v = part("v", queries + 1, 1);
    if (!shared.alibi) {
        q = rotated(builder, "q", q, shared.tables, shared.rotary, size);
        k = rotated(builder, "k", k, shared.tables, shared.rotary, size);
    }
    const Var merged = attend(assembly, sizes, q, k, v, shared.masks, shared.attention, block + ".attn");
    return builder.linear("dense", merged, shared.features, shared.features, shared.bias);
}

Var falconPerceptron(Assembly& assembly, Var x, const std::string& block, const FalconShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "FalconMLP");
    const Var before = builder.linear("dense_h_to_4h", x, shared.features, shared.hidden, shared.bias);
    const Var after = activated(assembly, "activation", shared.activation, before);
    assembly.name(block + ".mlp.pre", before);
    assembly.name(block + ".mlp.post", after);
    return builder.linear("dense_4h_to_h", after, shared.hidden, shared.features, shared.bias);
}

Var falconBlock(Assembly& assembly, Var x, std::int64_t number, const FalconShared& shared)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"h", "ModuleList"}, {std::to_string(number), "FalconDecoderLayer"}});
    const auto norm = [&](const char* name, Var value) { return builder.layerNorm(name, value, shared.features, shared.epsilon); };
    const Var normed = norm(shared.twoNorms ? "ln_attn" : "input_layernorm", x);
    const Var attended = builder.dropout("resid_attn_dropout", falconAttention(assembly, normed, block, shared), shared.dropout);
    const Var middle = builder.op("aten::add.Tensor", {x, attended}, shared.parallel ? "resid_attn" : "resid_mid");
    const Var second = shared.twoNorms ? norm("ln_mlp", x) : shared.parallel ? normed : norm("post_attention_layernorm", middle);
    const Var transformed = builder.dropout("resid_mlp_dropout", falconPerceptron(assembly, second, block, shared), shared.dropout);
    const Var after = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    if (!shared.parallel)
        assembly.name(block + ".resid_mid", middle);
    for (const auto& [part, value] : {std::pair{"resid_pre", x}, {"attn_out", attended}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

void falconPlaces(Assembly& assembly, Var like, FalconShared& shared)
{
    const Var positions = assembly.sizes.position;
    shared.masks = {zoo::causalMask(assembly.builder, like, positions), assembly.paddingMask(like)};
    if (shared.alibi)  // the library scales the biases as it does the scores
        shared.masks.heads = linearBiases(assembly.builder, like, positions, shared.heads, shared.attention.scale);
    else
        shared.tables = rotaryTables(assembly.builder, like, positions, shared.rotary);
}

graph::Model buildFalcon(const Request& request)
{
    const Config& config = request.config;
    FalconShared shared(config);
    Assembly assembly(request, "falcon");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("transformer"), "FalconModel"}});
        const Embedded embedding = embedded(builder, "word_embeddings", tokens, shared.vocabulary, shared.features);
        table = embedding.table;
        x = embedding.rows;
        assembly.name("embed", x);
        falconPlaces(assembly, x, shared);
        for (std::int64_t i = 0; i < shared.layers; ++i)
            x = falconBlock(assembly, x, i, shared);
        x = builder.layerNorm("ln_f", x, shared.features, shared.epsilon);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    if (config.flag("tie_word_embeddings", true))
        head.tiedTable = table;
    head.token = "classifier";
    head.dropout = config.real("classifier_dropout", shared.dropout);
    return finishDecoder(assembly, x, shared.features, shared.vocabulary, head, "Falcon");
}

}  // namespace

Family falconFamily()
{
    return {"falcon",
            "Falcon",
            "Almazrouei et al. (2023), \"The Falcon Series of Open Language Models\", arXiv:2311.16867",
            {"falcon"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "transformer",
            buildFalcon,
            {"h.*.self_attention.rotary_emb.inv_freq", "rotary_emb.inv_freq"}};
}

}  // namespace orrery::models::families
