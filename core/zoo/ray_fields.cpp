#include <cmath>

#include "ray_fields.h"

namespace orrery::zoo {
namespace {

constexpr std::int64_t kShare = 16;      // every so-manieth cell is looked at in a step
constexpr double kVisibleAlpha = 0.005;  // opacity of one step from which on a cell counts as occupied

}  // namespace

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

double OccupancyGrid::threshold(std::int64_t steps)
{
    return kVisibleAlpha * double(steps) / std::sqrt(3.0);
}

OccupancyGrid::OccupancyGrid(Builder& builder, const core::Json& parameters, Var rays)
    : m_builder(builder), m_rays(rays), m_edge(parameters["occupancy_resolution"].get<std::int64_t>()),
      m_steps(parameters["steps"].get<std::int64_t>()), m_decay(parameters["occupancy_decay"].get<double>())
{
    m_grid = builder.parameter("occupancy", {m_edge, m_edge, m_edge}, {{"kind", "constant"}, {"value", 1.1 * threshold(m_steps)}},
                               graph::Parameter::Kind::Buffer);
}

Samples OccupancyGrid::march()
{
    return samplesOf(m_builder, "march_rays", {m_rays, m_grid, uniform(m_builder, m_rays, 1), m_builder.training(), m_steps, threshold(m_steps)});
}

void OccupancyGrid::measure(const std::function<Var(Var)>& density)
{
    const std::int64_t rows = m_edge * m_edge * m_edge / kShare + 1;
    const Var random = m_builder.op("aten::rand", {m_builder.shape({rows, std::int64_t(3)})}, "cells_jitter");
    const auto points = m_builder.ops("orrery::occupancy_points", {m_grid, random, m_builder.training(), kShare});
    m_builder.op("orrery::occupancy_update", {m_grid, points[1], density(points[0]), m_decay}, "occupancy_next");
}

graph::Model OccupancyGrid::finish(graph::Model model) const
{
    graph::GraphData data = model.graph->data();
    data.bufferUpdates.push_back({"occupancy", *model.graph->findValue("occupancy_next")});
    model.graph = std::make_shared<const graph::Graph>(std::move(data));
    return model;
}

void addOccupancyParameters(core::Schema& schema)
{
    schema.add(core::integer("occupancy_resolution", 64, "Cells an edge of the grid that says where something is.").range(4, 256));
    schema.add(core::real("occupancy_decay", 0.7, "What is left of a cell's density when it is looked at again.").range(0, 1));
    schema.add(core::integer("steps", 256, "Steps along the diagonal of the scene; 1024 in the paper.").range(8, 4096));
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
