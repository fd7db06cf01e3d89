// GPT-2. Source: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", section 2.3.
#include <cmath>

#include "assembly.h"

namespace orrery::models::families {
namespace {

struct Gpt2Sizes {
    std::int64_t features, heads, hidden, layers, positions, vocabulary;
    double epsilon, attentionDropout, dropout;
    std::string activation;
    bool scaled, scaledByLayer;
    explicit Gpt2Sizes(const Config& config)
        : features(config.count("n_embd", 768)), heads(config.count("n_head", 12)), hidden(config.count("n_inner", 4 * features)),
          layers(config.layers("n_layer", 12)), positions(config.count(config.firstOf({"n_positions", "n_ctx"}), 1024)),
          vocabulary(config.count("vocab_size", 50257)), epsilon(config.real("layer_norm_epsilon", 1e-5)),
          attentionDropout(config.real("attn_pdrop", 0.1)), dropout(config.real("resid_pdrop", 0.1)),
          activation(config.text("activation_function", "gelu_new")), scaled(config.flag("scale_attn_weights", true)),
          scaledByLayer(config.flag("scale_attn_by_inverse_layer_idx", false))
    {
    }
};

Var gpt2Attention(Assembly& assembly, Var x, Var mask, std::int64_t number, const Masks& padding, const Gpt2Sizes& sizes)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("attn", "GPT2Attention");
    auto settings = AttentionSettings::of(assembly.config, sizes.features, sizes.heads);
    settings.dropout = sizes.attentionDropout;
    settings.scale = (sizes.scaled ? settings.scale : 1.0) / (sizes.scaledByLayer ? double(number + 1) : 1.0);
    const Var all = linearInOut(builder, "c_attn", x, sizes.features, 3 * sizes.features);
    const Var split = builder.reshape(all, {assembly.sizes.batch, assembly.sizes.position, 3, sizes.heads, settings.size});
    const Var packed = builder.op("aten::contiguous", {builder.op("aten::permute", {split, std::vector<std::int64_t>{2, 0, 3, 1, 4}})});
    const auto heads = builder.unpack(builder.op("aten::unbind.int", {packed, 0}), 3, {"q", "k", "v"});
    const Var merged = attend(assembly, assembly.sizes, heads[0], heads[1], heads[2], {mask, padding.padding}, settings, blockName(number) + ".attn");
    return builder.dropout("resid_dropout", linearInOut(builder, "c_proj", merged, sizes.features, sizes.features), sizes.dropout);
}

Var gpt2Perceptron(Assembly& assembly, Var x, const std::string& block, const Gpt2Sizes& sizes)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("mlp", "GPT2MLP");
    const Var before = linearInOut(builder, "c_fc", x, sizes.features, sizes.hidden);
    const Var after = activated(assembly, "activation_function", sizes.activation, before);
    assembly.name(block + ".mlp.pre", before);
    assembly.name(block + ".mlp.post", after);
    return builder.dropout("dropout", linearInOut(builder, "c_proj", after, sizes.hidden, sizes.features), sizes.dropout);
}

Var gpt2Block(Assembly& assembly, Var x, Var mask, std::int64_t number, const Masks& padding, const Gpt2Sizes& sizes)
{
    Builder& builder = assembly.builder;
    const std::string block = blockName(number);
    const Scopes scopes(builder, {{"h", "ModuleList"}, {std::to_string(number), "GPT2Block"}});
    const Var attended = gpt2Attention(assembly, builder.layerNorm("ln_1", x, sizes.features, sizes.epsilon), mask, number, padding, sizes);
    const Var middle = builder.op("aten::add.Tensor", {x, attended}, "resid_mid");
    const Var transformed = gpt2Perceptron(assembly, builder.layerNorm("ln_2", middle, sizes.features, sizes.epsilon), block, sizes);
    const Var after = builder.op("aten::add.Tensor", {middle, transformed}, "resid_post");
    for (const auto& [part, value] :
         {std::pair{"resid_pre", x}, {"attn_out", attended}, {"resid_mid", middle}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

graph::Model buildGpt2(const Request& request)
{
    const Gpt2Sizes sizes(request.config);
    Assembly assembly(request, "gpt2");
    Builder& builder = assembly.builder;
    const Var tokens = assembly.tokenInput();
    Var x, table;
    {
        const Scopes base(builder, {{assembly.base("transformer"), "GPT2Model"}});
        const Embedded embedding = embedded(builder, "wte", tokens, sizes.vocabulary, sizes.features);
        const Var positions = positionRows(builder, "wpe", assembly.sizes.position, sizes.positions, sizes.features);
        assembly.name("embed", embedding.rows);
        assembly.name("pos_embed", positions);
        table = embedding.table;
        x = builder.dropout("drop", builder.op("aten::add.Tensor", {embedding.rows, positions}, "embeddings"),
                            request.config.real("embd_pdrop", 0.1));
        const Var mask = zoo::causalMask(builder, embedding.rows, assembly.sizes.position);
        const Masks padding{{}, assembly.paddingMask(embedding.rows)};
        for (std::int64_t i = 0; i < sizes.layers; ++i)
            x = gpt2Block(assembly, x, mask, i, padding, sizes);
        x = builder.layerNorm("ln_f", x, sizes.features, sizes.epsilon);
        assembly.name("ln_final", x);
    }
    DecoderHead head;
    if (request.config.flag("tie_word_embeddings", true))
        head.tiedTable = table;
    head.token = "classifier";
    head.dropout = request.config.real("classifier_dropout", request.config.real("hidden_dropout", 0.1));
    return finishDecoder(assembly, x, sizes.features, sizes.vocabulary, head, "GPT-2");
}

}  // namespace

Family gpt2Family()
{
    return {"gpt2",
            "GPT-2",
            "Radford et al. (2019), \"Language Models are Unsupervised Multitask Learners\", section 2.3",
            {"gpt2"},
            {Head::CausalLM, Head::Base, Head::SequenceClassification, Head::TokenClassification},
            "transformer",
            buildGpt2,
            {"h.*.attn.bias", "h.*.attn.masked_bias"}};
}

}  // namespace orrery::models::families
