// Half a cosine down.

#include <algorithm>
#include <cmath>
#include <numbers>

#include "../schedule.h"

namespace orrery::train {

void addCosineSchedule(ScheduleRegistry& registry)
{
    using namespace core;
    registry.add({"cosine",
                  "Cosine",
                  "Falls along half a cosine from the learning rate to final_factor times it, over the whole training.",
                  "Loshchilov & Hutter (2017), \"SGDR: Stochastic Gradient Descent with Warm Restarts\", arXiv:1608.03983, eq. 5; "
                  "torch.optim.lr_scheduler.CosineAnnealingLR",
                  {real("final_factor", 0, "eta_min as a fraction of the learning rate").range(0, 1)},
                  {},
                  {}},
                 [](const Json& settings) -> ScheduleFunction {
                     return [final = settings.at("final_factor").get<double>()](const ScheduleStep& at) {
                         const double t = std::min(1.0, double(at.step) / double(at.total));
                         return final + (1 - final) * (1 + std::cos(std::numbers::pi * t)) / 2;
                     };
                 });
}

}  // namespace orrery::train
