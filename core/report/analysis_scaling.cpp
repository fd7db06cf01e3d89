// Stored fits of scaling laws: points with fit and band, residuals, parameters with their intervals.
#include <core/scaling/fit_document.h>
#include <core/scaling/fit_plot.h>
#include <fmt/format.h>

#include "analysis_blocks.h"
#include "plot.h"

namespace orrery::report {
namespace {

/// The parameters as they are stored, to every digit that five give, with the bootstrap's intervals where there are some.
Table parameterTable(const scaling::FitOutcome& outcome)
{
    Table table{outcome.law->formula(), {{"Parameter"}, {"Value", Align::Right}}, {}};
    if (outcome.bootstrap)
        for (const char* end : {"from", "to"})
            table.columns.push_back({fmt::format("{:g} % {}", 100 * outcome.bootstrap->options.level, end), Align::Right});
    const auto& parameters = outcome.law->parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        std::vector<Cell> row{{parameters[i].name}, {shortNumber(outcome.fit.parameters.at(i))}};
        if (outcome.bootstrap) {
            row.push_back({shortNumber(outcome.bootstrap->intervals.at(i).low)});
            row.push_back({shortNumber(outcome.bootstrap->intervals.at(i).high)});
        }
        table.rows.push_back(std::move(row));
    }
    return table;
}

}  // namespace

bool isScalingFit(const store::Analysis& analysis)
{
    return analysis.method == scaling::kFitMethod;
}

void addScalingFit(Section& section, const store::Workspace& workspace, const store::Analysis& analysis)
{
    const scaling::FitOutcome outcome = scaling::readFit(workspace, analysis.id).outcome;
    section.blocks.emplace_back(Picture{drawCurves(scaling::fitCurves(outcome)), "loss of the rows and the fitted law",
                                        fmt::format("{} rows and the law {}.", outcome.points.rows(), outcome.law->formula())});
    section.blocks.emplace_back(parameterTable(outcome));
    section.blocks.emplace_back(
        Picture{drawCurves(scaling::residualCurves(outcome)), "residuals", fmt::format("Residuals of {} rows.", outcome.fit.residuals.size())});
    core::Json rest = analysis.results;
    for (const char* key : {"parameters", "bootstrap", "formula"})
        rest.erase(key);
    addJson(section, rest);
}

}  // namespace orrery::report
