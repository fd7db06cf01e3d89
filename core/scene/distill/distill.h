#pragma once
#include <functional>
#include <memory>

#include <core/base/registry.h>
#include <core/data/posed_pictures.h>
#include <core/graph/model.h>
#include <core/jobs/job.h>
#include <core/scene/field/views.h>

/// A trained field made fast to draw: its scene is learned once more, by thousands of tiny networks.
namespace orrery::scene {

struct DistillRequest {
    const graph::Model& teacher;  ///< any field that FieldView takes and that can be asked for densities
    core::Json parameters;        ///< resolved by the component's schema
    std::uint64_t seed = 0;
    /// Pictures of the scene, to refine the student on; null: rays from all around with the teacher's colours.
    std::shared_ptr<const data::PosedPictures> pictures;
};
/// The student, with the teacher's place in its card. Progress by phases: "asking the teacher" (points), "distilling" and "refining" (steps); metrics distill/loss and
/// refine/loss by step. The same request with the same number of threads gives the same bits. Sets the number of threads of the calling thread.
/// @throws core::InputError: no field, one that is empty everywhere, one whose values are not finite, parameters that do not fit; core::Cancelled.
using Distiller = std::function<graph::Model(const DistillRequest&, jobs::Context&)>;
/// Family "distillation": kilo_nerf_distillation. Any thread.
const core::Registry<Distiller>& distillers();

/// Reiser et al. (2021), arXiv:2103.13744, section 3: first the occupancy of the teacher, then its opacity and colour at random places in occupied cells (squared errors,
/// eq. 5 and 6), then rays (section 3.3). Where we deviate: errors of colours count by the teacher's opacity, as invisible colours need not be learned;
/// no weights are penalised; places and directions are drawn once and used again.
core::Component kiloDistillationComponent();
graph::Model distillKiloNerf(const DistillRequest& request, jobs::Context& context);

}  // namespace orrery::scene
