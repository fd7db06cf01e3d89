// ModernBERT. Source: Warner et al. (2024), "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder", arXiv:2412.13663, section 2.1.
#include "bert_encoder.h"
#include "rotary.h"

namespace orrery::models::families {
namespace {

/// As good as -inf, also for halves: padding that has padding alone around it would have no finite score at all, and its NaN would spread to the others.
constexpr double kFar = -30000;

struct ModernSettings {
    std::int64_t features, hidden, layers, vocabulary, every, window;
    AttentionSettings attention;
    double epsilon;
    bool attentionBias, mlpBias, normBias, classifierBias, decoderBias;
    std::string activation, headActivation, pooling;
    RotarySettings everywhere, nearby;
    explicit ModernSettings(const Config& config)
        : features(config.count("hidden_size", 768)), hidden(config.count("intermediate_size", 1152)), layers(config.layers("num_hidden_layers", 22)),
          vocabulary(config.count("vocab_size", 50368)), every(config.count("global_attn_every_n_layers", 3)),
          window(config.count("local_attention", 128) / 2),
          attention(AttentionSettings::of(config, features, config.count("num_attention_heads", 12))), epsilon(config.real("norm_eps", 1e-5)),
          attentionBias(config.flag("attention_bias", false)), mlpBias(config.flag("mlp_bias", false)), normBias(config.flag("norm_bias", false)),
          classifierBias(config.flag("classifier_bias", false)), decoderBias(config.flag("decoder_bias", true)),
          activation(config.text("hidden_activation", "gelu")), headActivation(config.text("classifier_activation", "gelu")),
          pooling(config.text("classifier_pooling", "cls")), everywhere(turning(config, "global_rope_theta", "full_attention", 160000)),
          nearby(turning(config, "local_rope_theta", "sliding_attention", 10000))
    {
        attention.dropout = config.real("attention_dropout", 0);
        if (pooling != "cls" && pooling != "mean")
            config.fail("classifier_pooling", "cls or mean");
    }
    bool isGlobal(std::int64_t layer) const { return layer % every == 0; }

private:
    RotarySettings turning(const Config& config, const char* key, const char* kind, double otherwise) const
    {
        const double theta = config.section("rope_parameters").section(kind).real("rope_theta", otherwise);
        return rotarySettings({{{"rope_theta", config.real(key, theta)}}, config.where()}, attention.size, theta);
    }
};

/// What layers share.
struct ModernShared {
    RotaryTables everywhere, nearby;
    Var window;  ///< [query, key]: kFar further away than half the local attention
    std::optional<Var> padding;
};

Var windowMask(Builder& builder, Var like, Var positions, std::int64_t window)
{
    const Builder::Scope scope = builder.module("window", "WindowMask");
    const Var places = builder.op("aten::arange", {positions, nullptr, nullptr, c10::IValue(c10::Device(c10::kCPU))});
    const Var apart =
        builder.op("aten::sub.Tensor", {builder.op("aten::unsqueeze", {places, 1}), builder.op("aten::unsqueeze", {places, 0})}, "apart");
    const Var far = builder.op("aten::gt.Scalar", {builder.op("aten::abs", {apart}), window}, "far");
    const Var zeros = builder.op("aten::new_zeros", {like, builder.list({positions, positions}, "int")});
    return builder.op("aten::masked_fill.Scalar", {zeros, far, kFar});
}

Var modernAttention(Assembly& assembly, Var x, std::int64_t number, const ModernShared& shared, const ModernSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("attn", "ModernBertAttention");
    const bool isGlobal = settings.isGlobal(number);
    const Var all = builder.linear("Wqkv", x, settings.features, 3 * settings.features, settings.attentionBias);
    const auto part = [&](std::int64_t place, const char* name) {
        const Var own = builder.op("aten::slice.Tensor", {all, -1, place * settings.features, (place + 1) * settings.features, 1});
        return splitHeads(builder, name, own, assembly.sizes, settings.attention.heads, settings.attention.size);
    };
    const auto& tables = isGlobal ? shared.everywhere : shared.nearby;
    const auto& rotary = isGlobal ? settings.everywhere : settings.nearby;
    const Var q = rotated(builder, "q", part(0, "q_unturned"), tables, rotary, settings.attention.size),
              k = rotated(builder, "k", part(1, "k_unturned"), tables, rotary, settings.attention.size), v = part(2, "v");
    const Masks masks{isGlobal ? std::nullopt : std::optional(shared.window), shared.padding};
    const Var merged = attend(assembly, assembly.sizes, q, k, v, masks, settings.attention, blockName(number) + ".attn");
    return builder.linear("Wo", merged, settings.features, settings.features, settings.attentionBias);
}

Var modernLayer(Assembly& assembly, Var x, std::int64_t number, const ModernShared& shared, const ModernSettings& settings)
{
    Builder& builder = assembly.builder;
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "ModernBertLayer"}});
    const auto norm = [&](const char* name, Var value) {
        return builder.layerNorm(name, value, settings.features, settings.epsilon, settings.normBias);
    };
    const Var attended = modernAttention(assembly, number == 0 ? x : norm("attn_norm", x), number, shared, settings);  // the embeddings have a norm
    const Var middle = builder.op("aten::add.Tensor", {x, attended}, "resid_mid");
    const Var normed = norm("mlp_norm", middle);
    Var before, after, transformed;
    {
        const Builder::Scope scope = builder.module("mlp", "ModernBertMLP");
        const Var both = builder.linear("Wi", normed, settings.features, 2 * settings.hidden, settings.mlpBias);
        before = builder.op("aten::slice.Tensor", {both, -1, 0, settings.hidden, 1}, "opened");
        const Var gate = builder.op("aten::slice.Tensor", {both, -1, settings.hidden, 2 * settings.hidden, 1}, "gate");
        after = builder.op("aten::mul.Tensor", {activated(assembly, "hidden_activation", settings.activation, before), gate}, "gated");
        transformed = builder.linear("Wo", after, settings.hidden, settings.features, settings.mlpBias);
    }
    const Var out = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    nameBlock(assembly, blockName(number), {x, attended, middle, before, after, transformed, out});
    return out;
}

