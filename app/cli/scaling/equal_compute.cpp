#include <algorithm>
#include <filesystem>
#include <iostream>
#include <limits>
#include <map>
#include <set>

#include <core/base/error.h>
#include <core/base/files.h>
#include <core/base/text.h>
#include <core/data/dataset.h>
#include <core/scaling/width/coordinate_check.h>
#include <core/scaling/width/equal_compute.h>
#include <core/train/document_file.h>
#include <core/train/runs.h>
#include <core/zoo/zoo.h>

#include "../number_checks.h"
#include "../output_file.h"
#include "../training.h"
#include "scaling.h"

namespace orrery::cli {
namespace {

struct EqualOptions {
    std::vector<std::string> experiments, settings;
    std::string data, documents, out;
    std::vector<double> budgets;
    double measure = 2;
    bool trains = false;
};

train::Experiment experimentOf(const EqualOptions& options, const std::string& text)
{
    core::Json document;
    std::filesystem::path folder;
    if (zoo::isZooReference(text)) {
        document = scaling::coordinateDocument(text);
        document["name"] = zoo::parseZooReference(text).id + " at equal compute";
    } else if (std::error_code ignored; !std::filesystem::exists(text, ignored)) {
        throw core::InputError(fmt::format("{}: no such file; expected zoo:NAME?... or an experiment document", text));
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

/// The architecture's id where that tells the models apart, else the document's file name, else a number, too: rows of one name are one model's.
std::vector<std::string> namesOf(const EqualOptions& options, const std::vector<train::Experiment>& experiments)
{
    std::vector<std::string> names;
    for (const train::Experiment& experiment : experiments) {
        const core::Json& model = experiment.document.at("model");
        names.push_back(model.is_object() ? model.at("id").get<std::string>() : std::filesystem::path(model.get<std::string>()).stem().string());
    }
    const auto repeated = [](const std::vector<std::string>& all, const std::string& name) { return std::count(all.begin(), all.end(), name) > 1; };
    const std::vector<std::string> ids = names;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (repeated(ids, ids[i]) && !zoo::isZooReference(options.experiments[i]))
            names[i] = std::filesystem::path(options.experiments[i]).stem().string();
    const std::vector<std::string> stems = names;
    std::map<std::string, int> numbers;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (repeated(stems, stems[i]))
            names[i] += fmt::format("-{}", ++numbers[stems[i]]);
    return names;
}

void writeDocuments(const EqualOptions& options, const std::vector<scaling::EqualCompute>& rows)
{
    std::filesystem::create_directories(options.documents);
    for (std::size_t i = 0; i < rows.size(); ++i)
        core::writeFileAtomically(std::filesystem::path(options.documents) / fmt::format("{}-{}.json", i + 1, rows[i].model),
                                  rows[i].document.dump(2) + "\n");
}

/// Rows of one model, or of all.
void writeRows(const std::filesystem::path& file, const std::vector<scaling::EqualCompute>& rows, const std::string& model)
{
    const bool trained = std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.loss.has_value(); });
    std::string text = std::string("model,N,D,compute,flops,steps,step_seconds") + (trained ? ",loss" : "") + "\n";
    for (const scaling::EqualCompute& row : rows) {
        if ((!model.empty() && row.model != model) || row.loss.has_value() != trained)
            continue;
        const core::Json json = row.toJson();
        text += row.model;
        for (const char* const key : {"N", "D", "compute", "flops", "steps", "step_seconds"})
            text += "," + core::formatNumber(json.at(key).get<double>());
        text += trained ? "," + core::formatNumber(*row.loss) + "\n" : "\n";
    }
    core::writeFileAtomically(file, text);
}

/// The whole table, and what was trained as a table for each model, as a law is fitted to one.
void writeTables(const EqualOptions& options, const std::vector<scaling::EqualCompute>& rows)
{
    if (options.out.empty())
        return;
    const std::filesystem::path whole(options.out);
    writeRows(whole, rows, {});
    std::set<std::string> models;
    for (const auto& row : rows)
        if (row.loss)
            models.insert(row.model);
    for (const auto& model : models)
        writeRows(whole.parent_path() / (whole.stem().string() + "-" + model + ".csv"), rows, model);
}

void printRows(const std::vector<scaling::EqualCompute>& rows)
{
    std::cout << fmt::format("{:<12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10} {}\n", "model", "parameters", "step", "steps", "tokens", "compute",
                             "FLOPs", rows.front().loss ? "    loss" : "");
    for (const scaling::EqualCompute& row : rows)
        std::cout << fmt::format("{:<12} {:>12} {:>10.4g} s {:>12} {:>12} {:>10.4g} s {:>10.3g} {}\n", row.model, row.cost.parameters,
                                 row.throughput.stepSeconds, row.steps, row.tokens, row.seconds, row.toJson().at("flops").get<double>(),
                                 row.loss ? fmt::format("{:>8.5g}", *row.loss) : "");
    std::cout << "compute as measured on this machine\n";
}

/// Trains one row after another as runs of the workspace. What is done is written after each.
void trainRows(Session& session, const EqualOptions& options, const std::vector<train::Experiment>& experiments,
               std::vector<scaling::EqualCompute>& rows, const std::shared_ptr<store::Workspace>& workspace)
{
    for (std::size_t i = 0; i < rows.size(); ++i) {
        train::Experiment experiment = experiments[i / options.budgets.size()];
        experiment.document["train"] = rows[i].document["train"];
        const auto result = trainShown(session, workspace, train::createRun(*workspace, experiment), {});
        const auto found = result.metrics.contains("test/loss") ? result.metrics.find("test/loss") : result.metrics.find("val/loss");
        if (found == result.metrics.end())
            throw core::InputError(rows[i].model + ": --train: expected a training that measures a loss, found none");
        rows[i].loss = found->second;
        writeTables(options, rows);
    }
}

/// Every model measured once, cut to every budget.
std::vector<scaling::EqualCompute> measuredRows(const Session& session, const EqualOptions& options,
                                                const std::vector<train::Experiment>& experiments)
{
    const std::vector<std::string> names = namesOf(options, experiments);
    const double smallest = *std::min_element(options.budgets.begin(), options.budgets.end());
    std::vector<scaling::EqualCompute> rows;
    for (std::size_t i = 0; i < experiments.size(); ++i) {
        auto measured = scaling::equalCompute(experiments[i], smallest, options.measure, session.stopToken());
        measured.model = names[i];
        for (const double budget : options.budgets)
            rows.push_back(scaling::cutTo(measured, budget));
    }
    return rows;
}

Exit equalCompute(Session& session, const EqualOptions& options)
{
    requireWritable(options.out);
    session.applyThreads();
    std::vector<train::Experiment> experiments;
    for (const std::string& text : options.experiments)
        experiments.push_back(experimentOf(options, text));
    const auto workspace = options.trains ? session.workspace(store::OpenMode::OpenOrCreate) : nullptr;
    std::vector<scaling::EqualCompute> rows = measuredRows(session, options, experiments);
    std::int64_t heldOut = std::numeric_limits<std::int64_t>::max();
    for (std::size_t i = 0; options.trains && i < experiments.size(); ++i)
        heldOut = std::min(heldOut, scaling::shortenEvaluation(rows, *experiments[i].data));
    if (!options.documents.empty())
        writeDocuments(options, rows);
    writeTables(options, rows);
    if (options.trains)
        trainRows(session, options, experiments, rows, workspace);
    if (!session.json) {
        printRows(rows);
        if (options.trains)
            std::cout << fmt::format("loss on {} held-out samples\n", heldOut);
        return Exit::Done;
    }
    core::Json document{{"budget_seconds", options.budgets.size() == 1 ? core::Json(options.budgets.front()) : core::Json(options.budgets)},
                        {"rows", core::Json::array()}};
    for (const scaling::EqualCompute& row : rows)
        document["rows"].push_back(row.toJson());
    if (options.trains)
        document["held_out_samples"] = heldOut;
    session.print(document);
    return Exit::Done;
}

}  // namespace

std::function<Exit(Session&)> declareScalingEqualCompute(CLI::App& app)
{
    auto options = std::make_shared<EqualOptions>();
    app.add_option("experiments", options->experiments, "zoo:NAME?..., or experiment documents.")->required();
    app.add_option("--budget-seconds", options->budgets, "Time that each is given on this machine; several, parted by commas: a row for each.")
        ->required()
        ->delimiter(',')
        ->check(positive());
    app.add_option("--measure-seconds", options->measure, "How long steps of each are measured.")->check(between(0, 3600));
    app.add_option("--data", options->data, "Data set or file, for all of them.");
    app.add_option("--set", options->settings, "Change a value of each document: path=value.");
    app.add_option("--documents", options->documents, "Folder for one experiment document each, with as many steps as fit: to be run with `train`.");
    app.add_option("--out", options->out, "CSV with a row each: model, N, D, compute (seconds), flops, steps, step_seconds.");
    app.add_flag(
        "--train", options->trains,
        "Train each as a run of the workspace and add its held-out loss to the rows; with --out ROWS.csv also as ROWS-MODEL.csv, to be fitted: "
        "`scaling fit ROWS-gpt.csv --law power_law_floor --x compute`.");
    return [options](Session& session) { return equalCompute(session, *options); };
}

}  // namespace orrery::cli
