// The learning rate as it is.

#include "../schedule.h"

namespace orrery::train {

void addConstantSchedule(ScheduleRegistry& registry)
{
    registry.add({"constant", "Constant", "The learning rate stays as it is.", "torch.optim.lr_scheduler.ConstantLR with factor 1", {}, {}, {}},
                 [](const core::Json&) -> ScheduleFunction { return [](const ScheduleStep&) { return 1.0; }; });
}

}  // namespace orrery::train
