// A straight line.

#include <algorithm>

#include "../schedule.h"

namespace orrery::train {

void addLinearSchedule(ScheduleRegistry& registry)
{
    using namespace core;
    registry.add(
        {"linear",
         "Linear",
         "Goes in a straight line from start_factor to end_factor times the learning rate, over the whole training.",
         "torch.optim.lr_scheduler.LinearLR: start + (end - start) * min(t, total) / total",
         {real("start_factor", 1, "Factor of the first step").range(0, 1), real("end_factor", 0, "Factor that the line ends at").range(0, 1)},
         {},
         {}},
        [](const Json& settings) -> ScheduleFunction {
            return [start = settings.at("start_factor").get<double>(), end = settings.at("end_factor").get<double>()](const ScheduleStep& at) {
                return start + (end - start) * double(std::min(at.step, at.total)) / double(at.total);
            };
        });
}

}  // namespace orrery::train
