#include "coordinate_check.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>

#include <core/base/error.h>
#include <core/zoo/parametrisation.h>
#include <core/zoo/zoo.h>

#include "width_training.h"

namespace orrery::scaling {
namespace {

using core::Json;

struct Layer {
    std::string name, value;
};

/// What is measured: products and convolutions with weights, token tables, attention scores. Named by their module where they have one.
std::vector<Layer> layersOf(const graph::Graph& graph)
{
    std::vector<Layer> out;
    for (const graph::Node* node : graph.allNodes()) {
        const bool layer = node->op == "aten::linear" || node->op == "aten::conv2d" || node->op == "aten::embedding";
        if (layer || node->name.ends_with(".scores"))
            out.push_back({layer && !node->module.empty() ? node->module : node->name, node->name});
    }
    return out;
}

using Values = std::map<std::string, at::Tensor>;  // layer -> value

Values valuesOf(const WidthTraining& training, const std::vector<Layer>& layers)
{
    graph::RunRequest request;
    for (const Layer& layer : layers)
        request.keep.push_back(layer.value);
    const graph::RunResult result = training.measure(std::move(request));
    Values out;
    for (const Layer& layer : layers)
        out[layer.name] = result.value(layer.value).detach().to(at::kCPU, at::kFloat);
    return out;
}

/// Mean over the finite values; masked scores are infinite.
double meanSize(const at::Tensor& values)
{
    const at::Tensor finite = values.masked_select(values.isfinite());
    return finite.numel() ? finite.abs().to(at::kDouble).mean().item<double>() : std::nan("");
}

void addPoints(CoordinateCheck& check, const std::vector<Layer>& layers, const Values& now, const Values& start, std::int64_t width, int seed,
               int step)
{
    for (const Layer& layer : layers)
        check.points.push_back({layer.name, width, seed, step, meanSize(now.at(layer.name)), meanSize(now.at(layer.name) - start.at(layer.name))});
}

void addSlopes(CoordinateCheck& check)
{
    for (const std::string& layer : check.layers)
        for (int step = 0; step <= check.steps; ++step) {
            std::vector<double> sizes, changes;
            for (const std::int64_t width : check.widths) {
                sizes.push_back(check.mean(layer, width, step, false));
                changes.push_back(check.mean(layer, width, step, true));
            }
            check.slopes.push_back({layer, step, logSlope(check.widths, sizes), logSlope(check.widths, changes)});
        }
}

Json orNull(double value)
{
    return std::isfinite(value) ? Json(value) : Json();
}

}  // namespace

CoordinateCheck checkCoordinates(const CoordinateRequest& request, const std::function<void(int, int)>& progress, std::stop_token stop)
{
    WidthTraining training(request, stop);
    CoordinateCheck check{training.architecture(), training.parametrisation(), request.widths, {}, request.seeds, request.steps, {}, {}};
    const int total = int(request.widths.size()) * request.seeds * request.steps;
    int done = 0;
    for (const std::int64_t width : request.widths)
        for (int seed = 0; seed < request.seeds; ++seed) {
            training.start(width, seed);
            const std::vector<Layer> layers = layersOf(training.graph());
            if (check.layers.empty())
                for (const Layer& layer : layers)
                    check.layers.push_back(layer.name);
            const Values start = valuesOf(training, layers);
            addPoints(check, layers, start, start, width, seed, 0);
            for (int step = 0; step < request.steps; ++step) {
                if (stop.stop_requested())
                    throw core::Cancelled();
                training.step(step);
                addPoints(check, layers, valuesOf(training, layers), start, width, seed, step + 1);
                if (progress)
                    progress(++done, total);
            }
        }
    addSlopes(check);
    return check;
}

std::string CoordinateCheck::featureLayer() const
{
    return layers.size() < 2 ? std::string() : layers[layers.size() - 2];
}

const CoordinateSlope& CoordinateCheck::slope(const std::string& layer, int step) const
{
    for (const CoordinateSlope& each : slopes)
        if (each.layer == layer && each.step == step)
            return each;
    throw core::InputError(fmt::format("coordinate check: no layer \"{}\" at step {}", layer, step));
}

double CoordinateCheck::mean(const std::string& layer, std::int64_t width, int step, bool change) const
{
    double sum = 0;
    int count = 0;
    for (const CoordinatePoint& point : points)
        if (point.layer == layer && point.width == width && point.step == step) {
            sum += change ? point.change : point.activation;
            ++count;
        }
    if (count == 0)
        throw core::InputError(fmt::format("coordinate check: no layer \"{}\" at width {}, step {}", layer, width, step));
    return sum / count;
}

Json CoordinateCheck::toJson() const
{
    Json out{{"architecture", architecture}, {"parametrisation", parametrisation}, {"widths", widths}, {"seeds", seeds}, {"steps", steps}};
    out["layers"] = layers;
    out["slopes"] = Json::array();
    for (const CoordinateSlope& each : slopes)
        out["slopes"].push_back(
            {{"layer", each.layer}, {"step", each.step}, {"activation", orNull(each.activation)}, {"change", orNull(each.change)}});
    out["points"] = Json::array();
    for (const CoordinatePoint& each : points)
        out["points"].push_back({{"layer", each.layer},
                                 {"width", each.width},
                                 {"seed", each.seed},
                                 {"step", each.step},
                                 {"activation", orNull(each.activation)},
                                 {"change", orNull(each.change)}});
    return out;
}

Json coordinateDocument(const std::string& model)
{
    const zoo::ZooReference reference = zoo::parseZooReference(model);
    Json train{{"batch_size", 64}, {"optimizer", {{"id", "adam"}, {"lr", 0.001}}}};
    if (reference.id == "gpt" || reference.id == "lstm") {
        train["batch_size"] = 16;
        return {{"name", "coordinate check"}, {"model", model}, {"data", {{"id", "kjv"}, {"block_length", 64}}}, {"train", train}};
    }
    if (reference.id != "mlp" && reference.id != "vit")
        zoo::atWidth(reference.id, reference.parameters, 64);  // says which architectures have a width
    return {{"name", "coordinate check"}, {"model", model}, {"data", reference.id == "mlp" ? "digit_rows" : "digits"}, {"train", train}};
}

}  // namespace orrery::scaling
