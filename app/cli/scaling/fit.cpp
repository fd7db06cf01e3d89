#include <chrono>
#include <iostream>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/report/html.h>
#include <core/scaling/fit_document.h>
#include <core/scaling/fit_plot.h>

#include "../output_file.h"
#include "scaling.h"
#include "table_argument.h"

namespace orrery::cli {
namespace {

struct FitOptions {
    TableArgument table;
    std::string law = "chinchilla", out, plot, points;
    std::vector<std::string> settings;
    core::Json request = core::Json::object();  ///< what was given of the other options
};

/// An option of the request: kept only where it is given, checked with the rest by the schema.
template <class Value>
CLI::Option* addRequestOption(CLI::App& app, const std::shared_ptr<FitOptions>& options, const std::string& option, const std::string& key)
{
    const auto* parameter = scaling::fitSchema().find(key);
    const auto choices = parameter->choices.empty() ? "" : fmt::format(" One of {}.", core::join(parameter->choices, ", "));
    return app.add_option_function<Value>(
        option, [options, key](const Value& value) { options->request[key] = value; },
        fmt::format("{}{} Default: {}.", parameter->help, choices, parameter->defaultValue.dump()));
}

scaling::FitRequest requestOf(const Session& session, const FitOptions& options)
{
    auto document = options.request;
    core::Json law{{"id", options.law}};
    for (const auto& setting : options.settings)
        core::setByPath(law, setting);
    document["law"] = law;
    if (session.seedGiven)
        document["seed"] = session.seed;
    auto request = scaling::requestFromJson(document);
    request.columns = options.table.map();
    return request;
}

// What the columns of runs must be is known of the law; an expression says so itself.
std::vector<std::string> wantedColumns(const scaling::FitRequest& request)
{
    std::vector<std::string> names;
    for (const auto& [name, source] : request.columns.sources)
        if (name != "loss")
            names.push_back(name);
    if (request.law.at("id") == "expression")
        names.push_back("N");
    auto wanted = scaling::makeLaw(request.law, names)->inputs();
    wanted.push_back("loss");
    return wanted;
}

void printParameters(const scaling::FitOutcome& outcome)
{
    const auto& list = outcome.law->parameters();
    std::cout << fmt::format("{:<12}{:>14}", "parameter", "value");
    if (outcome.bootstrap)
        std::cout << fmt::format("    {:g} % interval", 100 * outcome.bootstrap->options.level);
    std::cout << "\n";
    for (std::size_t k = 0; k < list.size(); ++k) {
        std::cout << fmt::format("{:<12}{:>14}", list[k].name, numberText(outcome.fit.parameters[k]));
        if (outcome.bootstrap)
            std::cout << fmt::format("    {} to {}", numberText(outcome.bootstrap->intervals[k].low),
                                     numberText(outcome.bootstrap->intervals[k].high));
        std::cout << "\n";
    }
}

void printHeldOut(const scaling::FitOutcome& outcome)
{
    const auto& held = *outcome.heldOut;
    std::cout << fmt::format("held out: {} rows with {} >= {}, mean error {}, largest {}\n", held.rows.size(), held.column, numberText(held.below),
                             percentText(held.meanError), percentText(held.largestError));
    constexpr std::size_t kShown = 20;
    for (std::size_t i = 0; i < std::min(held.rows.size(), kShown); ++i)
        std::cout << fmt::format("  {:<10} loss {:<10} predicted {:<10} error {}\n", outcome.points.places[held.rows[i]],
                                 numberText(outcome.points.loss[held.rows[i]]), numberText(held.predicted[i]), percentText(held.errors[i]));
    if (held.rows.size() > kShown)
        std::cout << fmt::format("  and {} more\n", held.rows.size() - kShown);
}

void printOutcome(const scaling::FitOutcome& outcome, const core::Json& document)
{
    const auto& objective = outcome.request.objective;
    const auto& certificate = outcome.fit.certificate;
    std::cout << fmt::format("{}: {}\n{} rows, {}{} of {}: {}, R2 {}\n", document.at("law").get<std::string>(), outcome.law->formula(),
                             document.at("rows").get<int>(), scaling::objectiveName(objective.kind),
                             objective.kind == scaling::Objective::Kind::Huber ? fmt::format(" (delta {:g})", objective.delta) : "",
                             objective.space == scaling::Space::Log ? "ln loss" : "loss", numberText(outcome.fit.objective),
                             numberText(outcome.fit.r2));
    printParameters(outcome);
    std::cout << fmt::format(
        "{} starts: {} ended at an optimum, {} at the best one (their parameters differ by at most {:.2g}), gradient there {:.2g}\n",
        certificate.starts, certificate.converged, certificate.reachedBest, certificate.spread, certificate.gradient);
    if (!certificate.determines())
        std::cout << "these rows leave parameters open: other values of them fit as well\n";
    if (outcome.heldOut)
        printHeldOut(outcome);
    if (outcome.bootstrap && outcome.bootstrap->failed > 0)
        std::cout << fmt::format("{} of {} resamples had too few different rows\n", outcome.bootstrap->failed, outcome.bootstrap->options.resamples);
}

Exit runScalingFit(Session& session, const FitOptions& options)
{
    requireSvg(options.plot);
    requireWritable(options.out);
    requireWritable(options.points);
    const auto request = requestOf(session, options);
    const auto table = options.table.open(session, options.table.runs ? wantedColumns(request) : std::vector<std::string>());
    auto asked = request;
    if (options.table.runs)
        asked.columns.sources.clear();  // the table of runs has its columns under the law's names
    if (!options.points.empty())
        core::writeFileAtomically(options.points, scaling::tableText(table));
    const auto workspace = session.namedWorkspace(store::OpenMode::OpenOrCreate);
    auto context = progressContext(session);
    context.onProgress = [&session](const jobs::Progress& progress) {
        session.showProgress(progress.done, progress.total, progress.unit, progress.phase);
    };
    const auto started = std::chrono::steady_clock::now();
    const auto outcome = scaling::runFit(asked, table, context);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    session.endProgress();
    auto document = scaling::resultJson(outcome);
    if (!options.out.empty())
        core::writeFileAtomically(options.out, document.dump(2) + "\n");
    if (!options.plot.empty())
        core::writeFileAtomically(options.plot,
                                  report::toSvg(scaling::drawFit(outcome), "Fit of " + outcome.law->formula(), "Points, fitted law and residuals."));
    if (workspace)
        document["analysis"] = scaling::storeFit(*workspace, outcome, options.table.document(), seconds);
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    printOutcome(outcome, document);
    for (const auto& file : {options.points, options.out, options.plot})
        if (!file.empty())
            std::cout << "written to " << file << "\n";
    if (workspace)
        std::cout << "stored as analysis " << document.at("analysis").dump() << "\n";
    return Exit::Done;
}

std::string lawsHelp()
{
    std::string text = "Laws:\n";
    for (const auto& law : scaling::lawRegistry().components())
        text += fmt::format("\n{}: {}\n{}", law.id, law.summary, law.schema.helpText());
    return text;
}

std::function<Exit(Session&)> declareFitting(CLI::App& app, int resamples)
{
    auto options = std::make_shared<FitOptions>();
    options->request["resamples"] = resamples;
    app.footer(lawsHelp);
    options->table.declare(app);
    app.add_option("--law", options->law, "The law; see below.")->capture_default_str();
    app.add_option("--set", options->settings, "Setting of the law: --law expression --set 'text=E + A / N^b' --set 'ranges.E=[0.1, 10]'.");
    addRequestOption<std::string>(app, options, "--objective", "objective");
    addRequestOption<double>(app, options, "--delta", "delta");
    addRequestOption<std::string>(app, options, "--space", "space");
    addRequestOption<std::string>(app, options, "--search", "search");
    addRequestOption<std::int64_t>(app, options, "--starts", "starts");
    addRequestOption<std::string>(app, options, "--hold-out", "hold_out");
    addRequestOption<double>(app, options, "--below", "below");
    addRequestOption<std::int64_t>(app, options, "--resamples", "resamples")
        ->description(fmt::format("Resamples of the bootstrap; 0: none. Default: {}.", resamples));
    addRequestOption<double>(app, options, "--level", "level");
    addRequestOption<std::int64_t>(app, options, "--restarts", "restarts");
    app.add_option("--out", options->out, "JSON file for the fit, to be handed to `scaling plan`.");
    app.add_option("--points", options->points, "CSV file for the table as it was read: of runs, to be fitted again elsewhere.");
    app.add_option("--plot", options->plot, "SVG file: points, law, band and residuals.");
    return [options](Session& session) { return runScalingFit(session, *options); };
}

}  // namespace

std::function<Exit(Session&)> declareScalingFit(CLI::App& app)
{
    return declareFitting(app, 0);
}

std::function<Exit(Session&)> declareScalingBootstrap(CLI::App& app)
{
    return declareFitting(app, 1000);
}

}  // namespace orrery::cli
