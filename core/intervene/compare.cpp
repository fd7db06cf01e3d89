#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include <core/base/text.h>

#include "frontier.h"
#include "intervention.h"

namespace orrery::intervene {
namespace {

std::vector<double> doubles(const at::Tensor& tensor)
{
    const auto flat = tensor.detach().to(at::kCPU, at::kDouble).reshape(-1).contiguous();
    return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

std::vector<std::string> probedValues(const graph::Graph& graph, const graph::ModelCard& card, const std::vector<std::string>& places)
{
    std::vector<std::string> names;
    for (const auto& place : places)
        for (auto& name : resolvePlace(graph, card, place))
            names.push_back(std::move(name));
    return names;
}

/// What was asked for: of the plain run more is kept.
void addValues(InterventionResult& result, const graph::KeptValues& plain, const graph::KeptValues& intervened)
{
    for (const auto& [name, after] : intervened) {
        const auto before = plain.find(name);
        if (after.isTensor() && before != plain.end() && before->second.isTensor())
            result.values[name] = {before->second.toTensor().detach(), after.toTensor().detach()};
    }
}

}  // namespace

bool hasClasses(const at::Tensor& output, const graph::ModelCard& card, graph::OutputKind kind)
{
    return kind != graph::OutputKind::EachProbability && card.task != "regression" && card.task != "multi_label" &&
           at::isFloatingType(output.scalar_type()) && (output.dim() == 2 || output.dim() == 3) && output.size(-1) >= 2;
}

at::Tensor outputDivergence(const at::Tensor& plain, const at::Tensor& intervened)
{
    if (plain.sizes() != intervened.sizes())
        throw core::ShapeError(
            fmt::format("outputs: expected equal shapes, got {} and {}", core::formatShape(plain.sizes()), core::formatShape(intervened.sizes())));
    const auto p = at::log_softmax(plain.to(at::kDouble), -1), q = at::log_softmax(intervened.to(at::kDouble), -1);
    const auto weight = p.exp();
    return at::where(weight > 0, weight * (p - q), at::zeros_like(p)).sum(-1);
}

std::vector<OutputChange> topChanges(const at::Tensor& plain, const at::Tensor& intervened, std::size_t count)
{
    const auto logitsBefore = doubles(plain), logitsAfter = doubles(intervened);
    const auto before = doubles(at::softmax(plain.to(at::kDouble), -1)), after = doubles(at::softmax(intervened.to(at::kDouble), -1));
    std::vector<std::size_t> order(before.size());
    std::iota(order.begin(), order.end(), 0);
    const auto change = [&](std::size_t i) {
        const auto difference = std::abs(after[i] - before[i]);
        return std::isnan(difference) ? std::numeric_limits<double>::infinity() : difference;
    };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return std::pair(change(a), before[a]) > std::pair(change(b), before[b]); });
    std::vector<OutputChange> changes;
    for (std::size_t i = 0; i < std::min(count, order.size()); ++i)
        changes.push_back({std::int64_t(order[i]), before[order[i]], after[order[i]], logitsBefore[order[i]], logitsAfter[order[i]]});
    return changes;
}

at::Tensor outputRow(const at::Tensor& output, std::int64_t sample, std::optional<std::int64_t> position)
{
    if (output.dim() == 0 || sample < 0 || sample >= output.size(0))
        throw core::InputError(fmt::format("sample {}: expected one of the output's {}", sample, core::formatShape(output.sizes())));
    const auto row = output.select(0, sample);
    if (row.dim() < 2)
        return row;
    if (row.size(0) == 0)
        throw core::InputError("expected at least one position, got none: the input is empty");
    const auto chosen = position.value_or(row.size(0) - 1);
    if (chosen < 0 || chosen >= row.size(0))
        throw core::InputError(fmt::format("position: expected 0..{}, got {}", row.size(0) - 1, chosen));
    return row.select(0, chosen);
}

InterventionResult runIntervened(const graph::Executor& executor, const graph::Weights& weights, const graph::ModelCard& card,
                                 const InterventionDocument& document, const InterventionRequest& request, const Control& control)
{
    for (const auto& input : request.inputs)
        if (input.isTensor() && input.toTensor().dim() > 0 && input.toTensor().numel() == 0)
            throw core::InputError(
                fmt::format("expected an input with at least one sample and nothing empty, got {}", core::formatShape(input.toTensor().sizes())));
    const InterventionProgram program(executor, weights, card, document, request.sources, {request.folder, request.seed}, control);
    graph::RunRequest run;
    run.inputs = request.inputs;
    run.keep = probedValues(*executor.graph(), card, request.probes);
    run.seed = request.seed;
    run.stop = control.stop;
    control.report(0, 2, "runs");
    // The second run begins where something is changed.
    auto plainRun = run;
    const auto changed = program.values(), behind = frontierOf(executor, changed);
    plainRun.keep.insert(plainRun.keep.end(), changed.begin(), changed.end());
    plainRun.keep.insert(plainRun.keep.end(), behind.begin(), behind.end());
    const auto plain = executor.run(weights, plainRun);
    if (at::isnan(plain.tensor()).any().item<bool>())
        throw core::InputError("the model's answer holds NaN before anything is changed: its weights or the input are broken");
    control.report(1, 2, "runs");
    run.resumeFrom = &plain.values;
    const auto intervened = program.run(run);
    control.report(2, 2, "runs");
    InterventionResult result;
    result.plain = plain.tensor().detach();
    result.intervened = intervened.tensor().detach();
    result.changed = program.values();
    result.kind = graph::outputKind(*executor.graph(), card, result.plain.dim());
    if (hasClasses(result.plain, card, result.kind))
        result.divergence = outputDivergence(graph::classLogits(result.plain, result.kind), graph::classLogits(result.intervened, result.kind));
    addValues(result, plain.values, intervened.values);
    return result;
}

}  // namespace orrery::intervene