struct ModernStates {
    Var x, table;
};

ModernStates modernEncoder(Assembly& assembly, const ModernSettings& settings)
{
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    const Scopes base(builder, {{assembly.base("model"), "ModernBertModel"}});
    ModernStates states;
    {
        const Builder::Scope scope = builder.module("embeddings", "ModernBertEmbeddings");
        const Embedded words = embedded(builder, "tok_embeddings", tokens, settings.vocabulary, settings.features);
        assembly.name("embed", words.rows);
        states = {builder.layerNorm("norm", words.rows, settings.features, settings.epsilon, settings.normBias), words.table};
    }
    const Var positions = assembly.sizes.position;
    const ModernShared shared{rotaryTables(builder, states.x, positions, settings.everywhere),
                              rotaryTables(builder, states.x, positions, settings.nearby), windowMask(builder, states.x, positions, settings.window),
                              assembly.paddingMask(states.x)};
    for (std::int64_t i = 0; i < settings.layers; ++i)
        states.x = modernLayer(assembly, states.x, i, shared, settings);
    states.x = builder.layerNorm("final_norm", states.x, settings.features, settings.epsilon, settings.normBias);
    assembly.name("ln_final", states.x);
    return states;
}

/// head: dense, activation, norm.
Var modernHead(Assembly& assembly, Var x, const ModernSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("head", "PredictionHead");
    x = activated(assembly, "classifier_activation", settings.headActivation,
                  builder.linear("dense", x, settings.features, settings.features, settings.classifierBias));
    return builder.layerNorm("norm", x, settings.features, settings.epsilon, settings.normBias);
}

/// The first token, or the mean of those that are no padding.
Var pooledState(Assembly& assembly, Var x, const ModernSettings& settings)
{
    Builder& builder = assembly.builder;
    if (settings.pooling == "cls")
        return builder.op("aten::select.int", {x, 1, 0}, "pooled");
    if (!assembly.attentionMask)
        return builder.op("aten::mean.dim", {x, std::vector<std::int64_t>{1}}, "pooled");
    const Var real = builder.op("aten::to.other", {builder.op("aten::unsqueeze", {*assembly.attentionMask, -1}), x}, "real");
    const auto summed = [&](Var of, const char* name) { return builder.op("aten::sum.dim_IntList", {of, std::vector<std::int64_t>{1}}, name); };
    return builder.op("aten::div.Tensor", {summed(builder.op("aten::mul.Tensor", {x, real}, "kept"), "sum"), summed(real, "count")}, "pooled");
}

Var modernVocabulary(Assembly& assembly, Var x, Var table, const ModernSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("decoder", "Linear");
    const Var weight = builder.tied("weight", table);
    const Arg bias = settings.decoderBias ? Arg(builder.parameter("bias", {settings.vocabulary}, {{"kind", "zeros"}})) : Arg(nullptr);
    return builder.op("aten::linear", {x, weight, bias});
}

graph::Model buildModern(const Request& request)
{
    const ModernSettings settings(request.config);
    Assembly assembly(request, "modernbert");
    Builder& builder = assembly.builder;
    const auto states = modernEncoder(assembly, settings);
    const std::string title = "ModernBERT";
    switch (request.head) {
    case Head::Base: return assembly.finish({{"last_hidden_state", states.x}}, title, "");
    case Head::SequenceClassification: {
        const Var hidden = modernHead(assembly, pooledState(assembly, states.x, settings), settings);
        const Var kept = builder.dropout("drop", hidden, request.config.real("classifier_dropout", 0));
        return assembly.finish({{"logits", builder.linear("classifier", kept, settings.features, request.config.labels())}}, title, "classification");
    }
    case Head::TokenClassification: {
        const Var kept = builder.dropout("drop", modernHead(assembly, states.x, settings), request.config.real("classifier_dropout", 0));
        const Var logits = builder.linear("classifier", kept, settings.features, request.config.labels());
        assembly.name("logits", logits);
        return assembly.finish({{"logits", logits}}, title, "token_classification");
    }
    default: break;
    }
    const Var logits = modernVocabulary(assembly, modernHead(assembly, states.x, settings), states.table, settings);
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, title, "masked_language_model");
}

}  // namespace

Family modernBertFamily()
{
    return {"modernbert",
            "ModernBERT",
            "Warner et al. (2024), \"Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder\", arXiv:2412.13663",
            {"modernbert"},
            {Head::MaskedLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "model",
            buildModern,
            {"head.*", "decoder.*"}};
}

}  // namespace orrery::models::families
