#include "ray_fields.h"

namespace orrery::zoo {

core::Port raysPort()
{
    return {"rays", "float", {"batch", "feature"}};
}

core::Port colourPort()
{
    return {"colour", "any", {"batch", "channel"}};
}

core::Parameter backgroundParameter()
{
    return core::list("background", core::real("", 1, "").range(0, 1), {1.0, 1.0, 1.0},
                      "Colour behind the scene: red, green, blue. Pictures with transparency are laid on the data's own.");
}

Var raysInput(Builder& builder)
{
    builder.card().task = "regression";
    return builder.input("rays", "float32", {"batch", "6"}, "table");
}

Var uniform(Builder& builder, Var rays, std::int64_t columns)
{
    return builder.op("aten::rand", {builder.shape({builder.size(rays, 0), columns})}, "jitter");
}

Samples samplesOf(Builder& builder, const std::string& op, std::vector<Builder::Arg> arguments)
{
    const auto out = builder.ops("orrery::" + op, std::move(arguments));
    return {out[0], out[1], out[2], out[3], out[4]};
}

Var densityOf(Builder& builder, Var raw, double bias)
{
    constexpr double kMost = 11;
    Var log = builder.op("aten::select.int", {raw, 1, 0}, "log_density");
    if (bias != 0)
        log = builder.op("aten::add.Scalar", {log, bias});
    return builder.op("aten::exp", {builder.op("aten::clamp_max", {log, kMost})}, "density");
}

graph::Model rendered(Builder& builder, Var density, Var colour, const Samples& samples, const core::Json& background)
{
    const auto values = background.get<std::vector<double>>();
    if (values.size() != 3)
        throw core::InputError(fmt::format("background: expected 3 numbers from 0 to 1, got {}", background.dump()));
    const auto out =
        builder.ops("orrery::composite", {density, colour, samples.distances, samples.lengths, samples.starts, c10::IValue(values)}, "render");
    graph::Model model = builder.finish({{"colour", out[0]}});
    const std::pair<const char*, Var> names[] = {
        {"colour", out[0]},    {"opacity", out[1]},  {"depth", out[2]},   {"weights", out[3]}, {"positions", samples.positions},
        {"ray", samples.rays}, {"density", density}, {"radiance", colour}};
    for (const auto& [name, var] : names)
        model.card.canonicalNames[name] = model.graph->data().values[std::size_t(var.id)].name;
    return model;
}

}  // namespace orrery::zoo
