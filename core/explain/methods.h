#pragma once
#include "attribution.h"

/// One registration function a method; attribution.cpp calls each once.
namespace orrery::explain {

using AttributionRegistry = core::Registry<AttributionMethod>;

void addSaliency(AttributionRegistry& registry);
void addInputXGradient(AttributionRegistry& registry);
void addIntegratedGradients(AttributionRegistry& registry);
void addOcclusion(AttributionRegistry& registry);
void addLrp(AttributionRegistry& registry);
void addAttentionRollout(AttributionRegistry& registry);
void addExtremalPerturbation(AttributionRegistry& registry);
void addFeatureInversion(AttributionRegistry& registry);
void addFeatureAblation(AttributionRegistry& registry);
void addShapleyValues(AttributionRegistry& registry);
void addShapleyValueSampling(AttributionRegistry& registry);
void addKernelShap(AttributionRegistry& registry);
void addLime(AttributionRegistry& registry);
void addRise(AttributionRegistry& registry);
void addNoiseTunnel(AttributionRegistry& registry);
void addGradientShap(AttributionRegistry& registry);
void addDeepLift(AttributionRegistry& registry);
void addDeconvolution(AttributionRegistry& registry);
void addGuidedBackprop(AttributionRegistry& registry);
void addGradCam(AttributionRegistry& registry);
void addGuidedGradCam(AttributionRegistry& registry);
void addLayerActivation(AttributionRegistry& registry);
void addLayerGradientXActivation(AttributionRegistry& registry);
void addLayerConductance(AttributionRegistry& registry);
void addInternalInfluence(AttributionRegistry& registry);
void addNeuronGradient(AttributionRegistry& registry);
void addNeuronConductance(AttributionRegistry& registry);

}  // namespace orrery::explain
