#include <algorithm>
#include <iostream>
#include <map>

#include <core/base/files.h>
#include <core/base/log.h>
#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/debug/bias_gelu.h>
#include <core/debug/cost_model.h>
#include <core/debug/flame.h>
#include <core/graph/inspect.h>
#include <core/report/html.h>

#include "arrays.h"
#include "debug_inputs.h"
#include "output_file.h"

namespace orrery::cli {
namespace {

struct ProfileArguments {
    ModelArgument model;
    DebugInputs inputs;
    int runs = 10, warmUp = 2;
    std::string by, sort = "order", flame, roofline, steps, costModel;
    int cases = 20;
    bool casesGiven = false;
    std::size_t top = 0;
    bool training = false, noPeaks = false, measurePeaks = false, fuse = false;
};

std::string millisecondsText(double seconds)
{
    return fmt::format("{:.4g}", seconds * 1e3);
}

/// A count with a prefix of a thousand: 1.23 G.
std::string scaledText(double count)
{
    const char* const prefixes[] = {"", " k", " M", " G", " T"};
    int at = 0;
    for (; count >= 1000 && at < 4; ++at)
        count /= 1000;
    return at == 0 ? fmt::format("{:.0f}", count) : fmt::format("{:.3g}{}", count, prefixes[at]);
}

/// One line of the table, whatever it stands for.
struct ProfileRow {
    std::string name, kind;
    double seconds = 0, predicted = 0;
    std::int64_t flops = 0, bytes = 0, parameterBytes = 0;
    double perCall = 0;  ///< of a node in a loop; 0: none
    double spread = 0;   ///< interquartile range over median
    double intensity() const { return bytes > 0 ? double(flops) / double(bytes) : 0; }
};

ProfileRow rowOf(const debug::GroupCost& group)
{
    return {group.name.empty() ? "(whole model)" : group.name,
            group.type.empty() ? fmt::format("{} nodes", group.nodes) : group.type,
            group.seconds,
            group.predicted,
            group.flops,
            group.bytes,
            group.parameterBytes,
            0,
            group.spread()};
}

/// Nodes inside loops and branches are moved to the right, with how often they ran.
std::string nodeTitle(const debug::NodeCost& node)
{
    const std::string title = std::string(std::size_t(2 * node.depth), ' ') + node.name;
    return node.calls == 1 ? title : fmt::format("{} x {:.0f}", title, node.calls);
}

std::vector<ProfileRow> profileRows(const debug::Profile& profile, const std::string& by)
{
    std::vector<ProfileRow> rows;
    if (by == "node")
        for (const auto& node : profile.nodes)
            rows.push_back({nodeTitle(node), node.op, node.seconds, node.predicted, node.flops, node.bytes(), node.parameterBytes,
                            node.calls > 1 ? node.perCall : 0, node.spread()});
    const std::map<std::string, const std::vector<debug::GroupCost>*> groups = {
        {"module", &profile.modules}, {"operator", &profile.operators}, {"type", &profile.types}};
    if (const auto found = groups.find(by); found != groups.end())
        for (const auto& group : *found->second)
            rows.push_back(rowOf(group));
    return rows;
}

void sortRows(std::vector<ProfileRow>& rows, const std::string& sort)
{
    const auto key = [&](const ProfileRow& row) {
        return sort == "time" ? row.seconds : sort == "flops" ? double(row.flops) : sort == "bytes" ? double(row.bytes) : row.intensity();
    };
    if (sort != "order")
        std::stable_sort(rows.begin(), rows.end(), [&](const auto& a, const auto& b) { return key(a) > key(b); });
}

void printRows(const debug::Profile& profile, const std::vector<ProfileRow>& rows, std::size_t top, double whole)
{
    const bool predicts = std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.predicted > 0; });
    const bool hasCalls = std::any_of(rows.begin(), rows.end(), [](const auto& row) { return row.perCall > 0; });
    std::size_t width = 12, kindWidth = 8;
    for (const auto& row : rows) {
        width = std::max(width, std::min<std::size_t>(row.name.size(), 48));
        kindWidth = std::max(kindWidth, std::min<std::size_t>(row.kind.size(), 24));
    }
    std::cout << fmt::format("{:<{}}  {:<{}} {:>9} {:>6} {}{}{:>6} {:>9} {:>9} {:>9} {:>8}  {}\n", "name", width, "kind", kindWidth, "ms", "spread",
                             hasCalls ? fmt::format("{:>9} ", "ms/call") : "", predicts ? fmt::format("{:>9} ", "predicted") : "", "share", "FLOPs",
                             "bytes", "FLOP/B", "GFLOP/s", profile.peaks ? "bound by" : "");
    const std::size_t shown = top > 0 ? std::min(top, rows.size()) : rows.size();
    for (std::size_t i = 0; i < shown; ++i) {
        const auto& row = rows[i];
        const bool moves = row.bytes > 0;
        const std::string call = !hasCalls ? "" : fmt::format("{:>9} ", row.perCall > 0 ? millisecondsText(row.perCall) : "");
        std::cout << fmt::format("{:<{}}  {:<{}} {:>9} {:>5.0f}% {}{}{:>5.1f}% {:>9} {:>9} {:>9} {:>8}  {}\n", row.name, width, row.kind, kindWidth,
                                 millisecondsText(row.seconds), 100 * row.spread, call,
                                 predicts ? fmt::format("{:>9} ", millisecondsText(row.predicted)) : "", whole > 0 ? 100 * row.seconds / whole : 0.0,
                                 scaledText(double(row.flops)), scaledText(double(row.bytes)), moves ? fmt::format("{:.3g}", row.intensity()) : "",
                                 row.flops > 0 && row.seconds > 0 ? fmt::format("{:.3g}", double(row.flops) / row.seconds * 1e-9) : "",
                                 !profile.peaks || !moves                 ? ""
                                 : profile.isMemoryBound(row.intensity()) ? "memory"
                                                                          : "arithmetic");
    }
    if (shown < rows.size())
        std::cout << fmt::format("... and {} more (--top 0 shows all)\n", rows.size() - shown);
}

