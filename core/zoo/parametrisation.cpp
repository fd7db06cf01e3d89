#include "parametrisation.h"

#include <cmath>

#include <core/base/error.h>
#include <core/base/text.h>
#include <core/graph/initial_values.h>

#include "zoo.h"

namespace orrery::zoo {
namespace {

Parametrisation kindOf(const core::Json& parameters)
{
    return parametrisationFromName(parameters.value("parametrisation", "standard"));
}

bool dividesReadout(Parametrisation kind)
{
    return kind == Parametrisation::Mup || kind == Parametrisation::MeanField;
}

std::int64_t baseWidth(const core::Json& parameters)
{
    return parameters.at("base_width").get<std::int64_t>();
}

/// Heads at base width: as many as here unless the document says otherwise.
std::int64_t baseHeads(const core::Json& parameters)
{
    const auto given = parameters.find("base_heads");
    const auto heads = given == parameters.end() || given->is_null() ? parameters.at("heads").get<std::int64_t>() : given->get<std::int64_t>();
    if (baseWidth(parameters) % heads != 0)
        throw core::InputError(fmt::format("base_width: expected a multiple of the {} heads it has, got {}; base_heads says how many those are",
                                           heads, baseWidth(parameters)));
    return heads;
}

core::Json standardAt(std::string_view architecture, const core::Json& parameters, std::int64_t width)
{
    core::Json out = atWidth(architecture, parameters, width);
    if (out.contains("heads"))
        out["heads"] = baseHeads(parameters);
    for (const char* key : {"base_width", "base_heads"})
        out.erase(key);
    out["parametrisation"] = "standard";
    return out;
}

graph::Model built(std::string_view architecture, const core::Json& parameters)
{
    return zooRegistry().factory(architecture)(parameters);
}

/// MLPs: the kernel and the mean field have a meaning of their own only for plain layers.
void checkShape(Parametrisation kind, const core::Json& parameters)
{
    if (!parameters.contains("hidden"))
        return;
    const std::size_t layers = parameters.at("hidden").size();
    if (layers == 0)
        throw core::InputError(fmt::format("parametrisation {}: expected at least one hidden layer, got none: a linear model has no width",
                                           parametrisationNames()[std::size_t(kind)]));
    if (kind == Parametrisation::MeanField && layers != 1)
        throw core::InputError(fmt::format(
            "parametrisation mean_field: expected one hidden layer, got {}: with more of them the mean-field limit does not learn features; take mup",
            layers));
}

void applyRule(graph::Parameter& parameter, const graph::Parameter& base, Parametrisation kind, const WidthAxes& axes)
{
    const WidthRule rule = widthRule(kind, axes);
    if (const double now = graph::initialSpread(parameter), wanted = graph::initialSpread(base) * rule.spread; now > 0 && wanted != now)
        parameter.init["factor"] = parameter.init.value("factor", 1.0) * wanted / now;
    parameter.init["rate"] = {{"sgd", rule.sgd}};
    if (kind == Parametrisation::Mup)
        parameter.init["rate"]["adam"] = rule.adam;
}

}  // namespace

std::vector<std::string> parametrisationNames()
{
    return {"standard", "mup", "ntk", "mean_field"};
}

Parametrisation parametrisationFromName(std::string_view name)
{
    const auto names = parametrisationNames();
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == name)
            return Parametrisation(i);
    throw core::InputError(fmt::format("parametrisation: expected one of {}, got \"{}\"", core::join(names, ", "), name));
}

WidthAxes widthAxes(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& base, const std::vector<std::int64_t>& wider)
{
    if (shape.size() != base.size() || shape.size() != wider.size())
        throw core::ShapeError(fmt::format("width: expected shapes of one rank, got {}, {} and {}", core::formatShape(shape), core::formatShape(base),
                                           core::formatShape(wider)));
    WidthAxes out;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        if (base[axis] == wider[axis])
            continue;
        const double ratio = double(shape[axis]) / double(base[axis]);
        (axis == 0 ? out.out : out.in) = true;
        (axis == 0 ? out.ratioOut : out.ratioIn) = ratio;
    }
    return out;
}

