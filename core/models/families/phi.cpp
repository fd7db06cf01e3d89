// Phi-1, Phi-1.5 and Phi-2: attention and MLP read one norm of the same residual stream.
// Source: Gunasekar et al. (2023), "Textbooks Are All You Need", arXiv:2306.11644, section 2.3.
#include "rotary.h"

namespace orrery::models::families {
namespace {

struct PhiShared {
    std::int64_t features, heads, keyHeads, hidden, layers, vocabulary;
    double epsilon, dropout;
    std::string activation;
    AttentionSettings attention;
    RotarySettings rotary;
    RotaryTables tables{};
    Masks masks;
    explicit PhiShared(const Config& config)
        : features(config.count("hidden_size", 2048)), heads(config.count("num_attention_heads", 32)),
          keyHeads(config.count("num_key_value_heads", heads)), hidden(config.count("intermediate_size", 8192)),
          layers(config.layers("num_hidden_layers", 24)), vocabulary(config.count("vocab_size", 51200)), epsilon(config.real("layer_norm_eps", 1e-5)),
          dropout(config.real("resid_pdrop", 0)), activation(config.text("hidden_act", "gelu_new")),
          attention(AttentionSettings::of(config, features, heads)), rotary(rotarySettings(config, attention.size, 10000, 0.5))
    {
        if (heads % keyHeads != 0)
            config.fail("num_key_value_heads", fmt::format("a divisor of the {} attention heads", heads));
        attention.keyHeads = keyHeads;
        attention.dropout = config.real("attention_dropout", 0);
    }
};

Var phiAttention(Assembly& assembly, Var x, const std::string& block, const PhiShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self_attn", "PhiAttention");
    const std::int64_t size = shared.attention.size;
    const auto part = [&](const char* projection, const char* name, std::int64_t heads) {
        return splitHeads(builder, name, builder.linear(projection, x, shared.features, heads * size), assembly.sizes, heads, size);
    };
    const auto normed = [&](const char* name, Var value) {
        return assembly.config.flag("qk_layernorm", false) ? builder.layerNorm(name, value, size, shared.epsilon) : value;
    };
    const Var query = normed("q_layernorm", part("q_proj", "query", shared.heads)),
              key = normed("k_layernorm", part("k_proj", "key", shared.keyHeads));
    const Var v = part("v_proj", "v", shared.keyHeads);
    const Var q = rotated(builder, "q", query, shared.tables, shared.rotary, size),
              k = rotated(builder, "k", key, shared.tables, shared.rotary, size);
    const Var merged = attend(assembly, assembly.sizes, q, k, v, shared.masks, shared.attention, block + ".attn");
    return builder.linear("dense", merged, shared.heads * size, shared.features);
}

Var phiPerceptron(Assembly& assembly, Var x, const std::string& block, const PhiShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "PhiMLP");
    const Var before = builder.linear("fc1", x, shared.features, shared.hidden);
    const Var after = activated(assembly, "hidden_act", shared.activation, before);
    assembly.name(block + ".mlp.pre", before);
    assembly.name(block + ".mlp.post", after);
    return builder.linear("fc2", after, shared.hidden, shared.features);
}

Var phiBlock(Assembly& assembly, Var x, std::int64_t number, const PhiShared& shared)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "PhiDecoderLayer"}});
    const Var normed = builder.layerNorm("input_layernorm", x, shared.features, shared.epsilon);
    const Var attended = builder.dropout("resid_attn_dropout", phiAttention(assembly, normed, block, shared), shared.dropout);
    const Var transformed = builder.dropout("resid_mlp_dropout", phiPerceptron(assembly, normed, block, shared), shared.dropout);
    return parallelResidual(assembly, block, x, attended, transformed);
}

graph::Model buildPhi(const Request& request)
{
    const Config& config = request.config;
    PhiShared shared(config);
    Assembly assembly(request, "phi");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("model"), "PhiModel"}});
        const Embedded embedding = embedded(builder, "embed_tokens", tokens, shared.vocabulary, shared.features);
        table = embedding.table;
        assembly.name("embed", embedding.rows);
        x = builder.dropout("embed_dropout", embedding.rows, config.real("embd_pdrop", 0));
        shared.tables = rotaryTables(builder, embedding.rows, assembly.sizes.position, shared.rotary);
        shared.masks = {zoo::causalMask(builder, embedding.rows, assembly.sizes.position), assembly.paddingMask(embedding.rows)};
        for (std::int64_t i = 0; i < shared.layers; ++i)
            x = phiBlock(assembly, x, i, shared);
        x = builder.layerNorm("final_layernorm", x, shared.features, shared.epsilon);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    head.bias = true;
    if (config.flag("tie_word_embeddings", false))
        head.tiedTable = table;
    head.dropout = config.real("classifier_dropout", 0.1);
    return finishDecoder(assembly, x, shared.features, shared.vocabulary, head, "Phi");
}

}  // namespace

Family phiFamily()
{
    return {"phi",
            "Phi-1, Phi-2",
            "Gunasekar et al. (2023), \"Textbooks Are All You Need\", arXiv:2306.11644",
            {"phi"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "model",
            buildPhi,
            {"layers.*.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"}};
}

}  // namespace orrery::models::families
