#include "inspect.h"

#include <chrono>

#include <core/base/stop.h>
#include <core/base/text.h>

#include "operators.h"
#include "random_operators.h"
#include "runnable.h"
#include "sequence_limit.h"

namespace orrery::graph {
namespace {

/// A model whose first run takes no longer is run once more for its times.
constexpr std::chrono::milliseconds kQuickRun(250);

/// Calls `visit` for a path and every path above it: "a.b.c", "a.b", "a", "".
template <class Visit>
void forPathsAbove(std::string_view path, const Visit& visit)
{
    for (;;) {
        visit(path);
        if (path.empty())
            return;
        const auto dot = path.rfind('.');
        path = path.substr(0, dot == std::string_view::npos ? 0 : dot);
    }
}

std::int64_t elements(const std::vector<std::int64_t>& shape)
{
    std::int64_t count = 1;
    for (const auto size : shape)
        count *= size;
    return count;
}

NodeInfo describeNode(const Graph& graph, const Node& node, const std::map<std::string, std::string>& types)
{
    core::throwIfStopped();
    NodeInfo info;
    info.name = node.name;
    info.op = node.qualifiedOp();
    info.module = node.module;
    if (const auto type = types.find(node.module); type != types.end())
        info.type = type->second;
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
    const auto start = std::chrono::steady_clock::now();
    RunResult result = executor.run(weights, request);
    if (std::chrono::steady_clock::now() - start < kQuickRun) {
        // The first call of an operator in a process takes up to a thousand times as long as the next.
        request.probes.clear();
        result = executor.run(weights, request);
    }
    std::map<std::string, NodeProfile> costs;
    std::map<std::string, std::int64_t> calls;
    for (const auto& profile : result.profile) {  // nodes in loops: once a step
        ++calls[profile.node];
        auto& sum = costs[profile.node];
        sum.seconds += profile.seconds;
        sum.flops += profile.flops;
        sum.outputBytes += profile.outputBytes;
    }
    const auto& graph = *executor.graph();
    for (std::size_t i = 0; i < inspection.nodes.size(); ++i) {
        auto& info = inspection.nodes[i];
        for (const auto output : graph.allNodes()[i]->outputs)
            if (const auto it = shapes.find(graph.value(output).name); it != shapes.end()) {
                info.shapes.push_back(it->second[0]);
                info.dtypes.push_back(dtypes.at(it->first));
            }
        info.dtype = dtypes[info.name];
        const auto& cost = costs[info.name];
        info.flops = cost.flops;
        info.bytes = cost.outputBytes;
        info.seconds = cost.seconds;
        info.calls = calls[info.name];
        inspection.flops += cost.flops;
        inspection.activationBytes += cost.outputBytes;
    }
    inspection.wasRun = true;
}

/// The last tensor that a module gives, for every module at once: what is made inside and read outside (or is an output of the graph).
std::map<std::string_view, ValueId> lastGiven(const Graph& graph)
{
    std::set<ValueId> ends;
    for (const auto& output : graph.data().body.outputs)
        if (!output.isConstant())
            ends.insert(output.value);
    std::map<std::string_view, ValueId> last;
    for (const auto* node : graph.allNodes())
        for (const auto output : node->outputs) {
            if (graph.value(output).type.find("Tensor") == std::string::npos)
                continue;
            forPathsAbove(node->module, [&](std::string_view path) {
                const auto isInside = [&](const std::string& module) {
                    return path.empty() || module == path ||
                           (module.size() > path.size() && module.compare(0, path.size(), path) == 0 && module[path.size()] == '.');
                };
                const auto& readers = graph.users(output);
                if (ends.count(output) || std::any_of(readers.begin(), readers.end(), [&](const Node* reader) { return !isInside(reader->module); }))
                    last[path] = output;
            });
        }
    return last;
}

void addModules(Inspection& inspection, const Graph& graph)
{
    std::map<std::string_view, ModuleInfo> sums;
    std::map<std::string_view, const NodeInfo*> byName;
    for (const auto& parameter : graph.data().parameters)
        if (parameter.kind == Parameter::Kind::Parameter)
            forPathsAbove(parameter.name, [&](std::string_view path) { sums[path].parameters += elements(parameter.shape); });
    for (const auto& node : inspection.nodes) {
        byName[node.name] = &node;
        forPathsAbove(node.module, [&](std::string_view path) {
            auto& sum = sums[path];
            ++sum.nodes;
            sum.flops += node.flops;
            sum.bytes += node.bytes;
        });
    }
    const auto given = lastGiven(graph);
    for (const auto& module : graph.data().modules) {
        ModuleInfo info = sums[module.path];
        info.path = module.path;
        info.type = module.type;
        if (const auto output = given.find(module.path); output != given.end())
            if (const auto it = byName.find(graph.value(output->second).name); it != byName.end() && !it->second->shapes.empty())
                info.outputShape = it->second->shapes[0];
        inspection.modules.push_back(std::move(info));
    }
}

/// Nodes and sums without a run.
Inspection structureOf(const Graph& graph, const Weights& weights)
{
    Inspection inspection;
    std::map<std::string, std::string> types;
    for (const auto& module : graph.data().modules)
        types.emplace(module.path, module.type);
    for (const auto* node : graph.allNodes())
        inspection.nodes.push_back(describeNode(graph, *node, types));
    inspection.parameters = parameterCount(graph);
    inspection.weightBytes = weights.bytes();
    return inspection;
}

}  // namespace

Inspection inspect(const Executor& executor, const Weights& weights, const std::vector<c10::IValue>& inputs, std::stop_token stop)
{
    auto inspection = structureOf(*executor.graph(), weights);
    if (!inputs.empty())
        addRun(inspection, executor, weights, inputs, stop);
    addModules(inspection, *executor.graph());
    return inspection;
}

Inspection inspectStructure(const Graph& graph, const Weights& weights)
{
    auto inspection = structureOf(graph, weights);
    addModules(inspection, graph);
    return inspection;
}

core::Json Inspection::toJson() const
{
    core::Json nodeList = core::Json::array(), moduleList = core::Json::array();
    for (const auto& node : nodes) {
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
        if (wasRun)
            nodeList.back()["calls"] = node.calls;
    }
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

/// Height and width of an example picture where the model takes any: deep networks halve it five times.
constexpr std::int64_t kPictureSize = 224;
constexpr std::int64_t kMostExampleRows = 64;

/// An example with a shape of its own: {"shape": [...], "values": [...]}.
at::Tensor storedExample(const core::Json& given, const at::Tensor& otherwise)
{
    const auto shape = given.value("shape", core::Json::array()), values = given.value("values", core::Json::array());
    const auto isSize = [](const core::Json& size) {
        return size.is_number_integer() && size.get<std::int64_t>() >= 0 && size.get<std::int64_t>() < (1 << 24);
    };
    if (!shape.is_array() || !values.is_array() || !std::all_of(shape.begin(), shape.end(), isSize) ||
        !std::all_of(values.begin(), values.end(), [](const core::Json& number) { return number.is_number(); }))
        return otherwise;
    double elements = 1;
    const auto sizes = shape.get<std::vector<std::int64_t>>();
    for (const auto size : sizes)
        elements *= double(size);
    if (elements != double(values.size()))
        return otherwise;
    return at::tensor(values.get<std::vector<double>>(), at::kDouble).to(otherwise.scalar_type()).reshape(sizes);
}

/// Numbers for an input that the card gives none for. @param vocabulary  Rows of the table that the input is looked up in.
at::Tensor drawnExample(const ModelCard::Input& input, const std::vector<std::int64_t>& shape, std::optional<std::int64_t> vocabulary,
                        std::uint64_t seed)
{
    const auto dtype = dtypeFromName(input.dtype);
    at::Generator generator = makeGenerator(at::kCPU, seed);
    if (at::isFloatingType(dtype) || at::isComplexType(dtype))
        return at::randn(shape, generator, at::TensorOptions()).to(dtype);
    if (dtype == at::kBool)
        return (shape.empty() ? at::ones({}) : at::arange(shape.back()).remainder(2).eq(0).expand(shape)).to(dtype).contiguous();
    if (vocabulary && *vocabulary > 0)
        return at::randint(0, *vocabulary, shape, generator, at::TensorOptions().dtype(at::kLong)).to(dtype);
    return input.name.find("mask") != std::string::npos ? at::ones(shape, dtype) : at::zeros(shape, dtype);
}

/// The card's own example where it has one of that size.
at::Tensor exampleInput(const ModelCard& card, const ModelCard::Input& input, const at::Tensor& drawn)
{
    if (!card.example.is_object() || !card.example.contains(input.name))
        return drawn;
    const core::Json& given = card.example[input.name];
    if (given.is_object())
        return storedExample(given, drawn);
    if (given.is_array() && std::int64_t(given.size()) == drawn.numel() &&
        std::all_of(given.begin(), given.end(), [](const auto& v) { return v.is_number(); }))
        return at::tensor(given.get<std::vector<double>>(), at::kDouble).to(drawn.scalar_type()).reshape(drawn.sizes());
    return drawn;
}

bool isNumber(const std::string& axis)
{
    return !axis.empty() && axis.find_first_not_of("0123456789") == std::string::npos && axis.size() < 10;
}

/// 1, or as many samples as an input of fixed size has; a large table is no batch.
std::int64_t exampleBatch(const ModelCard& card)
{
    for (const auto& input : card.inputs)
        if (input.shape.size() > 1 && isNumber(input.shape[0]) && std::stoll(input.shape[0]) <= kMostExampleRows)
            return std::max<std::int64_t>(std::stoll(input.shape[0]), 1);
    return 1;
}

}  // namespace

std::vector<c10::IValue> exampleInputs(const Model& model)
{
    const ModelCard& card = model.card;
    const auto batch = exampleBatch(card);
    std::vector<c10::IValue> inputs;
    for (std::size_t i = 0; i < card.inputs.size(); ++i) {
        const auto& input = card.inputs[i];
        if (input.shape.empty())
            return {};
        std::vector<std::int64_t> shape;
        for (const auto& axis : input.shape)
            shape.push_back(isNumber(axis) ? std::stoll(axis) : axis == "batch" ? batch : input.kind == "image" ? kPictureSize : 8);
        const auto vocabulary = model.graph ? vocabularySize(*model.graph, card, i) : std::nullopt;
        inputs.emplace_back(exampleInput(card, input, drawnExample(input, shape, vocabulary, i)));
    }
    return inputs;
}

std::vector<c10::IValue> requiredExample(const Model& model)
{
    requireProgram(*model.graph);
    auto inputs = exampleInputs(model);
    if (inputs.size() != model.graph->data().inputs.size())
        throw core::InputError("the model card does not say enough to make an example; give a file, a text or a sample");
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
    requireAsOpened(tensor);  // now that all of it was read
    if (finite == 0) {
        // There are no extremes and no mean of nothing; of no elements at all they stay 0.
        if (result.count > 0)
            result.minimum = result.maximum = result.mean = result.standardDeviation = std::nan("");
        else
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

/// JSON has no NaN: null stands for it.
static core::Json numberJson(double number)
{
    return std::isnan(number) ? core::Json() : core::Json(number);
}

core::Json TensorStatistics::toJson() const
{
    return {{"count", count},
            {"nans", nans},
            {"infinities", infinities},
            {"zeros", zeros},
            {"minimum", numberJson(minimum)},
            {"maximum", numberJson(maximum)},
            {"mean", numberJson(mean)},
            {"standard_deviation", numberJson(standardDeviation)},
            {"histogram", histogram}};
}

}  // namespace orrery::graph
