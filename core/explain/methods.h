#pragma once
#include "attribution.h"

/// One registration function a method; attribution.cpp calls each once.
namespace orrery::explain {

using AttributionRegistry = core::Registry<AttributionMethod>;

void addSaliency(AttributionRegistry& registry);
void addInputXGradient(AttributionRegistry& registry);
void addIntegratedGradients(AttributionRegistry& registry);
void addOcclusion(AttributionRegistry& registry);

}  // namespace orrery::explain
