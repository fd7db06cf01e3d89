#include <algorithm>
#include <iostream>

#include <core/base/files.h>
#include <core/base/text.h>
#include <core/report/html.h>
#include <core/scaling/fit_plot.h>

#include "../number_checks.h"
#include "../output_file.h"
#include "scaling.h"
#include "table_argument.h"

namespace orrery::cli {
namespace {

struct IsoflopArguments {
    TableArgument table;
    scaling::IsoflopOptions settings;
    std::vector<double> budgets;
    std::string plot;
};

bool hasColumn(const scaling::Table& table, const scaling::ColumnMap& map, const std::string& name)
{
    return map.sources.contains(name) || std::find(table.names.begin(), table.names.end(), name) != table.names.end();
}

core::Json finiteOrNull(double value)
{
    return std::isfinite(value) ? core::Json(value) : core::Json();
}

core::Json budgetLawJson(const scaling::BudgetLaw& law, const std::optional<scaling::Interval>& interval)
{
    core::Json document{{"factor", law.factor}, {"exponent", law.exponent}};
    if (interval)
        document["exponent_interval"] = {finiteOrNull(interval->low), finiteOrNull(interval->high)};
    return document;
}

core::Json isoflopJson(const scaling::Isoflop& result, const IsoflopArguments& options)
{
    core::Json profiles = core::Json::array(), planned = core::Json::array();
    for (const auto& profile : result.profiles)
        profiles.push_back({{"budget", profile.budget},
                            {"rows", profile.rows.size()},
                            {"curvature", profile.curvature},
                            {"N", finiteOrNull(profile.N)},
                            {"D", finiteOrNull(profile.D)},
                            {"loss", finiteOrNull(profile.loss)},
                            {"inside", profile.inside}});
    for (const double budget : options.budgets)
        planned.push_back({{"budget", budget}, {"N", result.N.at(budget)}, {"D", result.D.at(budget)}});
    core::Json document{{"profiles", profiles},
                        {"used", result.used},
                        {"N", budgetLawJson(result.N, result.exponentN)},
                        {"D", budgetLawJson(result.D, result.exponentD)}};
    if (!planned.empty())
        document["budgets"] = planned;
    return document;
}

void printBudgetLaw(const char* name, const scaling::BudgetLaw& law, const std::optional<scaling::Interval>& interval, double level)
{
    std::cout << fmt::format("{} = {} C^{}", name, numberText(law.factor), numberText(law.exponent));
    if (interval)
        std::cout << fmt::format("    exponent: {} to {} ({:g} % interval)", numberText(interval->low), numberText(interval->high), 100 * level);
    std::cout << "\n";
}

void printIsoflop(const scaling::Isoflop& result, const IsoflopArguments& options)
{
    std::cout << fmt::format("{:>12} {:>6} {:>12} {:>12} {:>10}\n", "budget", "rows", "best N", "best D", "loss");
    for (const auto& profile : result.profiles)
        std::cout << fmt::format("{:>12} {:>6} {:>12} {:>12} {:>10}{}\n", numberText(profile.budget), profile.rows.size(), numberText(profile.N),
                                 numberText(profile.D), numberText(profile.loss), profile.inside ? "" : "  not inside its sizes: left out");
    printBudgetLaw("N", result.N, result.exponentN, options.settings.level);
    printBudgetLaw("D", result.D, result.exponentD, options.settings.level);
    for (const double budget : options.budgets)
        std::cout << fmt::format("budget {}: N {}, D {}\n", numberText(budget), numberText(result.N.at(budget)), numberText(result.D.at(budget)));
}

Exit runIsoflop(Session& session, IsoflopArguments options)
{
    requireSvg(options.plot);
    const auto given = options.table.map();
    const bool compute = given.sources.contains("C");
    const auto table = options.table.open(session, {"N", compute ? "C" : "D", "loss"});
    const std::vector<std::string> inputs = {"N", hasColumn(table, given, "C") ? "C" : "D"};
    auto map = given;
    if (options.table.runs)
        map.sources.clear();
    const auto points = scaling::pointsOf(table, inputs, map);
    options.settings.seed = session.seed;
    auto context = progressContext(session);
    context.onProgress = [&session](const jobs::Progress& progress) {
        session.showProgress(progress.done, progress.total, progress.unit, progress.phase);
    };
    const auto result = scaling::fitIsoflop(points, options.settings, context);
    session.endProgress();
    if (!options.plot.empty())
        core::writeFileAtomically(options.plot, report::toSvg(scaling::drawIsoflop(result, points), "IsoFLOP profiles",
                                                              "Loss over N for each budget, with parabolas and minima."));
    if (session.json)
        session.print(isoflopJson(result, options));
    else
        printIsoflop(result, options);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareScalingIsoflop(CLI::App& app)
{
    auto options = std::make_shared<IsoflopArguments>();
    options->table.declare(app);
    app.add_option("--tolerance", options->settings.tolerance, "Budgets that differ by less than this share are one.")->check(between(0, 10));
    app.add_option("--flops", options->settings.k, "FLOPs per parameter and token, where the table has D instead of C.")->check(positive());
    app.add_option("--budget", options->budgets, "Also say the best N and D for this budget in FLOPs; may be given several times.")
        ->check(positive());
    app.add_option("--resamples", options->settings.resamples, "Resamples of the bootstrap of the exponents; 0: none.")
        ->check(CLI::Range(0, 1'000'000));
    app.add_option("--level", options->settings.level, "Share of the resamples that intervals hold.")->check(between(0.01, 0.9999));
    app.add_option("--plot", options->plot, "SVG file: profiles, parabolas, minima.");
    return [options](Session& session) { return runIsoflop(session, *options); };
}

}  // namespace orrery::cli
