#include <core/base/error.h>
#include <core/models/families/checkpoint_card.h>
#include <core/models/families/family.h>

#include "architectures.h"
#include "parts.h"

namespace orrery::zoo {
namespace {

constexpr double kBertInitialStd = 0.02;

/// The `config.json` that says the same.
core::Json bertConfig(const core::Json& parameters)
{
    const auto width = parameters["width"].get<std::int64_t>(), heads = parameters["heads"].get<std::int64_t>();
    if (width % heads != 0)
        throw core::InputError(fmt::format("expected a width that the number of heads divides, got width {} with {} heads", width, heads));
    const core::Json& hidden = parameters["mlp_width"];
    return {{"model_type", "bert"},
            {"architectures", {"BertForMaskedLM"}},
            {"vocab_size", parameters["vocabulary"]},
            {"max_position_embeddings", parameters["block_length"]},
            {"num_hidden_layers", parameters["layers"]},
            {"num_attention_heads", heads},
            {"hidden_size", width},
            {"intermediate_size", hidden.is_null() ? core::Json(4 * width) : hidden},
            {"hidden_act", "gelu"},
            {"hidden_dropout_prob", parameters["dropout"]},
            {"attention_probs_dropout_prob", parameters["dropout"]},
            {"initializer_range", kBertInitialStd},
            {"layer_norm_eps", 1e-12},
            {"type_vocab_size", 2},
            {"tie_word_embeddings", true}};
}

/// Appendix A.2 of the paper's code: truncated there, normal here; biases zero. Layer norms start at one and zero in any case.
void setBertInitialValues(graph::Model& model)
{
    graph::GraphData data = model.graph->data();
    for (graph::Parameter& parameter : data.parameters) {
        if (parameter.kind == graph::Parameter::Kind::Parameter && parameter.shape.size() == 2)
            parameter.init = normalInit(kBertInitialStd);
        if (parameter.kind == graph::Parameter::Kind::Parameter && parameter.name.ends_with(".bias"))
            parameter.init = {{"kind", "zeros"}};
    }
    model.graph = std::make_shared<const graph::Graph>(std::move(data));
}

}  // namespace

core::Component bertComponent()
{
    return {"bert",
            "BERT",
            "Transformer encoder that says which tokens stand behind masks, looking to both sides.",
            "Devlin et al. (2019), \"BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding\", arXiv:1810.04805",
            {
                core::integer("vocabulary", 30522, "Number of tokens, the mask among them.").range(2, 1 << 20),
                core::integer("block_length", 512, "Longest sequence.").range(1, 1 << 20).withUnit("tokens"),
                core::integer("layers", 12, "Number of transformer blocks.").range(1, 200),
                core::integer("heads", 12, "Attention heads; must divide the width.").range(1, 256),
                core::integer("width", 768, "Features of the residual stream.").range(1, 1 << 16),
                core::integer("mlp_width", 3072, "Features inside the MLP; none: four times the width.").range(1, 1 << 18).noneByDefault(),
                dropoutParameter("dropout", 0.1,
                                 "Probability that an activation is zeroed in training: after the embedding, on the pattern, after each branch."),
            },
            {{"input_ids", "token_id", {"batch", "position"}}},
            {{"logits", "logits", {"batch", "position", "class"}}}};
}

graph::Model bert(const core::Json& parameters)
{
    const models::families::Config config(bertConfig(parameters), "zoo:bert");
    graph::Model model = models::families::buildFamily(models::families::bertFamily(), config);
    setBertInitialValues(model);
    models::families::keepCheckpointConfig(model.card, config.json());
    return model;
}

}  // namespace orrery::zoo
