// BERT. Source: Devlin et al. (2018), arXiv:1810.04805.
#include "bert_encoder.h"

namespace orrery::models::families {
namespace {

graph::Model finishBert(Assembly& assembly, Var x, std::optional<Var> pooled, Var table, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Head head = assembly.head;
    if (head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}, {"pooler_output", *pooled}}, "BERT", "");
    if (head == Head::SequenceClassification) {
        const Var kept = builder.dropout("dropout", *pooled, settings.classifierDropout(assembly.config));
        return assembly.finish({{"logits", builder.linear("classifier", kept, settings.features, assembly.config.labels())}}, "BERT",
                               "classification");
    }
    if (head == Head::TokenClassification || head == Head::QuestionAnswering)
        return finishBertTokens(assembly, x, settings, "BERT");
    const Var logits = bertMaskedHead(assembly, x, table, settings);
    assembly.name("logits", logits);
    if (head == Head::MaskedLM)
        return assembly.finish({{"logits", logits}}, "BERT", "masked_language_model");
    Var relation;
    {
        const Builder::Scope scope = builder.module("cls", "Heads");
        relation = builder.linear("seq_relationship", *pooled, settings.features, 2);
    }
    return assembly.finish({{"logits", logits}, {"seq_relationship_logits", relation}}, "BERT", "masked_language_model");
}

graph::Model buildBert(const Request& request)
{
    const BertSettings settings(request.config);
    Assembly assembly(request, "bert");
    assembly.tokenInput();
    const bool pools = request.head == Head::Base || request.head == Head::SequenceClassification || request.head == Head::PreTraining;
    Var x, table;
    std::optional<Var> pooled;
    {
        const Scopes base(assembly.builder, {{assembly.base("bert"), "BertModel"}});
        const BertEmbedded embedding = bertEmbeddings(assembly, settings, {});
        table = embedding.words;
        x = bertEncoder(assembly, embedding.x, settings);
        if (pools)
            pooled = bertPooler(assembly, x, settings.features);
    }
    return finishBert(assembly, x, pooled, table, settings);
}

}  // namespace

Var bertMaskedHead(Assembly& assembly, Var x, Var table, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Scopes scopes(builder, {{"cls", "Heads"}, {"predictions", "MaskedLMHead"}});
    {
        const Builder::Scope scope = builder.module("transform", "Transform");
        x = activated(assembly, "hidden_act", settings.activation, builder.linear("dense", x, settings.features, settings.features));
        x = builder.layerNorm("LayerNorm", x, settings.features, settings.epsilon);
    }
    const bool isTied = assembly.config.flag("tie_word_embeddings", true);
    return biasedVocabulary(assembly, x, isTied ? std::optional(table) : std::nullopt, settings.vocabulary, settings.features);
}

Family bertFamily()
{
    return {"bert",
            "BERT",
            "Devlin et al. (2018), \"BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding\", arXiv:1810.04805",
            {"bert"},
            {Head::MaskedLM, Head::Base, Head::SequenceClassification, Head::TokenClassification, Head::QuestionAnswering, Head::PreTraining},
            "bert",
            buildBert,
            {"embeddings.position_ids", "cls.seq_relationship.*", "pooler.dense.*"}};
}

}  // namespace orrery::models::families