WidthRule widthRule(Parametrisation kind, const WidthAxes& axes)
{
    if (kind == Parametrisation::Standard || !axes.any())
        return {};
    if (kind == Parametrisation::Ntk)
        return {1 / std::sqrt(axes.ratioIn), 1 / axes.ratioIn, 1};
    if (axes.in && axes.out)
        return {1 / std::sqrt(axes.ratioIn), axes.ratioOut / axes.ratioIn, 1 / axes.ratioIn};
    return {1, axes.in ? axes.ratioIn : axes.ratioOut, 1};
}

void addParametrisation(core::Schema& schema, std::vector<std::string> choices, bool heads)
{
    const std::vector<core::Json> scaled(choices.begin() + 1, choices.end());
    schema.add(core::choice(
        "parametrisation", choices, choices.front(),
        "How initial values, learning rates and multipliers follow the width: so that settings found at a small width hold at a large one"));
    schema.add(
        core::integer("base_width", 64, "Width at which the parametrisation is the standard one: that of the model the settings were found with")
            .range(1, 1 << 20)
            .when("parametrisation", scaled));
    if (heads)
        schema.add(core::integer("base_heads", 1, "Attention heads at base width; null: as many as here")
                       .range(1, 256)
                       .noneByDefault()
                       .when("parametrisation", scaled));
}

std::vector<std::string> architecturesWithWidth()
{
    return {"mlp", "gpt", "vit", "lstm"};
}

core::Json atWidth(std::string_view architecture, core::Json parameters, std::int64_t width)
{
    if (width < 1)
        throw core::InputError(fmt::format("width: expected at least 1, got {}", width));
    if (architecture == "mlp") {
        for (auto& layer : parameters.at("hidden"))
            layer = width;
        return parameters;
    }
    if (architecture != "gpt" && architecture != "vit" && architecture != "lstm")
        throw core::InputError(
            fmt::format("expected an architecture with a width ({}), got \"{}\"", core::join(architecturesWithWidth(), ", "), architecture));
    const auto old = parameters.at("width").get<std::int64_t>();
    if (architecture == "vit") {
        const auto inside = parameters.at("mlp_width").get<std::int64_t>() * width;
        if (inside % old != 0)
            throw core::InputError(fmt::format("vit: expected an MLP whose width stays whole when {} becomes {}, got mlp_width {}", old, width,
                                               parameters.at("mlp_width").dump()));
        parameters["mlp_width"] = inside / old;
    }
    parameters["width"] = width;
    return parameters;
}

graph::Builder::Var readoutInput(graph::Builder& builder, graph::Builder::Var x, const core::Json& parameters, std::int64_t width)
{
    if (!dividesReadout(kindOf(parameters)))
        return x;
    return builder.op("aten::mul.Scalar", {x, double(baseWidth(parameters)) / double(width)}, "readout_input");
}

double attentionFactor(const core::Json& parameters)
{
    if (kindOf(parameters) != Parametrisation::Mup)
        return 1;
    const double base = double(baseWidth(parameters)) / double(baseHeads(parameters));
    return std::sqrt(base * double(parameters.at("heads").get<std::int64_t>()) / double(parameters.at("width").get<std::int64_t>()));
}

graph::Model parametrised(graph::Model model, std::string_view architecture, const core::Json& parameters)
{
    const Parametrisation kind = kindOf(parameters);
    if (kind == Parametrisation::Standard)
        return model;
    checkShape(kind, parameters);
    const graph::Model base = built(architecture, standardAt(architecture, parameters, baseWidth(parameters)));
    const graph::Model wider = built(architecture, standardAt(architecture, parameters, 2 * baseWidth(parameters)));
    graph::GraphData data = model.graph->data();
    for (graph::Parameter& parameter : data.parameters)
        if (parameter.kind == graph::Parameter::Kind::Parameter) {
            const graph::Parameter *atBase = base.graph->findParameter(parameter.name), *atWider = wider.graph->findParameter(parameter.name);
            applyRule(parameter, *atBase, kind, widthAxes(parameter.shape, atBase->shape, atWider->shape));
        }
    model.graph = std::make_shared<const graph::Graph>(std::move(data));
    return model;
}

}  // namespace orrery::zoo
