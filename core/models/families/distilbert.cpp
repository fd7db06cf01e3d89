// DistilBERT. Source: Sanh et al. (2019), "DistilBERT, a distilled version of BERT", arXiv:1910.01108.
#include "assembly.h"

namespace orrery::models::families {
namespace {

constexpr double kDistilEpsilon = 1e-12;

struct DistilSettings {
    std::int64_t features, heads, hidden, layers, vocabulary, positions;
    double dropout, attentionDropout;
    std::string activation;
    explicit DistilSettings(const Config& config)
        : features(config.count("dim", 768)), heads(config.count("n_heads", 12)), hidden(config.count("hidden_dim", 3072)),
          layers(config.layers("n_layers", 6)), vocabulary(config.count("vocab_size", 30522)),
          positions(config.count("max_position_embeddings", 512)), dropout(config.real("dropout", 0.1)),
          attentionDropout(config.real("attention_dropout", 0.1)), activation(config.text("activation", "gelu"))
    {
    }
};

Var distilAttention(Assembly& assembly, Var x, const Masks& masks, const std::string& block, const DistilSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("attention", "MultiHeadSelfAttention");
    auto attention = AttentionSettings::of(assembly.config, settings.features, settings.heads);
    attention.dropout = settings.attentionDropout;
    const auto part = [&](const char* projection, const char* name) {
        const Var projected = builder.linear(projection, x, settings.features, settings.features);
        return splitHeads(builder, name, projected, assembly.sizes, settings.heads, attention.size);
    };
    const Var q = part("q_lin", "q"), k = part("k_lin", "k"), v = part("v_lin", "v");
    return builder.linear("out_lin", attend(assembly, assembly.sizes, q, k, v, masks, attention, block + ".attn"), settings.features,
                          settings.features);
}

Var distilBlock(Assembly& assembly, Var x, const Masks& masks, std::int64_t number, const DistilSettings& settings)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"layer", "ModuleList"}, {std::to_string(number), "TransformerBlock"}});
    const Var attended = distilAttention(assembly, x, masks, block, settings);
    const Var middle =
        builder.layerNorm("sa_layer_norm", builder.op("aten::add.Tensor", {attended, x}, "resid_mid"), settings.features, kDistilEpsilon);
    Var before, after, transformed;
    {
        const Builder::Scope scope = builder.module("ffn", "FFN");
        before = builder.linear("lin1", middle, settings.features, settings.hidden);
        after = activated(assembly, "activation", settings.activation, before);
        transformed = builder.dropout("dropout", builder.linear("lin2", after, settings.hidden, settings.features), settings.dropout);
    }
    const Var sum = builder.op("aten::add.Tensor", {transformed, middle}, "resid_post");
    const Var out = builder.layerNorm("output_layer_norm", sum, settings.features, kDistilEpsilon);
    for (const auto& [part, value] : {std::pair{"resid_pre", x},
                                      {"attn_out", attended},
                                      {"resid_mid", middle},
                                      {"mlp.pre", before},
                                      {"mlp.post", after},
                                      {"mlp_out", transformed},
                                      {"resid_post", out}})
        assembly.name(block + "." + part, value);
    return out;
}

/// The head of masked tokens: the table of words, or a matrix of its own.
Var distilMaskedLogits(Assembly& assembly, Var x, Var table, const DistilSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("vocab_projector", "Linear");
    const Var bias = builder.parameter("bias", {settings.vocabulary}, {{"kind", "zeros"}});
    const Var weight = assembly.config.flag("tie_word_embeddings", true)
                           ? builder.tied("weight", table)
                           : builder.parameter("weight", {settings.vocabulary, settings.features}, zoo::normalInit(0.02));
    return builder.op("aten::linear", {x, weight, bias});
}

graph::Model finishDistil(Assembly& assembly, Var x, Var table, const DistilSettings& settings)
{
    Builder& builder = assembly.builder;
    const Config& config = assembly.config;
    const std::string title = "DistilBERT";
    switch (assembly.head) {
    case Head::Base: return assembly.finish({{"last_hidden_state", x}}, title, "");
    case Head::SequenceClassification: {
        const Var first = builder.op("aten::select.int", {x, 1, 0}, "first_token");
        const Var hidden = builder.relu(builder.linear("pre_classifier", first, settings.features, settings.features));
        const Var kept = builder.dropout("dropout", hidden, config.real("seq_classif_dropout", 0.2));
        return assembly.finish({{"logits", builder.linear("classifier", kept, settings.features, config.labels())}}, title, "classification");
    }
    case Head::TokenClassification: {
        const Var logits = builder.linear("classifier", builder.dropout("dropout", x, settings.dropout), settings.features, config.labels());
        assembly.name("logits", logits);
        return assembly.finish({{"logits", logits}}, title, "token_classification");
    }
    default: break;
    }
    x = activated(assembly, "activation", settings.activation, builder.linear("vocab_transform", x, settings.features, settings.features));
    x = builder.layerNorm("vocab_layer_norm", x, settings.features, kDistilEpsilon);
    const Var logits = distilMaskedLogits(assembly, x, table, settings);
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, title, "masked_language_model");
}

graph::Model buildDistil(const Request& request)
{
    const DistilSettings settings(request.config);
    Assembly assembly(request, "distilbert");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("distilbert"), "DistilBertModel"}});
        {
            const Builder::Scope scope = builder.module("embeddings", "Embeddings");
            const Embedded words = embedded(builder, "word_embeddings", tokens, settings.vocabulary, settings.features);
            const Var places = positionRows(builder, "position_embeddings", assembly.sizes.position, settings.positions, settings.features);
            assembly.name("embed", words.rows);
            assembly.name("pos_embed", places);
            table = words.table;
            x = builder.dropout("dropout", builder.layerNorm("LayerNorm", builder.add(words.rows, places), settings.features, kDistilEpsilon),
                                settings.dropout);
        }
        const Builder::Scope scope = builder.module("transformer", "Transformer");
        const Masks masks{{}, assembly.paddingMask(x)};
        for (std::int64_t i = 0; i < settings.layers; ++i)
            x = distilBlock(assembly, x, masks, i, settings);
    }
    return finishDistil(assembly, x, table, settings);
}

}  // namespace

Family distilbertFamily()
{
    return {"distilbert",
            "DistilBERT",
            "Sanh et al. (2019), \"DistilBERT, a distilled version of BERT\", arXiv:1910.01108",
            {"distilbert"},
            {Head::MaskedLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "distilbert",
            buildDistil,
            {"embeddings.position_ids"}};
}

}  // namespace orrery::models::families
