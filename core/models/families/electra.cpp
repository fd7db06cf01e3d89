// ELECTRA. Source: Clark et al. (2020), "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators", arXiv:2003.10555, sections 2 and 3.1.
#include "bert_encoder.h"

namespace orrery::models::families {
namespace {

/// From the first token: dense, GELU, projection.
Var electraClassifier(Assembly& assembly, Var x, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("classifier", "ClassificationHead");
    const double dropout = settings.classifierDropout(assembly.config);
    const Var first = builder.dropout("dropout", builder.op("aten::select.int", {x, 1, 0}), dropout);
    const Var hidden = builder.dropout("dropout", builder.gelu(builder.linear("dense", first, settings.features, settings.features)), dropout);
    return builder.linear("out_proj", hidden, settings.features, assembly.config.labels());
}

/// Whether a token was replaced: above zero.
Var electraDiscriminator(Assembly& assembly, Var x, const BertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("discriminator_predictions", "DiscriminatorHead");
    const Var hidden = activated(assembly, "hidden_act", settings.activation, builder.linear("dense", x, settings.features, settings.features));
    return builder.op("aten::squeeze.dim", {builder.linear("dense_prediction", hidden, settings.features, 1), -1});
}

Var electraGenerator(Assembly& assembly, Var x, Var table, const BertSettings& settings, std::int64_t embedding)
{
    Builder& builder = assembly.builder;
    {
        const Builder::Scope scope = builder.module("generator_predictions", "GeneratorHead");
        x = builder.layerNorm("LayerNorm", builder.gelu(builder.linear("dense", x, settings.features, embedding)), embedding, settings.epsilon);
    }
    const Builder::Scope scope = builder.module("generator_lm_head", "Linear");
    const Var bias = builder.parameter("bias", {settings.vocabulary}, {{"kind", "zeros"}});
    return builder.op("aten::linear", {x, builder.tied("weight", table), bias});
}

graph::Model finishElectra(Assembly& assembly, Var x, Var table, const BertSettings& settings, std::int64_t embedding)
{
    const std::string title = "ELECTRA";
    switch (assembly.head) {
    case Head::Base: return assembly.finish({{"last_hidden_state", x}}, title, "");
    case Head::SequenceClassification: return assembly.finish({{"logits", electraClassifier(assembly, x, settings)}}, title, "classification");
    case Head::PreTraining: return assembly.finish({{"logits", electraDiscriminator(assembly, x, settings)}}, title, "");
    case Head::MaskedLM: break;
    default: return finishBertTokens(assembly, x, settings, title);
    }
    const Var logits = electraGenerator(assembly, x, table, settings, embedding);
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, title, "masked_language_model");
}

graph::Model buildElectra(const Request& request)
{
    BertSettings settings(request.config);
    const std::int64_t embedding = request.config.count("embedding_size", 128);
    Assembly assembly(request, "electra");
    assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(assembly.builder, {{assembly.base("electra"), "ElectraModel"}});
        BertSettings narrow = settings;
        narrow.features = embedding;
        const BertEmbedded embedded = bertEmbeddings(assembly, narrow, {});
        table = embedded.words;
        x = embedding == settings.features ? embedded.x : assembly.builder.linear("embeddings_project", embedded.x, embedding, settings.features);
        x = bertEncoder(assembly, x, settings);
    }
    return finishElectra(assembly, x, table, settings, embedding);
}

}  // namespace

Family electraFamily()
{
    return {"electra",
            "ELECTRA",
            "Clark et al. (2020), \"ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators\", arXiv:2003.10555",
            {"electra"},
            {Head::PreTraining, Head::MaskedLM, Head::Base, Head::SequenceClassification, Head::TokenClassification, Head::QuestionAnswering},
            "electra",
            buildElectra,
            {"embeddings.position_ids"}};
}

}  // namespace orrery::models::families
