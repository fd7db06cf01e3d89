#include <charconv>
#include <cmath>
#include <iostream>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/scaling/fit_document.h>
#include <core/scaling/plan.h>
#include <core/train/document_file.h>

#include "scaling.h"
#include "table_argument.h"

namespace orrery::cli {
namespace {

struct PlanArguments {
    std::string fit, against;
    std::vector<double> budgets;
    std::vector<std::string> places;
    double k = scaling::kFlopsPerParameterToken, from = 0, to = 0;
};

/// A fit and, if it was kept with them, its resamples.
struct OpenedFit {
    scaling::FittedLaw law;
    std::optional<scaling::Bootstrap> bootstrap;
};

// chinchilla?E=1.69&A=406.4&...
core::Json lawText(const std::string& text)
{
    const auto mark = text.find('?');
    core::Json document{{"law", text.substr(0, mark)}, {"parameters", core::Json::object()}};
    for (const auto& part : core::split(std::string_view(text).substr(mark + 1), '&'))
        core::setByPath(document["parameters"], part);
    return document;
}

OpenedFit openFit(const Session& session, const std::string& text)
{
    constexpr std::string_view kAnalysis = "analysis:";
    if (text.starts_with(kAnalysis)) {
        std::int64_t id = 0;
        const auto [end, error] = std::from_chars(text.data() + kAnalysis.size(), text.data() + text.size(), id);
        if (error != std::errc() || end != text.data() + text.size())
            throw core::InputError(fmt::format("{}: expected analysis:NUMBER", text));
        auto stored = scaling::readFit(*session.workspace(store::OpenMode::ReadOnly), id);
        return {{stored.outcome.law, stored.outcome.fit.parameters}, std::move(stored.outcome.bootstrap)};
    }
    if (text.find('?') != std::string::npos && !std::filesystem::exists(text))
        return {scaling::fittedLawFromJson(lawText(text), text), {}};
    if (!std::filesystem::exists(text))
        throw core::InputError(fmt::format(
            "{}: expected a file of `scaling fit --out`, analysis:ID, or a law with its parameters such as chinchilla?E=1.69&A=406.4&...", text));
    return {scaling::fittedLawFromJson(train::parseJsonDocument(core::readFile(text, 1 << 24), text), text), {}};
}

std::vector<double> placeFrom(const std::string& text, const scaling::Law& law)
{
    core::Json given = core::Json::object();
    for (const auto& part : core::split(text, ','))
        core::setByPath(given, part);
    std::vector<double> place;
    for (const auto& name : law.inputs()) {
        if (!given.contains(name) || !given.at(name).is_number() || !(given.at(name).get<double>() > 0))
            throw core::InputError(fmt::format("--at {}: expected {}=NUMBER, above 0", text, core::join(law.inputs(), "=NUMBER,")));
        place.push_back(given.at(name).get<double>());
    }
    return place;
}

core::Json intervalJson(std::vector<double> values, double level)
{
    const auto interval = scaling::percentiles(std::move(values), level);
    return {interval.low, interval.high};
}

core::Json planJson(const OpenedFit& fit, double budget, double k)
{
    const auto plan = scaling::planCompute(*fit.law.law, fit.law.parameters, budget, k);
    core::Json document{{"budget", budget},
                        {"N", plan.N},
                        {"D", plan.D},
                        {"loss", plan.loss},
                        {"tokens_per_parameter", plan.D / plan.N},
                        {"closed_form", plan.closedForm}};
    if (!fit.bootstrap)
        return document;
    std::vector<double> sizes, data, losses;
    for (const auto& parameters : fit.bootstrap->parameters)
        try {
            const auto resampled = scaling::planCompute(*fit.law.law, parameters, budget, k);
            sizes.push_back(resampled.N);
            data.push_back(resampled.D);
            losses.push_back(resampled.loss);
        } catch (const core::InputError&) {
            // A resample whose law has no best split says nothing about where it is.
        }
    const double level = fit.bootstrap->options.level;
    if (!sizes.empty())
        document["intervals"] = {
            {"level", level}, {"N", intervalJson(sizes, level)}, {"D", intervalJson(data, level)}, {"loss", intervalJson(losses, level)}};
    return document;
}

core::Json crossingsJson(const Session& session, const OpenedFit& fit, const PlanArguments& options)
{
    const auto other = openFit(session, options.against);
    core::Json list = core::Json::array();
    for (const auto& crossing : scaling::crossings(*fit.law.law, fit.law.parameters, *other.law.law, other.law.parameters, options.from, options.to))
        list.push_back({{"x", crossing.x}, {"loss", crossing.loss}});
    return list;
}

void printPlan(const core::Json& document, const PlanArguments& options)
{
    const auto number = [](const core::Json& value) { return numberText(value.get<double>()); };
    const auto interval = [&](const core::Json& plan, const char* name) {
        return plan.contains("intervals")
                   ? fmt::format(" ({} to {})", number(plan.at("intervals").at(name)[0]), number(plan.at("intervals").at(name)[1]))
                   : std::string();
    };
    for (const auto& plan : document.value("budgets", core::Json::array()))
        std::cout << fmt::format("budget {}: N {}{}, D {}{}, loss {}{}, {} tokens a parameter\n", number(plan.at("budget")), number(plan.at("N")),
                                 interval(plan, "N"), number(plan.at("D")), interval(plan, "D"), number(plan.at("loss")), interval(plan, "loss"),
                                 number(plan.at("tokens_per_parameter")));
    for (const auto& place : document.value("losses", core::Json::array()))
        std::cout << fmt::format("{}: loss {}\n", place.at("at").get<std::string>(), number(place.at("loss")));
    for (const auto& crossing : document.value("crossings", core::Json::array()))
        std::cout << fmt::format("crossing at x {}, loss {}\n", number(crossing.at("x")), number(crossing.at("loss")));
    if (document.contains("crossings") && document.at("crossings").empty())
        std::cout << fmt::format("no crossing between {} and {}\n", numberText(options.from), numberText(options.to));
}

Exit runPlan(Session& session, const PlanArguments& options)
{
    if (options.budgets.empty() && options.places.empty() && options.against.empty())
        throw core::InputError("scaling plan: expected --budget FLOPS, --at PLACE or --against FIT");
    if (!options.against.empty() && !(options.from > 0 && options.to > options.from))
        throw core::InputError("--against: expected --from X and --to X, 0 < from < to");
    const auto fit = openFit(session, options.fit);
    core::Json document{{"formula", fit.law.law->formula()}};
    for (const double budget : options.budgets)
        document["budgets"].push_back(planJson(fit, budget, options.k));
    for (const auto& text : options.places)
        document["losses"].push_back({{"at", text}, {"loss", fit.law.law->at(fit.law.parameters, placeFrom(text, *fit.law.law))}});
    if (!options.against.empty())
        document["crossings"] = crossingsJson(session, fit, options);
    session.json ? session.print(document) : printPlan(document, options);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareScalingPlan(CLI::App& app)
{
    auto options = std::make_shared<PlanArguments>();
    app.add_option("fit", options->fit, "A file of `scaling fit --out` or --json, analysis:ID of the workspace, or LAW?PARAMETER=VALUE&...")
        ->required();
    app.add_option("--budget", options->budgets, "Compute in FLOPs: the N and D of the smallest loss; may be given several times.");
    app.add_option("--flops", options->k, "FLOPs per parameter and token.");
    app.add_option("--at", options->places, "Loss at a place: N=1e9,D=2e10 or x=1e6; may be given several times.");
    app.add_option("--against", options->against, "Another fit of one input: where the two cross.");
    app.add_option("--from", options->from, "Crossings: smallest x.");
    app.add_option("--to", options->to, "Crossings: largest x.");
    return [options](Session& session) { return runPlan(session, *options); };
}

}  // namespace orrery::cli