void printLoops(const debug::Profile& profile)
{
    if (profile.loops.empty())
        return;
    std::size_t width = 5;
    for (const auto& loop : profile.loops)
        width = std::max(width, std::min<std::size_t>(loop.name.size(), 48));
    std::cout << fmt::format("\n{:<{}}  {:>7} {:>9} {:>11} {:>11} {:>11} {:>11}  {}\n", "loop", width, "calls", "steps", "ms a step", "quickest",
                             "slowest", "all steps", "slowest step");
    for (const auto& loop : profile.loops)
        std::cout << fmt::format("{:<{}}  {:>7} {:>9} {:>11} {:>11} {:>11} {:>11}  {}\n", loop.name, width, loop.calls.size(), loop.steps(),
                                 millisecondsText(loop.median), millisecondsText(loop.quickest), millisecondsText(loop.slowest),
                                 millisecondsText(loop.total), loop.slowestStep);
}

void printFusion(const debug::Profile& profile)
{
    if (profile.fusion.empty())
        return;
    std::cout << "\nfusion candidates (bytes that would not be moved):\n";
    // The same chain in every block is one line.
    std::vector<std::pair<const debug::FusionCandidate*, int>> kinds;
    for (const auto& candidate : profile.fusion) {
        const auto same = std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) {
            return kind.first->pattern == candidate.pattern && kind.first->savedBytes == candidate.savedBytes;
        });
        same == kinds.end() ? void(kinds.emplace_back(&candidate, 1)) : void(++same->second);
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(kinds.size(), 10); ++i) {
        const auto& [candidate, count] = kinds[i];
        std::cout << fmt::format("  {:<36} {:>3} x {:>8}B of {:>8}B{}, the first at {}\n", candidate->pattern, count,
                                 scaledText(double(candidate->savedBytes)), scaledText(double(candidate->bytes)),
                                 candidate->savedSeconds > 0 ? fmt::format(", {} ms", millisecondsText(candidate->savedSeconds)) : "",
                                 candidate->nodes.front());
    }
}

