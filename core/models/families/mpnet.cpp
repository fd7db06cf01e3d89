// MPNet. Source: Song et al. (2020), "MPNet: Masked and Permuted Pre-training for Language Understanding", arXiv:2004.09297; its relative positions are those of T5.
#include "bert_encoder.h"
#include "relative_positions.h"

namespace orrery::models::families {
namespace {

// Numbers that the released code fixes, whatever a config says.
constexpr std::int64_t kFarthest = 128;  // distances from here on share the last bucket
constexpr std::int64_t kBuckets = 32;
constexpr std::int64_t kPadding = 1;  // positions are counted from behind this token's

/// attention.attn.{q, k, v, o}, attention.LayerNorm.
BertBranch mpnetAttention(Assembly& assembly, Var x, const Masks& masks, const std::string& block, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const std::int64_t features = settings.features;
    auto attention = AttentionSettings::of(assembly.config, features, settings.heads);
    attention.dropout = settings.attentionDropout;
    Var out;
    {
        const Builder::Scope scope = builder.module("attn", "SelfAttention");
        const auto part = [&](const char* name) {
            return splitHeads(builder, std::string(name) + "_heads", builder.linear(name, x, features, features), assembly.sizes, settings.heads,
                              attention.size);
        };
        const Var q = part("q"), k = part("k"), v = part("v");
        out = builder.linear("o", attend(assembly, assembly.sizes, q, k, v, masks, attention, block + ".attn"), features, features);
    }
    out = builder.dropout("dropout", out, settings.dropout);
    return {out, builder.layerNorm("LayerNorm", builder.add(out, x), features, settings.epsilon)};
}

Var mpnetEncoder(Assembly& assembly, Var x, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    if (assembly.config.count("relative_attention_num_buckets", kBuckets) != kBuckets)
        assembly.config.fail("relative_attention_num_buckets", fmt::format("{}, with which the released code computes", kBuckets));
    const Builder::Scope scope = builder.module("encoder", "Encoder");
    Masks masks{{}, assembly.paddingMask(x)};
    {
        const Builder::Scope inner = builder.module("relative_attention_bias", "Embedding");
        const Var bias = relativeBias(builder, assembly.sizes.position, {kBuckets, kFarthest, settings.heads, true});
        masks.padding = masks.padding ? builder.op("aten::add.Tensor", {*masks.padding, bias}, "position_bias") : bias;
    }
    return bertLayers(assembly, x, settings, [&](Var in, const std::string& block) { return mpnetAttention(assembly, in, masks, block, settings); });
}

graph::Model buildMpnet(const Request& request)
{
    const BertSettings settings(request.config);
    Assembly assembly(request, "mpnet");
    assembly.tokenInput();
    Var x, table;
    std::optional<Var> pooled;
    {
        const Scopes base(assembly.builder, {{assembly.base("mpnet"), "MPNetModel"}});
        const BertEmbedded embedding = bertEmbeddings(assembly, settings, kPadding, BertTypes::None);
        table = embedding.words;
        x = mpnetEncoder(assembly, embedding.x, settings);
        if (request.head == Head::Base)
            pooled = bertPooler(assembly, x, settings.features);
    }
    if (pooled)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", *pooled}}, "MPNet", "");
    return finishRoberta(assembly, x, table, settings, "MPNet");
}

}  // namespace

Family mpnetFamily()
{
    return {"mpnet",
            "MPNet",
            "Song et al. (2020), \"MPNet: Masked and Permuted Pre-training for Language Understanding\", arXiv:2004.09297",
            {"mpnet"},
            {Head::MaskedLM, Head::Base, Head::SequenceClassification, Head::TokenClassification, Head::QuestionAnswering},
            "mpnet",
            buildMpnet,
            {"embeddings.position_ids", "pooler.dense.*"}};
}

}  // namespace orrery::models::families
