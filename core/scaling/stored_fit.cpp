// Fits kept in a workspace.

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include <core/base/text.h>

#include "fit_document.h"
#include "fit_parts.h"

namespace orrery::scaling {
namespace {

using core::Json;

// The columns a law took, in its own names and units; beside them the row's run, or its line in the file.
Table tableOfPoints(const Points& points)
{
    Table table;
    table.places = points.places;
    table.runs = points.runs;
    if (points.runs.empty()) {
        table.names.push_back("line");
        auto& lines = table.columns.emplace_back();
        for (const auto& place : points.places) {
            int line = 0;
            std::from_chars(place.data() + std::min<std::size_t>(5, place.size()), place.data() + place.size(), line);
            lines.push_back(line);
        }
    }
    table.names.insert(table.names.end(), points.inputNames.begin(), points.inputNames.end());
    table.columns.insert(table.columns.end(), points.inputs.begin(), points.inputs.end());
    table.names.push_back("loss");
    table.columns.push_back(points.loss);
    return table;
}

Table tableOfResamples(const Law& law, const Bootstrap& bootstrap)
{
    Table table;
    for (std::size_t k = 0; k < law.parameters().size(); ++k) {
        table.names.push_back(law.parameters()[k].name);
        auto& column = table.columns.emplace_back();
        for (const auto& parameters : bootstrap.parameters)
            column.push_back(parameters[k]);
    }
    table.places.resize(bootstrap.parameters.size());
    return table;
}

const store::Artifact* artifactNamed(const store::Analysis& analysis, const std::string& name)
{
    for (const auto& artifact : analysis.artifacts)
        if (artifact.name == name)
            return &artifact;
    return nullptr;
}

Table readArtifactTable(const store::Workspace& workspace, const store::Analysis& analysis, const std::string& name)
{
    const auto* artifact = artifactNamed(analysis, name);
    if (!artifact)
        throw core::FormatError(fmt::format("analysis {}: expected the artifact \"{}\", found none", analysis.id, name));
    return parseTable(workspace.readArtifact(*artifact), fmt::format("analysis {}, {}", analysis.id, name));
}

Points readPoints(const store::Workspace& workspace, const store::Analysis& analysis, const std::vector<std::string>& inputs)
{
    const auto table = readArtifactTable(workspace, analysis, "points");
    auto points = pointsOf(table, inputs, {});
    points.name = analysis.inputs.is_object() && analysis.inputs.contains("file") ? analysis.inputs.at("file").dump() : "runs";
    for (const std::string column : {"run", "line"}) {
        if (std::find(table.names.begin(), table.names.end(), column) == table.names.end())
            continue;
        const auto numbers = numbersOf(table, column, {});
        for (std::size_t row = 0; row < numbers.size(); ++row) {
            points.places[row] = fmt::format("{} {:.0f}", column, numbers[row]);
            if (column == "run")
                points.runs.push_back(store::RunId(numbers[row]));
        }
    }
    return points;
}

Certificate certificateFrom(const Json& document)
{
    Certificate certificate;
    const auto number = [](const Json& from, const char* key) {
        return from.contains(key) && from.at(key).is_number() ? from.at(key).get<double>() : std::nan("");
    };
    certificate.starts = document.at("starts").get<std::size_t>();
    certificate.converged = document.at("converged").get<std::size_t>();
    certificate.reachedBest = document.at("reached_best").get<std::size_t>();
    certificate.spread = number(document, "spread");
    certificate.gradient = number(document, "gradient");
    for (const auto& optimum : document.at("optima"))
        certificate.optima.push_back({number(optimum, "objective"), optimum.at("starts").get<std::size_t>()});
    return certificate;
}

HeldOut heldOutAgain(const FitOutcome& outcome)
{
    HeldOut held;
    held.column = outcome.request.holdOut;
    held.below = outcome.request.below;
    held.fit = outcome.fit;
    const auto input = std::find(outcome.points.inputNames.begin(), outcome.points.inputNames.end(), held.column);
    if (input == outcome.points.inputNames.end())
        throw core::FormatError(fmt::format("held_out: \"{}\" is no input of the law", held.column));
    const auto& values = outcome.points.inputs[std::size_t(input - outcome.points.inputNames.begin())];
    for (std::size_t row = 0; row < values.size(); ++row)
        if (values[row] >= held.below)
            held.rows.push_back(row);
    addErrors(*outcome.law, outcome.points, held);
    return held;
}

Bootstrap bootstrapAgain(const store::Workspace& workspace, const store::Analysis& analysis, const FitOutcome& outcome)
{
    const auto table = readArtifactTable(workspace, analysis, "resamples");
    Bootstrap bootstrap;
    bootstrap.options = outcome.request.bootstrap;
    bootstrap.parameters.assign(table.rows(), {});
    for (const auto& parameter : outcome.law->parameters()) {
        const auto column = std::find(table.names.begin(), table.names.end(), parameter.name);
        if (column == table.names.end())
            throw core::FormatError(fmt::format("analysis {}, resamples: expected a column \"{}\", found none", analysis.id, parameter.name));
        const auto& values = table.columns[std::size_t(column - table.names.begin())];
        for (std::size_t row = 0; row < values.size(); ++row)
            bootstrap.parameters[row].push_back(values[row]);
        bootstrap.intervals.push_back(percentiles(values, bootstrap.options.level));
    }
    bootstrap.failed = std::size_t(bootstrap.options.resamples) - std::min(table.rows(), std::size_t(bootstrap.options.resamples));
    return bootstrap;
}

FitOutcome outcomeFrom(const store::Workspace& workspace, const store::Analysis& analysis)
{
    FitOutcome outcome;
    outcome.request = requestFromJson(analysis.parameters);
    auto fitted = fittedLawFromJson(analysis.results, fmt::format("analysis {}", analysis.id));
    outcome.law = fitted.law;
    outcome.points = readPoints(workspace, analysis, outcome.law->inputs());
    outcome.fit.parameters = std::move(fitted.parameters);
    completeFit(*outcome.law, outcome.points, outcome.request.objective, outcome.fit);
    outcome.fit.r2 = analysis.results.at("r2").is_number() ? analysis.results.at("r2").get<double>() : std::nan("");
    outcome.fit.objective = analysis.results.at("objective").at("value").get<double>();
    outcome.fit.certificate = certificateFrom(analysis.results.at("certificate"));
    if (!outcome.request.holdOut.empty())
        outcome.heldOut = heldOutAgain(outcome);
    if (outcome.request.bootstrap.resamples > 0)
        outcome.bootstrap = bootstrapAgain(workspace, analysis, outcome);
    return outcome;
}

}  // namespace

std::int64_t storeFit(store::Workspace& workspace, const FitOutcome& outcome, const Json& data, double seconds)
{
    store::NewAnalysis analysis;
    analysis.method = kFitMethod;
    analysis.inputs = data;
    analysis.parameters = toJson(outcome.request);
    analysis.results = resultJson(outcome);
    analysis.seconds = seconds;
    const auto id = workspace.addAnalysis(analysis);
    workspace.addAnalysisArtifact(id, {"points", "text/csv", {}}, tableText(tableOfPoints(outcome.points)));
    if (outcome.bootstrap)
        workspace.addAnalysisArtifact(id, {"resamples", "text/csv", {}}, tableText(tableOfResamples(*outcome.law, *outcome.bootstrap)));
    return id;
}

StoredFit readFit(const store::Workspace& workspace, std::int64_t id)
{
    StoredFit stored{workspace.analysis(id), {}};
    if (stored.analysis.method != kFitMethod)
        throw core::InputError(fmt::format("analysis {}: expected a fit of a scaling law, found \"{}\"", id, stored.analysis.method));
    try {
        stored.outcome = outcomeFrom(workspace, stored.analysis);
    } catch (const Json::exception& error) {
        throw core::FormatError(fmt::format("analysis {}: expected a stored fit, found a document that lacks something: {}", id, error.what()));
    } catch (const core::InputError& error) {
        throw core::FormatError(fmt::format("analysis {}: {}", id, error.what()));
    }
    return stored;
}

}  // namespace orrery::scaling
