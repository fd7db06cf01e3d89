#include "sources.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include <core/base/text.h>

namespace orrery::intervene {
namespace {

constexpr std::int64_t kSourceBatch = 64;

std::int64_t rowsOf(const std::string& source, const std::vector<c10::IValue>& inputs)
{
    for (const auto& input : inputs)
        if (input.isTensor() && input.toTensor().dim() > 0) {
            if (input.toTensor().size(0) == 0)
                throw core::InputError(
                    fmt::format("source \"{}\": expected at least one sample, got {}", source, core::formatShape(input.toTensor().sizes())));
            return input.toTensor().size(0);
        }
    return 1;
}

std::vector<c10::IValue> rows(const std::vector<c10::IValue>& inputs, std::int64_t from, std::int64_t count)
{
    std::vector<c10::IValue> part;
    for (const auto& input : inputs)
        part.push_back(input.isTensor() && input.toTensor().dim() > 0 ? c10::IValue(input.toTensor().narrow(0, from, count)) : input);
    return part;
}

/// Values in the graph's own list of nodes can end a run early; those of loops need all of it.
std::vector<std::string> targetsFor(const graph::Graph& graph, const std::set<std::string>& values)
{
    std::set<std::string> top;
    for (const auto& input : graph.data().inputs)
        top.insert(graph.value(input.value).name);
    for (const auto& node : graph.nodes())
        for (const auto output : node.outputs)
            top.insert(graph.value(output).name);
    const bool all = std::includes(top.begin(), top.end(), values.begin(), values.end());
    return all ? std::vector<std::string>(values.begin(), values.end()) : std::vector<std::string>();
}

/// What one source's batches add up to.
struct Collected {
    std::map<std::string, std::vector<at::Tensor>> parts;
    std::map<std::string, at::Tensor> sums;
    std::set<std::string> whole;  // kept as they are
    bool severalBatches = false;

    void add(const std::string& source, const graph::KeptValues& values, std::int64_t count)
    {
        for (const auto& [name, value] : values) {
            if (!value.isTensor())
                continue;
            const auto tensor = value.toTensor().detach();
            if (tensor.isnan().any().item<bool>())
                throw core::InputError(
                    fmt::format("source \"{}\": its value of \"{}\" holds NaN: its input or the model's weights are broken", source, name));
            if (severalBatches && (tensor.dim() == 0 || tensor.size(0) != count))
                throw core::InputError(
                    fmt::format("source value \"{}\": expected a first axis of {} samples, got {}", name, count, core::formatShape(tensor.sizes())));
            if (whole.contains(std::string(graph::splitStep(name).first)) || whole.contains(name))
                parts[name].push_back(tensor);
            const auto sum = tensor.dim() > 0 ? tensor.to(at::kDouble).sum(0, true) : tensor.to(at::kDouble);
            sums[name] = sums.contains(name) ? sums[name] + sum : sum;
        }
    }
};

}  // namespace

SourceValues SourceValues::compute(const graph::Executor& executor, const graph::Weights& weights,
                                   const std::map<std::string, std::vector<c10::IValue>>& inputs, const std::vector<SourceNeed>& needs,
                                   const explain::Control& control)
{
    SourceValues result;
    for (const auto& [source, sourceInputs] : inputs) {
        std::set<std::string> values;
        Collected collected;
        for (const auto& need : needs)
            if (need.source == source) {
                values.insert(need.value);
                if (!need.mean)
                    collected.whole.insert(need.value);
            }
        if (values.empty())
            continue;
        const auto total = rowsOf(source, sourceInputs);
        collected.severalBatches = total > kSourceBatch;
        for (std::int64_t from = 0; from < total; from += kSourceBatch) {
            control.report(double(from), double(total), "source samples");
            const auto count = std::min(kSourceBatch, total - from);
            graph::RunRequest request;
            request.inputs = total > kSourceBatch ? rows(sourceInputs, from, count) : sourceInputs;
            request.keep.assign(values.begin(), values.end());
            request.targets = targetsFor(*executor.graph(), values);
            request.stop = control.stop;
            collected.add(source, executor.run(weights, request).values, count);
        }
        for (auto& [name, parts] : collected.parts)
            result.m_kept[source][name] = parts.size() == 1 ? parts[0] : at::cat(parts, 0);
        for (auto& [name, sum] : collected.sums)
            result.m_means[source][name] = sum.dim() > 0 ? sum / double(total) : sum;
    }
    return result;
}

at::Tensor SourceValues::at(const std::string& source, const std::string& value, bool mean) const
{
    const auto& sources = mean ? m_means : m_kept;
    const auto it = sources.find(source);
    if (it == sources.end() || !it->second.contains(value))
        throw core::InputError(fmt::format("source \"{}\": its run has no tensor \"{}\"", source, value));
    return it->second.at(value);
}

}  // namespace orrery::intervene
