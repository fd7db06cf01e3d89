// T5 and its later versions: encoder-decoder with relative position biases, shared by the layers of a stack, and no scale on the scores.
// Source: Raffel et al. (2019), "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", arXiv:1910.10683, section 2.1.
#include <cmath>
#include <functional>

#include "encoder_decoder.h"
#include "relative_positions.h"

namespace orrery::models::families {
namespace {

struct T5Settings {
    std::int64_t features, headSize, hidden, layers, decoderLayers, heads, vocabulary, buckets, distance;
    double epsilon, dropout;
    bool gated, tied, scaled;
    std::string activation;
    explicit T5Settings(const Config& config)
        : features(config.count("d_model", 512)), headSize(config.count("d_kv", 64)), hidden(config.count("d_ff", 2048)),
          layers(config.layers("num_layers", 6)), decoderLayers(config.layers("num_decoder_layers", layers)), heads(config.count("num_heads", 8)),
          vocabulary(config.count("vocab_size", 32128)), buckets(config.count("relative_attention_num_buckets", 32)),
          distance(config.count("relative_attention_max_distance", 128)), epsilon(config.real("layer_norm_epsilon", 1e-6)),
          dropout(config.real("dropout_rate", 0.1)), tied(config.flag("tie_word_embeddings", true)),
          scaled(config.flag("scale_decoder_outputs", tied))
    {
        const auto projection = config.text("feed_forward_proj", "relu");
        gated = projection.starts_with("gated-");
        activation = gated ? projection.substr(6) : projection;
        if (projection == "gated-gelu")
            activation = "gelu_new";
        if (buckets < 4 || buckets % 4 != 0)
            config.fail("relative_attention_num_buckets", "a multiple of 4");
    }
};

Var t5Attention(Assembly& assembly, Var x, const CoderStack& stack, Var source, const zoo::TransformerSizes& sourceSizes, const Masks& masks,
                const std::string& canonicalName, const T5Settings& settings)
{
    Builder& builder = assembly.builder;
    const std::int64_t inner = settings.heads * settings.headSize;
    const auto part = [&](const char* name, Var from, const zoo::TransformerSizes& sizes) {
        return splitHeads(builder, std::string(name) + "_heads", builder.linear(name, from, settings.features, inner, false), sizes, settings.heads,
                          settings.headSize);
    };
    const Var q = part("q", x, stack.sizes), k = part("k", source, sourceSizes), v = part("v", source, sourceSizes);
    const AttentionSettings attention{settings.heads, settings.heads, settings.headSize, 1, settings.dropout, {}};
    const Var merged = attend(assembly, stack.sizes, q, k, v, masks, attention, canonicalName);
    return builder.linear("o", merged, inner, settings.features, false);
}

Var t5Perceptron(Assembly& assembly, Var x, const T5Settings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("DenseReluDense", settings.gated ? "GatedFF" : "FF");
    const auto opened = [&](const char* name) {
        return activated(assembly, "feed_forward_proj", settings.activation, builder.linear(name, x, settings.features, settings.hidden, false));
    };
    const Var hidden = settings.gated
                           ? builder.op("aten::mul.Tensor", {opened("wi_0"), builder.linear("wi_1", x, settings.features, settings.hidden, false)})
                           : opened("wi");
    return builder.linear("wo", builder.dropout("dropout", hidden, settings.dropout), settings.hidden, settings.features, false);
}

/// One part of a block: norm, branch, sum. `branch` is called inside module layer.N.
Var t5Layer(Assembly& assembly, std::int64_t number, Var x, const T5Settings& settings, const std::function<Var(Var)>& branch)
{
    Builder& builder = assembly.builder;
    const Scopes scopes(builder, {{"layer", "ModuleList"}, {std::to_string(number), "T5Layer"}});
    const Var normed = rmsNorm(builder, "layer_norm", x, settings.features, settings.epsilon);
    return builder.op("aten::add.Tensor", {x, builder.dropout("dropout", branch(normed), settings.dropout)}, "resid");
}

Var t5Block(Assembly& assembly, std::int64_t number, Var x, CoderStack& stack, const T5Settings& settings)
{
    Builder& builder = assembly.builder;
    const std::string canonicalName = fmt::format("{}.{}", stack.name, number);
    const Scopes scopes(builder, {{"block", "ModuleList"}, {std::to_string(number), "T5Block"}});
    x = t5Layer(assembly, 0, x, settings, [&](Var normed) {
        const Builder::Scope scope = builder.module("SelfAttention", "T5Attention");
        if (number == 0) {
            const Builder::Scope inner = builder.module("relative_attention_bias", "Embedding");
            const Var bias = relativeBias(builder, stack.sizes.position, {settings.buckets, settings.distance, settings.heads, !stack.memory});
            stack.masks.padding = stack.masks.padding ? builder.op("aten::add.Tensor", {*stack.masks.padding, bias}, "position_bias") : bias;
        }
        return t5Attention(assembly, normed, stack, normed, stack.sizes, stack.masks, canonicalName + ".attn", settings);
    });
    if (stack.memory)
        x = t5Layer(assembly, 1, x, settings, [&](Var normed) {
            const Builder::Scope scope = builder.module("EncDecAttention", "T5Attention");
            return t5Attention(assembly, normed, stack, *stack.memory, stack.source, {{}, stack.memoryMask}, canonicalName + ".cross_attn", settings);
        });
    return t5Layer(assembly, stack.memory ? 2 : 1, x, settings, [&](Var normed) { return t5Perceptron(assembly, normed, settings); });
}

Var t5Stack(Assembly& assembly, Var x, CoderStack stack, std::int64_t layers, const T5Settings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(stack.name, "T5Stack");
    x = builder.dropout("dropout", x, settings.dropout);
    for (std::int64_t i = 0; i < layers; ++i)
        x = t5Block(assembly, i, x, stack, settings);
    x = rmsNorm(builder, "final_layer_norm", x, settings.features, settings.epsilon);
    return builder.dropout("final_dropout", x, settings.dropout);
}

/// The shared table under the names that files give it.
Var sharedRows(Builder& builder, const std::string& stack, Var table, Var tokens)
{
    const Scopes scopes(builder, {{stack, "T5Stack"}, {"embed_tokens", "Embedding"}});
    return builder.op("aten::embedding", {builder.tied("weight", table), tokens});
}

graph::Model buildT5(const Request& request)
{
    const T5Settings settings(request.config);
    Assembly assembly(request, "t5");
    Builder& builder = assembly.builder;
    const bool encodes = request.head == Head::Encoder;
    const Var source = assembly.tokenInput("input_ids", encodes ? "position" : "source_position");
    const zoo::TransformerSizes sourceSizes = assembly.sizes;
    const Var target = encodes ? source : assembly.tokenInput("decoder_input_ids");
    const Var table = builder.parameter("shared.weight", {settings.vocabulary, settings.features}, zoo::normalInit(1));
    const Var x = sharedRows(builder, "encoder", table, source);
    const auto padding = assembly.paddingMask(x);
    const Var memory = t5Stack(assembly, x, {"encoder", sourceSizes, {{}, padding}, {}, {}, {}}, settings.layers, settings);
    if (encodes)
        return assembly.finish({{"last_hidden_state", memory}}, "T5 encoder", "");
    assembly.name("memory", memory);
    const Var y = sharedRows(builder, "decoder", table, target);
    const Masks causal{zoo::causalMask(builder, y, assembly.sizes.position), {}};
    Var out = t5Stack(assembly, y, {"decoder", assembly.sizes, causal, memory, sourceSizes, padding}, settings.decoderLayers, settings);
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", out}, {"encoder_last_hidden_state", memory}}, "T5", "");
    if (settings.scaled)
        out = builder.op("aten::mul.Scalar", {out, 1.0 / std::sqrt(double(settings.features))}, "scaled");
    const Var logits =
        settings.tied ? tiedLinear(builder, "lm_head", out, table) : builder.linear("lm_head", out, settings.features, settings.vocabulary, false);
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, "T5", "sequence_to_sequence");
}

}  // namespace

Family t5Family()
{
    return {"t5",
            "T5",
            "Raffel et al. (2019), \"Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer\", arXiv:1910.10683",
            {"t5", "mt5"},
            {Head::ConditionalGeneration, Head::Base, Head::Encoder},
            "",
            buildT5,
            {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"}};
}

}  // namespace orrery::models::families
