#include <bit>
#include <cmath>
#include <limits>

#include <core/base/error.h>

#include "assembly.h"

namespace orrery::models::families {
namespace {

/// The mask is one matrix for all heads: one `baddbmm` multiplies, scales and masks.
Var maskedProduct(Builder& builder, const zoo::TransformerSizes& sizes, Var q, Var k, Var mask, const AttentionSettings& settings)
{
    const Var queries = builder.flatten(q, 0, 1), keys = builder.transpose(builder.flatten(k, 0, 1), 1, 2);
    const Var product = builder.op("aten::baddbmm", {mask, queries, keys, 1, settings.scale});
    return builder.op("aten::reshape", {product, builder.shape({sizes.batch, settings.heads, sizes.position, -1})}, "scores");
}

Var softcapped(Builder& builder, Var scores, double cap)
{
    const Var small = builder.op("aten::tanh", {builder.op("aten::div.Scalar", {scores, cap}, "softcap_scaled")}, "softcap_tanh");
    return builder.op("aten::mul.Scalar", {small, cap}, "softcap");
}

/// Query heads that share a key head stand below each other in one product, so that keys are never repeated in memory.
Var plainProduct(Builder& builder, const zoo::TransformerSizes& sizes, Var q, Var k, const AttentionSettings& settings, const char* name)
{
    Var queries = settings.scale == 1 ? q : builder.op("aten::mul.Scalar", {q, settings.scale}, "scale");
    const bool grouped = settings.heads != settings.keyHeads;
    if (grouped)
        queries = builder.reshape(queries, {sizes.batch, settings.keyHeads, -1, settings.size});
    const Var product = builder.op("aten::matmul", {queries, builder.transpose(k, -2, -1)}, grouped ? "grouped_scores" : name);
    return grouped ? builder.op("aten::reshape", {product, builder.shape({sizes.batch, settings.heads, sizes.position, -1})}, name) : product;
}

Var scoresOf(Builder& builder, const zoo::TransformerSizes& sizes, Var q, Var k, const Masks& masks, const AttentionSettings& settings)
{
    if (masks.matrix && !masks.heads && !masks.padding && !settings.softcap && settings.heads == settings.keyHeads)
        return maskedProduct(builder, sizes, q, k, *masks.matrix, settings);
    std::vector<std::pair<Var, const char*>> added;  // what is added last gives the scores
    if (masks.heads)
        added.emplace_back(*masks.heads, "biased_scores");
    if (masks.matrix)
        added.emplace_back(*masks.matrix, "causal_scores");
    if (masks.padding)
        added.emplace_back(*masks.padding, "scores");
    if (!added.empty())
        added.back().second = "scores";
    Var scores = plainProduct(builder, sizes, q, k, settings, !added.empty() || settings.softcap ? "product" : "scores");
    if (settings.softcap)
        scores = softcapped(builder, scores, *settings.softcap);
    for (const auto& [mask, name] : added)
        scores = builder.op("aten::add.Tensor", {scores, mask}, name);
    return scores;
}

Var headOutputs(Builder& builder, const zoo::TransformerSizes& sizes, Var pattern, Var v, const AttentionSettings& settings)
{
    if (settings.heads == settings.keyHeads)
        return builder.op("aten::matmul", {pattern, v}, "z");
    const Var rows = builder.reshape(pattern, {sizes.batch, settings.keyHeads, -1, builder.size(v, 2)});
    const Var product = builder.op("aten::matmul", {rows, v}, "grouped_z");
    return builder.op("aten::reshape", {product, builder.shape({sizes.batch, settings.heads, sizes.position, settings.size})}, "z");
}

/// 2^(-8/n), 2^(-16/n), ...
std::vector<double> slopesOf(std::int64_t heads)
{
    std::vector<double> slopes;
    for (std::int64_t i = 1; i <= heads; ++i)
        slopes.push_back(std::exp2(-8.0 * double(i) / double(heads)));
    return slopes;
}

}  // namespace

Var linearBiases(Builder& builder, Var like, Var positions, std::int64_t heads, double scale)
{
    const Builder::Scope scope = builder.module("alibi", "LinearBiases");
    const auto lower = std::int64_t(std::bit_floor(std::uint64_t(heads)));
    auto slopes = slopesOf(lower);
    for (const auto more = slopesOf(2 * lower); std::int64_t(slopes.size()) < heads;)
        slopes.push_back(more[2 * (slopes.size() - std::size_t(lower))]);
    for (auto& slope : slopes)
        slope *= scale;
    const c10::IValue device = c10::Device(c10::kCPU);  // an explicit literal, which moving the graph rewrites
    const Var table = builder.op("aten::tensor", {c10::IValue(slopes), nullptr, device}, "slopes");
    const Var places = builder.op("aten::arange", {positions, nullptr, nullptr, device});
    const Var column = builder.op("aten::unsqueeze", {builder.op("aten::unsqueeze", {table, -1}), -1});
    return builder.op("aten::to.other", {builder.op("aten::mul.Tensor", {column, places}, "biases"), like}, "typed");
}

AttentionSettings AttentionSettings::of(const Config& config, std::int64_t features, std::int64_t heads)
{
    if (features % heads != 0)
        throw core::FormatError(
            fmt::format("{}: expected a width that the number of heads divides, found width {} with {} heads", config.where(), features, heads));
    AttentionSettings settings;
    settings.heads = settings.keyHeads = heads;
    settings.size = features / heads;
    settings.scale = 1.0 / std::sqrt(double(settings.size));
    return settings;
}

Var splitHeads(Builder& builder, const std::string& name, Var x, const zoo::TransformerSizes& sizes, std::int64_t heads, std::int64_t size)
{
    const Var split = builder.reshape(x, {sizes.batch, sizes.position, heads, size});
    return builder.op("aten::transpose.int", {split, 1, 2}, name);
}

Var attend(Assembly& assembly, const zoo::TransformerSizes& sizes, Var q, Var k, Var v, const Masks& masks, const AttentionSettings& settings,
           const std::string& canonicalName)
{
    Builder& builder = assembly.builder;
    const Var scores = scoresOf(builder, sizes, q, k, masks, settings);
    const Var pattern = builder.softmax(scores, -1);
    const Var z = headOutputs(builder, sizes, builder.dropout("attn_dropout", pattern, settings.dropout), v, settings);
    for (const auto& [part, value] : {std::pair{"q", q}, {"k", k}, {"v", v}, {"scores", scores}, {"pattern", pattern}, {"z", z}})
        assembly.name(fmt::format("{}.{}", canonicalName, part), value);
    return builder.flatten(builder.transpose(z, 1, 2), 2, 3);
}

Var slidingMask(Builder& builder, Var like, Var positions, std::int64_t window)
{
    const Var causal = zoo::causalMask(builder, like, positions);
    const Builder::Scope scope = builder.module("mask", "CausalMask");
    const Var filled =
        builder.op("aten::new_full", {like, builder.list({positions, positions}, "int"), -std::numeric_limits<double>::infinity()}, "window_full");
    return builder.op("aten::add.Tensor", {causal, builder.op("aten::tril", {filled, -window})}, "window");
}

}  // namespace orrery::models::families
