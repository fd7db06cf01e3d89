#include "experts.h"

#include <ATen/ATen.h>

#include <algorithm>

#include <core/base/error.h>
#include <core/base/text.h>

namespace orrery::models::families {
namespace {

constexpr std::int64_t kMostExperts = 512, kMostInAll = 1 << 15;  // each is some ten nodes of the graph
constexpr std::string_view kFusedIn = ".mlp.experts.gate_up_proj", kFusedOut = ".mlp.experts.down_proj", kRouter = ".mlp.gate.weight";

Var gatedExpert(Assembly& assembly, Var x, std::int64_t hidden, const ExpertSettings& settings)
{
    Builder& builder = assembly.builder;
    const bool old = settings.mixtralNames;
    const Var gate = builder.linear(old ? "w1" : "gate_proj", x, settings.features, hidden, false);
    const Var up = builder.linear(old ? "w3" : "up_proj", x, settings.features, hidden, false);
    const Var gated = builder.op("aten::mul.Tensor", {activated(assembly, "hidden_act", settings.activation, gate), up}, "gated");
    return builder.linear(old ? "w2" : "down_proj", gated, hidden, settings.features, false);
}

/// How much each expert counts for each token: [batch, position, expert].
Var routingOf(Builder& builder, Var x, const ExpertSettings& settings)
{
    const Var scores = builder.linear("gate", x, settings.features, settings.count, false);
    const Var ranked = settings.softmaxFirst ? builder.op("aten::softmax.int", {scores, -1}, "probabilities") : scores;
    const auto best = builder.ops("aten::topk", {ranked, settings.used, -1, true, true}, "best");
    Var shares = best[0];
    if (!settings.softmaxFirst)
        shares = builder.op("aten::softmax.int", {shares, -1}, "shares");
    else if (settings.normalised)
        shares = builder.op("aten::div.Tensor", {shares, builder.op("aten::sum.dim_IntList", {shares, std::vector<std::int64_t>{-1}, true}, "whole")},
                            "shares");
    return builder.op("aten::scatter.src", {builder.op("aten::zeros_like", {scores}, "none"), -1, best[1], shares}, "routing");
}

Var sharedExpert(Assembly& assembly, Var x, const ExpertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Var open = builder.op("aten::sigmoid", {builder.linear("shared_expert_gate", x, settings.features, 1, false)}, "shared_share");
    const Builder::Scope scope = builder.module("shared_expert", "GatedMLP");
    return builder.op("aten::mul.Tensor", {gatedExpert(assembly, x, settings.sharedHidden, settings), open}, "weighted");
}

void checkFused(const std::string& name, const at::Tensor& tensor, bool isPair)
{
    if (tensor.dim() != 3 || tensor.size(0) > kMostExperts || (isPair && tensor.size(1) % 2 != 0))
        throw core::FormatError(fmt::format("{}: expected [expert, {}, {}] with at most {} experts, found {}", name,
                                            isPair ? "gates above ups" : "out", isPair ? "in" : "hidden", kMostExperts,
                                            core::formatShape(tensor.sizes().vec())));
}

}  // namespace

ExpertSettings expertSettings(const Config& config, const std::string& type)
{
    ExpertSettings settings;
    settings.features = config.count("hidden_size", 4096);
    settings.activation = config.text("hidden_act", "silu");
    if (type == "mixtral") {
        settings.count = config.count("num_local_experts", 8);
        settings.used = config.count("num_experts_per_tok", 2);
        settings.hidden = config.count("intermediate_size", 14336);
    } else if (type == "qwen2_moe" || type == "qwen3_moe") {
        const bool isSecond = type == "qwen2_moe";
        settings.count = config.count(config.firstOf({"num_experts", "num_local_experts"}), isSecond ? 60 : 128);
        settings.used = config.count("num_experts_per_tok", isSecond ? 4 : 8);
        settings.hidden = config.count("moe_intermediate_size", isSecond ? 1408 : 768);
        settings.sharedHidden = isSecond ? config.count("shared_expert_intermediate_size", 5632) : 0;
        settings.softmaxFirst = true;
        settings.normalised = config.flag("norm_topk_prob", false);
        settings.mixtralNames = false;
        settings.step = config.count("decoder_sparse_step", 1);
        if (config.has("mlp_only_layers")) {
            const auto& plain = config.json().at("mlp_only_layers");
            if (!plain.is_array() || !std::all_of(plain.begin(), plain.end(), [](const auto& each) { return each.is_number_unsigned(); }))
                config.fail("mlp_only_layers", "a list of numbers of layers");
            settings.plain = plain.get<std::set<std::int64_t>>();
        }
    }
    if (settings.count > kMostExperts || settings.used > settings.count)
        config.fail("num_experts_per_tok", fmt::format("at most the number of experts, {}, which is at most {}", settings.count, kMostExperts));
    if (const auto layers = config.layers("num_hidden_layers", 32); settings.count * layers > kMostInAll)
        config.fail("num_hidden_layers", fmt::format("at most {} experts in all layers together", kMostInAll));
    return settings;
}

Var mixtureOfExperts(Assembly& assembly, Var x, const std::string& block, const ExpertSettings& settings)
{
    Builder& builder = assembly.builder;
    const Builder::Scope scope = builder.module(settings.mixtralNames ? "block_sparse_moe" : "mlp", "SparseMixture");
    const Var routing = routingOf(builder, x, settings);
    assembly.name(block + ".mlp.routing", routing);
    Var sum;
    for (std::int64_t i = 0; i < settings.count; ++i) {
        const Scopes scopes(builder, {{"experts", "ModuleList"}, {std::to_string(i), "GatedMLP"}});
        const Var said = gatedExpert(assembly, x, settings.hidden, settings);
        const Var share = builder.op("aten::slice.Tensor", {routing, -1, i, i + 1, 1}, "share");
        const Var weighted = builder.op("aten::mul.Tensor", {said, share}, "weighted");
        sum = i == 0 ? weighted : builder.op("aten::add.Tensor", {sum, weighted}, "sum");
    }
    return settings.sharedHidden > 0 ? builder.op("aten::add.Tensor", {sum, sharedExpert(assembly, x, settings)}, "with_shared") : sum;
}

bool hasFusedExperts(const graph::Weights& file)
{
    return std::any_of(file.tensors().begin(), file.tensors().end(), [](const auto& each) { return each.first.ends_with(kFusedIn); });
}

graph::Weights withSingleExperts(const graph::Weights& file, bool mixtralNames)
{
    graph::Weights made;
    const auto expert = [&](const std::string& layer, std::int64_t number, const char* old, const char* name) {
        return fmt::format("{}.{}.experts.{}.{}.weight", layer, mixtralNames ? "block_sparse_moe" : "mlp", number, mixtralNames ? old : name);
    };
    for (const auto& [name, tensor] : file.tensors()) {
        const bool isPair = name.ends_with(kFusedIn);
        if (isPair || name.ends_with(kFusedOut)) {
            checkFused(name, tensor, isPair);
            const auto layer = name.substr(0, name.size() - (isPair ? kFusedIn : kFusedOut).size());
            const auto half = tensor.size(1) / 2;
            for (std::int64_t i = 0; i < tensor.size(0); ++i) {
                const auto one = tensor.select(0, i);
                if (isPair) {
                    made.set(expert(layer, i, "w1", "gate_proj"), one.narrow(0, 0, half));
                    made.set(expert(layer, i, "w3", "up_proj"), one.narrow(0, half, half));
                } else {
                    made.set(expert(layer, i, "w2", "down_proj"), one);
                }
            }
        } else if (mixtralNames && name.ends_with(kRouter)) {
            made.set(name.substr(0, name.size() - kRouter.size()) + ".block_sparse_moe.gate.weight", tensor);
        } else {
            made.set(name, tensor);
        }
    }
    return made;
}

}  // namespace orrery::models::families
