#include "value_request.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>
#include <unordered_map>

#include <core/store/workspace.h>
#include <core/train/runs.h>
#include <core/train/samples.h>

namespace orrery::plugins {
namespace {

data::DataSetPtr dataOf(const ValueRequest& request)
{
    const bool runs = request.run && request.workspace;
    if (runs && (request.data.is_null() || request.workspace->run(*request.run).document.value("data", core::Json()) == request.data))
        return train::dataOfRun(*request.workspace, *request.run);
    return request.data.is_null() ? nullptr : data::openData(request.data);
}

std::pair<std::vector<c10::IValue>, QString> inputsOf(const ValueRequest& request)
{
    if (!request.opened->executor)
        throw core::InputError(request.opened->whyNotRun.toStdString());
    if (!request.samples.empty())
        if (const auto data = dataOf(request)) {
            const auto part = data::splitFromName(request.split.isEmpty() ? "test" : request.split.toStdString());
            const auto indices = train::samplesOfPart(*data, part, request.samples);
            return {train::sampleInputs(*request.opened->model, *data, indices),
                    QObject::tr("sample %1 of %2").arg(request.samples.front()).arg(QString::fromUtf8(data::splitName(part).data()))};
        }
    auto inputs = graph::exampleInputs(request.opened->model->card);
    if (inputs.empty())
        throw core::InputError("the model's card does not say what its inputs look like: choose a sample in Data");
    return {std::move(inputs), QObject::tr("the card's example input")};
}

/// Sums over one value.
struct ValueSums {
    double magnitude = 0, sum = 0, squares = 0;
    std::int64_t count = 0, zeros = 0, notFinite = 0;
    void add(const at::Tensor& tensor)
    {
        const at::Tensor values = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
        const double* data = values.data_ptr<double>();
        for (std::int64_t i = 0; i < values.numel(); ++i) {
            ++count;
            if (!std::isfinite(data[i])) {
                ++notFinite;
                continue;
            }
            magnitude += std::abs(data[i]);
            sum += data[i];
            squares += data[i] * data[i];
            zeros += data[i] == 0;
        }
    }
};

void enterSums(RunStatistics& statistics, std::size_t node, const ValueSums& sums)
{
    if (sums.count == 0)
        return;
    const double finite = double(std::max<std::int64_t>(sums.count - sums.notFinite, 1)), mean = sums.sum / finite;
    statistics.meanMagnitude[node] = sums.magnitude / finite;
    statistics.deviation[node] = std::sqrt(std::max(0.0, sums.squares / finite - mean * mean));
    statistics.zeros[node] = double(sums.zeros) / double(sums.count);
    statistics.notFinite[node] = double(sums.notFinite);
}

}  // namespace

ShownTensor computeValue(const ValueRequest& request, std::stop_token stop)
{
    auto [inputs, where] = inputsOf(request);
    graph::RunRequest run;
    run.inputs = std::move(inputs);
    run.targets = {request.path.toStdString()};
    run.stop = stop;
    const auto result = request.opened->executor->run(request.opened->model->weights, run);
    if (!result.outputs.at(0).isTensor())
        throw core::InputError(request.path.toStdString() + " is no tensor: " + result.outputs[0].tagKind());
    return readTensor(QObject::tr("%1 on %2").arg(request.path, where), result.outputs[0].toTensor());
}

RunStatistics computeRunStatistics(const ValueRequest& request, std::stop_token stop)
{
    auto [inputs, where] = inputsOf(request);
    const auto& graph = *request.opened->model->graph;
    std::unordered_map<std::string, std::size_t> nodes;
    for (std::size_t i = 0; i < graph.allNodes().size(); ++i)
        for (const auto output : graph.allNodes()[i]->outputs)
            nodes.emplace(graph.value(output).name, i);
    std::vector<ValueSums> sums(graph.allNodes().size());
    graph::RunRequest run;
    run.inputs = std::move(inputs);
    run.stop = stop;
    run.profile = true;
    run.probes.push_back(graph::Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
        const auto node = nodes.find(std::string(graph::splitStep(name).first));
        if (node != nodes.end() && value.isTensor() && value.toTensor().defined() && !value.toTensor().is_complex())
            sums[node->second].add(value.toTensor());
    }));
    const auto result = request.opened->executor->run(request.opened->model->weights, run);
    RunStatistics statistics;
    statistics.where = where;
    for (auto* list :
         {&statistics.meanMagnitude, &statistics.deviation, &statistics.zeros, &statistics.notFinite, &statistics.seconds, &statistics.bytes})
        list->assign(sums.size(), std::numeric_limits<double>::quiet_NaN());
    for (std::size_t i = 0; i < sums.size(); ++i)
        enterSums(statistics, i, sums[i]);
    for (const auto& cost : result.profile)
        if (const auto node = nodes.find(cost.node); node != nodes.end()) {
            // Nodes in loops come once a step.
            auto &seconds = statistics.seconds[node->second], &bytes = statistics.bytes[node->second];
            seconds = (std::isnan(seconds) ? 0 : seconds) + cost.seconds;
            bytes = (std::isnan(bytes) ? 0 : bytes) + double(cost.outputBytes);
        }
    return statistics;
}

}  // namespace orrery::plugins
