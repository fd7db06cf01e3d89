#include "attribution_metrics.h"

#include <core/base/text.h>

namespace orrery::cli {

void MetricArguments::declare(CLI::App& app)
{
    app.add_option("--metric,--metrics", ids, "Metrics of the attribution, see `orrery-cli list attribution_metric`: one, or several with commas.")
        ->delimiter(',')
        ->allow_extra_args(false);
    app.add_option("--metric-set", settings, "Parameter of a metric: ID.name=value; see below.");
}

std::vector<explain::MetricRequest> MetricArguments::requests() const
{
    std::vector<explain::MetricRequest> requests;
    const auto find = [&](const std::string& id) {
        return std::find_if(requests.begin(), requests.end(), [&](const auto& request) { return request.id == id; });
    };
    for (const auto& id : ids) {
        explain::attributionMetricRegistry().at(id);
        if (find(id) != requests.end())
            throw core::InputError(fmt::format("--metric {}: asked for twice", id));
        requests.push_back({id, core::Json::object()});
    }
    for (const auto& setting : settings) {
        const auto dot = setting.find('.');
        const auto request = find(setting.substr(0, dot));
        if (dot == std::string::npos || setting.find('=') < dot || request == requests.end())
            throw core::InputError(fmt::format("--metric-set {}: expected ID.name=value with ID one of the metrics asked for ({})", setting,
                                               ids.empty() ? "none: use --metric" : core::join(ids, ", ")));
        core::setByPath(request->parameters, setting.substr(dot + 1));
    }
    for (auto& request : requests)
        request.parameters = explain::attributionMetricRegistry().at(request.id).schema.resolve(request.parameters, request.id);
    return requests;
}

core::Json metricsJson(const std::vector<explain::MeasuredMetric>& metrics)
{
    auto document = core::Json::object();
    for (const auto& metric : metrics)
        document[metric.id] = explain::toJson(metric);
    return document;
}

std::string metricsText(const std::vector<explain::MeasuredMetric>& metrics)
{
    std::string text;
    for (const auto& metric : metrics)
        text += fmt::format("{:<19} {}\n", metric.id, explain::toJson(metric)["value"].dump());
    return text;
}

std::string metricsHelp()
{
    std::string text = "\nMetrics and their parameters (--metrics ID,ID, --metric-set ID.name=value):\n";
    for (const auto& metric : explain::attributionMetricRegistry().components())
        text += fmt::format("\n{}: {}\n{}", metric.id, metric.summary, metric.schema.helpText());
    return text;
}

}  // namespace orrery::cli
