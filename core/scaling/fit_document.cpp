#include "fit_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <core/base/text.h>

#include "fit_parts.h"

namespace orrery::scaling {
namespace {

using core::Json;

Json finite(double value)
{
    return std::isfinite(value) ? Json(value) : Json(nullptr);
}

// {"N": "params"}: names to texts, or to numbers.
template <class Value>
std::map<std::string, Value> mapFrom(const Json& document, const char* place, const char* wanted)
{
    std::map<std::string, Value> map;
    const bool text = std::is_same_v<Value, std::string>;
    bool fits = document.is_object();
    for (auto it = document.begin(); fits && it != document.end(); ++it)
        fits = text ? it->is_string() : it->is_number();
    if (!fits)
        throw core::DocumentError({{place, fmt::format("expected an object NAME: {}, got {}", wanted, document.dump())}});
    for (const auto& [name, value] : document.items())
        map[name] = value.template get<Value>();
    return map;
}

Json heldOutJson(const HeldOut& held, const Points& points)
{
    Json rows = Json::array();
    for (std::size_t i = 0; i < held.rows.size(); ++i)
        rows.push_back({{"row", held.rows[i]},
                        {"place", points.places[held.rows[i]]},
                        {"loss", points.loss[held.rows[i]]},
                        {"predicted", finite(held.predicted[i])},
                        {"error", finite(held.errors[i])}});
    return {{"column", held.column},
            {"below", held.below},
            {"mean_error", finite(held.meanError)},
            {"largest_error", finite(held.largestError)},
            {"rows", rows}};
}

Json bootstrapJson(const Bootstrap& bootstrap, const Law& law)
{
    Json intervals = Json::object();
    for (std::size_t k = 0; k < bootstrap.intervals.size(); ++k)
        intervals[law.parameters()[k].name] = {finite(bootstrap.intervals[k].low), finite(bootstrap.intervals[k].high)};
    return {{"resamples", bootstrap.options.resamples},
            {"level", bootstrap.options.level},
            {"seed", bootstrap.options.seed},
            {"failed", bootstrap.failed},
            {"intervals", intervals}};
}

Json certificateJson(const Certificate& certificate)
{
    Json optima = Json::array();
    for (const auto& optimum : certificate.optima)
        optima.push_back({{"objective", finite(optimum.objective)}, {"starts", optimum.count}});
    return {{"starts", certificate.starts},         {"converged", certificate.converged},       {"reached_best", certificate.reachedBest},
            {"spread", finite(certificate.spread)}, {"gradient", finite(certificate.gradient)}, {"optima", optima}};
}

std::vector<double> parametersFrom(const Json& document, const Law& law, const std::string& name)
{
    std::vector<double> parameters;
    const auto given = document.find("parameters");
    for (const auto& parameter : law.parameters()) {
        if (given == document.end() || !given->is_object() || !given->contains(parameter.name) || !given->at(parameter.name).is_number())
            throw core::FormatError(fmt::format(
                "{}: parameters.{}: expected a number, found {}", name, parameter.name,
                given != document.end() && given->is_object() && given->contains(parameter.name) ? given->at(parameter.name).dump() : "none"));
        parameters.push_back(given->at(parameter.name).get<double>());
        if (parameter.positive && !(parameters.back() >= 0))
            throw core::FormatError(
                fmt::format("{}: parameters.{}: expected a number above 0, got {}", name, parameter.name, core::formatNumber(parameters.back())));
    }
    return parameters;
}

// A cut-off may be given by the column's own name.
std::string inputNamed(const ColumnMap& map, const std::string& name)
{
    for (const auto& [input, source] : map.sources)
        if (source == name && input != "loss")
            return input;
    return name;
}

std::vector<std::string> columnsForLaw(const Table& table, const ColumnMap& map)
{
    std::vector<std::string> names;
    for (const auto& name : table.names)
        if (name != "loss")
            names.push_back(name);
    for (const auto& [name, source] : map.sources)
        if (name != "loss")
            names.push_back(name);
    return names;
}

}  // namespace

const core::Schema& fitSchema()
{
    static const core::Schema schema = {
        core::component("law", "law", "chinchilla", "The law to fit."),
        core::choice("objective", {"huber", "least_squares", "absolute"}, "huber",
                     "What is summed over the rows: Huber's function, r^2 or |r| of the residual r."),
        core::real("delta", 1e-3, "Residual from which Huber's function goes on as a line.").above(0).log().when("objective", {"huber"}),
        core::choice("space", {"log", "linear"}, "log", "Residuals of the logarithm of the loss, or of the loss itself."),
        core::choice("search", {"grid", "random"}, "grid", "Where descents start: the law's grid, or at random."),
        core::integer("starts", 256, "Random starts.").range(1, 1'000'000).when("search", {"random"}),
        core::integer("seed", 0, "Seed of random starts and of the bootstrap.").atLeast(0),
        core::any("columns", Json::object(), "Where the table holds what the law takes: {\"loss\": \"val_loss\", \"N\": \"params\"}."),
        core::any("scale", Json::object(), "Factors of columns: {\"N\": 1e6} for sizes in millions."),
        core::text("hold_out", "", "Column of a cut-off: rows below it are fitted, the others predicted; empty: all are fitted."),
        core::real("below", 0, "The cut-off.").atLeast(0),
        core::integer("resamples", 0, "Resamples of the bootstrap; 0: none.").range(0, 1'000'000),
        core::real("level", 0.9, "Share of the resamples that intervals and bands hold.").above(0).below(1),
        core::integer("restarts", 2, "Further starts of each resample, beside the fit itself.").range(0, 1000),
    };
    return schema;
}

FitRequest requestFromJson(const Json& document)
{
    core::addFamily(lawRegistry());
    const auto resolved = fitSchema().resolve(document);
    FitRequest request;
    request.law = resolved.at("law");
    const auto objective = resolved.at("objective").get<std::string>();
    request.objective.kind = objective == "huber"      ? Objective::Kind::Huber
                             : objective == "absolute" ? Objective::Kind::Absolute
                                                       : Objective::Kind::LeastSquares;
    request.objective.delta = resolved.value("delta", request.objective.delta);
    request.objective.space = resolved.at("space") == "log" ? Space::Log : Space::Linear;
    request.starts.random = resolved.at("search") == "random";
    request.starts.count = resolved.value("starts", request.starts.count);
    request.starts.seed = request.bootstrap.seed = resolved.at("seed").get<std::uint64_t>();
    request.columns.sources = mapFrom<std::string>(resolved.at("columns"), "columns", "column");
    request.columns.scales = mapFrom<double>(resolved.at("scale"), "scale", "factor");
    request.holdOut = resolved.at("hold_out").get<std::string>();
    request.below = resolved.at("below").get<double>();
    request.bootstrap.resamples = resolved.at("resamples").get<int>();
    request.bootstrap.level = resolved.at("level").get<double>();
    request.bootstrap.restarts = resolved.at("restarts").get<int>();
    return request;
}

Json toJson(const FitRequest& request)
{
    Json document{{"law", request.law}, {"objective", objectiveName(request.objective.kind)}};
    if (request.objective.kind == Objective::Kind::Huber)
        document["delta"] = request.objective.delta;
    document["space"] = request.objective.space == Space::Log ? "log" : "linear";
    document["search"] = request.starts.random ? "random" : "grid";
    if (request.starts.random)
        document["starts"] = request.starts.count;
    document["seed"] = request.starts.seed;
    document["columns"] = Json(request.columns.sources).is_null() ? Json::object() : Json(request.columns.sources);
    document["scale"] = Json(request.columns.scales).is_null() ? Json::object() : Json(request.columns.scales);
    document["hold_out"] = request.holdOut;
    document["below"] = request.below;
    document["resamples"] = request.bootstrap.resamples;
    document["level"] = request.bootstrap.level;
    document["restarts"] = request.bootstrap.restarts;
    return document;
}

FitOutcome runFit(const FitRequest& request, const Table& table, jobs::Context& context)
{
    FitOutcome outcome;
    outcome.request = request;
    outcome.law = makeLaw(request.law, columnsForLaw(table, request.columns));
    outcome.request.columns = completeMap(table, outcome.law->inputs(), request.columns);
    outcome.request.holdOut = inputNamed(outcome.request.columns, request.holdOut);
    outcome.points = pointsOf(table, outcome.law->inputs(), request.columns);
    auto fitted = outcome.points;
    if (!outcome.request.holdOut.empty()) {
        outcome.heldOut = fitBelow(*outcome.law, outcome.points, request.objective, request.starts, outcome.request.holdOut, request.below, context);
        outcome.fit = outcome.heldOut->fit;
        std::vector<std::size_t> below;
        for (std::size_t row = 0; row < outcome.points.rows(); ++row)
            if (!std::binary_search(outcome.heldOut->rows.begin(), outcome.heldOut->rows.end(), row))
                below.push_back(row);
        fitted = outcome.points.subset(below);
        const double r2 = outcome.fit.r2;
        completeFit(*outcome.law, outcome.points, request.objective, outcome.fit);
        outcome.fit.r2 = r2;
    } else {
        outcome.fit = fitLaw(*outcome.law, outcome.points, request.objective, request.starts, context);
    }
    if (request.bootstrap.resamples > 0)
        outcome.bootstrap = bootstrapFit(*outcome.law, fitted, request.objective, outcome.fit, request.bootstrap, context);
    return outcome;
}

Json resultJson(const FitOutcome& outcome)
{
    const auto& objective = outcome.request.objective;
    Json parameters = Json::object();
    for (std::size_t k = 0; k < outcome.fit.parameters.size(); ++k)
        parameters[outcome.law->parameters()[k].name] = finite(outcome.fit.parameters[k]);
    Json measured{{"name", objectiveName(objective.kind)}};
    if (objective.kind == Objective::Kind::Huber)
        measured["delta"] = objective.delta;
    measured["space"] = objective.space == Space::Log ? "log" : "linear";
    measured["value"] = finite(outcome.fit.objective);
    auto settings = outcome.request.law;
    if (settings.is_object())
        settings.erase("id");
    Json document{{"law", outcome.request.law.is_object() ? outcome.request.law.at("id") : outcome.request.law}, {"formula", outcome.law->formula()}};
    if (settings.is_object() && !settings.empty())
        document["law_settings"] = settings;
    document.update({{"parameters", parameters},
                     {"objective", measured},
                     {"rows", outcome.points.rows() - (outcome.heldOut ? outcome.heldOut->rows.size() : 0)},
                     {"inputs", outcome.law->inputs()},
                     {"r2", finite(outcome.fit.r2)},
                     {"certificate", certificateJson(outcome.fit.certificate)}});
    if (outcome.heldOut)
        document["held_out"] = heldOutJson(*outcome.heldOut, outcome.points);
    if (outcome.bootstrap)
        document["bootstrap"] = bootstrapJson(*outcome.bootstrap, *outcome.law);
    return document;
}

FittedLaw fittedLawFromJson(const Json& document, const std::string& name)
{
    if (!document.is_object() || !document.contains("law") || !document.at("law").is_string())
        throw core::FormatError(fmt::format("{}: law: expected the name of a law, found {}", name,
                                            document.is_object() && document.contains("law") ? document.at("law").dump() : "none"));
    Json law{{"id", document.at("law")}};
    if (const auto settings = document.find("law_settings"); settings != document.end() && settings->is_object())
        law.update(*settings);
    std::vector<std::string> inputs;
    if (const auto given = document.find("inputs"); given != document.end() && given->is_array())
        for (const auto& input : *given)
            if (input.is_string())
                inputs.push_back(input.get<std::string>());
    FittedLaw fitted{makeLaw(law, inputs), {}};
    fitted.parameters = parametersFrom(document, *fitted.law, name);
    return fitted;
}

}  // namespace orrery::scaling
