// Falling in steps.

#include <cmath>

#include "../schedule.h"

namespace orrery::train {

void addStepSchedule(ScheduleRegistry& registry)
{
    using namespace core;
    registry.add({"step",
                  "Steps",
                  "Multiplies the learning rate by gamma every step_size epochs (or steps).",
                  "torch.optim.lr_scheduler.StepLR: lr * gamma^floor(t / step_size)",
                  {integer("step_size", 30, "Length of one stair").atLeast(1), real("gamma", 0.1, "Factor from stair to stair").above(0).log(),
                   choice("per", {"epochs", "steps"}, "epochs", "What step_size counts")},
                  {},
                  {}},
                 [](const Json& settings) -> ScheduleFunction {
                     const bool epochs = settings.at("per") == "epochs";
                     return [epochs, size = settings.at("step_size").get<std::int64_t>(), gamma = settings.at("gamma").get<double>()](
                                const ScheduleStep& at) { return std::pow(gamma, double((epochs ? at.step / at.perEpoch : at.step) / size)); };
                 });
}

}  // namespace orrery::train
