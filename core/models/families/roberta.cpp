// RoBERTa, XLM-RoBERTa, CamemBERT. Sources: Liu et al. (2019), arXiv:1907.11692; Conneau et al. (2019), arXiv:1911.02116.
#include "bert_encoder.h"

namespace orrery::models::families {
namespace {

Var robertaMaskedHead(Assembly& assembly, Var x, Var table, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("lm_head", "MaskedLMHead");
    x = builder.gelu(builder.linear("dense", x, settings.features, settings.features));
    x = builder.layerNorm("layer_norm", x, settings.features, settings.epsilon);
    const bool isTied = assembly.config.flag("tie_word_embeddings", true);
    return biasedVocabulary(assembly, x, isTied ? std::optional(table) : std::nullopt, settings.vocabulary, settings.features);
}

/// From the first token: dense, tanh, projection.
Var robertaClassifier(Assembly& assembly, Var x, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("classifier", "ClassificationHead");
    const double dropout = settings.classifierDropout(assembly.config);
    const Var first = builder.dropout("dropout", builder.op("aten::select.int", {x, 1, 0}), dropout);
    const Var hidden = builder.op("aten::tanh", {builder.linear("dense", first, settings.features, settings.features)});
    return builder.linear("out_proj", builder.dropout("dropout", hidden, dropout), settings.features, assembly.config.labels());
}

graph::Model buildRoberta(const Request& request)
{
    const BertSettings settings(request.config);
    Assembly assembly(request, "roberta");
    assembly.tokenInput();
    Var x, table;
    std::optional<Var> pooled;
    {
        const Scopes base(assembly.builder, {{assembly.base("roberta"), "RobertaModel"}});
        const BertEmbedded embedding = bertEmbeddings(assembly, settings, request.config.number("pad_token_id").value_or(1));
        table = embedding.words;
        x = bertEncoder(assembly, embedding.x, settings);
        if (request.head == Head::Base)
            pooled = bertPooler(assembly, x, settings.features);
    }
    const std::string title = "RoBERTa";
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", *pooled}}, title, "");
    return finishRoberta(assembly, x, table, settings, title);
}

}  // namespace

graph::Model finishRoberta(Assembly& assembly, Var x, Var table, const BertSettings& settings, const std::string& title)
{
    if (assembly.head == Head::SequenceClassification)
        return assembly.finish({{"logits", robertaClassifier(assembly, x, settings)}}, title, "classification");
    if (assembly.head != Head::MaskedLM)
        return finishBertTokens(assembly, x, settings, title);
    const Var logits = robertaMaskedHead(assembly, x, table, settings);
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, title, "masked_language_model");
}

Family robertaFamily()
{
    return {"roberta",
            "RoBERTa, XLM-RoBERTa, CamemBERT",
            "Liu et al. (2019), \"RoBERTa: A Robustly Optimized BERT Pretraining Approach\", arXiv:1907.11692",
            {"roberta", "xlm-roberta", "camembert"},
            {Head::MaskedLM, Head::Base, Head::SequenceClassification, Head::TokenClassification, Head::QuestionAnswering},
            "roberta",
            buildRoberta,
            {"embeddings.position_ids", "pooler.dense.*"}};
}

}  // namespace orrery::models::families
