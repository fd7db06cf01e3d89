#include <filesystem>
#include <iostream>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/data/dataset.h>
#include <core/scaling/width/coordinate_check.h>
#include <core/scaling/width/equal_compute.h>
#include <core/train/document_file.h>
#include <core/zoo/zoo.h>

#include "scaling.h"

namespace orrery::cli {
namespace {

struct EqualOptions {
    std::vector<std::string> experiments, settings;
    std::string data, documents, out;
    double budget = 0, measure = 2;
};

train::Experiment experimentOf(const EqualOptions& options, const std::string& text)
{
    core::Json document;
    std::filesystem::path folder;
    if (zoo::isZooReference(text)) {
        document = scaling::coordinateDocument(text);
        document["name"] = zoo::parseZooReference(text).id + " at equal compute";
    } else {
        document = train::readDocument(text);
        folder = std::filesystem::absolute(text).parent_path();
    }
    if (!options.data.empty())
        document["data"] = data::dataDocument(options.data);
    for (const std::string& setting : options.settings)
        core::setByPath(document, setting);
    return train::resolveExperiment(document, folder);
}

void writeDocuments(const EqualOptions& options, const std::vector<scaling::EqualCompute>& rows)
{
    std::filesystem::create_directories(options.documents);
    for (std::size_t i = 0; i < rows.size(); ++i)
        core::writeFileAtomically(std::filesystem::path(options.documents) / fmt::format("{}-{}.json", i + 1, rows[i].model),
                                  rows[i].document.dump(2) + "\n");
}

void writeRows(const std::string& file, const std::vector<scaling::EqualCompute>& rows)
{
    std::string text = "model,N,D,compute,flops,steps,step_seconds\n";
    for (const scaling::EqualCompute& row : rows) {
        const core::Json json = row.toJson();
        text += row.model;
        for (const char* const key : {"N", "D", "compute", "flops", "steps", "step_seconds"})
            text += "," + core::formatNumber(json.at(key).get<double>());
        text += "\n";
    }
    core::writeFileAtomically(file, text);
}

void printRows(const std::vector<scaling::EqualCompute>& rows, double budget)
{
    std::cout << fmt::format("{:<12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10}\n", "model", "parameters", "step", "steps", "tokens", "compute",
                             "FLOPs");
    for (const scaling::EqualCompute& row : rows)
        std::cout << fmt::format("{:<12} {:>12} {:>10.4g} s {:>12} {:>12} {:>10.4g} s {:>10.3g}\n", row.model, row.cost.parameters,
                                 row.throughput.stepSeconds, row.steps, row.tokens, row.seconds, double(row.cost.training()) * double(row.steps));
    std::cout << fmt::format("budget {} s each, on this machine\n", core::formatNumber(budget));
}

Exit equalCompute(Session& session, const EqualOptions& options)
{
    session.applyThreads();
    std::vector<scaling::EqualCompute> rows;
    for (const std::string& text : options.experiments)
        rows.push_back(scaling::equalCompute(experimentOf(options, text), options.budget, options.measure, session.stopToken()));
    if (!options.documents.empty())
        writeDocuments(options, rows);
    if (!options.out.empty())
        writeRows(options.out, rows);
    if (!session.json) {
        printRows(rows, options.budget);
        return Exit::Done;
    }
    core::Json document{{"budget_seconds", options.budget}, {"rows", core::Json::array()}};
    for (const scaling::EqualCompute& row : rows)
        document["rows"].push_back(row.toJson());
    session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareScalingEqualCompute(CLI::App& app)
{
    auto options = std::make_shared<EqualOptions>();
    app.add_option("experiments", options->experiments, "zoo:NAME?..., or experiment documents.")->required();
    app.add_option("--budget-seconds", options->budget, "Time that each is given on this machine.")->required()->check(CLI::PositiveNumber);
    app.add_option("--measure-seconds", options->measure, "How long steps of each are measured.")->check(CLI::Range(0.0, 3600.0));
    app.add_option("--data", options->data, "Data set or file, for all of them.");
    app.add_option("--set", options->settings, "Change a value of each document: path=value.");
    app.add_option("--documents", options->documents, "Folder for one experiment document each, with as many steps as fit: to be run with `train`.");
    app.add_option("--out", options->out, "CSV with a row each: model, N, D, compute (seconds), flops, steps, step_seconds.");
    return [options](Session& session) { return equalCompute(session, *options); };
}

}  // namespace orrery::cli
