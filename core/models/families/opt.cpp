// OPT. Source: Zhang et al. (2022), "OPT: Open Pre-trained Transformer Language Models", arXiv:2205.01068.
#include "assembly.h"

namespace orrery::models::families {
namespace {

/// Rows of the position table that stand before the first position.
constexpr std::int64_t kOptOffset = 2;

struct OptSizes {
    std::int64_t features, embedding, heads, hidden, layers, vocabulary, positions;
    double dropout, attentionDropout;
    bool normFirst, bias, finalNorm;
    std::string activation;
    explicit OptSizes(const Config& config)
        : features(config.count("hidden_size", 768)), embedding(config.count("word_embed_proj_dim", features)),
          heads(config.count("num_attention_heads", 12)), hidden(config.count("ffn_dim", 3072)), layers(config.layers("num_hidden_layers", 12)),
          vocabulary(config.count("vocab_size", 50272)), positions(config.count("max_position_embeddings", 2048)),
          dropout(config.real("dropout", 0.1)), attentionDropout(config.real("attention_dropout", 0)),
          normFirst(config.flag("do_layer_norm_before", true)), bias(config.flag("enable_bias", true)),
          finalNorm(normFirst && !config.flag("_remove_final_layer_norm", false)), activation(config.text("activation_function", "relu"))
    {
    }
};

Var optAttention(Assembly& assembly, Var x, const Masks& masks, const std::string& block, const OptSizes& sizes)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self_attn", "OPTAttention");
    auto settings = AttentionSettings::of(assembly.config, sizes.features, sizes.heads);
    settings.dropout = sizes.attentionDropout;
    const auto part = [&](const char* projection, const char* name) {
        const Var projected = builder.linear(projection, x, sizes.features, sizes.features, sizes.bias);
        return splitHeads(builder, name, projected, assembly.sizes, sizes.heads, settings.size);
    };
    const Var q = part("q_proj", "q"), k = part("k_proj", "k"), v = part("v_proj", "v");
    const Var merged = attend(assembly, assembly.sizes, q, k, v, masks, settings, block + ".attn");
    return builder.linear("out_proj", merged, sizes.features, sizes.features, sizes.bias);
}

Var optPerceptron(Assembly& assembly, Var x, const std::string& block, const OptSizes& sizes)
{
    Builder& builder = assembly.builder;
    const Var before = builder.linear("fc1", x, sizes.features, sizes.hidden, sizes.bias);
    const Var after = activated(assembly, "activation_function", sizes.activation, before);
    assembly.name(block + ".mlp.pre", before);
    assembly.name(block + ".mlp.post", after);
    return builder.dropout("dropout", builder.linear("fc2", after, sizes.hidden, sizes.features, sizes.bias), sizes.dropout);
}

Var optBlock(Assembly& assembly, Var x, const Masks& masks, std::int64_t number, const OptSizes& sizes)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "OPTDecoderLayer"}});
    const auto norm = [&](const char* name, Var value) { return builder.layerNorm(name, value, sizes.features); };
    const Var attended = builder.dropout(
        "attn_resid_dropout", optAttention(assembly, sizes.normFirst ? norm("self_attn_layer_norm", x) : x, masks, block, sizes), sizes.dropout);
    Var middle = builder.op("aten::add.Tensor", {x, attended}, "resid_mid");
    if (!sizes.normFirst)
        middle = norm("self_attn_layer_norm", middle);
    const Var transformed = optPerceptron(assembly, sizes.normFirst ? norm("final_layer_norm", middle) : middle, block, sizes);
    Var after = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    if (!sizes.normFirst)
        after = norm("final_layer_norm", after);
    for (const auto& [part, value] :
         {std::pair{"resid_pre", x}, {"attn_out", attended}, {"resid_mid", middle}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

graph::Model buildOpt(const Request& request)
{
    const OptSizes sizes(request.config);
    Assembly assembly(request, "opt");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("model"), "OPTModel"}, {"decoder", "OPTDecoder"}});
        const Embedded embedding = embedded(builder, "embed_tokens", tokens, sizes.vocabulary, sizes.embedding);
        table = embedding.table;
        assembly.name("embed", embedding.rows);
        const Var positions =
            positionRows(builder, "embed_positions", assembly.sizes.position, sizes.positions + kOptOffset, sizes.features, kOptOffset);
        assembly.name("pos_embed", positions);
        const bool projects = sizes.embedding != sizes.features;
        const Var projected = projects ? builder.linear("project_in", embedding.rows, sizes.embedding, sizes.features, false) : embedding.rows;
        x = builder.op("aten::add.Tensor", {projected, positions}, "embeddings");
        const Masks masks{zoo::causalMask(builder, projected, assembly.sizes.position), assembly.paddingMask(projected)};
        for (std::int64_t i = 0; i < sizes.layers; ++i)
            x = optBlock(assembly, x, masks, i, sizes);
        if (sizes.finalNorm) {
            x = builder.layerNorm("final_layer_norm", x, sizes.features);
            assembly.name("ln_final", x);
        }
        if (projects)
            x = builder.linear("project_out", x, sizes.features, sizes.embedding, false);
    }
    DecoderHead head;
    if (request.config.flag("tie_word_embeddings", true))
        head.tiedTable = table;
    return finishDecoder(assembly, x, sizes.embedding, sizes.vocabulary, head, "OPT");
}

}  // namespace

Family optFamily()
{
    return {"opt",
            "OPT",
            "Zhang et al. (2022), \"OPT: Open Pre-trained Transformer Language Models\", arXiv:2205.01068",
            {"opt"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification},
            "model",
            buildOpt,
            {}};
}

}  // namespace orrery::models::families
