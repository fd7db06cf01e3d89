#include "inspect.h"

#include <core/base/text.h>

#include "operators.h"

namespace orrery::graph {
namespace {

bool belongsTo(const std::string& module, const std::string& path)
{
    return path.empty() || module == path || (module.size() > path.size() && module.compare(0, path.size(), path) == 0 && module[path.size()] == '.');
}

std::int64_t elements(const std::vector<std::int64_t>& shape)
{
    std::int64_t count = 1;
    for (const auto size : shape)
        count *= size;
    return count;
}

NodeInfo describeNode(const Graph& graph, const Node& node)
{
    NodeInfo info;
    info.name = node.name;
    info.op = node.qualifiedOp();
    info.module = node.module;
    for (const auto& module : graph.data().modules)
        if (module.path == node.module)
            info.type = module.type;
    for (const auto& input : node.inputs) {
        info.inputs.push_back(input.isConstant() ? constantToJson(input.constant).dump() : graph.value(input.value).name);
        const auto* parameter = input.isConstant() ? nullptr : graph.parameterOf(input.value);
        if (parameter && parameter->kind == Parameter::Kind::Parameter)
            info.parameters += elements(parameter->shape);
    }
    return info;
}

void addRun(Inspection& inspection, const Executor& executor, const Weights& weights, const std::vector<c10::IValue>& inputs, std::stop_token stop)
{
    std::map<std::string, std::vector<std::vector<std::int64_t>>> shapes;
    std::map<std::string, std::string> dtypes;
    RunRequest request;
    request.inputs = inputs;
    request.stop = stop;
    request.profile = true;
    request.probes.push_back(Probe::onValue("**", [&](const std::string& name, const c10::IValue& value) {
        if (!value.isTensor() || !value.toTensor().defined())
            return;
        const auto base = std::string(splitStep(name).first);
        shapes[base] = {value.toTensor().sizes().vec()};
        dtypes[base] = dtypeName(value.toTensor().scalar_type());
    }));
    const auto result = executor.run(weights, request);
    std::map<std::string, NodeProfile> costs;
    for (const auto& profile : result.profile)
        costs[profile.node] = profile;
    const auto& graph = *executor.graph();
    for (std::size_t i = 0; i < inspection.nodes.size(); ++i) {
        auto& info = inspection.nodes[i];
        for (const auto output : graph.allNodes()[i]->outputs)
            if (const auto it = shapes.find(graph.value(output).name); it != shapes.end())
                info.shapes.push_back(it->second[0]);
        info.dtype = dtypes[info.name];
        const auto& cost = costs[info.name];
        info.flops = cost.flops;
        info.bytes = cost.outputBytes;
        info.seconds = cost.seconds;
        inspection.flops += cost.flops;
        inspection.activationBytes += cost.outputBytes;
    }
    inspection.wasRun = true;
}

void addModules(Inspection& inspection, const Graph& graph)
{
    std::map<std::string, const NodeInfo*> byName;
    for (const auto& node : inspection.nodes)
        byName[node.name] = &node;
    for (const auto& module : graph.data().modules) {
        ModuleInfo info{module.path, module.type};
        for (const auto& parameter : graph.data().parameters)
            if (parameter.kind == Parameter::Kind::Parameter && belongsTo(parameter.name, module.path))
                info.parameters += elements(parameter.shape);
        for (const auto& node : inspection.nodes) {
            if (!belongsTo(node.module, module.path))
                continue;
            ++info.nodes;
            info.flops += node.flops;
            info.bytes += node.bytes;
        }
        if (const auto outputs = graph.moduleOutputs(module.path); !outputs.empty())
            if (const auto it = byName.find(graph.value(outputs.back()).name); it != byName.end() && !it->second->shapes.empty())
                info.outputShape = it->second->shapes[0];
        inspection.modules.push_back(std::move(info));
    }
}

}  // namespace

Inspection inspect(const Executor& executor, const Weights& weights, const std::vector<c10::IValue>& inputs, std::stop_token stop)
{
    Inspection inspection;
    const auto& graph = *executor.graph();
    for (const auto* node : graph.allNodes())
        inspection.nodes.push_back(describeNode(graph, *node));
    inspection.parameters = parameterCount(graph);
    inspection.weightBytes = weights.bytes();
    if (!inputs.empty())
        addRun(inspection, executor, weights, inputs, stop);
    addModules(inspection, graph);
    return inspection;
}

core::Json Inspection::toJson() const
{
    core::Json nodeList = core::Json::array(), moduleList = core::Json::array();
    for (const auto& node : nodes)
        nodeList.push_back({{"name", node.name},
                            {"op", node.op},
                            {"module", node.module},
                            {"type", node.type},
                            {"inputs", node.inputs},
                            {"shapes", node.shapes},
                            {"dtype", node.dtype},
                            {"parameters", node.parameters},
                            {"flops", node.flops},
                            {"bytes", node.bytes},
                            {"seconds", node.seconds}});
    for (const auto& module : modules)
        moduleList.push_back({{"path", module.path},
                              {"type", module.type},
                              {"parameters", module.parameters},
                              {"flops", module.flops},
                              {"bytes", module.bytes},
                              {"nodes", module.nodes},
                              {"output_shape", module.outputShape}});
    return {{"parameters", parameters},
            {"weight_bytes", weightBytes},
            {"flops", flops},
            {"activation_bytes", activationBytes},
            {"was_run", wasRun},
            {"modules", std::move(moduleList)},
            {"nodes", std::move(nodeList)}};
}

namespace {

/// The card's own example where it has one of that size, else zeros.
at::Tensor exampleInput(const ModelCard& card, const ModelCard::Input& input, const std::vector<std::int64_t>& shape)
{
    at::Tensor value = at::zeros(shape, at::TensorOptions().dtype(dtypeFromName(input.dtype)));
    if (!card.example.is_object() || !card.example.contains(input.name))
        return value;
    const core::Json& given = card.example[input.name];
    if (given.is_array() && std::int64_t(given.size()) == value.numel() &&
        std::all_of(given.begin(), given.end(), [](const auto& v) { return v.is_number(); }))
        value.copy_(at::tensor(given.get<std::vector<double>>()).reshape(shape));
    return value;
}

}  // namespace

std::vector<c10::IValue> exampleInputs(const ModelCard& card)
{
    std::vector<c10::IValue> inputs;
    for (const auto& input : card.inputs) {
        if (input.shape.empty())
            return {};
        std::vector<std::int64_t> shape;
        for (const auto& axis : input.shape) {
            const bool number = !axis.empty() && axis.find_first_not_of("0123456789") == std::string::npos && axis.size() < 10;
            shape.push_back(number ? std::stoll(axis) : axis == "batch" ? 1 : 8);
        }
        inputs.emplace_back(exampleInput(card, input, shape));
    }
    return inputs;
}

TensorStatistics statistics(const at::Tensor& tensor, int bins)
{
    at::NoGradGuard noGrad;
    TensorStatistics result;
    result.count = tensor.numel();
    result.histogram.assign(std::size_t(std::max(bins, 1)), 0);
    const auto values = tensor.detach().to(at::kCPU, at::kDouble).contiguous().reshape(-1);
    const auto* data = values.data_ptr<double>();
    std::int64_t finite = 0;
    double sum = 0;
    result.minimum = INFINITY;
    result.maximum = -INFINITY;
    for (std::int64_t i = 0; i < result.count; ++i) {
        const double value = data[i];
        if (std::isnan(value))
            ++result.nans;
        else if (std::isinf(value))
            ++result.infinities;
        else {
            ++finite;
            sum += value;
            result.zeros += value == 0;
            result.minimum = std::min(result.minimum, value);
            result.maximum = std::max(result.maximum, value);
        }
    }
    if (finite == 0) {
        result.minimum = result.maximum = 0;
        return result;
    }
    result.mean = sum / double(finite);
    const double width = result.maximum - result.minimum;
    double squares = 0;
    for (std::int64_t i = 0; i < result.count; ++i) {
        if (!std::isfinite(data[i]))
            continue;
        squares += (data[i] - result.mean) * (data[i] - result.mean);
        const auto bin =
            width > 0 ? std::min(std::size_t((data[i] - result.minimum) / width * double(result.histogram.size())), result.histogram.size() - 1) : 0;
        ++result.histogram[bin];
    }
    result.standardDeviation = std::sqrt(squares / double(finite));
    return result;
}

core::Json TensorStatistics::toJson() const
{
    return {{"count", count},
            {"nans", nans},
            {"infinities", infinities},
            {"zeros", zeros},
            {"minimum", minimum},
            {"maximum", maximum},
            {"mean", mean},
            {"standard_deviation", standardDeviation},
            {"histogram", histogram}};
}

}  // namespace orrery::graph