void printPeaks(const debug::MachinePeaks& peaks)
{
    std::cout << fmt::format("peaks       {:.4g} GFLOP/s (product), {:.4g} GB/s (triad), measured {}: the memory limits below {:.3g} FLOPs a byte\n",
                             peaks.gigaflops, peaks.bandwidth, debug::peaksAge(peaks, core::isoTimeNow()), peaks.ridge());
}

void printProfile(const debug::Profile& profile, const ProfileArguments& options)
{
    // Imported models often have no modules: a single line would say nothing.
    const std::string by = !options.by.empty() ? options.by : profile.modules.size() > 1 ? "module" : "node";
    auto rows = profileRows(profile, by);
    sortRows(rows, options.sort);
    printRows(profile, rows, options.top, by == "node" ? profile.nodeSeconds() : profile.groupSeconds());
    std::cout << fmt::format("\none run     {} ms, median of {}, {}\nmeasuring   {:+.1f} % ({} ms)\nFLOPs       {}\nbytes       {}\n",
                             millisecondsText(profile.plainSeconds), profile.runs, core::counted(profile.threads, "thread"), 100 * profile.overhead(),
                             millisecondsText(profile.profiledSeconds), scaledText(double(profile.flops())), scaledText(double(profile.bytes())));
    if (profile.peaks)
        printPeaks(*profile.peaks);
    if (const std::string note = profile.peaksNote(); !note.empty())
        std::cout << "note        " << note << " (--measure-peaks)\n";
    if (!profile.note.empty())
        std::cout << "note        " << profile.note << "\n";
    printLoops(profile);
    printFusion(profile);
}

std::vector<c10::IValue> profileInputs(Session& session, const ProfileArguments& options, const graph::Model& model)
{
    if (options.inputs.given())
        return options.inputs.read(session, options.model, model);
    std::vector<c10::IValue> inputs;
    for (const auto& example : graph::exampleInputs(model))
        inputs.push_back(example.toTensor().to(session.chosenDevice()));
    if (inputs.size() != model.graph->data().inputs.size())
        throw core::InputError("expected --input FILE, --sample N or --text TEXT: the model card does not say enough to make an input");
    return inputs;
}

std::string heldOutText(const debug::HeldOut& ranks)
{
    const std::string alone =
        ranks.flopsError > 0 ? fmt::format(", of FLOPs alone {:.0f} %, of bytes alone {:.0f} %", 100 * ranks.flopsError, 100 * ranks.bytesError) : "";
    return fmt::format("rank correlation with the measured times {:.3f}, of FLOPs alone {:.3f}, of bytes alone {:.3f}; median error {:.0f} %{}",
                       ranks.model, ranks.flops, ranks.bytes, 100 * ranks.medianError, alone);
}

/// Times this machine's operators and keeps the model.
Exit fitCostModel(Session& session, const ProfileArguments& options)
{
    debug::TimingOptions timing;
    timing.cases = options.cases;
    if (session.seedGiven)
        timing.seed = session.seed;
    timing.progress = [&](double done, double total) { session.showProgress(done, total, "cases"); };
    const auto made = debug::makeCostModel(timing, session.stopToken());
    session.endProgress();
    const auto file = debug::costModelFile();
    debug::saveCostModel(made, file);
    auto document = made.toJson();
    document.erase("rows");
    document.erase("model");
    document["file"] = file.string();
    if (session.json)
        session.print(document);
    else
        std::cout << fmt::format("fitted      {} timed nodes, {}\nheld out    {}\nmodel       {}\n", made.rows.size(),
                                 made.machine["processor"].get<std::string>(), heldOutText(made.heldOut), file.string());
    return Exit::Done;
}

