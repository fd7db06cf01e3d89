#include "bert_encoder.h"

#include <core/base/error.h>

namespace orrery::models::families {
namespace {

Var bertSelfAttention(Assembly& assembly, Var x, const Masks& masks, const std::string& block, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self", "SelfAttention");
    auto attention = AttentionSettings::of(assembly.config, settings.features, settings.heads);
    attention.dropout = settings.attentionDropout;
    const auto part = [&](const char* projection, const char* name) {
        const Var projected = builder.linear(projection, x, settings.features, settings.features);
        return splitHeads(builder, name, projected, assembly.sizes, settings.heads, attention.size);
    };
    const Var q = part("query", "q"), k = part("key", "k"), v = part("value", "v");
    return attend(assembly, assembly.sizes, q, k, v, masks, attention, block + ".attn");
}

/// The tokens that are no padding, counted from `padding` + 1 on; padding itself has row `padding`.
Var countedPositions(Builder& builder, Var tokens, std::int64_t padding)
{
    const Builder::Scope scope = builder.module("position_ids", "PositionIds");
    const Var real = builder.op("aten::to.other", {builder.op("aten::ne.Scalar", {tokens, padding}), tokens}, "real");
    const Var counted = builder.op("aten::mul.Tensor", {builder.op("aten::cumsum", {real, 1}), real});
    return builder.op("aten::add.Scalar", {counted, padding});
}

Var bertLayer(Assembly& assembly, Var x, std::int64_t number, const BertSettings& settings, const BertAttention& attention)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layer", "ModuleList"}, {std::to_string(number), "BertLayer"}});
    BertBranch attended, transformed;
    {
        const Builder::Scope scope = builder.module("attention", "Attention");
        attended = attention(x, block);
    }
    Var before, after;
    {
        const Builder::Scope scope = builder.module("intermediate", "Intermediate");
        before = builder.linear("dense", attended.sum, settings.features, settings.hidden);
        after = activated(assembly, "hidden_act", settings.activation, before);
    }
    transformed = bertOutput(assembly, after, attended.sum, settings.hidden, settings);
    nameBlock(assembly, block, {x, attended.out, attended.sum, before, after, transformed.out, transformed.sum});
    return transformed.sum;
}

}  // namespace

Var bertTypeRows(Assembly& assembly, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    if (assembly.keepInputs.contains("token_type_ids"))
        return embedded(builder, "token_type_embeddings", builder.input("token_type_ids", "int64", {"batch", "position"}, "float"), settings.types,
                        settings.features)
            .rows;
    const Builder::Scope scope = builder.module("token_type_embeddings", "Embedding");
    const Var table = builder.parameter("weight", {settings.types, settings.features}, zoo::normalInit(0.02));
    return builder.op("aten::select.int", {table, 0, 0}, "embedding");
}

BertBranch bertOutput(Assembly& assembly, Var branch, Var residual, std::int64_t in, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("output", "Output");
    const Var out = builder.dropout("dropout", builder.linear("dense", branch, in, settings.features), settings.dropout);
    return {out, builder.layerNorm("LayerNorm", builder.add(out, residual), settings.features, settings.epsilon)};
}

BertSettings::BertSettings(const Config& config)
    : features(config.count("hidden_size", 768)), heads(config.count("num_attention_heads", 12)), hidden(config.count("intermediate_size", 3072)),
      layers(config.layers("num_hidden_layers", 12)), vocabulary(config.count("vocab_size", 30522)),
      positions(config.count("max_position_embeddings", 512)), types(config.count("type_vocab_size", 2)),
      epsilon(config.real("layer_norm_eps", 1e-12)), dropout(config.real("hidden_dropout_prob", 0.1)),
      attentionDropout(config.real("attention_probs_dropout_prob", 0.1)), activation(config.text("hidden_act", "gelu"))
{
    const auto kind = config.text("position_embedding_type", "absolute");
    if (kind != "absolute")
        config.fail("position_embedding_type", "\"absolute\"");
}

BertEmbedded bertEmbeddings(Assembly& assembly, const BertSettings& settings, std::optional<std::int64_t> padding, BertTypes types)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("embeddings", "Embeddings");
    const Embedded words = embedded(builder, "word_embeddings", assembly.tokens, settings.vocabulary, settings.features);
    const Var typed = types == BertTypes::None ? words.rows : builder.op("aten::add.Tensor", {words.rows, bertTypeRows(assembly, settings)}, "typed");
    const Var places = padding ? embedded(builder, "position_embeddings", countedPositions(builder, assembly.tokens, *padding), settings.positions,
                                          settings.features)
                                     .rows
                               : positionRows(builder, "position_embeddings", assembly.sizes.position, settings.positions, settings.features);
    assembly.name("embed", words.rows);
    assembly.name("pos_embed", places);
    const Var sum = builder.add(typed, places);
    const Var normed = builder.layerNorm("LayerNorm", sum, settings.features, settings.epsilon);
    return {builder.dropout("dropout", normed, settings.dropout), words.table};
}

Var bertEncoder(Assembly& assembly, Var x, const BertSettings& settings)
{
    const Builder::Scope scope = assembly.builder.module("encoder", "Encoder");
    const Masks masks{{}, assembly.paddingMask(x)};
    return bertLayers(assembly, x, settings, [&](Var in, const std::string& block) {
        return bertOutput(assembly, bertSelfAttention(assembly, in, masks, block, settings), in, settings.features, settings);
    });
}

Var bertLayers(Assembly& assembly, Var x, const BertSettings& settings, const BertAttention& attention)
{
    for (std::int64_t i = 0; i < settings.layers; ++i)
        x = bertLayer(assembly, x, i, settings, attention);
    return x;
}

Var biasedVocabulary(Assembly& assembly, Var x, std::optional<Var> table, std::int64_t vocabulary, std::int64_t features)
{
    Builder& builder = assembly.builder;
    const Var bias = builder.parameter("bias", {vocabulary}, {{"kind", "zeros"}});
    const Builder::Scope scope = builder.module("decoder", "Linear");
    const Var weight = table ? builder.tied("weight", *table) : builder.parameter("weight", {vocabulary, features}, zoo::normalInit(0.02));
    builder.tied("bias", bias);
    return builder.op("aten::linear", {x, weight, bias});
}

Var bertPooler(Assembly& assembly, Var x, std::int64_t features)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("pooler", "Pooler");
    const Var first = builder.op("aten::select.int", {x, 1, 0});
    return builder.op("aten::tanh", {builder.linear("dense", first, features, features)});
}

graph::Model finishBertTokens(Assembly& assembly, Var x, const BertSettings& settings, const std::string& title)
{
    Builder& builder = assembly.builder;
    if (assembly.head == Head::QuestionAnswering) {
        const Var spans = builder.linear("qa_outputs", x, settings.features, 2);
        const Var start = builder.op("aten::select.int", {spans, -1, 0}, "start_logits");
        return assembly.finish({{"start_logits", start}, {"end_logits", builder.op("aten::select.int", {spans, -1, 1}, "end_logits")}}, title,
                               "question_answering");
    }
    const Var kept = builder.dropout("dropout", x, settings.classifierDropout(assembly.config));
    const Var logits = builder.linear("classifier", kept, settings.features, assembly.config.labels());
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, title, "token_classification");
}

}  // namespace orrery::models::families
