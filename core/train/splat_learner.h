#pragma once
#include <core/scene/splat/splat_trainer.h>

#include "learner.h"

/// Training of Gaussians on the pictures of the data set `views`. A document asks for it by its optimizer, `splat_adam`.
namespace orrery::train {

inline constexpr const char* kSplatOptimizer = "splat_adam";
/// Name of the artifact with the final Gaussians as a PLY file.
inline constexpr const char* kFinalSplats = "final splats";

/// True if the resolved document trains Gaussians.
bool trainsSplats(const core::Json& document);
/// Before the schema sees it: where `train` of a document with the model `splats` leaves optimizer, batch size and loss open, what trains Gaussians.
void fillSplats(core::Json& document);
/// What a resolved document that trains Gaussians, or has the model `splats`, must not say.
void checkSplats(const core::Json& document, const data::DataSet& data, std::vector<core::Issue>& issues);

/// What the resolved `train.optimizer`, `train.loss` and `seed` say. @param steps  Of the whole training. The scene's extent is left open.
scene::SplatTrainSettings splatSettings(const core::Json& document, std::int64_t steps);

/// Reports loss, psnr and the number of Gaussians. @throws core::InputError for a MODEL that holds no Gaussians, or data without pictures.
std::unique_ptr<Learner> makeSplatLearner(const LearnerInput& input);

}  // namespace orrery::train
