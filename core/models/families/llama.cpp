// LLaMA and its kin, which differ in a few switches: Mistral (a sliding window), Mixtral (a mixture of experts), Qwen2 (biases of q, k, v), Qwen3 (norms of q and k), OLMo 2 (norms behind the
// branches alone), Granite (multipliers), Phi-3 (fused projections), Gemma (norms with
// offset 1, scaled embedding), Gemma 2 (norms after the branches, capped scores and logits) and Gemma 3 (norms of q and k, rotary frequencies of their own where the window slides).
#include <cmath>

#include <core/base/error.h>

#include "experts.h"
#include "rotary.h"

namespace orrery::models::families {
namespace {

struct LlamaSettings {
    std::string type;
    std::int64_t features, heads, keyHeads, headSize, hidden, layers, vocabulary;
    ExpertSettings experts;
    double epsilon, attentionDropout, residualDropout, scale, normOffset = 0, embedScale = 1, branchScale = 1, logitDivisor = 1;
    bool qkvBias, outBias, mlpBias, qkNorm, wholeNorm, fused, gemma, gemma3, branchNorms, olmo;
    std::string activation;
    std::optional<std::int64_t> window;
    std::optional<double> scoreCap, logitCap;
    RotarySettings rotary, slidingRotary;
    explicit LlamaSettings(const Config& config);
    bool slides(const Config& config, std::int64_t layer) const;
};

std::optional<double> cap(const Config& config, std::string_view key)
{
    return config.has(key) ? std::optional(config.real(key, 0)) : std::nullopt;
}

/// What a Gemma 3 config says of the rotary positions of one kind of layer: its part of `rope_parameters`; before that was there, everything but the base of the sliding layers
/// stood in the config itself.
Config rotaryConfig(const Config& config, const char* kind)
{
    const Config parameters = config.section("rope_parameters");
    if (parameters.has(kind))
        return {core::Json{{"rope_parameters", parameters.section(kind).json()}}, config.where()};
    return std::string_view(kind) == "full_attention" ? config : Config(core::Json::object(), config.where());
}

LlamaSettings::LlamaSettings(const Config& config)
    : type(config.text("model_type", "llama")), features(config.count("hidden_size", 4096)), heads(config.count("num_attention_heads", 32)),
      keyHeads(config.count("num_key_value_heads", type == "mistral" || type == "mixtral" ? 8 : heads)),
      headSize(config.count("head_dim", type.starts_with("qwen3")   ? 128
                                        : type.starts_with("gemma") ? 256
                                                                    : std::max<std::int64_t>(features / heads, 1))),
      hidden(config.count("intermediate_size", 11008)), layers(config.layers("num_hidden_layers", 32)), vocabulary(config.count("vocab_size", 32000)),
      epsilon(config.real("rms_norm_eps", type == "mixtral" ? 1e-5 : 1e-6)), attentionDropout(config.real("attention_dropout", 0)),
      residualDropout(config.real("resid_pdrop", 0)), qkvBias(config.flag("attention_bias", type == "qwen2")),
      outBias(config.flag("attention_bias", false)), mlpBias(config.flag("mlp_bias", false)),
      qkNorm(type.starts_with("qwen3") || type == "gemma3_text"), wholeNorm(type == "olmo2"), fused(type == "phi3"), gemma(type.starts_with("gemma")),
      gemma3(type == "gemma3_text"), branchNorms(type == "gemma2" || gemma3), olmo(type == "olmo2")
{
    if (heads % keyHeads != 0)
        config.fail("num_key_value_heads", fmt::format("a divisor of the {} attention heads", heads));
    experts = expertSettings(config, type);
    if (type == "qwen2" || type == "qwen2_moe") {
        qkvBias = type == "qwen2" || config.flag("qkv_bias", true);
        outBias = false;
    }
    scale = 1.0 / std::sqrt(branchNorms ? config.real("query_pre_attn_scalar", 256) : double(headSize));
    normOffset = gemma ? 1 : 0;
    if (gemma)
        embedScale = std::sqrt(double(features));
    if (type == "granite") {
        embedScale = config.real("embedding_multiplier", 1);
        scale = config.real("attention_multiplier", 1);
        branchScale = config.real("residual_multiplier", 1);
        logitDivisor = config.real("logits_scaling", 1);
    }
    // Gemma's first configs said "gelu" and meant the approximation by tanh.
    activation = gemma ? config.text("hidden_activation", "gelu_pytorch_tanh") : config.text("hidden_act", "silu");
    if (config.has("sliding_window"))
        window = config.count("sliding_window");
    if (type.starts_with("qwen"))
        window = config.flag("use_sliding_window", false) ? window : std::nullopt;
    scoreCap = branchNorms ? cap(config, "attn_logit_softcapping") : std::nullopt;
    logitCap = branchNorms ? cap(config, "final_logit_softcapping") : std::nullopt;
    rotary = gemma3 ? rotarySettings(rotaryConfig(config, "full_attention"), headSize, 1e6)
                    : rotarySettings(config, headSize, type == "mixtral" ? 1e6 : 10000);
    slidingRotary = gemma3 ? rotarySettings(rotaryConfig(config, "sliding_attention"), headSize, config.real("rope_local_base_freq", 10000)) : rotary;
}

/// `layer_types` says it; before it was there, Qwen's first `max_window_layers` see everything and every second layer of Gemma 2 and
/// every sixth of Gemma 3 does.
bool LlamaSettings::slides(const Config& config, std::int64_t layer) const
{
    if (!window)
        return false;
    if (config.has("layer_types")) {
        const auto& types = config.json().at("layer_types");
        if (!types.is_array() || std::int64_t(types.size()) < layers || !types[std::size_t(layer)].is_string())
            config.fail("layer_types", fmt::format("{} names", layers));
        return types[std::size_t(layer)].get<std::string>() == "sliding_attention";
    }
    if (type.starts_with("qwen"))
        return layer >= config.number("max_window_layers").value_or(28);
    if (gemma3)
        return (layer + 1) % config.count("sliding_window_pattern", 6) != 0;
    return type != "gemma2" || layer % 2 == 0;
}

/// What all blocks read.
struct LlamaShared {
    LlamaSettings settings;
    AttentionSettings attention;
    RotaryTables tables{}, slidingTables{};
    Masks full, sliding;
};

struct ProjectedHeads {
    Var q, k, v;
};

ProjectedHeads fusedProjections(Assembly& assembly, Var x, const LlamaSettings& settings)
{
    Builder& builder = assembly.builder;
    const std::int64_t q = settings.heads * settings.headSize, kv = settings.keyHeads * settings.headSize;
    const Var all = builder.linear("qkv_proj", x, settings.features, q + 2 * kv, false);
    const auto part = [&](const char* name, std::int64_t first, std::int64_t last, std::int64_t heads) {
        return splitHeads(builder, name, builder.op("aten::slice.Tensor", {all, -1, first, last, 1}), assembly.sizes, heads, settings.headSize);
    };
    return {part("query", 0, q, settings.heads), part("key", q, q + kv, settings.keyHeads), part("v", q + kv, q + 2 * kv, settings.keyHeads)};
}

ProjectedHeads projections(Assembly& assembly, Var x, const LlamaSettings& settings)
{
    if (settings.fused)
        return fusedProjections(assembly, x, settings);
    Builder& builder = assembly.builder;
    const auto part = [&](const char* projection, const char* name, std::int64_t heads) {
        Var projected = builder.linear(projection, x, settings.features, heads * settings.headSize, settings.qkvBias);
        if (settings.wholeNorm && *name != 'v')
            projected = rmsNorm(builder, *name == 'q' ? "q_norm" : "k_norm", projected, heads * settings.headSize, settings.epsilon);
        return splitHeads(builder, name, projected, assembly.sizes, heads, settings.headSize);
    };
    ProjectedHeads made{part("q_proj", "query", settings.heads), part("k_proj", "key", settings.keyHeads), part("v_proj", "v", settings.keyHeads)};
    if (settings.qkNorm) {
        made.q = rmsNorm(builder, "q_norm", made.q, settings.headSize, settings.epsilon, settings.normOffset);
        made.k = rmsNorm(builder, "k_norm", made.k, settings.headSize, settings.epsilon, settings.normOffset);
    }
    return made;
}

Var llamaAttention(Assembly& assembly, Var x, const std::string& block, bool slides, const LlamaShared& shared)
{
    Builder& builder = assembly.builder;
    const LlamaSettings& settings = shared.settings;
    const Builder::Scope scope = builder.module("self_attn", "Attention");
    const ProjectedHeads heads = projections(assembly, x, settings);
    const RotaryTables& tables = slides ? shared.slidingTables : shared.tables;
    const RotarySettings& rotary = slides ? settings.slidingRotary : settings.rotary;
    const Var q = rotated(builder, "q", heads.q, tables, rotary, settings.headSize);
    const Var k = rotated(builder, "k", heads.k, tables, rotary, settings.headSize);
    const Var merged = attend(assembly, assembly.sizes, q, k, heads.v, slides ? shared.sliding : shared.full, shared.attention, block + ".attn");
    return builder.linear("o_proj", merged, settings.heads * settings.headSize, settings.features, settings.outBias);
}

Var llamaPerceptron(Assembly& assembly, Var x, const std::string& block, const LlamaSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "GatedMLP");
    Var gate, up;
    if (settings.fused) {
        const Var both = builder.linear("gate_up_proj", x, settings.features, 2 * settings.hidden, false);
        gate = builder.op("aten::slice.Tensor", {both, -1, 0, settings.hidden, 1}, "gate");
        up = builder.op("aten::slice.Tensor", {both, -1, settings.hidden, 2 * settings.hidden, 1}, "up");
    } else {
        gate = builder.linear("gate_proj", x, settings.features, settings.hidden, settings.mlpBias);
        up = builder.linear("up_proj", x, settings.features, settings.hidden, settings.mlpBias);
    }
    const Var opened = activated(assembly, settings.gemma ? "hidden_activation" : "hidden_act", settings.activation, gate);
    const Var after = builder.op("aten::mul.Tensor", {opened, up}, "gated");
    assembly.name(block + ".mlp.pre", gate);
    assembly.name(block + ".mlp.post", after);
    return builder.linear("down_proj", after, settings.hidden, settings.features, settings.mlpBias);
}

/// Attention and MLP with the norms around them: before each branch, behind it, or both.
Var llamaBlock(Assembly& assembly, Var x, std::int64_t number, const LlamaShared& shared)
{
    Builder& builder = assembly.builder;
    const LlamaSettings& settings = shared.settings;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layers", "ModuleList"}, {std::to_string(number), "DecoderLayer"}});
    const bool normsBehind = settings.branchNorms || settings.olmo;
    const auto norm = [&](const char* name, Var value) {
        return rmsNorm(builder, name, value, settings.features, settings.epsilon, settings.normOffset);
    };
    const auto branch = [&](const char* name, Var value, const char* dropout) {
        if (normsBehind)
            value = norm(name, value);
        if (settings.branchScale != 1)
            value = builder.op("aten::mul.Scalar", {value, settings.branchScale}, "branch_scaled");
        return builder.dropout(dropout, value, settings.residualDropout);
    };
    const Var before = settings.olmo ? x : norm("input_layernorm", x);
    const Var attended = branch("post_attention_layernorm", llamaAttention(assembly, before, block, settings.slides(assembly.config, number), shared),
                                "resid_attn_dropout");
    const Var middle = builder.op("aten::add.Tensor", {x, attended}, "resid_mid");
    const Var normed = settings.olmo ? middle : norm(settings.branchNorms ? "pre_feedforward_layernorm" : "post_attention_layernorm", middle);
    const Var transformed = branch("post_feedforward_layernorm",
                                   settings.experts.isAt(number) ? mixtureOfExperts(assembly, normed, block, settings.experts)
                                                                 : llamaPerceptron(assembly, normed, block, settings),
                                   "resid_mlp_dropout");
    const Var after = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    for (const auto& [part, value] :
         {std::pair{"resid_pre", x}, {"attn_out", attended}, {"resid_mid", middle}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

const char* llamaTitle(const std::string& type)
{
    return type == "mistral"       ? "Mistral"
           : type == "mixtral"     ? "Mixtral"
           : type == "qwen2"       ? "Qwen2"
           : type == "qwen2_moe"   ? "Qwen2-MoE"
           : type == "qwen3"       ? "Qwen3"
           : type == "qwen3_moe"   ? "Qwen3-MoE"
           : type == "olmo2"       ? "OLMo 2"
           : type == "granite"     ? "Granite"
           : type == "phi3"        ? "Phi-3"
           : type == "gemma"       ? "Gemma"
           : type == "gemma2"      ? "Gemma 2"
           : type == "gemma3_text" ? "Gemma 3"
                                   : "LLaMA";
}

void prepareMasks(Assembly& assembly, Var like, LlamaShared& shared)
{
    const auto padding = assembly.paddingMask(like);
    shared.full = {zoo::causalMask(assembly.builder, like, assembly.sizes.position), padding};
    if (shared.settings.window)
        shared.sliding = {slidingMask(assembly.builder, like, assembly.sizes.position, *shared.settings.window), padding};
}

graph::Model buildLlama(const Request& request)
{
    const Config& config = request.config;
    LlamaShared shared{LlamaSettings(config), {}, {}, {}, {}, {}};
    const LlamaSettings& settings = shared.settings;
    shared.attention = {settings.heads, settings.keyHeads, settings.headSize, settings.scale, settings.attentionDropout, settings.scoreCap};
    Assembly assembly(request, settings.type);
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("model"), "DecoderModel"}});
        const Embedded embedding = embedded(builder, "embed_tokens", tokens, settings.vocabulary, settings.features);
        table = embedding.table;
        x = embedding.rows;
        assembly.name("embed", x);
        if (settings.embedScale != 1)
            x = builder.op("aten::mul.Scalar", {x, settings.embedScale}, "embed_scaled");
        x = builder.dropout("embed_dropout", x, config.real("embd_pdrop", 0));
        shared.tables = rotaryTables(builder, embedding.rows, assembly.sizes.position, settings.rotary);
        shared.slidingTables =
            settings.gemma3 ? rotaryTables(builder, embedding.rows, assembly.sizes.position, settings.slidingRotary) : shared.tables;
        prepareMasks(assembly, embedding.rows, shared);
        for (std::int64_t i = 0; i < settings.layers; ++i)
            x = llamaBlock(assembly, x, i, shared);
        x = rmsNorm(builder, "norm", x, settings.features, settings.epsilon, settings.normOffset);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    if (config.flag("tie_word_embeddings", settings.gemma))
        head.tiedTable = table;
    head.softcap = settings.logitCap;
    head.divisor = settings.logitDivisor;
    head.dropout = config.real("classifier_dropout", 0.1);
    return finishDecoder(assembly, x, settings.features, settings.vocabulary, head, llamaTitle(settings.type));
}

}  // namespace

Family llamaFamily()
{
    return {"llama",
            "LLaMA, Mistral, Mixtral, Qwen2, Qwen3 (both also as mixtures of experts), OLMo 2, Granite, Phi-3, Gemma, Gemma 2, Gemma 3 (text)",
            "Touvron et al. (2023), arXiv:2302.13971; Jiang et al. (2023), arXiv:2310.06825; Jiang et al. (2024), arXiv:2401.04088; Qwen team "
            "(2024), arXiv:2407.10671; Gemma team (2024), "
            "arXiv:2408.00118; Gemma team (2025), arXiv:2503.19786; OLMo team (2024), arXiv:2501.00656",
            {"llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "olmo2", "granite", "phi3", "gemma", "gemma2", "gemma3_text"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "model",
            buildLlama,
            {"layers.*.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq"}};
}

}  // namespace orrery::models::families
