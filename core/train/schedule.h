#pragma once
#include <cstdint>
#include <functional>

#include <core/base/registry.h>

namespace orrery::train {

/// Where in the training a learning rate is asked for. Warm-up steps are already taken off: step 0 is the first step after it.
struct ScheduleStep {
    std::int64_t step = 0;      ///< steps already taken
    std::int64_t total = 1;     ///< number of steps of the training, warm-up excluded
    std::int64_t perEpoch = 1;  ///< steps in an epoch
};

/// The factor that the optimizer's `lr` is multiplied by, in closed form: a resumed training needs no state. At least 0.
using ScheduleFunction = std::function<double(const ScheduleStep&)>;
using ScheduleFactory = std::function<ScheduleFunction(const core::Json& settings)>;
using ScheduleRegistry = core::Registry<ScheduleFactory>;

/// A schedule with linear warm-up before it: step t < warmup has the factor (t + 1) / warmup times the schedule's first one.
/// Source of warm-up: Goyal et al. (2017), "Accurate, Large Minibatch SGD", arXiv:1706.02677, section 2.2 ("gradual warmup").
class LearningRate {
public:
    LearningRate(double base, ScheduleFunction schedule, std::int64_t warmup, std::int64_t totalSteps, std::int64_t stepsPerEpoch);
    /// Learning rate of step `step` (0 is the first).
    double at(std::int64_t step) const;

private:
    double m_base;
    ScheduleFunction m_schedule;
    std::int64_t m_warmup, m_total, m_perEpoch;
};

void addConstantSchedule(ScheduleRegistry& registry);
void addStepSchedule(ScheduleRegistry& registry);
void addCosineSchedule(ScheduleRegistry& registry);
void addLinearSchedule(ScheduleRegistry& registry);
void addOneCycleSchedule(ScheduleRegistry& registry);

}  // namespace orrery::train
