// Swin. Source: Liu et al. (2021), "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", arXiv:2103.14030, section 3.
#include <algorithm>

#include "assembly.h"

namespace orrery::models::families {
namespace {

using Axes = std::vector<std::int64_t>;

constexpr std::int64_t kLargestWindow = 64, kLongestSide = 4096;
constexpr double kPatchEpsilon = 1e-5;  // of the norms of patches, whatever layer_norm_eps says of the blocks
constexpr double kApart = -100;         // what the released code adds to scores of positions that are no neighbours

struct SwinSettings {
    std::int64_t embedding, imageSize, patch, channels, window;
    Axes depths, heads;
    double epsilon, dropout, attentionDropout, ratio;
    bool qkvBias, hasPositions;
    std::string activation;
    explicit SwinSettings(const Config& config)
        : embedding(config.count("embed_dim", 96)), imageSize(config.count("image_size", 224)), patch(config.count("patch_size", 4)),
          channels(config.count("num_channels", 3)), window(config.count("window_size", 7)), depths(config.depths("depths", {2, 2, 6, 2})),
          heads(config.counts("num_heads", {3, 6, 12, 24})), epsilon(config.real("layer_norm_eps", 1e-5)),
          dropout(config.real("hidden_dropout_prob", 0)), attentionDropout(config.real("attention_probs_dropout_prob", 0)),
          ratio(config.real("mlp_ratio", 4)), qkvBias(config.flag("qkv_bias", true)), hasPositions(config.flag("use_absolute_embeddings", false)),
          activation(config.text("hidden_act", "gelu"))
    {
        if (heads.size() != depths.size())
            config.fail("num_heads", fmt::format("as many numbers as depths has ({})", depths.size()));
        if (patch > imageSize || imageSize / patch > kLongestSide)
            config.fail("patch_size", fmt::format("from 1 to the image size {}, and at most {} patches a side", imageSize, kLongestSide));
        if (window > kLargestWindow)
            config.fail("window_size", fmt::format("at most {}", kLargestWindow));
        if (ratio <= 0 || ratio > 64)
            config.fail("mlp_ratio", "a number above 0 and at most 64");
        if (depths.size() > 8)
            config.fail("depths", "at most 8 stages");
    }
    std::int64_t side() const { return (imageSize + patch - 1) / patch; }  ///< pictures are padded to whole patches
};

/// One block's place: sizes that do not depend on the picture's content.
struct SwinBlock {
    std::int64_t stage, number, width, heads, side, window, shift;
    std::int64_t windows() const { return (side + window - 1) / window; }  ///< along one side
    std::int64_t padded() const { return windows() * window; }
};

c10::IValue onCpu()
{
    return c10::Device(c10::kCPU);
}

Var literal(Builder& builder, const std::string& name, const Axes& numbers)
{
    return builder.op("aten::tensor", {numbers, nullptr, onCpu()}, name);
}

/// [batch, row, column, feature] -> [batch * window, position in it, feature].
Var intoWindows(Builder& builder, Var x, const SwinBlock& block)
{
    const std::int64_t count = block.windows(), size = block.window;
    const Var split = builder.reshape(x, {-1, count, size, count, size, block.width});
    return builder.reshape(builder.op("aten::permute", {split, Axes{0, 1, 3, 2, 4, 5}}), {-1, size * size, block.width});
}

Var outOfWindows(Builder& builder, Var x, const SwinBlock& block)
{
    const std::int64_t count = block.windows(), size = block.window;
    const Var split = builder.reshape(x, {-1, count, count, size, size, block.width});
    return builder.reshape(builder.op("aten::permute", {split, Axes{0, 1, 3, 2, 4, 5}}), {-1, block.padded(), block.padded(), block.width});
}

/// Equation 4: a bias for each head and each distance inside a window, [1, head, query, key].
Var windowBias(Builder& builder, const SwinBlock& block)
{
    const std::int64_t reach = 2 * block.window - 1, positions = block.window * block.window;
    const Var table = builder.parameter("relative_position_bias_table", {reach * reach, block.heads}, zoo::normalInit(0.02));
    Axes places;
    for (std::int64_t i = 0; i < positions; ++i)
        places.push_back(i / block.window * reach + i % block.window);
    const Var place = literal(builder, "window_places", places);
    const Var apart = builder.op("aten::sub.Tensor", {builder.op("aten::unsqueeze", {place, 1}), builder.op("aten::unsqueeze", {place, 0})}, "apart");
    const Var rows = builder.op("aten::add.Scalar", {apart, (block.window - 1) * (reach + 1)}, "table_rows");
    const Var bias = builder.op("aten::embedding", {table, rows}, "bias_rows");
    return builder.op("aten::unsqueeze", {builder.op("aten::permute", {bias, Axes{2, 0, 1}}), 0}, "window_bias");
}

/// Positions of a moved window that came over the edge are no neighbours of the others: [batch * window, 1, query, key].
Var edgeMask(Builder& builder, Var like, Var batch, const SwinBlock& block)
{
    Axes regions;
    for (std::int64_t i = 0; i < block.padded(); ++i)
        regions.push_back(i < block.padded() - block.window ? 0 : i < block.padded() - block.shift ? 1 : 2);
    const Var along = literal(builder, "regions", regions);
    const Var rows = builder.op("aten::unsqueeze", {builder.op("aten::mul.Scalar", {along, 3}, "row_regions"), 1});
    const Var grid = builder.op("aten::add.Tensor", {rows, builder.op("aten::unsqueeze", {along, 0})}, "region_grid");
    SwinBlock flat = block;
    flat.width = 1;
    const Var parts = builder.op("aten::squeeze.dim", {intoWindows(builder, grid, flat), -1}, "window_regions");
    const Var differ =
        builder.op("aten::ne.Tensor", {builder.op("aten::unsqueeze", {parts, 1}), builder.op("aten::unsqueeze", {parts, 2})}, "differ");
    const Var mask = builder.op("aten::to.other", {builder.op("aten::mul.Scalar", {differ, kApart}, "edge"), like}, "edge_mask");
    return builder.op("aten::repeat", {builder.op("aten::unsqueeze", {mask, 1}), builder.shape({batch, 1, 1, 1})}, "edge_masks");
}

Var windowAttention(Assembly& assembly, Var x, Var batch, const SwinBlock& block, const SwinSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("attention", "SwinAttention");
    auto attention = AttentionSettings::of(assembly.config, block.width, block.heads);
    attention.dropout = settings.attentionDropout;
    const zoo::TransformerSizes sizes{builder.size(x, 0), builder.size(x, 1)};
    Var merged;
    {
        const Builder::Scope inner = builder.module("self", "WindowAttention");
        const auto part = [&](const char* projection, const char* name) {
            return splitHeads(builder, name, builder.linear(projection, x, block.width, block.width, settings.qkvBias), sizes, block.heads,
                              attention.size);
        };
        const Var q = part("query", "q"), k = part("key", "k"), v = part("value", "v");
        Var bias = windowBias(builder, block);
        if (block.shift > 0)
            bias = builder.op("aten::add.Tensor", {bias, edgeMask(builder, bias, batch, block)}, "masked_bias");
        merged = attend(assembly, sizes, q, k, v, {{}, bias}, attention, fmt::format("stages.{}.blocks.{}.attn", block.stage, block.number));
    }
    const Builder::Scope inner = builder.module("output", "Output");
    return builder.dropout("dropout", builder.linear("dense", merged, block.width, block.width), settings.dropout);
}

/// Attention inside windows of a grid that is moved by `shift`: [batch, row, column, feature].
Var windowed(Assembly& assembly, Var x, Var batch, const SwinBlock& block, const SwinSettings& settings)
{
    Builder& builder = assembly.builder;
    const std::int64_t more = block.padded() - block.side;
    if (more > 0)
        x = builder.op("aten::constant_pad_nd", {x, Axes{0, 0, 0, more, 0, more}, 0}, "padded");
    if (block.shift > 0)
        x = builder.op("aten::roll", {x, Axes{-block.shift, -block.shift}, Axes{1, 2}}, "moved");
    x = outOfWindows(builder, windowAttention(assembly, intoWindows(builder, x, block), batch, block, settings), block);
    if (block.shift > 0)
        x = builder.op("aten::roll", {x, Axes{block.shift, block.shift}, Axes{1, 2}}, "moved_back");
    if (more > 0)
        for (const std::int64_t axis : {1, 2})
            x = builder.op("aten::slice.Tensor", {x, axis, 0, block.side, 1}, "cut");
    return x;
}

Var swinBlock(Assembly& assembly, Var x, Var batch, const SwinBlock& block, const SwinSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(std::to_string(block.number), "SwinLayer");
    const auto norm = [&](const char* name, Var value) { return builder.layerNorm(name, value, block.width, settings.epsilon); };
    const Var middle = builder.op("aten::add.Tensor", {x, windowed(assembly, norm("layernorm_before", x), batch, block, settings)}, "resid_mid");
    const auto hidden = std::max<std::int64_t>(1, std::int64_t(settings.ratio * double(block.width)));
    Var inner = norm("layernorm_after", middle);
    {
        const Builder::Scope intermediate = builder.module("intermediate", "Intermediate");
        inner = activated(assembly, "hidden_act", settings.activation, builder.linear("dense", inner, block.width, hidden));
    }
    {
        const Builder::Scope output = builder.module("output", "Output");
        inner = builder.dropout("dropout", builder.linear("dense", inner, hidden, block.width), settings.dropout);
    }
    return builder.op("aten::add.Tensor", {middle, inner}, "resid_post");
}

/// Four neighbours side by side, then half as many features: section 3.1, "patch merging".
Var mergedPatches(Builder& builder, Var x, std::int64_t side, std::int64_t width)
{
    const Builder::Scope scope = builder.module("downsample", "PatchMerging");
    if (side % 2 != 0)
        x = builder.op("aten::constant_pad_nd", {x, Axes{0, 0, 0, 1, 0, 1}, 0}, "padded");
    std::vector<Var> parts;
    for (const std::int64_t column : {0, 1})
        for (const std::int64_t row : {0, 1}) {
            const Var rows = builder.op("aten::slice.Tensor", {x, 1, row, nullptr, 2}, "rows");
            parts.push_back(builder.op("aten::slice.Tensor", {rows, 2, column, nullptr, 2}, "quarter"));
        }
    const Var joined = builder.layerNorm("norm", builder.op("aten::cat", {builder.list(parts), -1}), 4 * width, kPatchEpsilon);
    return builder.linear("reduction", joined, 4 * width, 2 * width, false);
}

/// [batch, row, column, feature], normed.
Var swinEmbeddings(Assembly& assembly, Var image, const SwinSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("embeddings", "SwinEmbeddings");
    Var x;
    {
        const Builder::Scope inner = builder.module("patch_embeddings", "PatchEmbeddings");
        if (const std::int64_t more = settings.side() * settings.patch - settings.imageSize; more > 0)
            image = builder.op("aten::constant_pad_nd", {image, Axes{0, more, 0, more}, 0}, "padded");
        const Var map = builder.conv2d("projection", image, settings.channels, settings.embedding, settings.patch, settings.patch);
        x = builder.op("aten::permute", {map, Axes{0, 2, 3, 1}});
    }
    x = builder.layerNorm("norm", x, settings.embedding, kPatchEpsilon);
    if (settings.hasPositions) {
        const Var places =
            builder.parameter("position_embeddings", {1, settings.side() * settings.side(), settings.embedding}, zoo::normalInit(0.02));
        x = builder.add(x, builder.reshape(places, {1, settings.side(), settings.side(), settings.embedding}));
    }
    return builder.dropout("dropout", x, settings.dropout);
}

/// All stages; gives the last one's width.
Var swinStages(Assembly& assembly, Var x, const SwinSettings& settings, std::int64_t& width)
{
    Builder& builder = assembly.builder;
    const Scopes scopes(builder, {{"encoder", "SwinEncoder"}, {"layers", "ModuleList"}});
    const Var batch = builder.size(x, 0);
    std::int64_t side = settings.side();
    for (std::size_t stage = 0; stage < settings.depths.size(); ++stage) {
        const Builder::Scope scope = builder.module(std::to_string(stage), "SwinStage");
        {
            const Builder::Scope list = builder.module("blocks", "ModuleList");
            const bool isOne = side <= settings.window;  // one window holds all: nothing is moved
            for (std::int64_t i = 0; i < settings.depths[stage]; ++i)
                x = swinBlock(assembly, x, batch,
                              {std::int64_t(stage), i, width, settings.heads[stage], side, isOne ? side : settings.window,
                               isOne || i % 2 == 0 ? 0 : settings.window / 2},
                              settings);
        }
        if (stage + 1 == settings.depths.size())
            break;
        x = mergedPatches(builder, x, side, width);
        width *= 2;
        side = (side + 1) / 2;
    }
    return x;
}

graph::Model buildSwin(const Request& request)
{
    const SwinSettings settings(request.config);
    Assembly assembly(request, "swin");
    Builder& builder = assembly.builder;
    const Var image = assembly.imageInput(settings.channels, settings.imageSize, settings.imageSize);
    std::int64_t width = settings.embedding;
    Var x, pooled;
    {
        const Scopes base(builder, {{assembly.base("swin"), "SwinModel"}});
        x = swinStages(assembly, swinEmbeddings(assembly, image, settings), settings, width);
        x = builder.layerNorm("layernorm", builder.flatten(x, 1, 2), width, settings.epsilon);
        pooled = builder.op("aten::mean.dim", {x, Axes{1}}, "pooled");
    }
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", pooled}}, "Swin", "");
    return assembly.finish({{"logits", builder.linear("classifier", pooled, width, request.config.labels())}}, "Swin", "classification");
}

}  // namespace

Family swinFamily()
{
    return {"swin",
            "Swin transformer",
            "Liu et al. (2021), \"Swin Transformer: Hierarchical Vision Transformer using Shifted Windows\", arXiv:2103.14030",
            {"swin"},
            {Head::ImageClassification, Head::Base},
            "swin",
            buildSwin,
            {"embeddings.mask_token", "*.relative_position_index"}};
}

}  // namespace orrery::models::families
