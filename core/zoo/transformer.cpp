#include "transformer.h"

#include <cmath>
#include <limits>

#include <core/base/error.h>

namespace orrery::zoo {
namespace {

struct Heads {
    Var q, k, v;
};

/// One matrix product gives queries, keys and values; one copy brings them into the order that batched products read.
Heads projectedHeads(Builder& builder, Var x, const TransformerSizes& sizes, const TransformerSettings& settings)
{
    const Var qkv = builder.linear("qkv", x, settings.features, 3 * settings.features, settings.bias);
    const Var split = builder.reshape(qkv, {sizes.batch, sizes.position, 3, settings.heads, settings.features / settings.heads});
    const Var byHead = builder.op("aten::permute", {split, std::vector<std::int64_t>{2, 0, 3, 1, 4}});
    const Var packed = builder.op("aten::contiguous", {byHead});
    const std::vector<Var> parts = builder.unpack(builder.op("aten::unbind.int", {packed, 0}), 3, {"q", "k", "v"});
    return {parts[0], parts[1], parts[2]};
}

/// With a mask one `baddbmm` multiplies, scales and masks: the scores are the largest tensors of a transformer, and each pass over them costs.
Var maskedScores(Builder& builder, const Heads& heads, Var mask, const TransformerSizes& sizes, double scale, std::int64_t headCount)
{
    const Var queries = builder.flatten(heads.q, 0, 1);
    const Var keys = builder.transpose(builder.flatten(heads.k, 0, 1), 1, 2);
    const Var product = builder.op("aten::baddbmm", {mask, queries, keys, 1, scale});
    return builder.op("aten::reshape", {product, builder.shape({sizes.batch, headCount, sizes.position, sizes.position})}, "scores");
}

/// Without one the scale is cheapest on the queries.
Var plainScores(Builder& builder, const Heads& heads, double scale)
{
    const Var scaled = builder.op("aten::mul.Scalar", {heads.q, scale}, "scale");
    return builder.op("aten::matmul", {scaled, builder.transpose(heads.k, -2, -1)}, "scores");
}

Var attention(Builder& builder, Var x, const TransformerSizes& sizes, std::optional<Var> mask, const TransformerSettings& settings,
              CanonicalValues& canonical, const std::string& block)
{
    const Builder::Scope scope = builder.module("attn", "MultiheadAttention");
    const double scale = settings.attentionFactor / std::sqrt(double(settings.features / settings.heads));
    const Heads heads = projectedHeads(builder, x, sizes, settings);
    const Var scores = mask ? maskedScores(builder, heads, *mask, sizes, scale, settings.heads) : plainScores(builder, heads, scale);
    const Var pattern = builder.softmax(scores, -1);
    const Var kept = builder.dropout("attn_dropout", pattern, settings.attentionDropout);
    const Var z = builder.op("aten::matmul", {kept, heads.v}, "z");
    const Var merged = builder.flatten(builder.transpose(z, 1, 2), 2, 3);
    const Var out = builder.linear("proj", merged, settings.features, settings.features, settings.bias);
    for (const auto& [name, value] : {std::pair{"q", heads.q}, {"k", heads.k}, {"v", heads.v}, {"scores", scores}, {"pattern", pattern}, {"z", z}})
        canonical[block + ".attn." + name] = value;
    return builder.dropout("resid_dropout", out, settings.residualDropout);
}

Var perceptron(Builder& builder, Var x, const TransformerSettings& settings, CanonicalValues& canonical, const std::string& block)
{
    const Builder::Scope scope = builder.module("mlp", "MLP");
    const Var before = builder.linear("fc", x, settings.features, settings.hidden, settings.bias);
    const Var after = builder.gelu(before, settings.gelu);
    canonical[block + ".mlp.pre"] = before;
    canonical[block + ".mlp.post"] = after;
    const Var out =
        builder.linear("proj", builder.dropout("dropout", after, settings.hiddenDropout), settings.hidden, settings.features, settings.bias);
    return builder.dropout("resid_dropout", out, settings.residualDropout);
}

Var normed(Builder& builder, const std::string& name, Var x, const TransformerSettings& settings)
{
    return settings.norm ? builder.layerNorm(name, x, settings.features, settings.epsilon, settings.bias) : x;
}

}  // namespace

Var transformerBlock(Builder& builder, std::int64_t number, Var x, const TransformerSizes& sizes, std::optional<Var> mask,
                     const TransformerSettings& settings, CanonicalValues& canonical)
{
    if (settings.features % settings.heads != 0)
        throw core::InputError(
            fmt::format("expected a width that the number of heads divides, got width {} with {} heads", settings.features, settings.heads));
    const std::string block = "blocks." + std::to_string(number);
    const Builder::Scope blocks = builder.module("blocks", "ModuleList"), scope = builder.module(std::to_string(number), "Block");
    const Var attended = attention(builder, normed(builder, "ln_1", x, settings), sizes, mask, settings, canonical, block);
    canonical.insert({{block + ".resid_pre", x}, {block + ".attn_out", attended}});
    Var after = builder.op("aten::add.Tensor", {x, attended}, settings.mlp ? "resid_mid" : "resid_post");
    if (settings.mlp) {
        canonical[block + ".resid_mid"] = after;
        const Var transformed = perceptron(builder, normed(builder, "ln_2", after, settings), settings, canonical, block);
        canonical[block + ".mlp_out"] = transformed;
        after = builder.op("aten::add.Tensor", {after, transformed}, "resid_post");
    }
    canonical[block + ".resid_post"] = after;
    return after;
}

Var causalMask(Builder& builder, Var like, Var positions)
{
    const Builder::Scope scope = builder.module("mask", "CausalMask");
    const Var filled = builder.op("aten::new_full", {like, builder.list({positions, positions}, "int"), -std::numeric_limits<double>::infinity()});
    return builder.op("aten::triu", {filled, 1});
}

void writeCanonicalNames(graph::Model& model, const CanonicalValues& canonical)
{
    for (const auto& [name, value] : canonical)
        model.card.canonicalNames[name] = model.graph->value(value.id).name;
}

}  // namespace orrery::zoo
