#pragma once
#include <core/explain/metrics/metric.h>

#include "cli.h"

namespace orrery::cli {

/// `--metric ID` and `--metric-set ID.name=value` of `attribute`: how good the attribution is.
struct MetricArguments {
    std::vector<std::string> ids, settings;
    void declare(CLI::App& app);
    /// With resolved parameters. @throws core::InputError for an unknown metric, one asked for twice, or a setting of one that is not asked for.
    std::vector<explain::MetricRequest> requests() const;
};

/// {ID: {...}}; see explain::toJson.
core::Json metricsJson(const std::vector<explain::MeasuredMetric>& metrics);
/// One line a metric: its name and value.
std::string metricsText(const std::vector<explain::MeasuredMetric>& metrics);
/// Every metric with its parameters, for the help.
std::string metricsHelp();

}  // namespace orrery::cli
