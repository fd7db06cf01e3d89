#include <algorithm>
#include <iostream>
#include <iterator>

#include <core/base/error.h>
#include <core/base/plural.h>
#include <core/base/text.h>
#include <core/debug/operator_rules.h>
#include <core/debug/profile.h>
#include <core/debug/random_graphs.h>
#include <core/debug/rule_graphs.h>
#include <core/models/model_file.h>

#include "arrays.h"
#include "cli.h"

namespace orrery::cli {
namespace {

struct CheckGraphsOptions {
    int count = 200, everyC = 25, learn = 0, draw = 0;
    std::string folder, broken;
    std::vector<std::string> paths;
};

/// The paths that were asked for; all without a word.
std::vector<debug::GraphPath> chosenPaths(const CheckGraphsOptions& options)
{
    auto paths = debug::graphPaths(options.everyC), more = debug::compressedPaths();
    std::move(more.begin(), more.end(), std::back_inserter(paths));
    if (!options.paths.empty())
        std::erase_if(paths,
                      [&](const auto& path) { return std::find(options.paths.begin(), options.paths.end(), path.name) == options.paths.end(); });
    return paths;
}

/// How far compressed weights took the outputs from what they were.
std::string changeText(const debug::PathCount& count)
{
    if (count.changes.empty())
        return {};
    std::string text = fmt::format("; outputs moved by {:.2g} (median), {:.2g} (largest) of the largest one", debug::medianOf(count.changes),
                                   *std::max_element(count.changes.begin(), count.changes.end()));
    if (!count.bounds.empty())
        text += fmt::format("; a bound is proven for {}: moved by {:.2g}, at most {:.2g} (medians)",
                            core::counted(std::int64_t(count.bounds.size()), "graph"), debug::medianOf(count.bounded), debug::medianOf(count.bounds));
    return text;
}

void printPaths(const debug::RandomGraphReport& report)
{
    for (const auto& [name, count] : report.paths) {
        std::cout << fmt::format("path {:<12} {} graphs, {} that it cannot hold{}\n", name, count.taken, count.refused, changeText(count));
        for (const auto& [reason, times] : count.reasons)
            std::cout << fmt::format("    {:>4} x {}\n", times, reason.substr(0, 150));
    }
}

/// Learns rules of operators from half of the recorded calls and judges them on the other half.
Exit learnRules(Session& session, const CheckGraphsOptions& options)
{
    const std::uint64_t seed = session.seedGiven ? session.seed : 1;
    const auto progress = [&](double done, double total) { session.showProgress(done, total, "operators"); };
    const auto recorded = debug::recordCalls(options.learn, seed, session.stopToken(), progress);
    const auto others = debug::recordCalls(options.learn / 2 + 1, seed + 1'000'003, session.stopToken(), progress);
    session.endProgress();
    const auto rules = debug::OperatorRules::learn(recorded);
    const auto seen = debug::judgeRules(rules, recorded), fresh = debug::judgeRules(rules, others);
    if (session.json) {
        session.print({{"rules", rules.texts()}, {"recorded", seen.toJson()}, {"others", fresh.toJson()}});
        return Exit::Done;
    }
    for (const auto& text : rules.texts())
        std::cout << text << "\n";
    for (const auto& [title, quality] : {std::pair("recorded", seen), std::pair("other", fresh)})
        std::cout << fmt::format("{:<9} calls: {} of {} invalid ones rejected, {} of {} valid ones accepted; {} of {} output shapes right\n", title,
                                 quality.rejected, quality.invalid, quality.accepted, quality.valid, quality.rightShapes, quality.shapes);
    for (const auto& [op, counts] : fresh.missed)
        std::cout << fmt::format("    {}: {} valid calls rejected, {} invalid ones accepted\n", op, counts.first, counts.second);
    return Exit::Done;
}

/// Writes the models that show a disagreement and notes their files.
void writeShrunk(const CheckGraphsOptions& options, const debug::RandomGraphReport& report, core::Json& document)
{
    for (std::size_t i = 0; i < report.disagreements.size() && !options.folder.empty(); ++i) {
        const auto& found = report.disagreements[i];
        std::filesystem::create_directories(options.folder);
        const auto file = std::filesystem::path(options.folder) / fmt::format("{}-{}.safetensors", fileName(found.check), found.seed);
        models::saveModel(file, found.shrunk);
        document["disagreements"][i]["file"] = file.string();
    }
}

void printShares(const debug::DrawnShares& shares)
{
    std::cout << fmt::format("drawn without the rules: {} of {} graphs run ({} nodes); by the rules: {} ({} nodes)\n", shares.validWithout,
                             shares.graphs, shares.nodesWithout, shares.validWith, shares.nodesWith);
    for (const auto& [fault, graphs] : shares.faults)
        std::cout << fmt::format("    {:>4} x {}\n", graphs, fault.substr(0, 150));
}

/// Random graphs through all ways: of rules that are written down, or by learned ones.
Exit checkGraphs(Session& session, const CheckGraphsOptions& options, int count, const debug::GraphMaker& make, const debug::DrawnShares* shares)
{
    std::vector<debug::CheckedRewrite> rewrites;
    if (!options.broken.empty())
        rewrites.push_back(debug::brokenOperator(options.broken));
    const auto report = debug::checkRandomGraphs(
        count, session.seedGiven ? session.seed : 1, rewrites, [&](double done, double total) { session.showProgress(done, total, "graphs"); },
        session.stopToken(), chosenPaths(options), make);
    session.endProgress();
    core::Json document = report.toJson();
    if (shares)
        document["drawn"] = shares->toJson();
    writeShrunk(options, report, document);
    if (session.json) {
        session.print(document);
    } else {
        if (shares)
            printShares(*shares);
        std::cout << fmt::format("{} graphs with {} nodes of {} operators; the inputs of {} were moved so that all values are finite\n",
                                 report.graphs, report.nodes, report.operators.size(), report.searched);
        printPaths(report);
        for (const auto& found : document["disagreements"])
            std::cout << fmt::format("seed {}, {}: {}{}\n", found["seed"].get<std::uint64_t>(), found["check"].get<std::string>(),
                                     found["text"].get<std::string>(), found.contains("file") ? " -> " + found["file"].get<std::string>() : "");
        std::cout << fmt::format("{} disagreements\n", report.disagreements.size());
    }
    return report.disagreements.empty() ? Exit::Done : Exit::Failed;
}

/// Graphs that learned rules draw.
Exit checkDrawn(Session& session, const CheckGraphsOptions& options)
{
    const std::uint64_t seed = session.seedGiven ? session.seed : 1;
    const auto rules = debug::OperatorRules::learn(debug::recordCalls(
        options.learn, seed, session.stopToken(), [&](double done, double total) { session.showProgress(done, total, "operators"); }));
    const auto shares = debug::compareDrawn(rules, options.draw, seed, session.stopToken(),
                                            [&](double done, double total) { session.showProgress(done, total, "drawn graphs"); });
    return checkGraphs(session, options, options.draw, debug::drawnBy(rules), &shares);
}

Exit runCheckGraphs(Session& session, const CheckGraphsOptions& options)
{
    session.applyThreads();
    if (options.draw > 0 && options.learn == 0)
        throw core::InputError("--draw: expected --learn-rules as well: the graphs are drawn by what is learned");
    if (options.draw > 0)
        return checkDrawn(session, options);
    return options.learn > 0 ? learnRules(session, options) : checkGraphs(session, options, options.count, {}, nullptr);
}

}  // namespace

std::function<Exit(Session&)> declareCheckGraphs(CLI::App& app)
{
    auto options = std::make_shared<CheckGraphsOptions>();
    app.add_option("--count", options->count, "Graphs to make, from the seeds --seed (default 1), --seed + 1 and so on.")
        ->check(CLI::Range(1, 1'000'000));
    app.add_option("--out-dir", options->folder, "Folder for the models that show a disagreement, cut down to what shows it.");
    app.add_option("--path", options->paths, "Only these ways through files, compilers and compressors; or none.")
        ->allow_extra_args(false)
        ->check(CLI::IsMember({"file", "onnx", "torchscript", "c", "float16", "bfloat16", "int8", "int8-onnx", "pruned", "pruned-onnx", "masked",
                               "low-rank", "low-rank-onnx", "npz", "none"}));
    app.add_option("--every-c", options->everyC, "The C path takes one graph of so many: it compiles each.")->check(CLI::Range(1, 1'000'000));
    app.add_option("--break", options->broken, "Make an operator give 1 % too much in one of the ways (aten::tanh), to see that it is found.");
    app.add_option("--learn-rules", options->learn,
                   "Instead: try so many random calls of each of 15 operators, learn from them which are valid, and judge the rules on other calls.")
        ->check(CLI::Range(10, 100'000));
    app.add_option(
           "--draw", options->draw,
           "With --learn-rules: draw so many graphs by the rules and say how many of them run, and how many without the rules; those that run are "
           "checked as the others are.")
        ->check(CLI::Range(1, 1'000'000));
    app.footer(
        "Each graph is run at once, node by node, by libtorch's interpreter, after being written and read again, and fused; then it goes "
        "through our file,\n"
        "ONNX, TorchScript and C. All must agree. With its weights in fewer bits (float16, bfloat16, int8, pruned, masked, products of thin "
        "matrices) it must compute what those\n"
        "weights stand for, which may differ from what they were by no more than a bound; where a bound on the outputs can be proven, no output "
        "may exceed it.");
    return [options](Session& session) { return runCheckGraphs(session, *options); };
}

}  // namespace orrery::cli
