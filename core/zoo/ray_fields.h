#pragma once
#include "parts.h"

/// What radiance fields share: rays in, samples along them, colours composited. The operators are those of core/scene/field.
namespace orrery::zoo {

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
/// The model whose output is the composited colour; Canonical names: by ray colour, opacity, depth; by
/// sample positions, ray, density, radiance (its colour), weights. Positions and rays given instead of computed ask the field itself.
graph::Model rendered(Builder& builder, Var density, Var colour, const Samples& samples, const core::Json& background);

}  // namespace orrery::zoo
