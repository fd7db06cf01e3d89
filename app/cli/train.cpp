#include <iostream>

#include <core/base/log.h>
#include <core/base/text.h>
#include <core/train/runs.h>

#include "cli.h"
#include "training.h"

namespace orrery::cli {
namespace {

struct TrainOptions {
    std::string document;
    std::vector<std::string> settings;
    std::optional<store::RunId> resume;
    bool check = false;
    jobs::EngineChoice engine;
};

core::Json resultJson(store::RunId run, std::string_view status, const std::map<std::string, double>& metrics)
{
    return {{"run", run}, {"status", status}, {"metrics", metrics}};
}

Exit trainRun(Session& session, const std::shared_ptr<store::Workspace>& workspace, store::RunId run, const jobs::EngineChoice& engine)
{
    if (!session.quiet)
        core::log().info("run {} in {}", run, workspace->folder().string());
    try {
        const auto result = trainShown(session, workspace, run, engine);
        if (session.json)
            session.print(resultJson(run, "finished", result.metrics));
        else {
            std::cout << fmt::format("run {} finished after {} steps\n", run, result.steps);
            for (const auto& [name, value] : result.metrics)
                std::cout << fmt::format("  {:<24} {}\n", name, core::formatNumber(value));
        }
        return Exit::Done;
    } catch (const core::Cancelled&) {
        session.endProgress();
        std::cerr << fmt::format("orrery-cli: run {} was interrupted; go on with: orrery-cli train --resume {} --workspace {}\n", run, run,
                                 workspace->folder().string());
        if (session.json)
            session.print(resultJson(run, store::statusName(workspace->run(run).status), workspace->lastMetrics(run)));
        return Exit::Interrupted;
    }
}

Exit checkOnly(Session& session, const train::Experiment& experiment)
{
    if (session.json)
        session.print(experiment.document);
    else
        std::cout << experiment.document.dump(2) << "\n";
    return Exit::Done;
}

std::optional<store::RunId> storedRun(const std::string& document)
{
    if (!document.starts_with("run:"))
        return std::nullopt;
    const auto digits = document.substr(4);
    if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos)
        throw core::InputError(fmt::format("{}: expected run:ID with a number", document));
    return std::stoll(digits);
}

// A document or data that cannot be read is bad input, unlike a workspace that cannot be written later.
train::Experiment givenExperiment(const std::function<train::Experiment()>& read)
{
    try {
        return read();
    } catch (const core::StorageError& error) {
        throw core::InputError(error.what());
    }
}

// The document of a stored run once more, as it is or changed by --set: a new run whose parent is the old one.
Exit trainAgain(Session& session, const TrainOptions& options, const std::vector<std::string>& settings, store::RunId parent)
{
    const auto workspace = session.workspace(options.check ? store::OpenMode::ReadOnly : store::OpenMode::Open);
    const auto record = workspace->run(parent);
    auto document = record.document;
    for (const auto& setting : settings)
        core::setByPath(document, setting);
    const auto experiment = givenExperiment([&] { return train::resolveExperiment(document, record.environment.value("folder", std::string())); });
    if (options.check)
        return checkOnly(session, experiment);
    return trainRun(session, workspace, train::createRun(*workspace, experiment, parent), options.engine);
}

Exit trainDocument(Session& session, const TrainOptions& options)
{
    session.applyThreads();
    jobs::makeEngine(options.engine);  // a wrong name is told before a run is made
    if (options.resume) {
        if (!options.document.empty())
            throw core::InputError("train takes an EXPERIMENT or --resume RUN, not both");
        if (!options.settings.empty() || session.seedGiven)
            throw core::InputError(
                fmt::format("--resume goes on with the stored document as it is; to change it: train run:{} --set ...", *options.resume));
        return trainRun(session, session.workspace(store::OpenMode::Open), *options.resume, options.engine);
    }
    if (options.document.empty())
        throw core::InputError("train: expected an EXPERIMENT (a .yaml or .json file), or --resume RUN");
    auto settings = options.settings;
    if (session.threads > 0)
        settings.push_back(fmt::format("train.threads={}", session.threads));
    if (session.seedGiven)
        settings.push_back(fmt::format("seed={}", session.seed));
    if (session.device != "auto")
        settings.push_back("train.device=" + session.device);
    if (!session.dtype.empty())
        settings.push_back("train.dtype=" + session.dtype);
    if (const auto run = storedRun(options.document))
        return trainAgain(session, options, settings, *run);
    std::error_code error;
    if (!std::filesystem::exists(options.document, error) && !error)
        throw core::InputError(fmt::format("{}: no such file; expected an experiment document or run:ID", options.document));
    const auto experiment = givenExperiment([&] { return train::readExperiment(options.document, settings); });
    if (options.check)
        return checkOnly(session, experiment);
    const auto workspace = session.workspace(store::OpenMode::OpenOrCreate);
    return trainRun(session, workspace, train::createRun(*workspace, experiment), options.engine);
}

}  // namespace

std::function<Exit(Session&)> declareTrain(CLI::App& app)
{
    auto options = std::make_shared<TrainOptions>();
    app.add_option("experiment", options->document, "Experiment document (.yaml or .json), or run:ID: the same once more.");
    app.add_option("--set", options->settings, "Change the document: train.optimizer.lr=0.01.");
    app.add_option("--resume", options->resume, "Go on with this run from its last checkpoint.");
    addEngineOptions(app, options->engine);
    app.add_flag("--check", options->check, "Only check and print the document with all defaults filled in.");
    return [options](Session& session) { return trainDocument(session, *options); };
}

}  // namespace orrery::cli
