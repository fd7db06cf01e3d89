#pragma once
#include <functional>

#include <core/explain/metrics/metric.h>
#include <widgets/background.h>

#include "cards.h"

namespace orrery::plugins {

/// A card to be computed.
struct ExplainOrder {
    int card = 0;
    MethodSettings settings;
};

/// What happens on the way, told on the UI thread.
struct ExplainEvents {
    std::function<void(int card)> started;
    std::function<void(int card, const ExplanationPtr& result)> result;  ///< partial ones at most ten a second, then the whole
    std::function<void(int card, const QString& text)> failed;           ///< the others go on
};

/// Work for `Session::runInBackground`: the orders one after the other. What a method throws fails its card alone; a stop ends the work.
std::function<void(widgets::BackgroundContext&)> explainWork(PreparedPtr subject, Question question, std::vector<ExplainOrder> orders,
                                                             std::shared_ptr<store::Workspace> workspace, ExplainEvents events);

/// Metrics of attributions that need no parameters: those of the table.
std::vector<std::string> measurableMetrics();

struct MeasureOrder {
    int card = 0;
    ExplanationPtr result;  ///< whole
};
using Measured = std::function<void(int card, const ExplanationPtr& result, const std::string& metric, const CardMetric& value)>;

/// Work for `Session::runInBackground`: every metric of every result, told one by one on the UI thread and kept with the result's analysis as soon as it
/// is known. A metric that cannot take a result says why. A result read from the workspace is computed again first.
std::function<void(widgets::BackgroundContext&)> measureWork(std::vector<MeasureOrder> orders, std::vector<explain::MetricRequest> metrics,
                                                             std::shared_ptr<store::Workspace> workspace, Measured measured);

}  // namespace orrery::plugins
