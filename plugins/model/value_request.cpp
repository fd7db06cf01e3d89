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

std::vector<c10::IValue> inputsOfSample(const OpenedModel& opened, const data::DataSet& data, const std::vector<std::int64_t>& indices)
{
    try {
        return train::sampleInputs(*opened.model, data, indices);
    } catch (const core::Cancelled&) {
        throw;
    } catch (const core::Error& error) {
        throw core::InputError("the sample chosen in Data is no input of " + opened.argument.toStdString() + ": " + error.what());
    }
}

ShownInputs inputsOf(const ValueRequest& request)
{
    if (!request.opened->executor)
        throw core::InputError(request.opened->whyNotRun.toStdString());
    if (!request.samples.empty())
        if (const auto data = dataOf(request)) {
            const auto part = data::splitFromName(request.split.isEmpty() ? "test" : request.split.toStdString());
            const auto indices = train::samplesOfPart(*data, part, request.samples);
            return {inputsOfSample(*request.opened, *data, indices),
                    QObject::tr("sample %1 of %2").arg(request.samples.front()).arg(QString::fromUtf8(data::splitName(part).data()))};
        }
    auto inputs = graph::exampleInputs(*request.opened->model);
    if (inputs.empty())
        throw core::InputError("the model's card does not say what its inputs look like: choose a sample in Data");
    return {std::move(inputs), QObject::tr("the card's example input")};
}

/// Is a value made inside a loop or branch? A run does not give such values, they are looked at when they are made.
bool isInside(const graph::Graph& graph, const std::string& path)
{
    const auto value = graph.findValue(graph::splitStep(path).first);
    const auto* maker = value ? graph.producer(*value) : nullptr;
    const auto& nodes = graph.nodes();
    return maker && (nodes.empty() || maker < nodes.data() || maker >= nodes.data() + nodes.size());
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

RunStatistics statisticsOf(const ValueRequest& request, std::stop_token stop)
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
    run.probes.push_back(graph::Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
        const auto node = nodes.find(std::string(graph::splitStep(name).first));
        if (node != nodes.end() && value.isTensor() && value.toTensor().defined() && !value.toTensor().is_complex())
            sums[node->second].add(value.toTensor());
    }));
    request.opened->executor->run(request.opened->model->weights, run);
    // Looking at the values would count as time of the nodes: times and bytes are of a run of their own.
    run.probes.clear();
    run.profile = true;
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

}  // namespace

ShownInputs exampleFor(const ValueRequest& request)
{
    try {
        return inputsOf(request);
    } catch (const core::Cancelled&) {
        throw;
    } catch (const core::Error&) {
        // The sample in Data may be of another model.
        return {graph::exampleInputs(*request.opened->model), QObject::tr("the card's example input")};
    }
}

ShownTensor computeValue(const ValueRequest& request, std::stop_token stop)
{
    auto [inputs, where] = inputsOf(request);
    graph::RunRequest run;
    run.inputs = std::move(inputs);
    run.stop = stop;
    const std::string path = request.path.toStdString();
    QString name = request.path;
    c10::IValue value;
    if (isInside(*request.opened->model->graph, path)) {
        // Of a loop the last step, unless the path names one.
        const auto [plain, step] = graph::splitStep(path);
        std::string seen;
        run.probes.push_back(graph::Probe::onValue(std::string(plain), [&, wanted = !step.empty()](const std::string& made, const c10::IValue& now) {
            if (!wanted || made == path) {
                seen = made;
                value = now;
            }
        }));
        request.opened->executor->run(request.opened->model->weights, run);
        if (seen.empty())
            throw core::InputError(path + " was not computed: its branch was not taken, or its loop not entered, with this input");
        name = QString::fromStdString(seen);
    } else {
        run.targets = {path};
        value = request.opened->executor->run(request.opened->model->weights, run).outputs.at(0);
    }
    if (!value.isTensor())
        throw core::InputError(path + " is no tensor: " + value.tagKind());
    return readTensor(QObject::tr("%1 on %2").arg(name, where), value.toTensor());
}

RunStatistics computeRunStatistics(const ValueRequest& request, std::stop_token stop)
{
    try {
        return statisticsOf(request, stop);
    } catch (const core::Cancelled&) {
        throw;
    } catch (const core::Error&) {
        // The sample in Data may be of another model: colours are looked at in passing, nobody has asked for this sample.
        ValueRequest example = request;
        example.samples.clear();
        if (request.samples.empty() || graph::exampleInputs(*request.opened->model).empty())
            throw;
        auto statistics = statisticsOf(example, stop);
        statistics.where = QObject::tr("%1 (the model does not take the sample chosen in Data)").arg(statistics.where);
        return statistics;
    }
}

}  // namespace orrery::plugins
