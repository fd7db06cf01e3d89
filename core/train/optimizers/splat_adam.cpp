// How Gaussians are trained. The work is that of scene::SplatTrainer: Gaussians come and go, which tensors of a fixed shape cannot.

#include "../optimizer.h"
#include "../splat_learner.h"

namespace orrery::train {
namespace {

core::Parameter rate(const char* name, double value, const char* help)
{
    return core::real(name, value, help).above(0).log();
}

core::Schema splatAdamSchema()
{
    using namespace core;
    const scene::SplatTrainSettings d;
    return {
        rate("lr", d.meansRate, "Learning rate of the places, in shares of the scene's extent"),
        rate("lr_final", d.meansRateEnd, "The rate it falls to"),
        integer("lr_steps", d.meansRateSteps, "Steps over which it falls; null: the whole training").atLeast(1).noneByDefault(),
        rate("scales_lr", d.scalesRate, "Learning rate of the sizes' logarithms"),
        rate("rotations_lr", d.rotationsRate, "Learning rate of the quaternions"),
        rate("opacities_lr", d.opacitiesRate, "Learning rate of the opacities' logits"),
        rate("colours_lr", d.colourRate, "Learning rate of the colours that all directions share"),
        rate("harmonics_lr", d.harmonicsRate, "Learning rate of the colours' dependence on the direction"),
        integer("degree_every", d.degreeEvery, "One more degree of the harmonics is used after so many steps").atLeast(1),
        integer("densify_from", d.densifyFrom, "Gaussians are added and removed from this step on").atLeast(0),
        integer("densify_until", d.densifyUntil, "and up to this one; 0: never").atLeast(0),
        integer("densify_every", d.densifyEvery, "Steps from one time to the next").atLeast(1),
        real("densify_gradient", d.densifyGradient, "Gaussians whose place in the pictures pulls at least so hard are cloned or split")
            .atLeast(0)
            .log(),
        real("split_share", d.splitShare, "Larger ones than this share of the extent are split, smaller ones cloned").above(0),
        integer("opacity_reset_every", d.opacityResetEvery, "Steps after which all opacities fall to 0.01; null: never").atLeast(1).orNone(),
        real("prune_opacity", d.pruneOpacity, "Fainter ones are removed").range(0, 0.99),
        real("prune_share", d.pruneShare, "After the first reset, ones larger than this share of the extent are removed").above(0),
        integer("max_gaussians", std::int64_t(d.maxCount), "No more are added once there are so many").range(1, 20'000'000).log(),
    };
}

}  // namespace

void addSplatAdam(OptimizerRegistry& registry)
{
    registry.add({kSplatOptimizer,
                  "Adam for Gaussians, with clone, split and prune",
                  "Adam with a rate for each kind of value; Gaussians are cloned, split and removed on the way. For the model splats alone.",
                  "Kerbl et al. (2023), arXiv:2308.04079, section 5 and its published program; Kingma & Ba (2015), \"Adam\", arXiv:1412.6980",
                  splatAdamSchema(),
                  {},
                  {}},
                 [](std::vector<Trainable>, const core::Json&) -> std::unique_ptr<Optimizer> {
                     throw core::InputError("train.optimizer: splat_adam trains Gaussians only: expected the model splats");
                 });
}

scene::SplatTrainSettings splatSettings(const core::Json& document, const std::int64_t steps)
{
    const core::Json &o = document["train"]["optimizer"], &lengthOfFall = o["lr_steps"], &reset = o["opacity_reset_every"];
    scene::SplatTrainSettings s;
    s.meansRate = o["lr"];
    s.meansRateEnd = o["lr_final"];
    s.meansRateSteps = lengthOfFall.is_null() ? steps : lengthOfFall.get<std::int64_t>();
    s.scalesRate = o["scales_lr"];
    s.rotationsRate = o["rotations_lr"];
    s.opacitiesRate = o["opacities_lr"];
    s.colourRate = o["colours_lr"];
    s.harmonicsRate = o["harmonics_lr"];
    s.degreeEvery = o["degree_every"];
    s.densifyFrom = o["densify_from"];
    s.densifyUntil = o["densify_until"];
    s.densifyEvery = o["densify_every"];
    s.densifyGradient = o["densify_gradient"];
    s.splitShare = o["split_share"];
    s.opacityResetEvery = reset.is_null() ? 0 : reset.get<std::int64_t>();
    s.pruneOpacity = o["prune_opacity"];
    s.pruneShare = o["prune_share"];
    s.maxCount = o["max_gaussians"].get<std::size_t>();
    s.ssimWeight = document["train"]["loss"]["ssim_weight"];
    s.seed = document["seed"].get<std::uint64_t>();
    return s;
}

}  // namespace orrery::train
