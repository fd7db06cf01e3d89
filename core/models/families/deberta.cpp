// DeBERTa, v2 and v3. Sources: He et al. (2020), "DeBERTa: Decoding-enhanced BERT with Disentangled Attention", arXiv:2006.03654, section 3.1; He et al. (2021), "DeBERTaV3", arXiv:2111.09543.
#include <cmath>

#include <core/base/text.h>

#include "bert_encoder.h"

namespace orrery::models::families {
namespace {

/// BERT's readers want at least one type of token; here there may be none.
Config withSomeTypes(const Config& config)
{
    auto json = config.withDefaults({{"layer_norm_eps", 1e-7}}).json();
    if (config.number("type_vocab_size").value_or(0) == 0)
        json["type_vocab_size"] = 1;
    return {std::move(json), config.where()};
}

struct DebertaSettings : BertSettings {
    std::int64_t embedding, buckets, longest;
    bool first;  ///< v1: one matrix for queries, keys and values, and distances as they are
    bool relative, sharesKeys, normsTable, addsPositions, addsTypes;
    std::vector<std::string> kinds;  ///< "c2p", "p2c"
    explicit DebertaSettings(const Config& config)
        : BertSettings(withSomeTypes(config)), embedding(config.count("embedding_size", features)),
          buckets(config.number("position_buckets").value_or(-1)), longest(config.number("max_relative_positions").value_or(-1)),
          first(config.text("model_type", "deberta-v2") == "deberta"), relative(config.flag("relative_attention", false)),
          sharesKeys(config.flag("share_att_key", false)), normsTable(config.text("norm_rel_ebd", "none").find("layer_norm") != std::string::npos),
          addsPositions(config.flag("position_biased_input", true)), addsTypes(config.number("type_vocab_size").value_or(0) != 0)
    {
        if (longest < 1)
            longest = positions;
        if (buckets > 0 && (buckets < 4 || buckets / 2 >= longest - 1))
            config.fail("position_buckets", fmt::format("from 4 to less than twice the longest distance {}", longest - 1));
        if (longest > kLongest)
            config.fail("max_relative_positions", fmt::format("at most {}", kLongest));
        if (first && config.flag("talking_head", false))
            config.fail("talking_head", "false: projections of the heads' scores are not known here");
        if (first && (buckets > 0 || sharesKeys || normsTable))
            config.fail(buckets > 0 ? "position_buckets" : sharesKeys ? "share_att_key" : "norm_rel_ebd", "nothing: only deberta-v2 has it");
        if (config.number("conv_kernel_size").value_or(0) > 0)
            config.fail("conv_kernel_size", "0: the convolution beside the first layer is not known here");
        readKinds(config);
    }
    std::int64_t span() const { return buckets > 0 ? buckets : longest; }
    bool has(const char* kind) const { return relative && std::find(kinds.begin(), kinds.end(), kind) != kinds.end(); }
    double scale(std::int64_t size) const { return 1.0 / std::sqrt(double(size) * (1.0 + has("c2p") + has("p2c"))); }

private:
    static constexpr std::int64_t kLongest = 1 << 20;
    /// A list, or names with bars between them.
    void readKinds(const Config& config)
    {
        if (!config.has("pos_att_type"))
            return;
        const auto& json = config.json().at("pos_att_type");
        if (json.is_string())
            kinds = core::split(json.get<std::string>(), '|');
        else if (json.is_array() && std::all_of(json.begin(), json.end(), [](const auto& each) { return each.is_string(); }))
            kinds = json.get<std::vector<std::string>>();
        else
            config.fail("pos_att_type", "a list of c2p and p2c");
        for (const auto& kind : kinds)
            if (kind != "c2p" && kind != "p2c")
                config.fail("pos_att_type", "a list of c2p and p2c");
    }
};

/// Distances of query - key as rows of the table, [query, key]: exact ones near, logarithmic buckets further away (v2), and the last row beyond. Equation 3, with the sign of the released code.
Var distanceRows(Builder& builder, Var positions, const DebertaSettings& settings)
{
    const Builder::Scope scope = builder.module("relative_positions", "RelativePositions");
    const c10::IValue device = c10::Device(c10::kCPU);
    const Var places = builder.op("aten::arange", {positions, nullptr, nullptr, device});
    Var distance =
        builder.op("aten::sub.Tensor", {builder.op("aten::unsqueeze", {places, 1}), builder.op("aten::unsqueeze", {places, 0})}, "distance");
    if (settings.buckets > 0) {
        const std::int64_t middle = settings.buckets / 2;
        const Var size = builder.op("aten::abs", {distance});
        const Var ratio = builder.op("aten::div.Scalar", {builder.op("aten::clamp_min", {size, middle}), middle}, "ratio");
        const double whole = std::log(double(settings.longest - 1) / double(middle));
        const Var share = builder.op("aten::div.Scalar", {builder.op("aten::log", {ratio}), whole}, "share");
        const Var steps = builder.op("aten::ceil", {builder.op("aten::mul.Scalar", {share, double(middle - 1)}, "steps")});
        const Var far =
            builder.op("aten::add.Scalar", {builder.op("aten::to.dtype", {steps, std::int64_t(at::kLong)}, "whole_steps"), middle}, "far");
        const Var signedFar = builder.op("aten::mul.Tensor", {far, builder.op("aten::sign", {distance})}, "signed_far");
        distance = builder.op("aten::where.self", {builder.op("aten::le.Scalar", {size, middle}), distance, signedFar}, "bucket");
    }
    const Var rows = builder.op("aten::add.Scalar", {distance, settings.span()}, "shifted");
    return builder.op("aten::clamp", {rows, 0, 2 * settings.span() - 1}, "rows");
}

/// What all layers read of positions.
struct Distances {
    Var table, rows;  ///< [2 * span, feature]; [query, key]
};

/// One of the two terms: contents times positions, and of each query the columns that `rows` names. [batch, head, query, key].
Var positionTerm(Assembly& assembly, const char* name, Var contents, Var table, Var rows, const DebertaSettings& settings, std::int64_t size)
{
    Builder& builder = assembly.builder;
    const Var split = builder.reshape(table, {2 * settings.span(), settings.heads, size});
    const Var product = builder.op("aten::matmul", {contents, builder.op("aten::permute", {split, std::vector<std::int64_t>{1, 2, 0}})});
    const Var index = builder.op("aten::expand", {rows, builder.shape({assembly.sizes.batch, settings.heads, -1, -1})});
    return builder.op("aten::gather", {product, -1, index}, name);
}

/// The sum of both terms, scaled as the scores are. Equation 4.
std::optional<Var> positionScores(Assembly& assembly, SharedParameters& shared, Var q, Var k, const Distances& distances,
                                  const DebertaSettings& settings, std::int64_t size)
{
    Builder& builder = assembly.builder;
    const auto projected = [&](const char* own, const char* other) {
        if (settings.first)
            return builder.linear(std::string_view(own) == "pos_key_proj" ? "pos_proj" : "pos_q_proj", distances.table, settings.features,
                                  settings.features, std::string_view(own) != "pos_key_proj");
        return shared.linear("", settings.sharesKeys ? other : own, distances.table, settings.features, settings.features);
    };
    std::optional<Var> sum;
    if (settings.has("c2p"))
        sum = positionTerm(assembly, "content_to_position", q, projected("pos_key_proj", "key_proj"), distances.rows, settings, size);
    if (settings.has("p2c")) {
        const Var turned = builder.transpose(distances.rows, 0, 1);
        const Var term = positionTerm(assembly, "position_to_content_turned", k, projected("pos_query_proj", "query_proj"), turned, settings, size);
        const Var other = builder.op("aten::transpose.int", {term, 2, 3}, "position_to_content");
        sum = sum ? builder.op("aten::add.Tensor", {*sum, other}, "position_scores") : other;
    }
    return sum ? std::optional(builder.op("aten::mul.Scalar", {*sum, settings.scale(size)}, "scaled_position_scores")) : sum;
}

struct Projected {
    Var q, k, v;  ///< [batch, head, position, size]
};

/// v1: one matrix whose rows are, head by head, those of query, key and value; biases of queries and values apart.
Projected jointlyProjected(Assembly& assembly, Var x, const DebertaSettings& settings, std::int64_t size)
{
    Builder& builder = assembly.builder;
    const Var joint = builder.linear("in_proj", x, settings.features, 3 * settings.features, false);
    const Var split = builder.transpose(
        builder.op("aten::reshape", {joint, builder.shape({assembly.sizes.batch, assembly.sizes.position, settings.heads, 3 * size})}, "joint"), 1,
        2);
    const auto part = [&](std::int64_t number, const char* name) {
        return builder.op("aten::slice.Tensor", {split, -1, number * size, (number + 1) * size}, name);
    };
    const auto biased = [&](Var values, const char* parameter, const char* name) {
        const Var bias = builder.parameter(parameter, {settings.features}, {{"kind", "zeros"}});
        return builder.op("aten::add.Tensor", {values, builder.reshape(bias, {settings.heads, 1, size})}, name);
    };
    return {biased(part(0, "query"), "q_bias", "q"), part(1, "k"), biased(part(2, "value"), "v_bias", "v")};
}

Var disentangledAttention(Assembly& assembly, Var x, Masks masks, const std::optional<Distances>& distances, const std::string& block,
                          const DebertaSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("self", "DisentangledSelfAttention");
    auto attention = AttentionSettings::of(assembly.config, settings.features, settings.heads);
    attention.dropout = settings.attentionDropout;
    attention.scale = settings.scale(attention.size);
    SharedParameters shared(builder);
    const auto part = [&](const char* projection, const char* name) {
        return splitHeads(builder, name, shared.linear("", projection, x, settings.features, settings.features), assembly.sizes, settings.heads,
                          attention.size);
    };
    const auto [q, k, v] = settings.first ? jointlyProjected(assembly, x, settings, attention.size)
                                          : Projected{part("query_proj", "q"), part("key_proj", "k"), part("value_proj", "v")};
    if (const auto bias = distances ? positionScores(assembly, shared, q, k, *distances, settings, attention.size) : std::nullopt)
        masks.padding = masks.padding ? builder.op("aten::add.Tensor", {*bias, *masks.padding}, "masked_position_scores") : *bias;
    return attend(assembly, assembly.sizes, q, k, v, masks, attention, block + ".attn");
}

BertEmbedded debertaEmbeddings(Assembly& assembly, const DebertaSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("embeddings", "Embeddings");
    BertSettings narrow = settings;
    narrow.features = settings.embedding;
    const Embedded words = embedded(builder, "word_embeddings", assembly.tokens, settings.vocabulary, settings.embedding);
    assembly.name("embed", words.rows);
    Var x = words.rows;
    if (settings.addsPositions) {
        const Var places = positionRows(builder, "position_embeddings", assembly.sizes.position, settings.positions, settings.embedding);
        assembly.name("pos_embed", places);
        x = builder.add(x, places);
    }
    if (settings.addsTypes)
        x = builder.op("aten::add.Tensor", {x, bertTypeRows(assembly, narrow)}, "typed");
    if (settings.embedding != settings.features)
        x = builder.linear("embed_proj", x, settings.embedding, settings.features, false);
    const Var normed = builder.layerNorm("LayerNorm", x, settings.features, settings.epsilon);
    return {builder.dropout("dropout", normed, settings.dropout), words.table};
}

Var debertaEncoder(Assembly& assembly, Var x, const DebertaSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("encoder", "DebertaEncoder");
    const Masks masks{{}, assembly.paddingMask(x)};
    std::optional<Distances> distances;
    if (settings.relative) {
        Var table = builder.parameter("rel_embeddings.weight", {2 * settings.span(), settings.features}, zoo::normalInit(0.02));
        if (settings.normsTable)
            table = builder.layerNorm("LayerNorm", table, settings.features, settings.epsilon);
        distances = Distances{builder.dropout("pos_dropout", table, settings.dropout), distanceRows(builder, assembly.sizes.position, settings)};
    }
    return bertLayers(assembly, x, settings, [&](Var in, const std::string& block) {
        return bertOutput(assembly, disentangledAttention(assembly, in, masks, distances, block, settings), in, settings.features, settings);
    });
}

graph::Model finishDeberta(Assembly& assembly, Var x, Var table, const DebertaSettings& settings)
{
    Builder& builder = assembly.builder;
    const std::string title = "DeBERTa";
    if (assembly.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}}, title, "");
    if (assembly.head == Head::SequenceClassification) {
        Var pooled;
        {
            const Builder::Scope scope = builder.module("pooler", "ContextPooler");
            const Var first = builder.dropout("dropout", builder.op("aten::select.int", {x, 1, 0}), assembly.config.real("pooler_dropout", 0));
            pooled = activated(assembly, "pooler_hidden_act", assembly.config.text("pooler_hidden_act", "gelu"),
                               builder.linear("dense", first, settings.features, settings.features));
        }
        const Var kept = builder.dropout("dropout", pooled, assembly.config.real("cls_dropout", settings.dropout));
        return assembly.finish({{"logits", builder.linear("classifier", kept, settings.features, assembly.config.labels())}}, title,
                               "classification");
    }
    if (assembly.head != Head::MaskedLM)
        return finishBertTokens(assembly, x, settings, title);
    if (settings.embedding != settings.features)
        assembly.config.fail("embedding_size", "as much as hidden_size where masks are filled");
    const Var logits = bertMaskedHead(assembly, x, table, settings);
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, title, "masked_language_model");
}

graph::Model buildDeberta(const Request& request)
{
    const DebertaSettings settings(request.config);
    Assembly assembly(request, "deberta");
    assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(assembly.builder, {{assembly.base("deberta"), "DebertaModel"}});
        const BertEmbedded embedding = debertaEmbeddings(assembly, settings);
        table = embedding.words;
        x = debertaEncoder(assembly, embedding.x, settings);
    }
    return finishDeberta(assembly, x, table, settings);
}

}  // namespace

Family debertaFamily()
{
    return {"deberta",
            "DeBERTa",
            "He et al. (2020), \"DeBERTa: Decoding-enhanced BERT with Disentangled Attention\", arXiv:2006.03654",
            {"deberta-v2", "deberta"},
            // Folders as published say nothing of a head.
            {Head::Base, Head::MaskedLM, Head::SequenceClassification, Head::TokenClassification, Head::QuestionAnswering},
            "deberta",
            buildDeberta,
            {"embeddings.position_ids", "lm_predictions.*", "mask_predictions.*", "cls.predictions.*", "pooler.dense.*"}};
}

}  // namespace orrery::models::families
