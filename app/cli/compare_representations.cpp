#include <cmath>
#include <iostream>

#include <core/base/plain_zero.h>
#include <core/base/text.h>

#include "arrays.h"
#include "representation_argument.h"
#include "storing.h"

namespace orrery::cli {
namespace {

struct CompareRepresentationsOptions {
    ModelArgument model;
    std::string other, metric = "cka", out;
    RepresentationArgument rows;
    std::vector<std::string> at, atA, atB, settings;
    bool checkpoints = false;
};

intervene::ComparisonStudy studyOf(const Session& session, const CompareRepresentationsOptions& options)
{
    intervene::ComparisonStudy study;
    study.pooling = intervene::poolingFromText(options.rows.position);
    study.part = data::splitFromName(options.rows.split);
    study.limit = options.rows.limit;
    study.seed = session.seed;
    study.metric = options.metric;
    for (const auto& setting : options.settings)
        core::setByPath(study.parameters, setting);
    study.parameters = intervene::similarityRegistry().at(options.metric).schema.resolve(study.parameters, options.metric);
    return study;
}

intervene::Comparison compare(Session& session, const CompareRepresentationsOptions& options, const Opened& opened,
                              const intervene::ComparisonStudy& study)
{
    const auto& first = options.atA.empty() ? options.at : options.atA;
    const auto& second = options.atB.empty() ? options.at : options.atB;
    if (options.checkpoints) {
        const auto run = runOf(options.model.text);
        if (!run)
            throw core::InputError(fmt::format("--checkpoints: expected a model run:ID, got {}", options.model.text));
        return intervene::compareCheckpoints(*session.workspace(store::OpenMode::ReadOnly), *run, first, *opened.data, study, opened.control);
    }
    const intervene::ComparedModel a{&opened.model, &opened.executor, first};
    if (options.other.empty())
        return intervene::compareModels(a, {&opened.model, &opened.executor, second}, *opened.data, study, opened.control);
    ModelArgument argument = options.model;
    argument.text = options.other;
    const graph::Model model = argument.open(session);
    const graph::Executor executor(model.graph);
    return intervene::compareModels(a, {&model, &executor, second}, *opened.data, study, opened.control);
}

// Columns are numbered: their names stand below, one a line.
void printMatrix(const intervene::Comparison& comparison)
{
    std::size_t width = 5;
    for (const auto& row : comparison.rows)
        width = std::max(width, row.size());
    std::cout << std::string(width, ' ');
    for (std::size_t column = 0; column < comparison.columns.size(); ++column)
        std::cout << fmt::format(" {:>6}", column);
    std::cout << "\n";
    for (std::size_t row = 0; row < comparison.rows.size(); ++row) {
        std::cout << fmt::format("{:<{}}", comparison.rows[row], width);
        for (std::size_t column = 0; column < comparison.columns.size(); ++column) {
            const double value = comparison.matrix[std::int64_t(row)][std::int64_t(column)].item<double>();
            std::cout << (std::isfinite(value) ? fmt::format(" {:>6.3f}", core::plainZero(value, 3)) : fmt::format(" {:>6}", "-"));
        }
        std::cout << "\n";
    }
    for (std::size_t column = 0; column < comparison.columns.size(); ++column)
        std::cout << fmt::format("column {}: {}\n", column, comparison.columns[column]);
}

Exit compareRepresentations(Session& session, const CompareRepresentationsOptions& options)
{
    if (options.checkpoints && !options.other.empty())
        throw core::InputError("compare-representations: expected a second model or --checkpoints, got both");
    if (options.checkpoints && !options.atB.empty())
        throw core::InputError("--at-b: expected without --checkpoints, which compares a value with itself");
    const auto study = studyOf(session, options);
    const Opened opened(session, options.model, options.rows);
    const auto comparison = compare(session, options, opened, study);
    session.endProgress();
    if (!options.out.empty())
        writeArray(options.out, comparison.matrix);
    core::Json document = {{"model", options.model.text},       {"other", options.other.empty() ? core::Json() : core::Json(options.other)},
                           {"metric", options.metric},          {"parameters", study.parameters},
                           {"split", options.rows.split},       {"position", options.rows.position},
                           {"checkpoints", options.checkpoints}};
    document.update(comparison.toJson());
    if (!options.out.empty())
        document["file"] = options.out;
    Storing storing;
    storing.attempt([&] {
        if (const auto workspace = opened.storeIn(session, options.model)) {
            const std::string other = options.checkpoints ? "" : options.other.empty() ? options.model.text : options.other;
            document["analysis"] = intervene::storeComparison(*workspace, *runOf(options.model.text), opened.origin(options.model, options.rows),
                                                              other, study, comparison);
        }
    });
    storing.describe(document);
    if (session.json) {
        session.print(document);
        return storing.end();
    }
    const bool isDirected = study.parameters.contains("weighted_by");
    std::cout << fmt::format("{} on {} rows{}\n", options.metric, comparison.samples,
                             isDirected ? ", weighted by the features of the " + study.parameters["weighted_by"].get<std::string>() : "");
    printMatrix(comparison);
    if (!options.out.empty())
        std::cout << "written to " << options.out << "\n";
    if (document.contains("analysis"))
        std::cout << fmt::format("stored as analysis {} of {}\n", document["analysis"].dump(), options.model.text);
    return storing.end();
}

std::string metricsHelp()
{
    std::string text = "Metrics and their parameters (--set name=value):\n";
    for (const auto& metric : intervene::similarityRegistry().components())
        text += fmt::format("\n{}: {}\n{}", metric.id, metric.summary, metric.schema.helpText());
    return text;
}

}  // namespace

std::function<Exit(Session&)> declareCompareRepresentations(CLI::App& app)
{
    auto options = std::make_shared<CompareRepresentationsOptions>();
    app.footer(metricsHelp);
    options->model.declare(app);
    app.add_option("other", options->other, "Second MODEL, whose values are the columns; default: the first one.");
    options->rows.declare(app);
    app.add_flag("--checkpoints", options->checkpoints,
                 "Compare the checkpoints of run:ID: one value against itself at every step, several against the final weights.");
    app.add_option("--at", options->at,
                   "Values of both models: value, module, glob or canonical name; rows and columns stand in the order in which the model computes "
                   "them; default: a transformer's residual stream after each "
                   "block, else convolutions and linear layers.");
    app.add_option("--at-a", options->atA, "Values of the first model (rows).");
    app.add_option("--at-b", options->atB, "Values of the second model (columns).");
    app.add_option("--metric", options->metric, "Similarity: cka, rbf_cka, svcca, pwcca (not symmetric: weighted_by says by which side); see below.");
    app.add_option("--set", options->settings, "Parameter of the metric: name=value; see below.");
    app.add_option("--out", options->out, "File for the matrix (.npy, .safetensors, .csv, .png).")->check(outFileProblem);
    return [options](Session& session) { return compareRepresentations(session, *options); };
}

}  // namespace orrery::cli
