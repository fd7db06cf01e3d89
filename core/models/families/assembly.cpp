#include "assembly.h"

#include <cmath>
#include <limits>

#include <core/base/error.h>

namespace orrery::models::families {
namespace {

/// The row of the last token that is no padding (`pad_token_id`; without one the last): [batch, position, n] -> [batch, n].
Var lastTokenRows(Assembly& assembly, Var rows)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module("last_token", "LastToken");
    const auto padding = assembly.config.number("pad_token_id");
    if (!padding || *padding < 0)
        return builder.op("aten::select.int", {rows, 1, -1});
    return lastRowWhere(assembly, builder.op("aten::ne.Scalar", {assembly.tokens, *padding}), rows);
}

}  // namespace

Scopes::Scopes(Builder& builder, const std::vector<std::pair<std::string, std::string>>& modules)
{
    for (const auto& [name, type] : modules)
        if (!name.empty())
            m_scopes.emplace_back(new Builder::Scope(builder.module(name, type)));
}

Assembly::Assembly(const Request& request, const std::string& name)
    : builder(name), config(request.config), head(request.head), keepInputs(request.keepInputs)
{
}

Var Assembly::tokenInput(const std::string& name, const std::string& position)
{
    tokens = builder.input(name, "int64", {"batch", position}, "tokens");
    sizes = {builder.size(tokens, 0), builder.size(tokens, 1)};
    return tokens;
}

Var Assembly::imageInput(std::int64_t channels, std::int64_t height, std::int64_t width)
{
    const auto size = [](std::int64_t number) { return number > 0 ? std::to_string(number) : std::string("size"); };
    return builder.input("pixel_values", "float32", {"batch", std::to_string(channels), size(height), size(width)}, "image");
}

std::optional<Var> Assembly::paddingMask(Var like)
{
    if (!keepInputs.contains("attention_mask"))
        return std::nullopt;
    const Var mask = builder.input("attention_mask", "int64", {"batch", "position"}, "float");
    attentionMask = mask;
    const Builder::Scope scope = builder.module("padding", "PaddingMask");
    const Var hidden = builder.op("aten::eq.Scalar", {mask, 0});
    const Var zeros = builder.op("aten::to.other", {builder.op("aten::zeros_like", {mask}, "zeros"), like}, "typed");
    const Var filled = builder.op("aten::masked_fill.Scalar", {zeros, hidden, -std::numeric_limits<double>::infinity()});
    return builder.op("aten::unsqueeze", {builder.op("aten::unsqueeze", {filled, 1}), 2});
}

graph::Model Assembly::finish(std::vector<std::pair<std::string, Var>> outputs, const std::string& title, const std::string& task)
{
    builder.card().title = title;
    builder.card().task = task;
    graph::Model model = builder.finish(std::move(outputs));
    zoo::writeCanonicalNames(model, canonical);
    return model;
}

std::string blockName(std::int64_t number)
{
    return "blocks." + std::to_string(number);
}

void nameBlock(Assembly& assembly, const std::string& block, const BlockValues& values)
{
    for (const auto& [part, value] : {std::pair{"resid_pre", values.before},
                                      {"attn_out", values.attended},
                                      {"resid_mid", values.middle},
                                      {"mlp.pre", values.mlpBefore},
                                      {"mlp.post", values.mlpAfter},
                                      {"mlp_out", values.transformed},
                                      {"resid_post", values.after}})
        assembly.name(block + "." + part, value);
}

Var parallelResidual(Assembly& assembly, const std::string& block, Var x, Var attended, Var transformed)
{
    const Var branches = assembly.builder.op("aten::add.Tensor", {attended, transformed}, "branches");
    const Var after = assembly.builder.op("aten::add.Tensor", {branches, x}, "resid_post");
    for (const auto& [part, value] : {std::pair{"resid_pre", x}, {"attn_out", attended}, {"mlp_out", transformed}, {"resid_post", after}})
        assembly.name(block + "." + part, value);
    return after;
}

Var activated(Assembly& assembly, std::string_view key, const std::string& name, Var x)
{
    Builder& builder = assembly.builder;
    if (name == "gelu" || name == "gelu_python")
        return builder.gelu(x);
    if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh")
        return builder.gelu(x, "tanh");
    if (name == "quick_gelu")
        return builder.op("aten::mul.Tensor", {x, builder.op("aten::sigmoid", {builder.op("aten::mul.Scalar", {x, 1.702}, "scale")})}, "quick_gelu");
    if (name == "linear")
        return x;
    for (const std::string known : {"relu", "silu", "tanh", "sigmoid", "mish"})
        if (name == known || (known == "silu" && name == "swish"))
            return builder.op("aten::" + known, {x});
    assembly.config.fail(key,
                         "gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, gelu_python, quick_gelu, relu, silu, swish, tanh, sigmoid, mish or linear");
}

Var rmsNorm(Builder& builder, const std::string& name, Var x, std::int64_t features, double epsilon, double offset)
{
    const Builder::Scope scope = builder.module(name, "RMSNorm");
    const Var weight = builder.parameter("weight", {features}, {{"kind", offset == 0 ? "ones" : "zeros"}});
    const Var wide = builder.op("aten::to.dtype", {x, std::int64_t(at::kFloat)}, "wide");
    const Var mean = builder.op("aten::mean.dim", {builder.op("aten::pow.Tensor_Scalar", {wide, 2}, "square"), std::vector<std::int64_t>{-1}, true});
    const Var factor = builder.op("aten::rsqrt", {builder.op("aten::add.Scalar", {mean, epsilon}, "shifted")});
    const Var normed = builder.op("aten::to.other", {builder.op("aten::mul.Tensor", {wide, factor}, "normalised"), x}, "typed");
    const Var gain = offset == 0 ? weight : builder.op("aten::add.Scalar", {weight, offset}, "gain");
    return builder.op("aten::mul.Tensor", {normed, gain}, "rms_norm");
}

