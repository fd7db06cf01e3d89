#include "scaling.h"

namespace orrery::cli {
namespace {

/// The subcommands of `scaling`, in the order of the help. The one list: one file and one line each.
const std::vector<Command>& scalingCommands()
{
    static const std::vector<Command> list = {
        {"fit", "Fit a law to a table of points or to runs.", declareScalingFit},
        {"bootstrap", "Fit a law and say how certain its parameters are.", declareScalingBootstrap},
        {"isoflop", "Optimal size and data over compute, by a parabola for each budget.", declareScalingIsoflop},
        {"plan", "What a fitted law advises: the best split of a budget, losses, crossings of two laws.", declareScalingPlan},
        {"coord-check", "How activations and their changes follow the width, and which learning rate is best at each.", declareScalingCoordCheck},
        {"count", "Parameters and FLOPs of a model, and the tokens that fit into a time budget.", declareScalingCount},
        {"equal-compute", "As many training steps of each model as fit into the same time here, as experiments.", declareScalingEqualCompute},
    };
    return list;
}

}  // namespace

std::function<Exit(Session&)> declareScaling(CLI::App& app)
{
    return declareGroup(app, scalingCommands());
}

}  // namespace orrery::cli
