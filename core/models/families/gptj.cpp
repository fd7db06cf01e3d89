// GPT-J: attention and MLP read one norm of the same residual stream; pairs of neighbouring features are turned.
// Source: Wang & Komatsuzaki (2021), "GPT-J-6B: A 6 Billion Parameter Autoregressive Language Model", mesh-transformer-jax.
#include <core/base/error.h>

#include "rotary.h"

namespace orrery::models::families {
namespace {

struct GptjShared {
    std::int64_t features, heads, hidden, layers, vocabulary;
    double epsilon, dropout;
    std::string activation;
    AttentionSettings attention;
    RotarySettings rotary;
    RotaryTables tables{};
    Masks masks;
    explicit GptjShared(const Config& config)
        : features(config.count("n_embd", 4096)), heads(config.count("n_head", 16)), hidden(config.count("n_inner", 4 * features)),
          layers(config.layers("n_layer", 28)), vocabulary(config.count("vocab_size", 50400)), epsilon(config.real("layer_norm_epsilon", 1e-5)),
          dropout(config.real("resid_pdrop", 0)), activation(config.text("activation_function", "gelu_new")),
          attention(AttentionSettings::of(config, features, heads))
    {
        attention.dropout = config.real("attn_pdrop", 0);
        const auto turned = config.count("rotary_dim", 64);
        if (turned > attention.size || turned % 2 != 0)
            config.fail("rotary_dim", fmt::format("an even number within a head's {} features", attention.size));
        rotary = rotarySettings(config, turned, 10000);
        rotary.pairs = true;
    }
};

Var gptjAttention(Assembly& assembly, Var x, const std::string& block, const GptjShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("attn", "GPTJAttention");
    const std::int64_t size = shared.attention.size;
    const auto part = [&](const char* projection, const char* name) {
        return splitHeads(builder, name, builder.linear(projection, x, shared.features, shared.features, false), assembly.sizes, shared.heads, size);
    };
    const Var query = part("q_proj", "query"), key = part("k_proj", "key"), v = part("v_proj", "v");
    const Var q = rotated(builder, "q", query, shared.tables, shared.rotary, size),
              k = rotated(builder, "k", key, shared.tables, shared.rotary, size);
    const Var merged = attend(assembly, assembly.sizes, q, k, v, shared.masks, shared.attention, block + ".attn");
    return builder.linear("out_proj", merged, shared.features, shared.features, false);
}

Var gptjPerceptron(Assembly& assembly, Var x, const std::string& block, const GptjShared& shared)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "GPTJMLP");
    const Var before = builder.linear("fc_in", x, shared.features, shared.hidden);
    const Var after = activated(assembly, "activation_function", shared.activation, before);
    assembly.name(block + ".mlp.pre", before);
    assembly.name(block + ".mlp.post", after);
    return builder.linear("fc_out", after, shared.hidden, shared.features);
}

Var gptjBlock(Assembly& assembly, Var x, std::int64_t number, const GptjShared& shared)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"h", "ModuleList"}, {std::to_string(number), "GPTJBlock"}});
    const Var normed = builder.layerNorm("ln_1", x, shared.features, shared.epsilon);
    const Var attended = builder.dropout("resid_attn_dropout", gptjAttention(assembly, normed, block, shared), shared.dropout);
    const Var transformed = builder.dropout("resid_mlp_dropout", gptjPerceptron(assembly, normed, block, shared), shared.dropout);
    return parallelResidual(assembly, block, x, attended, transformed);
}

graph::Model buildGptj(const Request& request)
{
    const Config& config = request.config;
    GptjShared shared(config);
    Assembly assembly(request, "gptj");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("transformer"), "GPTJModel"}});
        const Embedded embedding = embedded(builder, "wte", tokens, shared.vocabulary, shared.features);
        table = embedding.table;
        assembly.name("embed", embedding.rows);
        x = builder.dropout("drop", embedding.rows, config.real("embd_pdrop", 0));
        shared.tables = rotaryTables(builder, embedding.rows, assembly.sizes.position, shared.rotary);
        shared.masks = {zoo::causalMask(builder, embedding.rows, assembly.sizes.position), assembly.paddingMask(embedding.rows)};
        for (std::int64_t i = 0; i < shared.layers; ++i)
            x = gptjBlock(assembly, x, i, shared);
        x = builder.layerNorm("ln_f", x, shared.features, shared.epsilon);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    head.bias = true;
    if (config.flag("tie_word_embeddings", false))
        head.tiedTable = table;
    return finishDecoder(assembly, x, shared.features, shared.vocabulary, head, "GPT-J");
}

}  // namespace

Family gptjFamily()
{
    return {"gptj",
            "GPT-J",
            "Wang & Komatsuzaki (2021), \"GPT-J-6B: A 6 Billion Parameter Autoregressive Language Model\"",
            {"gptj"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification},
            "transformer",
            buildGptj,
            {"h.*.attn.bias", "h.*.attn.masked_bias"}};
}

}  // namespace orrery::models::families
