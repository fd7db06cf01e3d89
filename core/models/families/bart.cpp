// BART and its relatives. Sources: Lewis et al. (2019), "BART: Denoising Sequence-to-Sequence Pre-training", arXiv:1910.13461, section 2.1; mBART: Liu et al. (2020), arXiv:2001.08210; Marian:
// Junczys-Dowmunt et al. (2018), arXiv:1804.00344; Pegasus: Zhang et al. (2019), arXiv:1912.08777.
#include <cmath>

#include "encoder_decoder.h"

namespace orrery::models::families {
namespace {

constexpr std::int64_t kFirstRow = 2;  // of the tables of positions, kept for padding
constexpr double kBartEpsilon = 1e-5;

struct BartSettings {
    CoderSettings encoder, decoder;
    std::int64_t features, vocabulary, positions, begin, end, padding;
    double scale;
    bool fixedPositions;  ///< sines and cosines, and no norm of the embeddings
    bool beginsWithLast;  ///< a shifted text begins with its own last token, the language, instead of one start token
    explicit BartSettings(const Config& config)
        : encoder(config, "encoder"), decoder(config, "decoder"), features(encoder.features), vocabulary(config.count("vocab_size", 50265)),
          positions(config.count("max_position_embeddings", 1024)), begin(config.number("decoder_start_token_id").value_or(2)),
          end(config.number("eos_token_id").value_or(2)), padding(config.number("pad_token_id").value_or(1)),
          scale(config.flag("scale_embedding", false) ? std::sqrt(double(features)) : 1)
    {
        const auto kind = config.text("model_type", "bart");
        fixedPositions = kind == "marian" || kind == "pegasus";
        encoder.normFirst = decoder.normFirst = kind == "mbart" || kind == "pegasus";
        beginsWithLast = kind == "mbart";
        if (!config.flag("share_encoder_decoder_embeddings", true))
            config.fail("share_encoder_decoder_embeddings", "true: one table for both stacks");
        if (fixedPositions && features % 2 != 0)
            config.fail("d_model", "an even number, for sines and cosines");
    }
};

/// A rate and what is missing when it is rounded to eleven bits, with which its product with a position is exact in float.
std::pair<double, double> splitRate(double rate)
{
    constexpr int kBits = 11;
    const double step = std::ldexp(1.0, std::ilogb(rate) + 1 - kBits), near = std::nearbyint(rate / step) * step;
    return {near, rate - near};
}

/// [position, feature]: sin(t / 10000^(2 i / features)) for all i, then the cosines. Vaswani et al. (2017), arXiv:1706.03762, section 3.5; the order is that of the released checkpoints. As the
/// sine and cosine of a sum of two angles, since one of hundreds is off in the fifth digit in float.
Var fixedRows(Builder& builder, Var like, Var positions, std::int64_t features)
{
    const Builder::Scope scope = builder.module("embed_positions", "SinusoidalPositions");
    std::vector<double> near, rest;
    for (std::int64_t i = 0; i < features / 2; ++i) {
        const auto [first, second] = splitRate(std::pow(10000.0, -2.0 * double(i) / double(features)));
        near.push_back(first);
        rest.push_back(second);
    }
    const c10::IValue device = c10::Device(c10::kCPU);  // an explicit literal, which moving the graph rewrites
    const Var places = builder.op("aten::unsqueeze", {builder.op("aten::arange", {positions, nullptr, nullptr, device}), 1});
    const auto turned = [&](const std::vector<double>& rates, const std::string& name) {
        const Var table = builder.op("aten::tensor", {c10::IValue(rates), nullptr, device}, name + "_rates");
        const Var angles = builder.op("aten::mul.Tensor", {places, table}, name + "_angles");
        return std::pair(builder.op("aten::sin", {angles}, name + "_sines"), builder.op("aten::cos", {angles}, name + "_cosines"));
    };
    const auto product = [&](Var a, Var b) { return builder.op("aten::mul.Tensor", {a, b}); };
    const auto [sines, cosines] = turned(near, "near");
    const auto [fewSines, fewCosines] = turned(rest, "rest");
    const Var sums = builder.op("aten::add.Tensor", {product(sines, fewCosines), product(cosines, fewSines)}, "sines");
    const Var differences = builder.op("aten::sub.Tensor", {product(cosines, fewCosines), product(sines, fewSines)}, "cosines");
    return builder.op("aten::to.other", {builder.op("aten::cat", {builder.list({sums, differences}), -1}, "rows"), like}, "typed");
}

Var bartStack(Assembly& assembly, Var tokens, Var table, const CoderStack& stack, const CoderSettings& coder, const BartSettings& settings)
{
    Builder& builder = assembly.builder;
    Var x = tiedRows(builder, table, tokens);
    if (settings.scale != 1)
        x = builder.op("aten::mul.Scalar", {x, settings.scale}, "scaled");
    const Var places = settings.fixedPositions ? fixedRows(builder, x, stack.sizes.position, settings.features)
                                               : positionRows(builder, "embed_positions", stack.sizes.position, settings.positions + kFirstRow,
                                                              settings.features, kFirstRow);
    assembly.name("pos_embed", places);  // the decoder's, which comes last
    x = builder.add(x, places);
    if (!settings.fixedPositions)
        x = builder.layerNorm("layernorm_embedding", x, settings.features, kBartEpsilon);
    x = coderLayers(assembly, builder.dropout("dropout", x, coder.dropout), stack, coder);
    return coder.normFirst ? builder.layerNorm("layer_norm", x, settings.features, kBartEpsilon) : x;
}

/// What the decoder reads for a text that is classified: the text, one place later.
Var shiftedTokens(Assembly& assembly, const BartSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("decoder_input_ids", "ShiftedTokens");
    const Var begin = settings.beginsWithLast
                          ? lastRowWhere(assembly, builder.op("aten::ne.Scalar", {assembly.tokens, settings.padding}),
                                         builder.op("aten::unsqueeze", {assembly.tokens, -1}))
                          : builder.op("aten::new_full", {assembly.tokens, builder.shape({assembly.sizes.batch, 1}), settings.begin});
    const Var rest = builder.op("aten::slice.Tensor", {assembly.tokens, 1, 0, -1, 1});
    return builder.op("aten::cat", {builder.list({begin, rest}), 1});
}

struct BartStates {
    Var memory, out, table;
};

BartStates bartStates(Assembly& assembly, const BartSettings& settings)
{
    Builder& builder = assembly.builder;
    const bool classifies = assembly.head == Head::SequenceClassification;
    const Var source = assembly.tokenInput("input_ids", classifies ? "position" : "source_position");
    const zoo::TransformerSizes sourceSizes = assembly.sizes;
    const Var target = classifies ? shiftedTokens(assembly, settings) : assembly.tokenInput("decoder_input_ids");
    const Scopes base(builder, {{assembly.base("model"), "BartModel"}});
    BartStates states;
    states.table = builder.parameter("shared.weight", {settings.vocabulary, settings.features}, zoo::normalInit(0.02));
    const auto padding = assembly.paddingMask(states.table);
    {
        const Builder::Scope scope = builder.module("encoder", "Encoder");
        states.memory = bartStack(assembly, source, states.table, {"encoder", sourceSizes, {{}, padding}, {}, {}, {}}, settings.encoder, settings);
    }
    if (!classifies)
        assembly.name("memory", states.memory);
    const Builder::Scope scope = builder.module("decoder", "Decoder");
    const Masks causal{zoo::causalMask(builder, states.table, assembly.sizes.position), {}};
    states.out = bartStack(assembly, target, states.table, {"decoder", assembly.sizes, causal, states.memory, sourceSizes, padding}, settings.decoder,
                           settings);
    return states;
}

/// From the state at the last end token: dense, tanh, projection.
Var bartClassifier(Assembly& assembly, Var out, const BartSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("classification_head", "ClassificationHead");
    const double dropout = assembly.config.real("classifier_dropout", 0);
    const Var last = lastRowWhere(assembly, builder.op("aten::eq.Scalar", {assembly.tokens, settings.end}), out);
    const Var hidden =
        builder.op("aten::tanh", {builder.linear("dense", builder.dropout("dropout", last, dropout), settings.features, settings.features)});
    return builder.linear("out_proj", builder.dropout("dropout", hidden, dropout), settings.features, assembly.config.labels());
}

graph::Model buildBart(const Request& request)
{
    const BartSettings settings(request.config);
    Assembly assembly(request, "bart");
    Builder& builder = assembly.builder;
    const auto states = bartStates(assembly, settings);
    const std::string title = "BART";
    if (request.head == Head::Base)
        return assembly.finish({{"last_hidden_state", states.out}, {"encoder_last_hidden_state", states.memory}}, title, "");
    if (request.head == Head::SequenceClassification)
        return assembly.finish({{"logits", bartClassifier(assembly, states.out, settings)}}, title, "classification");
    const Var bias = builder.parameter("final_logits_bias", {1, settings.vocabulary}, {{"kind", "zeros"}}, graph::Parameter::Kind::Buffer);
    const Var products = tiedLinear(builder, "lm_head", states.out, states.table);
    const Var logits = builder.op("aten::add.Tensor", {products, bias}, "logits");
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, title, "sequence_to_sequence");
}

}  // namespace

Family bartFamily()
{
    return {
        "bart",
        "BART, mBART, Marian, Pegasus",
        "Lewis et al. (2019), \"BART: Denoising Sequence-to-Sequence Pre-training for Natural Language Generation, Translation, and Comprehension\", "
        "arXiv:1910.13461",
        {"bart", "mbart", "marian", "pegasus"},
        {Head::ConditionalGeneration, Head::Base, Head::SequenceClassification},
        "model",
        buildBart,
        {"encoder.version", "decoder.version", "*.embed_positions.weight", "final_logits_bias"}};
}

}  // namespace orrery::models::families
