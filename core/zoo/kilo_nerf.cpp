#include <cmath>

#include "architectures.h"
#include "ray_fields.h"

namespace orrery::zoo {
namespace {

constexpr std::int64_t kCellOutputs = 16;  // outputs of a density network
constexpr std::int64_t kCellDirectionSize = 16;
constexpr std::int64_t kMostWeights = std::int64_t(1) << 28;

/// @throws core::InputError for sizes that make more weights than a machine should be asked for.
void checkSizes(std::int64_t cells, const std::vector<std::int64_t>& widths)
{
    std::int64_t weights = 0;
    for (std::size_t l = 0; l + 1 < widths.size(); ++l)
        weights += cells * (widths[l] + 1) * widths[l + 1];
    if (weights > kMostWeights)
        throw core::InputError(
            fmt::format("grid and width: expected at most {} weights, got {}: take fewer cells or narrower layers", kMostWeights, weights));
}

/// Weights and biases of one small network a cell, as two lists.
struct CellNetworks {
    Var weights, biases;
};

CellNetworks cellNetworks(Builder& builder, const std::string& name, std::int64_t cells, const std::vector<std::int64_t>& widths)
{
    checkSizes(cells, widths);
    std::vector<Var> weights, biases;
    const auto scope = builder.module(name, "CellMLP");
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
        const std::int64_t in = widths[l], out = widths[l + 1];
        // Glorot's bound for one cell's matrix; the tensor's own fans would count the cells, too.
        const double bound = std::sqrt(6.0 / double(in + out));
        weights.push_back(builder.parameter(std::to_string(l) + ".weight", {cells, out, in}, {{"kind", "uniform"}, {"bound", bound}}));
        biases.push_back(builder.parameter(std::to_string(l) + ".bias", {cells, out}, {{"kind", "zeros"}}));
    }
    return {builder.list(weights), builder.list(biases)};
}

/// The field without its renderer.
class KiloField {
public:
    KiloField(Builder& builder, const core::Json& parameters)
        : m_builder(builder), m_grid(parameters["grid"].get<std::int64_t>()), m_frequencies(parameters["frequencies"].get<std::int64_t>())
    {
        const auto width = parameters["width"].get<std::int64_t>(), cells = m_grid * m_grid * m_grid;
        const auto widthsOf = [&](std::int64_t in, const char* layers, std::int64_t out) {
            std::vector<std::int64_t> widths(std::size_t(parameters[layers].get<std::int64_t>()) + 2, width);
            widths.front() = in;
            widths.back() = out;
            return widths;
        };
        m_geometry = cellNetworks(builder, "geometry", cells, widthsOf(3 + 6 * m_frequencies, "density_layers", kCellOutputs));
        m_colour = cellNetworks(builder, "colour", cells, widthsOf(kCellOutputs + kCellDirectionSize, "colour_layers", 3));
    }
    struct Geometry {
        Var features, cells;
    };
    Geometry geometry(Var positions)
    {
        const auto places = m_builder.ops("orrery::cell_places", {positions, m_grid});
        const Var encoded = m_builder.op("orrery::frequency_encode", {places[1], m_frequencies}, "encoding");
        return {m_builder.op("orrery::cell_mlp", {encoded, places[0], m_geometry.weights, m_geometry.biases}, "geometry"), places[0]};
    }
    Var colour(const Geometry& geometry, Var rays, Var ray)
    {
        const Var direction = m_builder.op("aten::index_select", {m_builder.op("orrery::direction_encode", {rays}), 0, ray});
        const Var input = m_builder.op("aten::cat", {m_builder.list({geometry.features, direction}), 1});
        return m_builder.op("aten::sigmoid",
                            {m_builder.op("orrery::cell_mlp", {input, geometry.cells, m_colour.weights, m_colour.biases}, "radiance")});
    }

private:
    Builder& m_builder;
    std::int64_t m_grid, m_frequencies;
    CellNetworks m_geometry, m_colour;
};

}  // namespace

core::Component kiloNerfComponent()
{
    core::Component component{
        "kilo_nerf",
        "Grid of tiny radiance fields",
        "A scene as a grid of cells with a tiny network each: what a trained field is distilled into to be drawn fast.",
        "Reiser, Peng, Liao & Geiger (2021), \"KiloNeRF: Speeding up Neural Radiance Fields with Thousands of Tiny MLPs\", arXiv:2103.13744",
        {
            core::integer("grid", 8, "Cells an edge; 16 in the paper.").range(1, 32),
            core::integer("frequencies", 4, "Frequencies of the place in its cell.").range(0, 16),
            core::integer("width", 32, "Width of the hidden layers.").range(1, 256),
            core::integer("density_layers", 2, "Hidden layers before the density.").range(0, 8),
            core::integer("colour_layers", 1, "Hidden layers between density and colour.").range(0, 8),
        },
        {raysPort()},
        {colourPort()}};
    addOccupancyParameters(component.schema);
    component.schema.add(backgroundParameter());
    return component;
}

graph::Model kiloNerf(const core::Json& parameters)
{
    Builder builder("kilo_nerf");
    builder.card().title = "KiloNeRF";
    const Var rays = raysInput(builder);
    OccupancyGrid occupancy(builder, parameters, rays);
    const Samples samples = occupancy.march();
    KiloField field(builder, parameters);
    const auto densityAt = [&](const KiloField::Geometry& geometry) { return densityOf(builder, geometry.features, std::log(kStartDensity)); };
    const KiloField::Geometry geometry = field.geometry(samples.positions);
    const Var density = densityAt(geometry), colour = field.colour(geometry, rays, samples.rays);
    occupancy.measure([&](Var positions) { return densityAt(field.geometry(positions)); });
    return occupancy.finish(rendered(builder, density, colour, samples, parameters["background"]));
}

}  // namespace orrery::zoo
