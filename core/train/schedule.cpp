#include "schedule.h"

#include <algorithm>

namespace orrery::train {

LearningRate::LearningRate(double base, ScheduleFunction schedule, std::int64_t warmup, std::int64_t totalSteps, std::int64_t stepsPerEpoch)
    : m_base(base), m_schedule(std::move(schedule)), m_warmup(std::max<std::int64_t>(0, warmup)),
      m_total(std::max<std::int64_t>(1, totalSteps - m_warmup)), m_perEpoch(std::max<std::int64_t>(1, stepsPerEpoch))
{
}

double LearningRate::at(std::int64_t step) const
{
    if (step < m_warmup)
        return m_base * m_schedule({0, m_total, m_perEpoch}) * double(step + 1) / double(m_warmup);
    return m_base * m_schedule({step - m_warmup, m_total, m_perEpoch});
}

}  // namespace orrery::train
