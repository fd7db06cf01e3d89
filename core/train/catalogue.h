#pragma once
#include "loss.h"
#include "metric.h"
#include "optimizer.h"
#include "schedule.h"

namespace orrery::train {

/// Families "optimizer", "schedule", "loss" and "metric". Any thread.
const OptimizerRegistry& optimizers();
const ScheduleRegistry& schedules();
const LossRegistry& losses();
const MetricRegistry& metrics();

/// What a resolved component document (`{"id": ..., settings}`) stands for. Settings may be left out.
std::unique_ptr<Optimizer> makeOptimizer(const core::Json& document, std::vector<Trainable> parameters);
ScheduleFunction makeSchedule(const core::Json& document);
Loss makeLoss(const core::Json& document);
std::unique_ptr<Metric> makeMetric(const core::Json& document);

}  // namespace orrery::train
