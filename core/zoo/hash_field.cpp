#include <cmath>

#include "architectures.h"
#include "ray_fields.h"

#include <core/scene/field/field.h>

namespace orrery::zoo {
namespace {

constexpr std::int64_t kGeometry = 16;  // outputs of the density network
constexpr std::int64_t kDirectionSize = 16;

/// The matrices of a network without biases, in a module of that name.
Var networkWeights(Builder& builder, const std::string& name, const std::vector<std::int64_t>& widths)
{
    std::vector<Var> weights;
    const auto scope = builder.module(name, "FusedMLP");
    for (std::size_t l = 0; l + 1 < widths.size(); ++l)
        weights.push_back(builder.parameter(std::to_string(l) + ".weight", {widths[l + 1], widths[l]}, {{"kind", "xavier_uniform"}}));
    return builder.list(weights);
}

std::vector<std::int64_t> widthsOf(std::int64_t in, std::int64_t hidden, std::int64_t width, std::int64_t out)
{
    std::vector<std::int64_t> widths(std::size_t(hidden) + 2, width);
    widths.front() = in;
    widths.back() = out;
    return widths;
}

/// The field without its renderer: [sample, kGeometry] for positions, and colours for geometry and rays.
class HashField {
public:
    HashField(Builder& builder, const core::Json& parameters) : m_builder(builder)
    {
        const auto levels = parameters["levels"].get<std::int64_t>(), base = parameters["base_resolution"].get<std::int64_t>(),
                   finest = parameters["finest_resolution"].get<std::int64_t>(), features = parameters["features_per_level"].get<std::int64_t>();
        if (finest < base)
            throw core::InputError(fmt::format("finest_resolution: expected at least base_resolution, {}, got {}", base, finest));
        const double growth = levels > 1 ? std::exp(std::log(double(finest) / double(base)) / double(levels - 1)) : 1;
        m_levels = scene::hashLevels(levels, base, growth, parameters["log2_entries"].get<std::int64_t>());
        m_table = builder.parameter("table", {m_levels.offsets.back(), features}, {{"kind", "uniform"}, {"bound", 1e-4}});
        const auto width = parameters["width"].get<std::int64_t>();
        m_density =
            networkWeights(builder, "density", widthsOf(levels * features, parameters["density_layers"].get<std::int64_t>(), width, kGeometry));
        m_colour = networkWeights(builder, "colour", widthsOf(kGeometry + kDirectionSize, parameters["colour_layers"].get<std::int64_t>(), width, 3));
    }
    Var geometry(Var positions)
    {
        const Var encoded = m_builder.op("orrery::hash_encode", {positions, m_table, m_levels.resolutions, m_levels.offsets}, "encoding");
        return m_builder.op("orrery::fused_mlp", {encoded, m_density}, "geometry");
    }
    Var colour(Var geometry, Var rays, Var ray)
    {
        const Var direction = m_builder.op("aten::index_select", {m_builder.op("orrery::direction_encode", {rays}), 0, ray});
        const Var input = m_builder.op("aten::cat", {m_builder.list({geometry, direction}), 1});
        return m_builder.op("aten::sigmoid", {m_builder.op("orrery::fused_mlp", {input, m_colour}, "radiance")});
    }

private:
    Builder& m_builder;
    scene::HashLevels m_levels;
    Var m_table, m_density, m_colour;
};

}  // namespace

core::Component hashFieldComponent()
{
    core::Component component{
        "hash_field",
        "Hash grid radiance field",
        "A scene as a multi-resolution hash grid with two small networks, rendered ray by ray: learns from posed pictures in minutes on two cores.",
        "Mueller, Evans, Schied & Keller (2022), \"Instant Neural Graphics Primitives with a Multiresolution Hash Encoding\", arXiv:2201.05989",
        {
            core::integer("levels", 16, "Number of grids.").range(1, 32),
            core::integer("features_per_level", 2, "Numbers an entry: 1, 2, 4 or 8.").range(1, 8),
            core::integer("log2_entries", 15, "Most entries of a grid, as a power of two: 14 to 24 in the paper.").range(4, 24),
            core::integer("base_resolution", 16, "Cells an edge of the coarsest grid.").range(1, 1024),
            core::integer("finest_resolution", 512, "Cells an edge of the finest grid.").range(1, 65536),
            core::integer("width", 64, "Width of the hidden layers.").range(1, 1024),
            core::integer("density_layers", 1, "Hidden layers between encoding and density.").range(0, 8),
            core::integer("colour_layers", 2, "Hidden layers between density and colour.").range(0, 8),
        },
        {raysPort()},
        {colourPort()}};
    addOccupancyParameters(component.schema);
    component.schema.add(backgroundParameter());
    return component;
}

graph::Model hashField(const core::Json& parameters)
{
    Builder builder("hash_field");
    builder.card().title = "Hash grid radiance field";
    const Var rays = raysInput(builder);
    OccupancyGrid occupancy(builder, parameters, rays);
    const Samples samples = occupancy.march();
    HashField field(builder, parameters);
    const auto densityOfGeometry = [&](Var geometry) { return densityOf(builder, geometry, std::log(kStartDensity)); };
    const Var geometry = field.geometry(samples.positions);
    const Var density = densityOfGeometry(geometry), colour = field.colour(geometry, rays, samples.rays);
    occupancy.measure([&](Var positions) { return densityOfGeometry(field.geometry(positions)); });
    return occupancy.finish(rendered(builder, density, colour, samples, parameters["background"]));
}

}  // namespace orrery::zoo
