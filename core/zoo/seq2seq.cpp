#include <cmath>
#include <limits>

#include <core/base/error.h>

#include "architectures.h"
#include "transformer.h"

namespace orrery::zoo {
namespace {

constexpr double kSeq2seqInitialStd = 0.02;
constexpr double kEpsilon = 1e-5;

struct Sizes {
    Var batch, source, target;
};

struct Seq2seqSettings {
    std::int64_t features = 0, heads = 0;
    double dropout = 0;
};

/// [batch, position, feature] -> [batch, head, position, feature of head].
Var heads(Builder& builder, const std::string& name, Var x, Var batch, Var positions, const Seq2seqSettings& settings)
{
    const Var projected = builder.linear(name + "_proj", x, settings.features, settings.features);
    const Var split = builder.reshape(projected, {batch, positions, settings.heads, settings.features / settings.heads});
    return builder.op("aten::transpose.int", {split, 1, 2}, name);
}

/// Queries from `x`, keys and values from `memory` (the same for self-attention). `mask` is added to the scores.
Var attention(Builder& builder, const std::string& name, Var x, Var xPositions, Var memory, Var memoryPositions, Var mask, Var batch,
              const Seq2seqSettings& settings, CanonicalValues& canonical, const std::string& block)
{
    const Builder::Scope scope = builder.module(name, "MultiheadAttention");
    const double scale = 1.0 / std::sqrt(double(settings.features / settings.heads));
    const Var q = heads(builder, "q", x, batch, xPositions, settings), k = heads(builder, "k", memory, batch, memoryPositions, settings),
              v = heads(builder, "v", memory, batch, memoryPositions, settings);
    const Var product = builder.op("aten::matmul", {builder.op("aten::mul.Scalar", {q, scale}, "scale"), builder.transpose(k, -2, -1)}, "product");
    const Var scores = builder.op("aten::add.Tensor", {product, mask}, "scores");
    const Var pattern = builder.softmax(scores, -1);
    const Var z = builder.op("aten::matmul", {builder.dropout("attn_dropout", pattern, settings.dropout), v}, "z");
    const Var out = builder.linear("proj", builder.flatten(builder.transpose(z, 1, 2), 2, 3), settings.features, settings.features);
    for (const auto& [part, value] : {std::pair{"q", q}, {"k", k}, {"v", v}, {"scores", scores}, {"pattern", pattern}, {"z", z}})
        canonical[block + "." + name + "." + part] = value;
    return builder.dropout("resid_dropout", out, settings.dropout);
}

Var perceptron(Builder& builder, Var x, const Seq2seqSettings& settings)
{
    const Builder::Scope scope = builder.module("mlp", "MLP");
    const Var hidden = builder.relu(builder.linear("fc", x, settings.features, 4 * settings.features));
    return builder.dropout("resid_dropout", builder.linear("proj", hidden, 4 * settings.features, settings.features), settings.dropout);
}

Var norm(Builder& builder, const std::string& name, Var x, const Seq2seqSettings& settings)
{
    return builder.layerNorm(name, x, settings.features, kEpsilon);
}

Var encoderBlock(Builder& builder, std::int64_t number, Var x, Var mask, const Sizes& sizes, const Seq2seqSettings& settings,
                 CanonicalValues& canonical)
{
    const Builder::Scope list = builder.module("encoder", "ModuleList"), scope = builder.module(std::to_string(number), "EncoderBlock");
    const Var normed = norm(builder, "ln_1", x, settings);
    const Var attended = attention(builder, "attn", normed, sizes.source, normed, sizes.source, mask, sizes.batch, settings, canonical,
                                   "encoder." + std::to_string(number));
    const Var middle = builder.op("aten::add.Tensor", {x, attended}, "resid_mid");
    return builder.op("aten::add.Tensor", {middle, perceptron(builder, norm(builder, "ln_2", middle, settings), settings)}, "resid_post");
}

Var decoderBlock(Builder& builder, std::int64_t number, Var x, Var memory, Var causal, Var padding, const Sizes& sizes,
                 const Seq2seqSettings& settings, CanonicalValues& canonical)
{
    const Builder::Scope list = builder.module("decoder", "ModuleList"), scope = builder.module(std::to_string(number), "DecoderBlock");
    const std::string block = "decoder." + std::to_string(number);
    const Var normed = norm(builder, "ln_1", x, settings);
    const Var own = attention(builder, "attn", normed, sizes.target, normed, sizes.target, causal, sizes.batch, settings, canonical, block);
    const Var first = builder.op("aten::add.Tensor", {x, own}, "resid_own");
    const Var crossed = attention(builder, "cross_attn", norm(builder, "ln_2", first, settings), sizes.target, memory, sizes.source, padding,
                                  sizes.batch, settings, canonical, block);
    const Var middle = builder.op("aten::add.Tensor", {first, crossed}, "resid_mid");
    return builder.op("aten::add.Tensor", {middle, perceptron(builder, norm(builder, "ln_3", middle, settings), settings)}, "resid_post");
}

/// Tokens to vectors, plus the first rows of a table of positions.
Var embedded(Builder& builder, const std::string& name, Var table, Var tokens, Var positions, const core::Json& parameters,
             const Seq2seqSettings& settings, CanonicalValues& canonical)
{
    const Builder::Scope scope = builder.module(name, "Embedding");
    const Var vectors = builder.op("aten::embedding", {table, tokens});
    const Var places =
        builder.parameter("positions", {parameters["block_length"].get<std::int64_t>(), settings.features}, normalInit(kSeq2seqInitialStd));
    const Var used = builder.op("aten::slice.Tensor", {places, 0, 0, positions, 1}, "position_embedding");
    canonical["pos_embed"] = used;
    return builder.dropout("dropout", builder.add(vectors, used), settings.dropout);
}

/// [batch, 1, 1, source]: -inf where the source is padding, else 0.
Var paddingMask(Builder& builder, Var source, Var like)
{
    const Builder::Scope scope = builder.module("padding", "PaddingMask");
    const Var isPadding = builder.op("aten::eq.Scalar", {source, 0});
    const Var typed = builder.op("aten::to.other", {builder.op("aten::zeros_like", {source}, "zeros"), like}, "typed");
    const Var filled = builder.op("aten::masked_fill.Scalar", {typed, isPadding, -std::numeric_limits<double>::infinity()});
    return builder.op("aten::unsqueeze", {builder.op("aten::unsqueeze", {filled, 1}), 2});
}

}  // namespace

core::Component seq2seqComponent()
{
    return {"seq2seq",
            "Encoder-decoder transformer",
            "Turns one sequence of tokens into another: an encoder reads the source, a decoder writes the target and looks back at it.",
            "Vaswani et al. (2017), \"Attention Is All You Need\", arXiv:1706.03762; here with layer norm before each branch and learned positions",
            {core::integer("vocabulary", 64, "Number of tokens, source and target together; token 0 is padding.").range(4, 10'000'000),
             core::integer("block_length", 64, "Longest source or target.").range(1, 1 << 20).withUnit("tokens"),
             core::integer("layers", 2, "Blocks of the encoder, and of the decoder.").range(1, 200),
             core::integer("heads", 4, "Attention heads; must divide the width.").range(1, 256),
             core::integer("width", 64, "Features of the residual stream; the MLP has four times as many.").range(1, 1 << 16),
             dropoutParameter("dropout", 0.0, "Probability that an activation is zeroed in training.")},
            {{"source", "token_id", {"batch", "position"}}, {"target", "token_id", {"batch", "position"}}},
            {{"logits", "logits", {"batch", "position", "class"}}}};
}

graph::Model seq2seq(const core::Json& parameters)
{
    const Seq2seqSettings settings{parameters["width"].get<std::int64_t>(), parameters["heads"].get<std::int64_t>(),
                                   parameters["dropout"].get<double>()};
    if (settings.features % settings.heads != 0)
        throw core::InputError(
            fmt::format("expected a width that the number of heads divides, got width {} with {} heads", settings.features, settings.heads));
    const auto vocabulary = parameters["vocabulary"].get<std::int64_t>(), layers = parameters["layers"].get<std::int64_t>();
    CanonicalValues canonical;
    Builder builder("seq2seq");
    const Var source = builder.input("source", "int64", {"batch", "source_position"}, "tokens");
    const Var target = builder.input("target", "int64", {"batch", "position"}, "tokens");
    const Sizes sizes{builder.size(target, 0), builder.size(source, 1), builder.size(target, 1)};
    const Var table = builder.parameter("tokens.weight", {vocabulary, settings.features}, normalInit(kSeq2seqInitialStd));
    Var x = embedded(builder, "source_embed", table, source, sizes.source, parameters, settings, canonical);
    const Var padding = paddingMask(builder, source, x);
    for (std::int64_t i = 0; i < layers; ++i)
        x = encoderBlock(builder, i, x, padding, sizes, settings, canonical);
    const Var memory = norm(builder, "ln_encoder", x, settings);
    Var y = embedded(builder, "target_embed", table, target, sizes.target, parameters, settings, canonical);
    const Var causal = causalMask(builder, y, sizes.target);
    for (std::int64_t i = 0; i < layers; ++i)
        y = decoderBlock(builder, i, y, memory, causal, padding, sizes, settings, canonical);
    const Var logits = builder.linear("lm_head", norm(builder, "ln_f", y, settings), settings.features, vocabulary, false);
    canonical.insert({{"memory", memory}, {"logits", logits}});
    builder.card().title = "Encoder-decoder transformer";
    builder.card().task = "sequence_to_sequence";
    graph::Model model = builder.finish({{"logits", logits}});
    writeCanonicalNames(model, canonical);
    return model;
}

}  // namespace orrery::zoo