/// Adds the predictions of the stored cost model: those of `predict`, or where one is there.
void addPredictions(const Session& session, const ProfileArguments& options, debug::Profile& profile, core::Json& document)
{
    if (options.costModel == "none")
        return;
    std::optional<debug::StoredCostModel> stored;
    try {
        stored = debug::loadCostModel(debug::costModelFile());
    } catch (const core::Error& error) {
        if (!options.costModel.empty())
            throw;
        core::log().warn("{}; the profile is shown without predictions", error.what());  // nobody asked for them
    }
    if (!stored && options.costModel.empty())
        return;
    if (!stored)
        throw core::InputError(debug::costModelFile().string() + ": there is no cost model yet: fit one with profile --cost-model fit");
    debug::predictCosts(profile, stored->model);
    std::vector<debug::CostRow> rows;
    std::vector<double> predicted;
    for (const auto& node : profile.nodes)
        if (node.predicted > 0 && node.seconds > 0) {
            rows.push_back(debug::costRowOf(node));
            predicted.push_back(node.predicted);
        }
    const auto ranks = debug::comparePredictions(rows, predicted);
    const std::string difference = debug::machineDifference(stored->machine);
    document = profile.toJson();
    document["cost_model"] = {
        {"date", stored->date}, {"machine_difference", difference}, {"held_out", stored->heldOut.toJson()}, {"this_model", ranks.toJson()}};
    if (!session.json && options.costModel == "predict")
        std::cout << fmt::format("cost model  of {}{}\nheld out    {}\nthis model  {}\n\n", stored->date,
                                 difference.empty() ? "" : " (" + difference + ")", heldOutText(stored->heldOut), heldOutText(ranks));
}

/// What is known of this machine, or measured now.
debug::MachinePeaks peaksOf(Session& session, bool again)
{
    debug::PeaksOptions measuring;
    measuring.progress = [&](double done, double total) { session.showProgress(done, total, "rounds of this machine's peaks"); };
    const auto peaks = debug::machinePeaks(again, measuring, session.stopToken());
    session.endProgress();
    return peaks;
}

/// Measures the machine without a model.
Exit measureMachine(Session& session)
{
    session.applyThreads();
    const auto peaks = peaksOf(session, true);
    if (session.json)
        session.print({{"gflops", peaks.gigaflops},
                       {"gbytes_per_second", peaks.bandwidth},
                       {"ridge", peaks.ridge()},
                       {"date", peaks.date},
                       {"rounds", peaks.rounds}});
    else
        printPeaks(peaks);
    return Exit::Done;
}

Exit profile(Session& session, const ProfileArguments& options)
{
    if (options.costModel == "fit") {
        if (!options.model.text.empty())
            throw core::InputError("--cost-model fit: expected no model, got " + options.model.text);
        session.applyThreads();
        return fitCostModel(session, options);
    }
    if (options.casesGiven)
        throw core::InputError("--cases: expected --cost-model fit beside it; nothing else times shapes");
    if (!options.roofline.empty() && options.noPeaks)
        throw core::InputError("--roofline: needs this machine's peaks: leave out --no-peaks");
    for (const auto& file : {options.flame, options.roofline, options.steps})
        requireWritable(file);
    if (options.model.text.empty() && options.measurePeaks)
        return measureMachine(session);
    if (options.model.text.empty())
        throw core::InputError("expected a MODEL, --cost-model fit, or --measure-peaks");
    auto model = options.inputs.openModel(session, options.model);
    std::vector<std::string> fused;
    if (options.fuse) {
        auto made = debug::fuseBiasGelu(model.graph);
        model.graph = made.graph;
        fused = made.fused;
    }
    const graph::Executor executor(model.graph);
    debug::ProfileOptions settings;
    settings.runs = options.runs;
    settings.warmUp = options.warmUp;
    settings.training = options.training;
    settings.seed = session.seed;
    if (!options.noPeaks)
        settings.peaks = peaksOf(session, options.measurePeaks);
    settings.progress = [&](double done, double total) { session.showProgress(done, total, "runs"); };
    auto result = debug::profileModel(executor, model.weights, profileInputs(session, options, model), settings, session.stopToken());
    session.endProgress();
    const std::string title = model.graph->data().name.empty() ? options.model.text : model.graph->data().name;
    auto document = result.toJson();
    addPredictions(session, options, result, document);
    document["model"] = options.model.text;
    if (options.fuse)
        document["fused"] = fused;
    if (!options.flame.empty()) {
        core::writeFileAtomically(options.flame, report::toSvg(debug::drawFlame(result, title), title, "Flame chart of one run"));
        document["flame"] = options.flame;
    }
    if (!options.roofline.empty()) {
        core::writeFileAtomically(options.roofline, report::toSvg(debug::drawRoofline(result), title, "Roofline of the nodes"));
        document["roofline"] = options.roofline;
    }
    if (!options.steps.empty()) {
        core::writeFileAtomically(options.steps, report::toSvg(debug::drawSteps(result), title, "Time of the steps of loops"));
        document["steps"] = options.steps;
    }
    session.json ? session.print(document) : printProfile(result, options);
    if (options.fuse && !session.json)
        std::cout << fmt::format("fused       {} pairs of bias and GELU\n", fused.size());
    return Exit::Done;
}