Var linearInOut(Builder& builder, const std::string& name, Var x, std::int64_t in, std::int64_t out)
{
    const Builder::Scope scope = builder.module(name, "Conv1D");
    const Var weight = builder.parameter("weight", {in, out}, zoo::normalInit(0.02));
    const Var bias = builder.parameter("bias", {out}, {{"kind", "zeros"}});
    return builder.op("aten::linear", {x, builder.op("aten::t", {weight}), bias});
}

Var tiedLinear(Builder& builder, const std::string& name, Var x, Var table, std::optional<Var> bias)
{
    const Builder::Scope scope = builder.module(name, "Linear");
    return builder.op("aten::linear", {x, builder.tied("weight", table), bias ? Arg(*bias) : Arg(nullptr)});
}

Embedded embedded(Builder& builder, const std::string& name, Var indices, std::int64_t count, std::int64_t features)
{
    const Builder::Scope scope = builder.module(name, "Embedding");
    const Var table = builder.parameter("weight", {count, features}, zoo::normalInit(0.02));
    return {table, builder.op("aten::embedding", {table, indices})};
}

Var positionRows(Builder& builder, const std::string& name, Var positions, std::int64_t count, std::int64_t features, std::int64_t first)
{
    const Builder::Scope scope = builder.module(name, "Embedding");
    const Var table = builder.parameter("weight", {count, features}, zoo::normalInit(0.02));
    const Var end = first == 0 ? positions : builder.op("aten::add.int", {positions, first}, "end");
    return builder.op("aten::slice.Tensor", {table, 0, first, end, 1}, "embedding");
}

Var SharedParameters::parameter(const std::string& key, const std::string& name, std::vector<std::int64_t> shape, core::Json init)
{
    const auto known = m_known.find(key);
    return known != m_known.end() ? known->second : m_known[key] = m_builder.parameter(name, std::move(shape), std::move(init));
}

Var SharedParameters::linear(const std::string& key, const std::string& name, Var x, std::int64_t in, std::int64_t out)
{
    const Builder::Scope scope = m_builder.module(name, "Linear");
    const Var weight = parameter(key + name + ".weight", "weight", {out, in}, zoo::normalInit(0.02));
    return m_builder.op("aten::linear", {x, weight, parameter(key + name + ".bias", "bias", {out}, {{"kind", "zeros"}})});
}

Var SharedParameters::layerNorm(const std::string& key, const std::string& name, Var x, std::int64_t features, double epsilon)
{
    const Builder::Scope scope = m_builder.module(name, "LayerNorm");
    const Var weight = parameter(key + name + ".weight", "weight", {features}, {{"kind", "ones"}});
    const Var bias = parameter(key + name + ".bias", "bias", {features}, {{"kind", "zeros"}});
    return m_builder.op("aten::layer_norm", {x, std::vector<std::int64_t>{features}, weight, bias, epsilon, true});
}

Var lastRowWhere(Assembly& assembly, Var wanted, Var rows)
{
    Builder& builder = assembly.builder;
    const Var places = builder.op("aten::arange", {assembly.sizes.position, nullptr, nullptr, c10::IValue(c10::Device(c10::kCPU))});
    const Var last = builder.op("aten::argmax", {builder.op("aten::mul.Tensor", {places, wanted}), -1, true});
    const Var index =
        builder.op("aten::expand_as", {builder.op("aten::unsqueeze", {last, -1}), builder.op("aten::slice.Tensor", {rows, 1, 0, 1, 1})});
    return builder.op("aten::squeeze.dim", {builder.op("aten::gather", {rows, 1, index}), 1});
}

graph::Model finishDecoder(Assembly& assembly, Var x, std::int64_t features, std::int64_t vocabulary, const DecoderHead& head,
                           const std::string& title)
{
    Builder& builder = assembly.builder;
    if (assembly.head == Head::Base)
        return assembly.finish({{"last_hidden_state", x}}, title, "");
    if (assembly.head == Head::TokenClassification) {
        const Var kept = builder.dropout("dropout", x, head.dropout);
        const Var logits = builder.linear(head.token, kept, features, assembly.config.labels(), head.tokenBias);
        assembly.name("logits", logits);
        return assembly.finish({{"logits", logits}}, title, "token_classification");
    }
    if (assembly.head == Head::SequenceClassification) {
        const Var logits = builder.linear(head.sequence, x, features, assembly.config.labels(), false);
        return assembly.finish({{"logits", lastTokenRows(assembly, logits)}}, title, "classification");
    }
    Var logits = head.tiedTable ? tiedLinear(builder, head.languageModel, x, *head.tiedTable)
                                : builder.linear(head.languageModel, x, features, vocabulary, head.bias);
    if (head.divisor != 1)
        logits = builder.op("aten::div.Scalar", {logits, head.divisor}, "logits_divided");
    if (head.softcap) {
        const Var small = builder.op("aten::tanh", {builder.op("aten::div.Scalar", {logits, *head.softcap}, "logits_scaled")}, "logits_tanh");
        logits = builder.op("aten::mul.Scalar", {small, *head.softcap}, "logits_capped");
    }
    assembly.name("logits", logits);
    return assembly.finish({{"logits", logits}}, title, "language_model");
}

}  // namespace orrery::models::families
