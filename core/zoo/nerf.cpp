#include <cmath>

#include "architectures.h"
#include "ray_fields.h"

namespace orrery::zoo {
namespace {

/// Places and directions to densities and colours; called once a pass.
class Network {
public:
    Network(Builder& builder, const core::Json& parameters, Var rays)
        : m_builder(builder), m_width(parameters["width"].get<std::int64_t>()), m_depth(parameters["depth"].get<std::int64_t>()),
          m_frequencies(parameters["frequencies"].get<std::int64_t>()),
          m_directionFrequencies(parameters["direction_frequencies"].get<std::int64_t>())
    {
        const Var direction = builder.op("aten::slice.Tensor", {rays, 1, 3, 6});
        const Var length = builder.op("aten::linalg_vector_norm", {direction, 2, std::vector<std::int64_t>{1}, true});
        m_directions = builder.op("orrery::frequency_encode",
                                  {builder.op("aten::div.Tensor", {direction, length}, "direction"), m_directionFrequencies}, "direction_encoding");
    }
    /// Features [sample, width] behind the trunk.
    Var trunk(Var positions)
    {
        const std::int64_t in = 3 + 6 * m_frequencies;
        // The cube of edge 1 becomes [-1, 1], the range the frequencies are meant for.
        const Var encoded = m_builder.op("orrery::frequency_encode", {m_builder.op("aten::mul.Scalar", {positions, 2.0}), m_frequencies}, "encoding");
        Var x = encoded;
        for (std::int64_t l = 0; l < m_depth; ++l) {
            const bool skips = l > 0 && l == m_depth / 2 + 1;
            if (skips)
                x = m_builder.op("aten::cat", {m_builder.list({x, encoded}), -1});
            x = m_builder.relu(m_builder.linear("trunk." + std::to_string(l), x, l == 0 ? in : m_width + (skips ? in : 0), m_width));
        }
        return x;
    }
    Var density(Var features) { return densityOf(m_builder, m_builder.linear("density", features, m_width, 1), std::log(kStartDensity)); }
    Var colour(Var features, Var ray)
    {
        const Var bottleneck = m_builder.linear("bottleneck", features, m_width, m_width);
        const Var direction = m_builder.op("aten::index_select", {m_directions, 0, ray});
        const Var x = m_builder.op("aten::cat", {m_builder.list({bottleneck, direction}), -1});
        const std::int64_t half = std::max<std::int64_t>(1, m_width / 2);
        const Var hidden = m_builder.relu(m_builder.linear("view", x, m_width + 3 + 6 * m_directionFrequencies, half));
        return m_builder.op("aten::sigmoid", {m_builder.linear("colour", hidden, half, 3)});
    }

private:
    Builder& m_builder;
    std::int64_t m_width, m_depth, m_frequencies, m_directionFrequencies;
    Var m_directions;
};

}  // namespace

core::Component nerfComponent()
{
    return {"nerf",
            "Neural radiance field",
            "A scene as one network over places and directions, rendered ray by ray with importance sampling.",
            "Mildenhall et al. (2020), \"NeRF: Representing Scenes as Neural Radiance Fields for View Synthesis\", arXiv:2003.08934",
            {
                core::integer("frequencies", 10, "Frequencies of the place.").range(0, 24),
                core::integer("direction_frequencies", 4, "Frequencies of the direction.").range(0, 16),
                core::integer("depth", 8, "Layers before the density; the encoding enters once more behind their middle.").range(1, 32),
                core::integer("width", 256, "Width of the layers.").range(1, 4096),
                core::integer("samples", 64, "Evenly spread samples a ray.").range(2, 1024),
                core::integer("importance_samples", 128, "Samples more where the first pass found something; 0: none.").range(0, 1024),
                backgroundParameter(),
            },
            {raysPort()},
            {colourPort()}};
}

graph::Model nerf(const core::Json& parameters)
{
    Builder builder("nerf");
    builder.card().title = "NeRF";
    const Var rays = raysInput(builder);
    Network network(builder, parameters, rays);
    Samples samples =
        samplesOf(builder, "stratified_rays", {rays, uniform(builder, rays, parameters["samples"].get<std::int64_t>()), builder.training()});
    if (const auto more = parameters["importance_samples"].get<std::int64_t>(); more > 0) {
        const Var density = builder.op("aten::detach", {network.density(network.trunk(samples.positions))});
        const Var grey = builder.op("aten::expand", {builder.op("aten::unsqueeze", {density, 1}), std::vector<std::int64_t>{-1, 3}});
        const auto coarse =
            builder.ops("orrery::composite",
                        {density, grey, samples.distances, samples.lengths, samples.starts, c10::IValue(std::vector<double>{0, 0, 0})}, "coarse");
        samples = samplesOf(builder, "importance_rays", {rays, samples.distances, coarse[3], uniform(builder, rays, more), builder.training()});
    }
    const Var features = network.trunk(samples.positions);
    const Var density = network.density(features);
    return rendered(builder, density, network.colour(features, samples.rays), samples, parameters["background"]);
}

}  // namespace orrery::zoo