std::string svgEndingProblem(const std::string& file)
{
    return core::lower(file).ends_with(".svg") ? std::string() : fmt::format("{}: expected a file ending in .svg", file);
}

}  // namespace

std::function<Exit(Session&)> declareProfile(CLI::App& app)
{
    auto options = std::make_shared<ProfileArguments>();
    options->model.declare(app);
    app.get_option("model")->required(false);
    options->inputs.declare(app);
    app.add_option("--runs", options->runs, "Runs that the medians are taken of.")->check(CLI::Range(1, 100000));
    app.add_option("--warm-up", options->warmUp, "Runs before that are not counted.")->check(CLI::Range(0, 100000));
    app.add_option("--by", options->by, "What the lines of the table are; by default modules, nodes where there are none.")
        ->check(CLI::IsMember({"node", "module", "operator", "type"}));
    app.add_option("--sort", options->sort, "order (as executed, declared, or by time), or falling time, flops, bytes, intensity.")
        ->check(CLI::IsMember({"order", "time", "flops", "bytes", "intensity"}));
    app.add_option("--top", options->top, "Lines of the table; 0: all.")->check(CLI::Range(0, 1000000000));
    app.add_option("--svg", options->flame, "File for a flame chart: module calls and nodes along the time.")->check(svgEndingProblem);
    app.add_option("--roofline", options->roofline, "File for a roofline plot with this machine's peaks.")->check(svgEndingProblem);
    app.add_option("--steps", options->steps, "File for the time of every step of the loops (Loop, Scan, while_loop) as curves.")
        ->check(svgEndingProblem);
    app.add_option(
           "--cost-model", options->costModel,
           "fit: time this machine's operators and keep a model of their times (no MODEL); predict: its times beside the measured ones, with rank "
           "correlations; none: no such column. Without it the column is there where a model is.")
        ->check(CLI::IsMember({"fit", "predict", "none"}));
    app.add_option("--cases", options->cases, "Shapes an operator that --cost-model fit times.")
        ->check(CLI::Range(2, 1000))
        ->each([options](const std::string&) { options->casesGiven = true; });
    auto* none = app.add_flag("--no-peaks", options->noPeaks, "Leave this machine's peaks out.");
    app.add_flag("--measure-peaks", options->measurePeaks,
                 "Measure this machine's peaks again (three seconds; best while nothing else runs) and keep them; without it those that were kept "
                 "are taken, and rise while they are the best of fewer than 20 rounds. No MODEL: nothing else is done.")
        ->excludes(none);
    app.add_flag("--fuse", options->fuse, "Fuse the addition of a bias with the GELU behind it before the runs.");
    app.add_flag("--training", options->training, "Run in training mode (dropout and batch statistics).");
    return [options](Session& session) { return profile(session, *options); };
}

}  // namespace orrery::cli
