// Whisper. Source: Radford et al. (2022), "Robust Speech Recognition via Large-Scale Weak Supervision", arXiv:2212.04356, section 2.2.
#include <cmath>

#include "encoder_decoder.h"

namespace orrery::models::families {
namespace {

constexpr double kWhisperEpsilon = 1e-5;

/// Of the smallest model.
Config whisperDefaults(const Config& config)
{
    core::Json defaults = {{"d_model", 384}, {"dropout", 0}};
    for (const std::string stack : {"encoder", "decoder"})
        defaults.update({{stack + "_layers", 4}, {stack + "_attention_heads", 6}, {stack + "_ffn_dim", 1536}});
    return config.withDefaults(defaults);
}

struct WhisperSettings {
    CoderSettings encoder, decoder;
    std::int64_t features, vocabulary, mels, sourcePositions, positions;
    explicit WhisperSettings(const Config& config)
        : encoder(config, "encoder"), decoder(config, "decoder"), features(encoder.features), vocabulary(config.count("vocab_size", 51865)),
          mels(config.count("num_mel_bins", 80)), sourcePositions(config.count("max_source_positions", 1500)),
          positions(config.count("max_target_positions", 448))
    {
        for (auto* stack : {&encoder, &decoder}) {
            stack->normFirst = true;
            stack->keyBias = false;
        }
    }
};

/// A window of three over [batch, channel, frame] and GELU.
Var convolved(Builder& builder, const std::string& name, Var x, std::int64_t in, std::int64_t out, std::int64_t stride)
{
    const std::vector<std::int64_t> one{1}, steps{stride};
    Var made;
    {
        const Builder::Scope scope = builder.module(name, "Conv1d");
        const Var weight = builder.parameter("weight", {out, in, 3}, zoo::normalInit(0.02)),
                  bias = builder.parameter("bias", {out}, {{"kind", "zeros"}});
        made = builder.op("aten::conv1d", {x, weight, bias, steps, one, one, 1});
    }
    return builder.gelu(made);
}

Var whisperEncoder(Assembly& assembly, Var sound, const WhisperSettings& settings, zoo::TransformerSizes& sizes)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("encoder", "WhisperEncoder");
    Var x = convolved(builder, "conv1", sound, settings.mels, settings.features, 1);
    x = builder.transpose(convolved(builder, "conv2", x, settings.features, settings.features, 2), 1, 2);
    sizes = {builder.size(x, 0), builder.size(x, 1)};
    x = builder.add(x, positionRows(builder, "embed_positions", sizes.position, settings.sourcePositions, settings.features));
    x = coderLayers(assembly, builder.dropout("dropout", x, settings.encoder.dropout), {"encoder", sizes, {}, {}, {}, {}}, settings.encoder);
    return builder.layerNorm("layer_norm", x, settings.features, kWhisperEpsilon);
}

graph::Model buildWhisper(const Request& request)
{
    const WhisperSettings settings(whisperDefaults(request.config));
    Assembly assembly(request, "whisper");
    Builder& builder = assembly.builder;
    const Var sound =
        builder.input("input_features", "float32", {"batch", std::to_string(settings.mels), std::to_string(2 * settings.sourcePositions)});
    const Var tokens = assembly.tokenInput("decoder_input_ids");
    Var memory, out, table;
    {
        const Scopes base(builder, {{assembly.base("model"), "WhisperModel"}});
        zoo::TransformerSizes sourceSizes{};
        memory = whisperEncoder(assembly, sound, settings, sourceSizes);
        assembly.name("memory", memory);
        const Builder::Scope scope = builder.module("decoder", "WhisperDecoder");
        const Embedded words = embedded(builder, "embed_tokens", tokens, settings.vocabulary, settings.features);
        const Var places = positionRows(builder, "embed_positions", assembly.sizes.position, settings.positions, settings.features);
        table = words.table;
        assembly.name("embed", words.rows);
        assembly.name("pos_embed", places);
        const double scale = request.config.flag("scale_embedding", false) ? std::sqrt(double(settings.features)) : 1;
        const Var rows = scale == 1 ? words.rows : builder.op("aten::mul.Scalar", {words.rows, scale}, "scaled");
        const Var x = builder.dropout("dropout", builder.add(rows, places), settings.decoder.dropout);
        const Masks causal{zoo::causalMask(builder, x, assembly.sizes.position), {}};
        out = coderLayers(assembly, x, {"decoder", assembly.sizes, causal, memory, sourceSizes, {}}, settings.decoder);
        out = builder.layerNorm("layer_norm", out, settings.features, kWhisperEpsilon);
    }
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", out}, {"encoder_last_hidden_state", memory}}, "Whisper", "");
    const Var logits = tiedLinear(builder, "proj_out", out, table);
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, "Whisper", "sequence_to_sequence");
}

}  // namespace

Family whisperFamily()
{
    return {"whisper",
            "Whisper",
            "Radford et al. (2022), \"Robust Speech Recognition via Large-Scale Weak Supervision\", arXiv:2212.04356",
            {"whisper"},
            {Head::ConditionalGeneration, Head::Base},
            "model",
            buildWhisper,
            {}};
}

}  // namespace orrery::models::families
