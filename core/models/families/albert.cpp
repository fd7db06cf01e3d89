// ALBERT. Source: Lan et al. (2019), "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations", arXiv:1909.11942, section 3.1.
#include "bert_encoder.h"

namespace orrery::models::families {
namespace {

struct AlbertSettings : BertSettings {
    std::int64_t embedding, groups, inner;
    explicit AlbertSettings(const Config& config)
        : BertSettings(withDefaults(config)), embedding(config.count("embedding_size", 128)), groups(config.layers("num_hidden_groups", 1)),
          inner(config.layers("inner_group_num", 1))
    {
        if (groups > layers)
            config.fail("num_hidden_groups", fmt::format("at most the number of layers {}", layers));
        if (layers * inner > kMostLayers)
            config.fail("inner_group_num", fmt::format("at most {} layers in all", kMostLayers));
    }
    static constexpr std::int64_t kMostLayers = 1000;
    /// What this family's library takes for absent fields.
    static Config withDefaults(const Config& config)
    {
        return config.withDefaults({{"hidden_size", 4096},
                                    {"num_attention_heads", 64},
                                    {"intermediate_size", 16384},
                                    {"vocab_size", 30000},
                                    {"hidden_act", "gelu_new"},
                                    {"hidden_dropout_prob", 0},
                                    {"attention_probs_dropout_prob", 0}});
    }
    /// Of the embeddings, whose rows are shorter.
    BertSettings embeddings() const
    {
        BertSettings other = *this;
        other.features = embedding;
        return other;
    }
};

/// One of a group's layers. @param number  Counted over the whole encoder, for the names of its values.
Var albertLayer(Assembly& assembly, SharedParameters& shared, Var x, const Masks& masks, std::int64_t number, const std::string& key,
                const AlbertSettings& settings)
{
    Builder& builder = assembly.builder;
    const auto block = blockName(number);
    const std::int64_t features = settings.features;
    auto attention = AttentionSettings::of(assembly.config, features, settings.heads);
    attention.dropout = settings.attentionDropout;
    Var attended, middle;
    {
        const Builder::Scope scope = builder.module("attention", "AlbertAttention");
        const auto part = [&](const char* projection, const char* name) {
            return splitHeads(builder, name, shared.linear(key, projection, x, features, features), assembly.sizes, settings.heads, attention.size);
        };
        const Var q = part("query", "q"), k = part("key", "k"), v = part("value", "v");
        const Var merged = attend(assembly, assembly.sizes, q, k, v, masks, attention, block + ".attn");
        attended = builder.dropout("output_dropout", shared.linear(key, "dense", merged, features, features), settings.dropout);
        middle = shared.layerNorm(key, "LayerNorm", builder.add(x, attended), features, settings.epsilon);
    }
    const Var before = shared.linear(key, "ffn", middle, features, settings.hidden);
    const Var after = activated(assembly, "hidden_act", settings.activation, before);
    const Var transformed = shared.linear(key, "ffn_output", after, settings.hidden, features);
    const Var out = shared.layerNorm(key, "full_layer_layer_norm", builder.op("aten::add.Tensor", {transformed, middle}, "resid_sum"), features,
                                     settings.epsilon);
    nameBlock(assembly, block, {x, attended, middle, before, after, transformed, out});
    return out;
}

Var albertEncoder(Assembly& assembly, Var x, const AlbertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("encoder", "AlbertTransformer");
    x = builder.linear("embedding_hidden_mapping_in", x, settings.embedding, settings.features);
    const Masks masks{{}, assembly.paddingMask(x)};
    SharedParameters shared(builder);
    for (std::int64_t i = 0; i < settings.layers; ++i) {
        const std::int64_t group = i * settings.groups / settings.layers;
        for (std::int64_t j = 0; j < settings.inner; ++j) {
            const Scopes scopes(builder, {{"albert_layer_groups", "ModuleList"},
                                          {std::to_string(group), "AlbertLayerGroup"},
                                          {"albert_layers", "ModuleList"},
                                          {std::to_string(j), "AlbertLayer"}});
            x = albertLayer(assembly, shared, x, masks, i * settings.inner + j, fmt::format("{}.{}.", group, j), settings);
        }
    }
    return x;
}

Var albertMaskedHead(Assembly& assembly, Var x, Var table, const AlbertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("predictions", "MaskedLMHead");
    x = activated(assembly, "hidden_act", settings.activation, builder.linear("dense", x, settings.features, settings.embedding));
    x = builder.layerNorm("LayerNorm", x, settings.embedding, settings.epsilon);
    return biasedVocabulary(assembly, x, table, settings.vocabulary, settings.embedding);
}

graph::Model buildAlbert(const Request& request)
{
    const AlbertSettings settings(request.config);
    Assembly assembly(request, "albert");
    Builder& builder = assembly.builder;
    assembly.tokenInput();
    Var x, table;
    std::optional<Var> pooled;
    {
        const Scopes base(builder, {{assembly.base("albert"), "AlbertModel"}});
        const BertEmbedded embedding = bertEmbeddings(assembly, settings.embeddings(), {});
        table = embedding.words;
        x = albertEncoder(assembly, embedding.x, settings);
        if (request.head == Head::Base || request.head == Head::SequenceClassification || request.head == Head::PreTraining)
            pooled = builder.op(
                "aten::tanh",
                {builder.linear("pooler", builder.op("aten::select.int", {x, 1, 0}, "first_token"), settings.features, settings.features)}, "pooled");
    }
    const std::string title = "ALBERT";
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", *pooled}}, title, "");
    if (request.head == Head::SequenceClassification) {
        const Var kept = builder.dropout("dropout", *pooled, request.config.real("classifier_dropout_prob", 0.1));
        return assembly.finish({{"logits", builder.linear("classifier", kept, settings.features, request.config.labels())}}, title, "classification");
    }
    if (request.head == Head::TokenClassification || request.head == Head::QuestionAnswering)
        return finishBertTokens(assembly, x, settings, title);
    const Var logits = albertMaskedHead(assembly, x, table, settings);
    assembly.name("logits", logits);
    if (request.head == Head::MaskedLM)
        return assembly.finish({{"logits", logits}}, title, "masked_language_model");
    Var order;
    {
        const Builder::Scope scope = builder.module("sop_classifier", "SentenceOrderHead");
        order = builder.linear("classifier", *pooled, settings.features, 2);
    }
    return assembly.finish({{"prediction_logits", logits}, {"sop_logits", order}}, title, "masked_language_model");
}

}  // namespace

Family albertFamily()
{
    return {"albert",
            "ALBERT",
            "Lan et al. (2019), \"ALBERT: A Lite BERT for Self-supervised Learning of Language Representations\", arXiv:1909.11942",
            {"albert"},
            {Head::MaskedLM, Head::Base, Head::SequenceClassification, Head::TokenClassification, Head::QuestionAnswering, Head::PreTraining},
            "albert",
            buildAlbert,
            {"embeddings.position_ids", "pooler.*", "sop_classifier.*"}};
}

}  // namespace orrery::models::families
