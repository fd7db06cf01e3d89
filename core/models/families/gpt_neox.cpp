// GPT-NeoX and Pythia. Sources: Black et al. (2022), arXiv:2204.06745, section 2; Biderman et al. (2023), arXiv:2304.01373.
#include "rotary.h"

namespace orrery::models::families {
namespace {

struct NeoxSizes {
    std::int64_t features, heads, hidden, layers, vocabulary;
    double epsilon, attentionDropout, dropout;
    bool parallel, attentionBias;
    std::string activation;
    explicit NeoxSizes(const Config& config)
        : features(config.count("hidden_size", 6144)), heads(config.count("num_attention_heads", 64)),
          hidden(config.count("intermediate_size", 24576)), layers(config.layers("num_hidden_layers", 44)),
          vocabulary(config.count("vocab_size", 50432)), epsilon(config.real("layer_norm_eps", 1e-5)),
          attentionDropout(config.real("attention_dropout", 0)), dropout(config.real("hidden_dropout", 0)),
          parallel(config.flag("use_parallel_residual", true)), attentionBias(config.flag("attention_bias", true)),
          activation(config.text("hidden_act", "gelu"))
    {
    }
};

/// What all blocks read.
struct NeoxShared {
    NeoxSizes sizes;
    AttentionSettings attention;
    RotarySettings rotary;
    RotaryTables tables{};
    Masks masks;
};

Var neoxAttention(Assembly& assembly, Var x, const std::string& block, const NeoxShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("attention", "GPTNeoXAttention");
    const NeoxSizes& sizes = shared.sizes;
    const AttentionSettings& settings = shared.attention;
    const Var all = builder.linear("query_key_value", x, sizes.features, 3 * sizes.features, sizes.attentionBias);
    const Var split = builder.reshape(all, {assembly.sizes.batch, assembly.sizes.position, sizes.heads, 3, settings.size});
    const Var byPart = builder.op("aten::permute", {split, std::vector<std::int64_t>{3, 0, 2, 1, 4}});
    const auto heads = builder.unpack(builder.op("aten::unbind.int", {byPart, 0}), 3, {"query", "key", "v"});
    const Var q = rotated(builder, "q", heads[0], shared.tables, shared.rotary, settings.size);
    const Var k = rotated(builder, "k", heads[1], shared.tables, shared.rotary, settings.size);
    const Var merged = attend(assembly, assembly.sizes, q, k, heads[2], shared.masks, settings, block + ".attn");
    return builder.linear("dense", merged, sizes.features, sizes.features, sizes.attentionBias);
}

Var neoxPerceptron(Assembly& assembly, Var x, const std::string& block, const NeoxSizes& sizes)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "GPTNeoXMLP");
    const Var before = builder.linear("dense_h_to_4h", x, sizes.features, sizes.hidden);
    const Var after = activated(assembly, "hidden_act", sizes.activation, before);
    assembly.name(block + ".mlp.pre", before);
    assembly.name(block + ".mlp.post", after);
    return builder.linear("dense_4h_to_h", after, sizes.hidden, sizes.features);
}

Var neoxBlock(Assembly& assembly, Var x, std::int64_t number, const NeoxShared& shared)
{
    Builder& builder = assembly.builder;
    const NeoxSizes& sizes = shared.sizes;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "GPTNeoXLayer"}});
    const Var attended = builder.dropout(
        "post_attention_dropout", neoxAttention(assembly, builder.layerNorm("input_layernorm", x, sizes.features, sizes.epsilon), block, shared),
        sizes.dropout);
    const Var middle = builder.op("aten::add.Tensor", {x, attended}, sizes.parallel ? "resid_attn" : "resid_mid");
    const Var normed = builder.layerNorm("post_attention_layernorm", sizes.parallel ? x : middle, sizes.features, sizes.epsilon);
    const Var transformed = builder.dropout("post_mlp_dropout", neoxPerceptron(assembly, normed, block, sizes), sizes.dropout);
    const Var after = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    if (!sizes.parallel)
        assembly.name(block + ".resid_mid", middle);
    for (const auto& [part, value] : {std::pair{"resid_pre", x}, {"attn_out", attended}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

graph::Model buildNeox(const Request& request)
{
    const Config& config = request.config;
    NeoxShared shared{NeoxSizes(config), {}, {}, {}, {}};
    const NeoxSizes& sizes = shared.sizes;
    shared.attention = AttentionSettings::of(config, sizes.features, sizes.heads);
    shared.attention.dropout = sizes.attentionDropout;
    shared.rotary = rotarySettings(config, shared.attention.size, 10000, 0.25);
    Assembly assembly(request, "gpt_neox");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("gpt_neox"), "GPTNeoXModel"}});
        const Embedded embedding = embedded(builder, "embed_in", tokens, sizes.vocabulary, sizes.features);
        assembly.name("embed", embedding.rows);
        table = embedding.table;
        x = builder.dropout("emb_dropout", embedding.rows, sizes.dropout);
        shared.tables = rotaryTables(builder, embedding.rows, assembly.sizes.position, shared.rotary);
        shared.masks = {zoo::causalMask(builder, embedding.rows, assembly.sizes.position), assembly.paddingMask(embedding.rows)};
        for (std::int64_t i = 0; i < sizes.layers; ++i)
            x = neoxBlock(assembly, x, i, shared);
        x = builder.layerNorm("final_layer_norm", x, sizes.features, sizes.epsilon);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    head.languageModel = "embed_out";
    if (config.flag("tie_word_embeddings", false))
        head.tiedTable = table;
    head.token = "classifier";
    head.dropout = config.real("classifier_dropout", 0.1);
    return finishDecoder(assembly, x, sizes.features, sizes.vocabulary, head, "GPT-NeoX");
}

}  // namespace

Family gptNeoxFamily()
{
    return {"gpt_neox",
            "GPT-NeoX, Pythia",
            "Black et al. (2022), \"GPT-NeoX-20B\", arXiv:2204.06745; Biderman et al. (2023), \"Pythia\", arXiv:2304.01373",
            {"gpt_neox"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "gpt_neox",
            buildNeox,
            {"layers.*.attention.bias", "layers.*.attention.masked_bias", "layers.*.attention.rotary_emb.inv_freq", "rotary_emb.inv_freq"}};
}

}  // namespace orrery::models::families
