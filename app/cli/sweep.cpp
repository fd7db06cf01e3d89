#include <iostream>

#include <ATen/Parallel.h>

#include <core/base/log.h>
#include <core/base/text.h>
#include <core/jobs/process_engine.h>
#include <core/jobs/queue.h>
#include <core/search/sweep_runner.h>

#include "cli.h"

namespace orrery::cli {
namespace {

using search::SweepId;
using search::Trial;

struct SweepOptions {
    std::string document;
    std::vector<std::string> settings;
    std::optional<SweepId> resume, show;
    int jobs = 1;
    jobs::EngineChoice engine;
    bool list = false, check = false, retriesFailed = false;
};

int machineThreads(const Session& session)
{
    return session.threads > 0 ? session.threads : int(std::max(1u, std::thread::hardware_concurrency()));
}

core::Json trialJson(const Trial& trial)
{
    core::Json json = {{"trial", trial.trial},
                       {"run", trial.run ? core::Json(*trial.run) : core::Json()},
                       {"status", search::statusName(trial.status)},
                       {"value", trial.value ? core::Json(*trial.value) : core::Json()},
                       {"rung", trial.rung},
                       {"parameters", trial.parameters}};
    if (!trial.message.empty())
        json["error"] = trial.message;
    return json;
}

core::Json outcomeJson(const search::StoredSweep& stored, std::string_view status, const search::SweepOutcome& outcome)
{
    core::Json json = {{"sweep", stored.id},
                       {"name", stored.name},
                       {"status", status},
                       {"metric", stored.sweep.metric},
                       {"goal", stored.sweep.settings["goal"]},
                       {"best", outcome.best ? trialJson(outcome.trials[*outcome.best]) : core::Json()},
                       {"failed", outcome.failed},
                       {"trials", core::Json::array()}};
    for (const Trial& trial : outcome.trials)
        json["trials"].push_back(trialJson(trial));
    return json;
}

std::string parametersText(const core::Json& parameters)
{
    std::vector<std::string> parts;
    for (const auto& [path, value] : parameters.items())
        parts.push_back(path + "=" + value.dump());
    return core::join(parts, " ");
}

std::string trialText(const Trial& trial, const std::string& metric)
{
    const std::string run = trial.run ? fmt::format(" (run {})", *trial.run) : std::string();
    if (trial.status == search::TrialStatus::Failed)
        return fmt::format("trial {}{} failed: {}  [{}]", trial.trial, run, trial.message, parametersText(trial.parameters));
    return fmt::format("trial {}{} {}: {} {}  [{}]", trial.trial, run, search::statusName(trial.status), metric,
                       trial.value ? core::formatNumber(*trial.value) : "-", parametersText(trial.parameters));
}

void printOutcome(const search::StoredSweep& stored, const search::SweepOutcome& outcome)
{
    std::vector<const Trial*> order;
    for (const Trial& trial : outcome.trials)
        order.push_back(&trial);
    const auto loss = [&](const Trial* trial) { return trial->value ? stored.sweep.lossOf(*trial->value) : INFINITY; };
    std::stable_sort(order.begin(), order.end(),
                     [&](const Trial* a, const Trial* b) { return a->rung != b->rung ? a->rung > b->rung : loss(a) < loss(b); });
    std::cout << fmt::format("sweep {}: {}\n{:>6} {:>6}  {:<9} {:>14}  parameters\n", stored.id, stored.name, "trial", "run", "status",
                             stored.sweep.metric);
    for (const Trial* trial : order)
        std::cout << fmt::format("{:>6} {:>6}  {:<9} {:>14}  {}\n", trial->trial, trial->run ? std::to_string(*trial->run) : "-",
                                 search::statusName(trial->status), trial->value ? fmt::format("{:.6g}", *trial->value) : "-",
                                 parametersText(trial->parameters));
    if (outcome.failed > 0)
        std::cout << fmt::format("{} of {} trials failed; they count as worst\n", outcome.failed, outcome.trials.size());
    if (outcome.best)
        std::cout << "best: " << trialText(outcome.trials[*outcome.best], stored.sweep.metric) << "\n";
}

void attachSweep(jobs::DirectContext& context, Session& session)
{
    context.onProgress = [&session](const jobs::Progress& progress) {
        session.showProgress(progress.done, progress.total, progress.unit, progress.phase);
    };
}

Exit runStored(Session& session, const std::shared_ptr<store::Workspace>& workspace, SweepId id, const SweepOptions& options)
{
    const search::StoredSweep stored = search::storedSweep(*workspace, id);
    jobs::Queue::setThreadHook([](int threads) { at::set_num_threads(threads); });
    jobs::DirectContext context(session.stopToken(), 1);
    attachSweep(context, session);
    search::SweepOptions running;
    running.jobs = options.jobs;
    running.retriesFailed = options.retriesFailed;
    running.engine = jobs::makeEngine({options.engine.name, workspace->folder(), options.engine.memoryLimit});
    running.ended = [&](const Trial& trial) {
        session.endProgress();
        if (trial.status == search::TrialStatus::Failed)
            core::log().warn("{}", trialText(trial, stored.sweep.metric));
        else if (!session.quiet)
            core::log().info("{}", trialText(trial, stored.sweep.metric));
    };
    if (!session.quiet)
        core::log().info("sweep {} in {}: {} trials, {} side by side", id, workspace->folder().string(), stored.sweep.trials, options.jobs);
    try {
        const search::SweepOutcome outcome = search::runSweep(workspace, stored, context, running);
        session.endProgress();
        if (session.json)
            session.print(outcomeJson(stored, "finished", outcome));
        else
            printOutcome(stored, outcome);
        return outcome.failed == outcome.trials.size() ? Exit::Failed : Exit::Done;
    } catch (const core::Cancelled&) {
        session.endProgress();
        std::cerr << fmt::format("orrery-cli: sweep {} was interrupted; go on with: orrery-cli sweep --resume {} --jobs {} --workspace {}\n", id, id,
                                 options.jobs, workspace->folder().string());
        if (session.json)
            session.print(outcomeJson(stored, "interrupted", search::sweepOutcome(*workspace, stored)));
        return Exit::Interrupted;
    }
}

Exit listSweeps(Session& session)
{
    const auto lines = search::sweepLines(*session.workspace(store::OpenMode::ReadOnly));
    if (session.json) {
        core::Json document = {{"sweeps", core::Json::array()}};
        for (const auto& line : lines)
            document["sweeps"].push_back({{"id", line.id},
                                          {"name", line.name},
                                          {"created", line.created},
                                          {"sampler", line.sampler},
                                          {"metric", line.metric},
                                          {"runs", line.runs}});
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{:>5}  {:<28} {:<20} {:<20} {:<20} {:>6}\n", "id", "name", "created", "sampler", "metric", "runs");
    for (const auto& line : lines)
        std::cout << fmt::format("{:>5}  {:<28} {:<20} {:<20} {:<20} {:>6}\n", line.id, line.name.substr(0, 28), line.created.substr(0, 19),
                                 line.sampler, line.metric, line.runs);
    return Exit::Done;
}

Exit showSweep(Session& session, SweepId id)
{
    const auto workspace = session.workspace(store::OpenMode::ReadOnly);
    const auto stored = search::storedSweep(*workspace, id);
    const auto outcome = search::sweepOutcome(*workspace, stored);
    const bool isDone =
        std::none_of(outcome.trials.begin(), outcome.trials.end(), [](const Trial& trial) { return trial.status == search::TrialStatus::Waiting; });
    if (session.json)
        session.print(outcomeJson(stored, isDone ? "finished" : "unfinished", outcome));
    else
        printOutcome(stored, outcome);
    return Exit::Done;
}

// What --check shows: the places that do not wait for results, in the order of the trials.
Exit checkSweep(Session& session, const search::Sweep& sweep)
{
    core::Json document = {{"trials", sweep.trials}, {"rungs", core::Json::array()}, {"first", core::Json::array()}};
    for (const auto& rung : sweep.rungs)
        document["rungs"].push_back({{"trials", rung.trials}, {"part", rung.part}});
    for (std::int64_t trial = 0; trial < sweep.trials && sweep.sampler->waitsFor(trial) == 0; ++trial) {
        const auto place = sweep.sampler->place(trial, {});
        core::Json parameters;
        for (std::size_t i = 0; i < sweep.space.size(); ++i)
            parameters[sweep.space[i].path] = sweep.space[i].valueAt(place[i]);
        document["first"].push_back(std::move(parameters));
    }
    if (session.json) {
        session.print(document);
        return Exit::Done;
    }
    std::cout << fmt::format("{} trials of {}\n", sweep.trials, sweep.base.document["name"].get<std::string>());
    if (sweep.rungs.size() > 1)
        for (const auto& rung : sweep.rungs)
            std::cout << fmt::format("  {} trials to {:.4g} of their length\n", rung.trials, rung.part);
    std::size_t number = 0;
    for (const auto& parameters : document["first"])
        std::cout << fmt::format("{:>6}  {}\n", number++, parametersText(parameters));
    if (std::int64_t(number) < sweep.trials)
        std::cout << fmt::format("the other {} follow from their results\n", sweep.trials - std::int64_t(number));
    return Exit::Done;
}

std::vector<std::string> settingsOf(const Session& session, const SweepOptions& options)
{
    auto settings = options.settings;
    if (session.seedGiven)
        settings.push_back(fmt::format("sweep.seed={}", session.seed));
    if (session.device != "auto")
        settings.push_back("train.device=" + session.device);
    if (!session.dtype.empty())
        settings.push_back("train.dtype=" + session.dtype);
    return settings;
}

search::Sweep givenSweep(const Session& session, const SweepOptions& options)
{
    std::error_code error;
    if (!std::filesystem::exists(options.document, error) && !error)
        throw core::InputError(fmt::format("{}: no such file; expected an experiment document with a section \"sweep\"", options.document));
    try {
        return search::readSweep(options.document, settingsOf(session, options));
    } catch (const core::StorageError& storage) {
        throw core::InputError(storage.what());  // a document or data that cannot be read
    }
}

Exit sweepCommand(Session& session, const SweepOptions& options)
{
    session.applyThreads();
    const int asked = int(options.list) + int(options.resume.has_value()) + int(options.show.has_value()) + int(!options.document.empty());
    if (asked != 1)
        throw core::InputError("sweep: expected an EXPERIMENT with a section \"sweep\" (.yaml or .json), --resume ID, --show ID, or --list");
    if (options.list)
        return listSweeps(session);
    if (options.show)
        return showSweep(session, *options.show);
    jobs::makeEngine(options.engine);  // a wrong name is told before a run is made
    if (options.resume) {
        if (!options.settings.empty() || session.seedGiven)
            throw core::InputError("--resume goes on with the stored sweep as it is; --set and --seed are for a new one");
        return runStored(session, session.workspace(store::OpenMode::Open), *options.resume, options);
    }
    const auto sweep = givenSweep(session, options);
    if (options.check)
        return checkSweep(session, sweep);
    const auto workspace = session.workspace(store::OpenMode::OpenOrCreate);
    return runStored(session, workspace, search::addSweep(*workspace, sweep, std::max(1, machineThreads(session) / options.jobs)), options);
}

}  // namespace

std::function<Exit(Session&)> declareSweep(CLI::App& app)
{
    auto options = std::make_shared<SweepOptions>();
    app.add_option("experiment", options->document, "Experiment document (.yaml or .json) with a section \"sweep\".");
    app.add_option("--set", options->settings, "Change the document: sweep.trials=8, train.epochs=2.");
    app.add_option("--jobs", options->jobs, "Trials that run side by side.")->check(CLI::Range(1, 256));
    app.add_option("--engine", options->engine.name, "Where trials run: thread (in this program), or process (a crash ends that trial alone).");
    app.add_option("--memory-limit", options->engine.memoryLimit, "Most memory of a trial's process, such as 2GiB; 0: no limit.")
        ->transform(CLI::AsSizeValue(false));
    app.add_option("--resume", options->resume, "Go on with this sweep: the same trials, from where they stand.");
    app.add_flag("--retry-failed", options->retriesFailed, "With --resume: failed trainings go on from their last checkpoint.");
    app.add_option("--show", options->show, "How this sweep stands, best trials first.");
    app.add_flag("--list", options->list, "The sweeps of the workspace.");
    app.add_flag("--check", options->check, "Only check, and show the trials known beforehand.");
    return [options](Session& session) { return sweepCommand(session, *options); };
}

}  // namespace orrery::cli
