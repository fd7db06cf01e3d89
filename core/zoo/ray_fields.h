#pragma once
#include <functional>

#include "parts.h"

/// What radiance fields share: rays in, samples along them, colours composited. The operators are those of core/scene/field.
namespace orrery::zoo {

/// Thin fog, everywhere occupied: the density that fields start with.
inline constexpr double kStartDensity = 2;

core::Port raysPort();    ///< "rays": float [batch, feature]
core::Port colourPort();  ///< "colour": float [batch, channel]
core::Parameter backgroundParameter();

/// Samples of all rays one after another, as the values that samplers give.
struct Samples {
    Var positions, rays, distances, lengths, starts;
};

/// `rays` [batch, 6] as the builder's input; sets the card's task.
Var raysInput(Builder& builder);
/// Uniform numbers [rays, columns] in [0, 1), drawn anew in each step.
Var uniform(Builder& builder, Var rays, std::int64_t columns);
Samples samplesOf(Builder& builder, const std::string& op, std::vector<Builder::Arg> arguments);
/// exp of column 0 of `raw`, [sample]: densities. Above e^11 the gradient is zero.
Var densityOf(Builder& builder, Var raw, double bias);
/// A grid that says where something is, as a buffer "occupancy". Used in this order: `march`, then `measure`, then `finish`.
class OccupancyGrid {
public:
    /// @param parameters  Resolved, with those of `occupancyParameters`.
    OccupancyGrid(Builder& builder, const core::Json& parameters, Var rays);
    /// Samples in occupied cells. A step's opacity from which on a cell counts as occupied is 0.005.
    Samples march();
    /// In training a share of the cells is measured in each step; `density` gives the field's at places [sample, 3].
    void measure(const std::function<Var(Var positions)>& density);
    /// The model with the measured grid as the buffer's update.
    graph::Model finish(graph::Model model) const;
    /// Density from which on a cell counts as occupied.
    static double threshold(std::int64_t steps);

private:
    Builder& m_builder;
    Var m_rays, m_grid;
    std::int64_t m_edge, m_steps;
    double m_decay;
};
/// occupancy_resolution, occupancy_decay, steps: added behind a schema's own parameters.
void addOccupancyParameters(core::Schema& schema);

/// The model whose output is the composited colour; Canonical names: by ray colour, opacity, depth; by
/// sample positions, ray, density, radiance (its colour), weights. Positions and rays given instead of computed ask the field itself.
graph::Model rendered(Builder& builder, Var density, Var colour, const Samples& samples, const core::Json& background);

}  // namespace orrery::zoo
