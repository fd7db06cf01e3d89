#pragma once
#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <core/graph/builder.h>
#include <core/graph/executor.h>

/// Attention-only transformers whose weights are set by hand, so that it is known which value does what. Canonical names as core/zoo gives them:
/// embed, pos_embed, blocks.N.{resid_pre, attn_out, resid_post, attn.q, .k, .v, .scores, .pattern, .z}, logits. No layer norm, no MLP.
/// Attention is hard: scores differ by `kSharpness`, whose exponential is 0 in float, so that every number below is exact.
namespace orrery::intervene {

constexpr double kSharpness = 200;

/// One layer. q, k, v: [head, feature of head, width]; o: [width, head, feature of head].
struct HandBuiltLayer {
    at::Tensor q, k, v, o;
    HandBuiltLayer(std::int64_t heads, std::int64_t headWidth, std::int64_t width)
        : q(at::zeros({heads, headWidth, width})), k(q.clone()), v(q.clone()), o(at::zeros({width, heads, headWidth}))
    {
    }
};

/// Everything that is set by hand. embed: [token, width]; positional: [position, width]; unembed: [token, width].
struct HandBuilt {
    at::Tensor embed, positional, unembed;
    std::vector<HandBuiltLayer> layers;
};

namespace hand_built_detail {

using graph::Builder;
using Var = Builder::Var;
using CanonicalVars = std::vector<std::pair<std::string, Var>>;

struct Sizes {
    Var batch, position;
    std::int64_t heads = 0, headWidth = 0, width = 0;
};

inline Var heads(Builder& builder, const std::string& name, Var x, const Sizes& sizes)
{
    const Var projected = builder.linear(name, x, sizes.width, sizes.heads * sizes.headWidth, false);
    const Var split = builder.reshape(projected, {sizes.batch, sizes.position, sizes.heads, sizes.headWidth});
    return builder.op("aten::transpose.int", {split, 1, 2}, name + "_heads");
}

inline Var layer(Builder& builder, std::int64_t number, Var x, Var mask, const Sizes& sizes, CanonicalVars& names)
{
    const std::string block = "blocks." + std::to_string(number);
    const auto blocks = builder.module("blocks", "ModuleList"), self = builder.module(std::to_string(number), "Block");
    Var out;
    {
        const auto attention = builder.module("attn", "MultiheadAttention");
        const Var q = heads(builder, "q", x, sizes), k = heads(builder, "k", x, sizes), v = heads(builder, "v", x, sizes);
        const Var product = builder.matmul(q, builder.transpose(k, -2, -1));
        const Var scaled = builder.op("aten::mul.Scalar", {product, 1.0 / std::sqrt(double(sizes.headWidth))});
        const Var scores = builder.op("aten::add.Tensor", {scaled, mask}, "scores");
        const Var pattern = builder.softmax(scores, -1);
        const Var z = builder.op("aten::matmul", {pattern, v}, "z");
        const Var merged = builder.flatten(builder.transpose(z, 1, 2), 2, 3);
        out = builder.linear("proj", merged, sizes.heads * sizes.headWidth, sizes.width, false);
        for (const auto& [name, value] : {std::pair{"q", q}, {"k", k}, {"v", v}, {"scores", scores}, {"pattern", pattern}, {"z", z}})
            names.emplace_back(block + ".attn." + name, value);
    }
    const Var after = builder.op("aten::add.Tensor", {x, out}, "resid_post");
    for (const auto& [name, value] : {std::pair{"resid_pre", x}, {"attn_out", out}, {"resid_post", after}})
        names.emplace_back(block + "." + name, value);
    return after;
}

inline Var causalMask(Builder& builder, Var like, Var positions)
{
    const auto scope = builder.module("mask", "CausalMask");
    const Var filled = builder.op("aten::new_full", {like, builder.list({positions, positions}, "int"), -std::numeric_limits<double>::infinity()});
    return builder.op("aten::triu", {filled, 1});
}

inline graph::Weights weightsOf(const HandBuilt& built)
{
    graph::Weights weights({{"wte.weight", built.embed}, {"wpe.weight", built.positional}, {"lm_head.weight", built.unembed}});
    for (std::size_t i = 0; i < built.layers.size(); ++i) {
        const std::string prefix = "blocks." + std::to_string(i) + ".attn.";
        const auto& layer = built.layers[i];
        for (const auto& [name, tensor] : {std::pair{"q", layer.q}, {"k", layer.k}, {"v", layer.v}})
            weights.set(prefix + name + ".weight", tensor.flatten(0, 1).contiguous());
        weights.set(prefix + "proj.weight", layer.o.flatten(1, 2).contiguous());
    }
    return weights;
}

}  // namespace hand_built_detail

/// The transformer as a model: tokens [batch, position] -> logits [batch, position, token]. Its card's tokenizer names the tokens "a", "b", "c", ... (at most 26).
inline graph::Model handBuiltModel(const HandBuilt& built)
{
    using namespace hand_built_detail;
    const auto vocabulary = built.embed.size(0), width = built.embed.size(1);
    Builder builder("hand_built");
    CanonicalVars names;
    const Var tokens = builder.input("tokens", "int64", {"batch", "position"}, "tokens");
    const auto& first = built.layers.at(0);
    const Sizes sizes{builder.size(tokens, 0), builder.size(tokens, 1), first.q.size(0), first.q.size(1), width};
    const Var embedded = builder.embedding("wte", tokens, vocabulary, width);
    Var positions;
    {
        const auto scope = builder.module("wpe", "Embedding");
        const Var table = builder.parameter("weight", {built.positional.size(0), width}, {{"kind", "zeros"}});
        positions = builder.op("aten::slice.Tensor", {table, 0, 0, sizes.position, 1}, "embedding");
    }
    Var x = builder.op("aten::add.Tensor", {embedded, positions}, "resid");
    const Var mask = causalMask(builder, embedded, sizes.position);
    names = {{"embed", embedded}, {"pos_embed", positions}};
    for (std::size_t i = 0; i < built.layers.size(); ++i)
        x = layer(builder, std::int64_t(i), x, mask, sizes, names);
    const Var logits = builder.linear("lm_head", x, width, vocabulary, false);
    names.emplace_back("logits", logits);
    builder.card().task = "language_model";
    std::string characters;
    for (std::int64_t token = 0; token < vocabulary; ++token)
        characters += char('a' + token);
    builder.card().tokenizer = {{"kind", "characters"}, {"characters", characters}};
    auto model = builder.finish({{"logits", logits}});
    for (const auto& [name, value] : names)
        model.card.canonicalNames[name] = model.graph->value(value.id).name;
    model.weights = weightsOf(built);
    return model;
}

/// Two layers of two heads. Head 0 of layer 0 copies the token at position 0 to every position; all other heads are zero. The logit of a token is
/// `kCopyLogit` where that token was copied to and 0 elsewhere: the answer at any position is the first token. The residual stream holds, one-hot, the token
/// [0, V), the position [V, V + N) and the copied token [V + N, 2 V + N).
constexpr double kCopyLogit = 5;

inline graph::Model copyingModel(std::int64_t vocabulary = 6, std::int64_t positions = 5)
{
    const std::int64_t width = 2 * vocabulary + positions, headWidth = vocabulary, copied = vocabulary + positions;
    HandBuilt built{at::zeros({vocabulary, width}), at::zeros({positions, width}), at::zeros({vocabulary, width}), {}};
    built.layers = {{2, headWidth, width}, {2, headWidth, width}};
    auto& head = built.layers[0];
    for (std::int64_t i = 0; i < positions; ++i) {
        built.positional[i][vocabulary + i] = 1;
        head.q[0][0][vocabulary + i] = kSharpness * std::sqrt(double(headWidth));  // every position asks
    }
    head.k[0][0][vocabulary] = 1;  // and position 0 answers
    for (std::int64_t token = 0; token < vocabulary; ++token) {
        built.embed[token][token] = 1;
        built.unembed[token][copied + token] = kCopyLogit;
        head.v[0][token][token] = 1;
        head.o[copied + token][0][token] = 1;
    }
    return handBuiltModel(built);
}

/// Two layers of one head each that complete A B ... A with B. Layer 0 is a previous-token head: every position reads the token before it (position 0 reads its
/// own). Layer 1 is the induction head: it attends to the positions whose preceding token equals the current token (position 0 never counts) and copies the
/// tokens found there. The logit of the token to come is `kInductionLogit` times the share of attention on it; without a match attention is spread evenly.
/// The residual stream holds, one-hot, the token [0, V), the position [V, V + N), the preceding token [V + N, 2 V + N), the answer [2 V + N, 3 V + N).
constexpr double kInductionLogit = 10;

inline graph::Model inductionModel(std::int64_t vocabulary = 8, std::int64_t positions = 16)
{
    const std::int64_t width = 3 * vocabulary + positions, headWidth = std::max(vocabulary, positions);
    const std::int64_t place = vocabulary, before = vocabulary + positions, answer = before + vocabulary;
    const double sharp = kSharpness * std::sqrt(double(headWidth));
    HandBuilt built{at::zeros({vocabulary, width}), at::zeros({positions, width}), at::zeros({vocabulary, width}), {}};
    built.layers = {{1, headWidth, width}, {1, headWidth, width}};
    auto &previous = built.layers[0], &induction = built.layers[1];
    for (std::int64_t i = 0; i < positions; ++i) {
        built.positional[i][place + i] = 1;
        previous.q[0][std::max<std::int64_t>(i - 1, 0)][place + i] = sharp;
        previous.k[0][i][place + i] = 1;
    }
    for (std::int64_t token = 0; token < vocabulary; ++token) {
        built.embed[token][token] = 1;
        built.unembed[token][answer + token] = kInductionLogit;
        previous.v[0][token][token] = induction.v[0][token][token] = 1;
        previous.o[before + token][0][token] = induction.o[answer + token][0][token] = 1;
        induction.q[0][token][token] = sharp;
        induction.k[0][token][before + token] = 1;
        induction.k[0][token][place] = -1;  // position 0 read its own token, which precedes nothing
    }
    return handBuiltModel(built);
}

}  // namespace orrery::intervene
