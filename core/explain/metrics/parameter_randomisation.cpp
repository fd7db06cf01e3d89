#include <ATen/ATen.h>

#include <set>

#include <core/base/rng.h>
#include <core/base/text.h>

#include "metric.h"
#include "rank.h"

namespace orrery::explain {
namespace {

struct Layer {
    std::string name;
    std::vector<const graph::Parameter*> parameters;
};

// Layers with weights, the one nearest the output first. A layer stands where its parameters are read last.
std::vector<Layer> layersFromTheOutput(const graph::Graph& graph)
{
    std::vector<Layer> layers;
    std::set<std::string> known;
    const auto& nodes = graph.nodes();
    for (std::size_t i = nodes.size(); i-- > 0;)
        for (const auto& operand : nodes[i].inputs) {
            const auto* parameter = operand.isConstant() ? nullptr : graph.parameterOf(operand.value);
            if (!parameter || parameter->kind != graph::Parameter::Kind::Parameter || !known.insert(parameter->name).second)
                continue;
            const auto dot = parameter->name.rfind('.');
            const auto name = dot == std::string::npos ? parameter->name : parameter->name.substr(0, dot);
            const auto found = std::find_if(layers.begin(), layers.end(), [&](const Layer& layer) { return layer.name == name; });
            if (found == layers.end())
                layers.push_back({name, {parameter}});
            else
                found->parameters.push_back(parameter);
        }
    return layers;
}

// As the architecture starts, where that is known; else normal with the trained tensor's mean and deviation.
at::Tensor redrawn(const graph::Parameter& parameter, const at::Tensor& trained, std::uint64_t seed)
{
    if (!parameter.init.is_null()) {
        graph::GraphData alone;
        alone.values = {{parameter.name}};
        alone.parameters = {parameter};
        alone.parameters[0].value = 0;
        return graph::initialize(graph::Graph(std::move(alone)), seed).at(parameter.name).to(trained.device(), trained.scalar_type());
    }
    auto generator = at::detail::createCPUGenerator(core::deriveSeed(seed, 0, parameter.name));
    const auto noise = at::randn(trained.sizes(), generator, at::TensorOptions().dtype(at::kDouble)).to(trained.device());
    const auto values = trained.to(at::kDouble);
    const auto deviation = values.numel() > 1 ? values.std(false) : values.abs().sum();
    return (values.mean() + deviation * noise).to(trained.scalar_type());
}

at::Tensor correlations(const at::Tensor& before, const at::Tensor& after, bool absolute)
{
    auto row = at::zeros({before.size(0)}, at::kDouble);
    for (std::int64_t i = 0; i < before.size(0); ++i)
        row[i] = absolute ? rankCorrelation(before[i].abs(), after[i].abs()) : rankCorrelation(before[i], after[i]);
    return row;
}

MetricResult randomisation(const MetricSubject& subject, const core::Json& parameters, std::uint64_t seed)
{
    const auto& trained = subject.function.weights();
    const auto layers = layersFromTheOutput(*subject.function.executor().graph());
    if (layers.empty())
        throw core::InputError("parameter_randomisation: the model has no parameters to draw anew");
    const bool cascades = parameters.at("mode") == "cascading", absolute = parameters.at("absolute").get<bool>();
    auto weights = trained;
    std::vector<at::Tensor> rows;
    auto names = core::Json::array();
    for (std::size_t i = 0; i < layers.size(); ++i) {
        subject.control.report(double(i), double(layers.size()), "layers");
        if (!cascades)
            weights = trained;
        for (const auto* parameter : layers[i].parameters)
            weights.set(parameter->name, redrawn(*parameter, trained.at(parameter->name), seed));
        const auto attribution = subject.explain(subject.function.withWeights(weights)).attribution;
        rows.push_back(correlations(subject.result.attribution, attribution, absolute));
        names.push_back(layers[i].name);
    }
    subject.control.report(double(layers.size()), double(layers.size()), "layers");
    MetricResult result;
    result.curveX = at::arange(1, std::int64_t(layers.size()) + 1, at::kDouble);
    result.curveY = at::stack(rows, 1);
    result.value = cascades ? rows.back() : result.curveY.mean(1);
    result.xName = cascades ? "layers drawn anew, from the output" : "layer drawn anew, from the output";
    result.yName = "rank correlation";
    result.details = {{"layers", names}};
    return result;
}

}  // namespace

void addParameterRandomisation(core::Registry<AttributionMetric>& registry)
{
    core::Component component{
        "parameter_randomisation",
        "Parameter randomisation",
        "Rank correlation of the attribution with that of the same model with layers drawn anew: near 1 means that the method does not look at the "
        "weights.",
        "Adebayo et al. (2018), \"Sanity Checks for Saliency Maps\", arXiv:1810.03292, section 3",
        {core::choice(
             "mode", {"cascading", "independent"}, "cascading",
             "Layer after layer from the output down, the value being that of all layers together; or each layer alone, the value being the mean."),
         core::boolean("absolute", true, "Compare absolute attributions.")}};
    registry.add(std::move(component), randomisation);
}

}  // namespace orrery::explain
