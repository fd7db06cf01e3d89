// Rows out of the runs of a workspace.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/expression.h>
#include <core/base/text.h>
#include <core/graph/weights.h>
#include <core/zoo/zoo.h>

#include "points.h"

namespace orrery::scaling {
namespace {

const core::Json* atPath(const core::Json& document, const std::string& path)
{
    const core::Json* at = &document;
    for (const auto& key : core::split(path, '.')) {
        if (!at->is_object() || !at->contains(key))
            return nullptr;
        at = &at->at(key);
    }
    return at;
}

double weightsOf(const store::RunRecord& run)
{
    const auto* model = atPath(run.document, "model");
    if (!model || !model->is_object() || !model->contains("id"))
        throw core::InputError(
            fmt::format("run {}: `parameters` is known of models of the zoo, this one is {}", run.id, model ? model->dump() : "none"));
    auto settings = *model;
    settings.erase("id");
    return double(graph::parameterCount(*zoo::buildGraph(model->at("id").get<std::string>(), settings).graph));
}

double documentNumber(const store::RunRecord& run, const std::string& name)
{
    if (name == "parameters")
        return weightsOf(run);
    const auto* value = atPath(run.document, name);
    if (!value || !value->is_number())
        throw core::InputError(
            fmt::format("run {}: expected a number at \"{}\" of its document, found {}", run.id, name, value ? value->dump() : "none"));
    return value->get<double>();
}

/// Where the numbers of a column come from.
struct Source {
    std::string metric;  ///< or empty
    core::Expression expression;
};

Source sourceFrom(const std::string& text, const std::vector<std::string>& metrics)
{
    if (std::find(metrics.begin(), metrics.end(), text) != metrics.end())
        return {text, {}};
    Source source{{}, core::parseExpression(text)};
    const auto names = source.expression.variables();
    if (text.find('/') != std::string::npos && names.size() <= 2 && !names.contains("parameters") &&
        std::none_of(names.begin(), names.end(), [](const std::string& name) { return name.find('.') != std::string::npos; }))
        throw core::InputError(
            fmt::format("unknown metric \"{}\"{}; these runs have {}", text, core::didYouMean(text, metrics), core::join(metrics, ", ")));
    return source;
}

double numberOf(const Source& source, const store::RunRecord& run)
{
    if (!source.metric.empty()) {
        const auto found = run.lastMetrics.find(source.metric);
        if (found == run.lastMetrics.end())
            throw core::InputError(fmt::format("run {}: has no metric \"{}\": leave it out of the query", run.id, source.metric));
        return found->second;
    }
    std::map<std::string, double> values;
    for (const auto& name : source.expression.variables())
        values[name] = documentNumber(run, name);
    return core::evaluate(source.expression, values);
}

}  // namespace

Table tableOfRuns(const store::Workspace& workspace, const store::RunQuery& query, const std::map<std::string, std::string>& sources)
{
    const auto list = workspace.runs(query);
    if (list.runs.empty())
        throw core::InputError("runs: no run of the workspace matches the query");
    Table table;
    table.name = "runs";
    std::vector<store::RunId> ids;
    for (const auto& run : list.runs)
        ids.push_back(run.id);
    const auto metrics = workspace.metricNames(ids);
    std::vector<Source> parsed;
    for (const auto& [name, text] : sources) {
        table.names.push_back(name);
        parsed.push_back(sourceFrom(text, metrics));
    }
    table.columns.resize(parsed.size());
    table.texts.resize(parsed.size());
    for (const auto id : ids) {
        const auto run = workspace.run(id);
        table.runs.push_back(id);
        table.places.push_back(fmt::format("run {}", id));
        for (std::size_t i = 0; i < parsed.size(); ++i)
            table.columns[i].push_back(numberOf(parsed[i], run));
    }
    return table;
}

}  // namespace orrery::scaling
